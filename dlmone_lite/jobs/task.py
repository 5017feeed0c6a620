"""What a network is trained for, a world or a corpus: its pairs, its layout, its evaluation."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.corpus_task import CorpusTask
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.degeneration import EarlyWarning
    from dlmone_lite.jobs.records import Evaluation
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.text import Codec


class Task(Protocol):
    """What training needs of a world and of a corpus alike.

    `name` is the world's name in checkpoints. `held_out` is the number of sources in a split. `data` returns
    the training pairs and their provenance. `measure` returns scores, `describe` puts them in one line, and
    `rank` maps them to a key that is lower for the better of two networks.
    """

    codec: Codec

    @property
    def name(self) -> str: ...
    def held_out(self, split: str) -> int: ...
    def data(self) -> tuple[PairedText, dict[str, Any]]: ...
    def measure(self, checkpoint: Checkpoint, evaluation: Evaluation, split: str) -> dict[str, Any]: ...
    def describe(self, scores: dict[str, Any]) -> str: ...
    def rank(self, scores: dict[str, Any]) -> tuple[float, ...]: ...


@dataclass
class WorldTask:
    """A world, whose exact distribution is known."""

    world: World
    codec: Codec

    @property
    def name(self) -> str:
        """The world's name."""
        return self.world.name

    def held_out(self, split: str) -> int:
        """The number of sources in the split."""
        return len(self.world.split_sources(split))

    def data(self) -> tuple[PairedText, dict[str, Any]]:
        """The train split as ids, and its provenance: number of pairs and hash."""
        from dlmone_lite.corpora.pairs import PairedText
        from dlmone_lite.files import digest

        path, sources, targets = split_pairs(self.world, "train")
        provenance = {"data": {"pairs": len(sources), "train_sha256": digest(path)}}
        return PairedText(sources, targets, self.codec), provenance

    def measure(self, checkpoint: Checkpoint, evaluation: Evaluation, split: str) -> dict[str, Any]:
        """World metrics on sources of a held-out split; of a student on valid, signs of degeneration too."""
        from dlmone_lite.evaluation.measure import measure

        sources = min(evaluation.sources, self.held_out(split))
        several = min(sources, evaluation.samples) > 1
        scores = measure(
            checkpoint,
            self.world,
            steps=evaluation.steps,
            sources=sources,
            samples=evaluation.samples,
            split=split,
            with_signs=several and checkpoint.role == "student" and split == "valid",
        )
        return {"split": split, **scores}

    def early_warning(self, evaluation: Evaluation) -> EarlyWarning | None:
        """What warns of degeneration; None if an evaluation has too few outputs to show signs.

        As many exact draws as an evaluation has outputs give the usual signs.
        """
        from dlmone_lite.evaluation.degeneration import EarlyWarning, signs
        from dlmone_lite.evaluation.measure import held_out_sources

        sources = min(evaluation.sources, self.held_out("valid"))
        if min(sources, evaluation.samples) < 2:
            return None
        chosen, rng = held_out_sources(self.world, sources, "valid"), random.Random(f"{self.name} usual")
        return EarlyWarning(signs(exact_draws(self.world, chosen, evaluation.samples, rng), chosen))

    def describe(self, scores: dict[str, Any]) -> str:
        """An evaluation in one line."""
        return (
            f"validity {scores['validity']:.3f} ±{scores['validity_se']:.3f}, TV {scores['tv']:.3f} "
            f"(floor {scores['tv_floor']:.3f}), coverage {scores['coverage']:.2f}"
        )

    def rank(self, scores: dict[str, Any]) -> tuple[float, ...]:
        """TV to the exact distribution."""
        return (scores["tv"],)


def new_task(
    world: str | None,
    corpus: str | None,
    shape: ModelConfig,
    pieces: int,
    tokenizer: str | None,
    accents: bool,
) -> Task:
    """The task of a network that does not exist yet; exactly one of `world` and `corpus` is given.

    A corpus gets a vocabulary: `pieces` word pieces of its train split, with or without `accents`, or the
    ones of BERT in `tokenizer`.
    """
    from dlmone_lite.corpora.corpus import Corpus
    from dlmone_lite.corpora.word_pieces import WordPieces
    from dlmone_lite.corpora.world import World
    from dlmone_lite.text import Codec
    from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec

    if (world is None) == (corpus is None):
        names = ", ".join(World.names())
        raise InputError(f"train needs --world ({names}, or a .grammar file) or --corpus, one of the two")
    if world:
        grammar = World.load(world)
        return WorldTask(grammar, codec_of(grammar))

    text = Corpus(corpus)
    if tokenizer:
        vocabulary = WordPieces.of_bert(tokenizer)
    else:
        rows = text.train[0]
        vocabulary = WordPieces.learn([row[side] for row in rows for side in ("src", "trg")], pieces, accents)
        if processes.is_main():
            marks = "accents and vowel signs " + ("kept" if accents else "stripped, as in BERT")
            print(f"{text.name}: {len(vocabulary)} word pieces learned, {marks} (--accents)")
    if shape.network == "bert":
        return CorpusTask(text, DiffuSeqCodec(vocabulary, 0, shape.length))
    return CorpusTask(text, Codec(vocabulary, shape.source_length, shape.length - shape.source_length))


def task_of(
    checkpoint: Checkpoint, origin: str, world: str | None, corpus: str | None, zero_shot: bool = False
) -> Task:
    """The task of a checkpoint that was loaded from `origin`.

    `world` or `corpus` say where its grammar or its text is. With `zero_shot`, the corpus may be another one
    than the checkpoint was trained on.
    """
    from dlmone_lite.corpora.corpus import Corpus
    from dlmone_lite.corpora.word_pieces import WordPieces
    from dlmone_lite.corpora.world import World

    if corpus:
        own = Corpus(corpus)
        if own.name == checkpoint.world:
            return CorpusTask(own, checkpoint.codec)
        if not zero_shot:
            raise InputError(
                f"{origin} was trained for {checkpoint.world!r}, not {own.name!r}; "
                "to measure it there all the same: evaluate --zero-shot"
            )
        return CorpusTask(Corpus(corpus, foreign=True), checkpoint.codec)
    if isinstance(checkpoint.codec.vocabulary, WordPieces):
        raise InputError(
            f"{origin} was trained on the corpus {checkpoint.world!r}; say where it is: --corpus"
        )
    return WorldTask(World.load(world or checkpoint.world), checkpoint.codec)


def codec_of(world: World) -> Codec:
    """The layout of a world's sentences; with the shared vocabulary if that has all of the world's words."""
    from dlmone_lite.corpora.world import shared_vocabulary
    from dlmone_lite.text import Codec, Vocabulary

    words, vocabulary = world.vocabulary(), shared_vocabulary()
    if not set(words) <= set(vocabulary.words):
        vocabulary = Vocabulary(words)
    return Codec(vocabulary, world.max_source + 1, world.max_target + 1)  # + 1 for [SEP]


def split_pairs(world: World, split: str) -> tuple[Path, list[str], list[str]]:
    """(file, sources, targets) of a split on disk."""
    from dlmone_lite.corpora.tables import read_jsonl

    path = world.split_path(split)
    if not path.is_file():
        raise InputError(
            f"{path} is missing; write it with: python -m dlmone_lite world {world.path} --build"
        )
    rows = read_jsonl(path, need=("src", "trg"))
    return path, [row["src"] for row in rows], [row["trg"] for row in rows]


def references(world: World, split: str, sources: list[str]) -> list[str]:
    """One reference for each source: the first of the split's own targets, else an exact draw."""
    _, left, right = split_pairs(world, split)
    first = dict(zip(reversed(left), reversed(right), strict=True))
    rng = random.Random(f"{world.name} {split} references")
    return [first.get(source) or world.sample(source, rng) for source in sources]


def exact_draws(world: World, sources: list[str], samples: int, rng: random.Random) -> list[list[str]]:
    """`samples` draws for each source from the world's exact conditional distribution."""
    return [[world.sample(source, rng) for _ in range(samples)] for source in sources]
