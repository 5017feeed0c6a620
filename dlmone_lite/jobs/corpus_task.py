"""Training on real text: its pairs, the field's scores in the truth's place, and which student is best."""

from __future__ import annotations

import argparse
import hashlib
import random
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.jobs.console import fixed, rows_bar
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.evaluation.degeneration import EarlyWarning
    from dlmone_lite.text import Codec

SEEDS = 3  # samples of a source that div-4, which falls with their number, looks at
NFE, DRAWS = 50, 6  # steps and samples of a teacher that others are compared with
WITHIN = 0.05  # more self-BLEU than the teacher's that the best student may have


@dataclass
class CorpusTask:
    """Real text, of which one target or a few are known: the field's scores in the truth's place."""

    place: str
    codec: Codec
    teacher: dict[str, Any] = field(default_factory=dict)  # what `aim` found

    @property
    def name(self) -> str:
        """That of the folder or file, or on the hub."""
        return corpus_name(self.place)

    @cached_property
    def valid(self) -> tuple[list[str], list[str]]:
        """(sources, targets) to evaluate on, in a fixed random order, each source once; both as the pieces
        spell them, lower case and spaced, for so DiffuSeq compares them."""
        from dlmone_lite.corpora.real_text import fitting, load

        sources, targets, _ = fitting(load(self.place, "valid"), self.codec)
        spelled = self.codec.vocabulary
        sources, targets = ([spelled.text(spelled.ids(text)) for text in side] for side in (sources, targets))
        first = dict(zip(reversed(sources), reversed(targets), strict=True))
        order = random.Random(0).sample(sorted(first), len(first))
        return order, [first[source] for source in order]

    def held_out(self, split: str) -> int:
        """How many sources there are; a corpus is evaluated on valid, its test split is not looked at."""
        return len(self.valid[0])

    def data(self) -> tuple[PairedText, dict[str, Any]]:
        """The train split as ids, what became of its rows, and a hash of the pairs."""
        from dlmone_lite.corpora.pairs import PairedText
        from dlmone_lite.corpora.real_text import fitting, load

        sources, targets, counts = fitting(load(self.place, "train"), self.codec)
        if processes.is_main():
            print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        seen = hashlib.sha256("\n".join(f"{a}\t{b}" for a, b in zip(sources, targets)).encode()).hexdigest()
        return PairedText(sources, targets, self.codec), {"data": {**counts, "train_sha256": seen}}

    def measure(self, made: Checkpoint, args: argparse.Namespace, split: str) -> dict[str, Any]:
        """The field's scores, the share of copies, and words a sentence, on some valid sources."""
        told = {"teacher": self.teacher} if self.teacher else {}
        return {"split": "valid", "nfe": args.eval_steps, **self.scores(made, args, args.eval_steps), **told}

    def scores(self, made: Checkpoint, args: argparse.Namespace, steps: int, **how: Any) -> dict[str, Any]:
        """Those of the last valid sources: what training looks at, and may choose by, is not what `evaluate`
        reports, the first ones, where there are enough for both."""
        from dlmone_lite.generation import generate

        sources, targets = (side[-args.eval_sources :] for side in self.valid)
        how = {"samples": args.eval_samples, **how}
        texts = generate(made, sources, steps=steps, **how)
        return {"sources": len(sources), **text_scores(texts, sources, targets)}

    def lookout(self, args: argparse.Namespace) -> EarlyWarning | None:
        """None: one target a source does not tell what is usual."""
        return None

    def told(self, found: dict[str, Any]) -> str:
        """An evaluation in one line."""
        scores = ("bleu", "BLEU"), ("rouge_l", "ROUGE-L"), ("self_bleu", "self-BLEU"), ("copies", "copies")
        return ", ".join(f"{title} {fixed(found[key])}" for key, title in scores)

    def aim(self, teacher: Checkpoint, args: argparse.Namespace, within: float = WITHIN) -> str:
        """Measure the self-BLEU that students may have, their teacher's and `within` more; what it found."""
        if args.eval_samples < 2:
            return ""
        nfe = min(NFE, teacher.model.schedule.T)
        bar, progress = rows_bar(f"teacher, {nfe} steps")
        with bar:
            clamp = bool(teacher.sampling.get("clamp", 1))  # a sharpened teacher needs none
            how = {"clamp": clamp, "samples": DRAWS, "precision": "auto", "progress": progress}
            found = self.scores(teacher, args, nfe, **how)
        self.teacher = {"nfe": nfe, "bleu": found["bleu"], "self_bleu": found["self_bleu"], "within": within}
        return (
            f"teacher at {nfe} steps: {self.told(found)}; the best is the one with the highest BLEU "
            f"among those with a self-BLEU of at most {found['self_bleu'] + within:.3f}"
        )

    def rank(self, found: dict[str, Any]) -> tuple[float, ...]:
        """How much less diverse than it may be, then BLEU, turned round.

        BLEU alone would choose a student that copies: copies of the source have more than any teacher.
        """
        own = self.teacher
        over = found["self_bleu"] - own["self_bleu"] - own["within"] if own else 0.0
        return max(0.0, over), -found["bleu"]


def text_scores(texts: list[list[str]], sources: list[str], targets: list[str]) -> dict[str, Any]:
    """The field's scores of several hypotheses a source, with the share of copies and the mean length."""
    from dlmone_lite.evaluation.measure import field_scores
    from dlmone_lite.evaluation.metrics import copy_rate, div_4

    flat = [(text, source) for own, source in zip(texts, sources, strict=True) for text in own]
    copies = copy_rate([text for text, _ in flat], [source for _, source in flat])
    length = fmean(len(text.split()) for text, _ in flat)
    found = field_scores(texts, targets)
    if found["div_4"] is not None:
        found["div_4"] = div_4([own[:SEEDS] for own in texts])
    return {**found, "copies": copies, "length": length}


def corpus_name(place: str) -> str:
    """`qqp` of `folder/qqp`, `folder/qqp.csv` or the hub's `qqp`."""
    return Path(place).stem if Path(place).is_file() else Path(place).name
