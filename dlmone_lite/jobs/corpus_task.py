"""Training on real text: its pairs, the field's scores, and the choice of the best network."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.jobs.console import fixed
from dlmone_lite.jobs.sampling import Sampling, sample_texts
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.corpus import Corpus
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.jobs.records import Evaluation
    from dlmone_lite.text import Codec

MUCH_UNKNOWN = 0.01  # share of [UNK] from which on it is warned about
SEEDS = 3  # samples of a source in div-4, which falls with their number
NFE, DRAWS = 50, 6  # steps, and samples of a source, of the teacher with which networks are compared
WITHIN = 0.05  # by how much the best student's self-BLEU may exceed the teacher's


@dataclass
class CorpusTask:
    """Real text, which has one or a few targets of a source: the field's scores replace the exact ones."""

    corpus: Corpus
    codec: Codec
    teacher: dict[str, Any] = field(default_factory=dict)  # the scores that `measure_teacher` took

    @property
    def name(self) -> str:
        """The corpus' name."""
        return self.corpus.name

    @cached_property
    def valid(self) -> tuple[list[str], list[str]]:
        """(sources, targets) of the valid split in a fixed random order, each source once.

        Both are spelled as a network writes, lower case and spaced, because DiffuSeq compares them so. A word
        without pieces stays as it is: no network can be right there.
        """
        from dlmone_lite.corpora.real_text import fitting

        spelled = self.codec.vocabulary.spelled
        sources, targets = (map(spelled, side) for side in fitting(self.corpus.valid[0], self.codec)[:2])
        pairs = list(zip(sources, targets, strict=True))
        first = dict(reversed(pairs))
        order = random.Random(0).sample(sorted(first), len(first))
        return order, [first[source] for source in order]

    @cached_property
    def unknown(self) -> float:
        """The share of [UNK] among the pieces of the valid pairs."""
        from dlmone_lite.text import UNK

        ids = [i for side in self.valid for row in self.codec.vocabulary.ids_of(side) for i in row]
        return ids.count(UNK) / len(ids)

    def about_valid(self) -> str:
        """The valid split in a line: its sources, rows that are left out, and how much of it is [UNK]."""
        left_out = "".join(f", {count} {reason} left out" for reason, count in self.corpus.valid[1].items())
        text = f"valid: {len(self.valid[0])} sources{left_out}, [UNK] {self.unknown:.1%} of the pieces"
        if self.unknown > MUCH_UNKNOWN:
            text += "; warning: no network can write these words; train with more --pieces or text like this"
        return text

    def held_out(self, split: str) -> int:
        """The number of valid sources, for every split: the test split of a corpus is not used."""
        return len(self.valid[0])

    def data(self) -> tuple[PairedText, dict[str, Any]]:
        """The train split as ids, and its provenance: counts of rows, and a hash of the pairs.

        The valid split is read too, because a mistake in it would else be noticed after the last update.
        """
        from dlmone_lite.corpora.pairs import PairedText
        from dlmone_lite.corpora.real_text import fitting

        rows, dropped = self.corpus.train
        sources, targets, counts = fitting(rows, self.codec, dropped)
        about = self.about_valid()
        if processes.is_main():
            print(f"{self.name}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
            print(about)
        lines = "\n".join(f"{source}\t{target}" for source, target in zip(sources, targets, strict=True))
        sha256 = hashlib.sha256(lines.encode()).hexdigest()
        return PairedText(sources, targets, self.codec), {"data": {**counts, "train_sha256": sha256}}

    def measure(self, checkpoint: Checkpoint, evaluation: Evaluation, split: str) -> dict[str, Any]:
        """The field's scores on some valid sources, whatever the split; beside them the teacher's."""
        scores = self.scores(checkpoint, evaluation.sources, evaluation.steps, Sampling(evaluation.samples))
        teacher = {"teacher": self.teacher} if self.teacher else {}
        return {"split": "valid", "nfe": evaluation.steps, **scores, **teacher}

    def scores(
        self, checkpoint: Checkpoint, sources: int, steps: int, sampling: Sampling, title: str | None = None
    ) -> dict[str, Any]:
        """The field's scores on the last `sources` of the valid split.

        Training may choose a network by them. So `evaluate` reports the first sources, which are others if
        the split is large enough.
        """
        last, targets = (side[-sources:] for side in self.valid)
        texts = sample_texts(checkpoint, last, steps, sampling, title)
        return {"sources": len(last), **text_scores(texts, last, targets)}

    def describe(self, scores: dict[str, Any]) -> str:
        """An evaluation in one line."""
        titles = ("bleu", "BLEU"), ("rouge_l", "ROUGE-L"), ("self_bleu", "self-BLEU"), ("copies", "copies")
        text = ", ".join(f"{title} {fixed(scores[name])}" for name, title in titles)
        return text + (f", [UNK] {self.unknown:.1%}" if self.unknown else "")

    def measure_teacher(
        self, teacher: Checkpoint, evaluation: Evaluation, within: float = WITHIN
    ) -> str | None:
        """Set the limit of self-BLEU in `rank`, the teacher's and `within`; return it in words.

        Without a second sample there is no self-BLEU: then nothing is measured, and the result is None.
        """
        if evaluation.samples < 2:
            return None
        nfe = min(NFE, teacher.model.schedule.T)
        clamp = bool(teacher.sampling.get("clamp", 1))  # a sharpened teacher needs none
        sampling = Sampling(DRAWS, clamp=clamp, precision="auto")
        scores = self.scores(teacher, evaluation.sources, nfe, sampling, f"teacher, {nfe} steps")
        self.teacher = {
            "nfe": nfe,
            "bleu": scores["bleu"],
            "self_bleu": scores["self_bleu"],
            "within": within,
        }
        return (
            f"teacher at {nfe} steps: {self.describe(scores)}; the best is the one with the highest BLEU "
            f"among those with a self-BLEU of at most {scores['self_bleu'] + within:.3f}"
        )

    def rank(self, scores: dict[str, Any]) -> tuple[float, ...]:
        """(self-BLEU above the teacher's limit, minus BLEU).

        BLEU alone would choose a student that copies, because copies of the source have a higher BLEU than
        any teacher's samples.
        """
        teacher, excess = self.teacher, 0.0
        if teacher:
            excess = scores["self_bleu"] - teacher["self_bleu"] - teacher["within"]
        return max(0.0, excess), -scores["bleu"]


def text_scores(texts: list[list[str]], sources: list[str], targets: list[str]) -> dict[str, Any]:
    """The field's scores of several hypotheses a source, the share of copies and the mean length in words."""
    from dlmone_lite.evaluation.measure import field_scores
    from dlmone_lite.evaluation.metrics import copy_rate, div_4

    flat, repeated = [], []
    for hypotheses, source in zip(texts, sources, strict=True):
        flat += hypotheses
        repeated += [source] * len(hypotheses)
    scores = field_scores(texts, targets)
    if scores["div_4"] is not None:
        scores["div_4"] = div_4([hypotheses[:SEEDS] for hypotheses in texts])
    length = fmean(len(text.split()) for text in flat)
    return {**scores, "copies": copy_rate(flat, repeated), "length": length}
