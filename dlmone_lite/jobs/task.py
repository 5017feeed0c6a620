"""What a network is trained for, a world or a corpus: its pairs, its layout, its evaluation."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dlmone_lite.cli.options import positive
from dlmone_lite.errors import InputError
from dlmone_lite.jobs.corpus_task import CorpusTask, corpus_name

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.degeneration import EarlyWarning
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.text import Codec


class Task(Protocol):
    """`name` is that of its checkpoints; `rank` is lower for the better of two evaluations, of teachers or of
    students of the teacher that `aim` has measured."""

    codec: Codec

    @property
    def name(self) -> str: ...
    def held_out(self, split: str) -> int: ...
    def data(self) -> tuple[PairedText, dict[str, Any]]: ...
    def measure(self, made: Checkpoint, args: argparse.Namespace, split: str) -> dict[str, Any]: ...
    def lookout(self, args: argparse.Namespace) -> EarlyWarning | None: ...
    def told(self, found: dict[str, Any]) -> str: ...
    def aim(self, teacher: Checkpoint, args: argparse.Namespace, within: float = ...) -> str: ...
    def rank(self, found: dict[str, Any]) -> tuple[float, ...]: ...


@dataclass
class WorldTask:
    """A world, whose truth is known."""

    world: World
    codec: Codec

    @property
    def name(self) -> str:
        """The world's."""
        return self.world.name

    def held_out(self, split: str) -> int:
        """How many sources the split has."""
        return len(self.world.split_sources(split))

    def data(self) -> tuple[PairedText, dict[str, Any]]:
        """The train split as ids, and what the checkpoint should say about it."""
        from dlmone_lite.corpora.pairs import PairedText
        from dlmone_lite.files import digest

        path, sources, targets = split_pairs(self.world, "train")
        made = {"data": {"pairs": len(sources), "train_sha256": digest(path)}}
        return PairedText(sources, targets, self.codec), made

    def measure(self, made: Checkpoint, args: argparse.Namespace, split: str) -> dict[str, Any]:
        """World metrics on a few sources of a held-out split, a student's signs of degeneration on valid."""
        from dlmone_lite.evaluation.measure import measure

        sources = min(args.eval_sources, self.held_out(split))
        enough = made.role == "student" and split == "valid" and min(sources, args.eval_samples) > 1
        how = {"steps": args.eval_steps, "sources": sources, "samples": args.eval_samples, "split": split}
        return {"split": split, **measure(made, self.world, **how, with_signs=enough)}

    def lookout(self, args: argparse.Namespace) -> EarlyWarning | None:
        """What warns of degeneration: as many exact draws as an evaluation has outputs tell what is usual."""
        from dlmone_lite.evaluation.degeneration import EarlyWarning, signs
        from dlmone_lite.evaluation.measure import held_out_sources

        sources = min(args.eval_sources, self.held_out("valid"))
        if min(sources, args.eval_samples) < 2:
            return None
        chosen, rng = held_out_sources(self.world, sources, "valid"), random.Random(f"{self.name} usual")
        draws = [[self.world.sample(source, rng) for _ in range(args.eval_samples)] for source in chosen]
        return EarlyWarning(signs(draws, chosen))

    def told(self, found: dict[str, Any]) -> str:
        """An evaluation in one line."""
        return (
            f"validity {found['validity']:.3f} ±{found['validity_se']:.3f}, TV {found['tv']:.3f} "
            f"(floor {found['tv_floor']:.3f}), coverage {found['coverage']:.2f}"
        )

    def aim(self, teacher: Checkpoint, args: argparse.Namespace, within: float = 0) -> str:
        """Nothing to measure or to say: the aim is the truth."""
        return ""

    def rank(self, found: dict[str, Any]) -> tuple[float, ...]:
        """TV to the truth."""
        return (found["tv"],)


def reference(world: World, split: str, sources: list[str]) -> list[str]:
    """One reference a source: the split's own where its file has one, else an exact draw."""
    _, left, right = split_pairs(world, split)
    known = dict(zip(reversed(left), reversed(right), strict=True))  # the first of several
    generator = random.Random(f"{world.name} {split} references")
    return [known.get(source) or world.sample(source, generator) for source in sources]


def corpus_options(parser: argparse.ArgumentParser) -> None:
    """What a corpus needs to be said when a teacher is made for it."""
    parser.add_argument(
        "--pieces", type=positive, default=8192, metavar="N", help="word pieces of a corpus (8192)"
    )
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="take BERT's pieces from there (or bert-base-uncased)"
    )


def new_task(args: argparse.Namespace, shape: ModelConfig) -> Task:
    """The task that --world or --corpus names, for a network still to be made; a corpus gets its pieces."""
    from dlmone_lite.corpora.word_pieces import WordPieces
    from dlmone_lite.corpora.world import World
    from dlmone_lite.text import Codec
    from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec

    if (args.world is None) == (args.corpus is None):
        known = ", ".join(World.names())
        raise InputError(f"train needs --world ({known}, or a .grammar file) or --corpus, one of the two")
    if args.world:
        world = World.load(args.world)
        return WorldTask(world, codec_of(world))
    if args.tokenizer:
        pieces = WordPieces.of_bert(args.tokenizer)
    else:
        from dlmone_lite.corpora.real_text import load

        rows = load(args.corpus, "train")
        pieces = WordPieces.learn([text for row in rows for text in (row["src"], row["trg"])], args.pieces)
    if shape.network == "bert":
        return CorpusTask(args.corpus, DiffuSeqCodec(pieces, 0, shape.length))
    return CorpusTask(args.corpus, Codec(pieces, shape.source_length, shape.length - shape.source_length))


def known_task(args: argparse.Namespace, checkpoint: Checkpoint, origin: str, others: bool = False) -> Task:
    """The task of a checkpoint; --world or --corpus say where its grammar or its text lies. With `others`,
    the corpus may be one that it never saw."""
    from dlmone_lite.corpora.word_pieces import WordPieces
    from dlmone_lite.corpora.world import World

    if args.corpus:
        if corpus_name(args.corpus) != checkpoint.world and not others:
            raise InputError(
                f"{origin} was trained for {checkpoint.world!r}, not {corpus_name(args.corpus)!r}; "
                "to measure it there all the same: evaluate --zero-shot"
            )
        return CorpusTask(args.corpus, checkpoint.codec)
    if isinstance(checkpoint.codec.vocabulary, WordPieces):
        raise InputError(
            f"{origin} was trained on the corpus {checkpoint.world!r}; say where it is: --corpus"
        )
    return WorldTask(World.load(args.world or checkpoint.world), checkpoint.codec)


def codec_of(world: World) -> Codec:
    """The layout of a world's sentences; the shared vocabulary if it has all of this world's words."""
    from dlmone_lite.corpora.world import shared_vocabulary
    from dlmone_lite.text import Codec, Vocabulary

    words, vocabulary = world.vocabulary(), shared_vocabulary()
    if not set(words) <= set(vocabulary.words):
        vocabulary = Vocabulary(words)
    return Codec(vocabulary, world.max_source + 1, world.max_target + 1)  # + 1 for [SEP]


def split_pairs(world: World, split: str) -> tuple[Path, list[str], list[str]]:
    """(file, sources, targets) of a split on disk."""
    from dlmone_lite.files import read_jsonl

    path = world.folder / f"{split}.jsonl"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; write it with: python -m dlmone_lite world {world.path} --build"
        )
    rows = read_jsonl(path, need=("src", "trg"))
    return path, [row["src"] for row in rows], [row["trg"] for row in rows]
