"""Scores of generated text: the field's (plain strings in, numbers in 0..1 out) and, in a world, exact ones.

The field's scores follow DiffuSeq's evaluation (`scripts/eval_seq2seq.py`): white-space words of lower-cased
text, a mean over sentences. The world scores compare samples with a `support`, the exact finite distribution
{target: probability} of one source, as whole strings.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from types import ModuleType

from dlmone_lite.errors import InputError

DEBERTA = "microsoft/deberta-xlarge-mnli"
TIGHT = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't"}  # in this order
TIGHT |= {f" '{end}": f"'{end}" for end in ("m", "s", "ve", "re")}


def _require(module: str, package: str, score: str) -> ModuleType:
    """Import a scoring library at its first use; InputError names the package to install if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as e:
        raise InputError(f"{score} cannot import {module} ({e}); try: pip install {package}") from e


def _check(**lists: Sequence) -> None:
    """Refuse an empty list, lists of unequal length, and a string, which would be scored letter by letter."""
    for name, texts in lists.items():
        if isinstance(texts, str):
            raise InputError(f"{name} is one string; pass a list of strings")
        if not len(texts):
            raise InputError(f"{name} is empty; there is nothing to score")
        if len(texts) != (n := len(lists.get("hypotheses", texts))):
            raise InputError(f"{name} has {len(texts)} entries for {n} hypotheses; pass one for each")


def _check_sources(hypotheses_per_source: Sequence[Sequence[str]]) -> None:
    _check(hypotheses_per_source=hypotheses_per_source)
    for hypotheses in hypotheses_per_source:
        _check(**{"the list of hypotheses of a source": hypotheses})


def _sentence_bleu(hypothesis: str, references: Iterable[str]) -> float:
    """BLEU-4 of one hypothesis against all its references (nltk, smoothing method4)."""
    translate = _require("nltk.translate.bleu_score", "nltk", "BLEU")
    words = [reference.lower().split() for reference in references]
    smooth = translate.SmoothingFunction().method4
    return float(translate.sentence_bleu(words, hypothesis.lower().split(), smoothing_function=smooth))


def bleu(hypotheses: Sequence[str], references: Sequence[str | Sequence[str]]) -> float:
    """Mean sentence BLEU-4 in 0..1 (nltk, smoothing method4); a reference is a string or a list of strings.

    A right output of two or three words scores below 1 because of the smoothing.
    Raises InputError for empty or unequal lists.
    """
    _check(hypotheses=hypotheses, references=references)
    scores = []
    for i, (hypothesis, given) in enumerate(zip(hypotheses, references)):
        several = [given] if isinstance(given, str) else list(given)
        if not several:
            raise InputError(f"hypothesis {i} has 0 references; give it at least one")
        scores.append(_sentence_bleu(hypothesis, several))
    return fmean(scores)


def tight(text: str) -> str:
    """Text as Hugging Face's tokenizers decode it, and DiffuSeq scores it: "rome ?" becomes one word."""
    for spaced, joined in TIGHT.items():
        text = text.replace(spaced, joined)
    return text


class ScriptTokenizer:
    """Splits text of any script into words, for the package `rouge-score`."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text; of a-z and 0-9 the package's own."""
        import regex  # comes with nltk; unlike `re` it knows scripts and kinds of characters

        character = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
        word = rf"(?:(?!{character})[\p{{L}}\p{{M}}\p{{N}}\u200c])+"
        sign = r"[\p{S}--\x00-\x7f](?:\p{M}|\u200d\p{S}|[\U0001f3fb-\U0001f3ff])*"
        return regex.findall(rf"{character}|{word}|{sign}", text.lower(), flags=regex.V1)


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Mean ROUGE-L f-measure in 0..1 (`rouge-score`, no stemming, as DiffuSeq's torchmetrics computes it).

    A word is a lower-cased run of letters and digits of any script, as it is of a-z and 0-9 in the package; a
    sign such as an emoji is one, and so is each character of a script that sets no spaces.
    """
    _check(hypotheses=hypotheses, references=references)
    package = _require("rouge_score.rouge_scorer", "rouge-score", "ROUGE-L")
    scorer = package.RougeScorer(["rougeL"], tokenizer=ScriptTokenizer())
    return fmean(scorer.score(r, h)["rougeL"].fmeasure for h, r in zip(hypotheses, references))


def bertscore(
    hypotheses: Sequence[str], references: Sequence[str], *, model: str = DEBERTA, layers: int = 40
) -> float:
    """Mean BERTScore F1 with DiffuSeq's model; it needs the optional package `bert-score` and the weights.

    `model` may be a local folder. `layers` is the hidden layer that is compared, 40 the package's for this
    model. An empty output counts 0. Raises InputError without package or weights.
    """
    _check(hypotheses=hypotheses, references=references)
    package = _require("bert_score", "bert-score", "BERTScore")
    try:
        scorer = package.BERTScorer(model_type=model, num_layers=layers)
    except OSError as e:  # what transformers raises for weights it can neither find nor download
        raise InputError(f"BERTScore cannot load {model!r}; download it and pass its folder as model=") from e
    # This tokenizer declares no length limit, and `tokenizers` overflows on the stand-in (bert_score #205).
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, 512)
    # The package means to give empty text 0 but stops at it under transformers 5, so it never sees any.
    pairs = [(h, r) for h, r in zip(hypotheses, references) if h.strip() and r.strip()]
    return float(scorer.score(*map(list, zip(*pairs)))[2].sum()) / len(hypotheses) if pairs else 0.0


def copy_rate(hypotheses: Sequence[str], sources: Sequence[str]) -> float:
    """Share of outputs that equal their own source word for word; case and spacing do not count."""
    _check(hypotheses=hypotheses, sources=sources)
    return fmean(h.lower().split() == s.lower().split() for h, s in zip(hypotheses, sources))


def _distinct(texts: Iterable[str], n: int) -> float:
    """Distinct n-grams over all n-grams of the texts together; 0 if there is none, as in DiffuSeq."""
    grams = []
    for text in texts:
        words = text.lower().split()
        grams += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def distinct_1(hypotheses: Sequence[str]) -> float:
    """DiffuSeq's dist-1: distinct words over words of each sentence, averaged; an empty one counts 0."""
    _check(hypotheses=hypotheses)
    return fmean(_distinct([hypothesis], 1) for hypothesis in hypotheses)


def div_4(hypotheses_per_source: Sequence[Sequence[str]]) -> float:
    """DiffuSeq's div-4: distinct over all 4-grams of the K hypotheses of a source, averaged over sources."""
    _check_sources(hypotheses_per_source)
    return fmean(_distinct(hypotheses, 4) for hypotheses in hypotheses_per_source)


def self_bleu(hypotheses_per_source: Sequence[Sequence[str]]) -> float:
    """Mean BLEU of each hypothesis against each other one of its source, averaged over sources; high = alike.

    Hypotheses are compared pair by pair, as in DiffuSeq, in both directions, so that their order does not
    matter. Raises InputError for a source with fewer than two.
    """
    _check_sources(hypotheses_per_source)
    scores = []
    for i, hypotheses in enumerate(hypotheses_per_source):
        if (k := len(hypotheses)) < 2:
            raise InputError(f"source {i} has {k} hypothesis; self-BLEU needs at least two per source")
        counts = Counter(hypotheses)  # samples repeat, so each distinct pair is scored once
        times = {(a, b): counts[a] * (counts[b] - (a == b)) for a in counts for b in counts}
        total = sum(n * _sentence_bleu(a, [b]) for (a, b), n in times.items() if n)
        scores.append(total / (k * (k - 1)))
    return fmean(scores)


def mbr(hypotheses: Sequence[str]) -> str:
    """Minimum Bayes risk: the hypothesis with the largest summed BLEU against the others (DiffuSeq)."""
    if not hypotheses:
        raise InputError("minimum Bayes risk needs at least one hypothesis")
    agreement = []
    for i, hypothesis in enumerate(hypotheses):
        others = [other for j, other in enumerate(hypotheses) if j != i]
        agreement.append(sum(_sentence_bleu(hypothesis, [other]) for other in others))
    return hypotheses[agreement.index(max(agreement))]


# ---- scores against a world's truth


def _check_world(samples: Sequence[str], support: Mapping[str, float]) -> None:
    _check(samples=samples)
    total = math.fsum(support.values())
    if min(support.values(), default=-1.0) < 0 or not math.isclose(total, 1.0, abs_tol=1e-6):
        raise InputError(f"the probabilities of a support must be >= 0 and sum to 1; these sum to {total:g}")


def validity(samples: Sequence[str], support: Mapping[str, float]) -> float:
    """Share of the samples that are right targets, which equal a string of the support exactly."""
    _check_world(samples, support)
    return fmean(support.get(sample, 0.0) > 0 for sample in samples)


def total_variation(samples: Sequence[str], support: Mapping[str, float]) -> float:
    """Distance 1/2 sum |n_k/n - p_k| in 0..1 of samples and truth; a wrong string has p_k = 0."""
    _check_world(samples, support)
    n, counts = len(samples), Counter(samples)
    inside = math.fsum(abs(counts[target] / n - p) for target, p in support.items())
    outside = sum(count for sample, count in counts.items() if sample not in support) / n
    return 0.5 * (inside + outside)


def tv_floor(support: Mapping[str, float], n: int) -> float:
    """Exact expected total variation of n independent samples of the truth, a perfect model's score.

    1/2 sum_k E|X_k/n - p_k| with X_k ~ Binomial(n, p_k), by de Moivre's closed form
    E|X - np| = 2 m C(n, m) p^m (1-p)^(n-m+1), m = floor(np) + 1.
    """
    if n < 1:
        raise InputError(f"the sampling floor needs at least one sample, not {n}")
    total = 0.0
    for p in support.values():
        if not 0.0 < p < 1.0:
            continue  # the count of such a target does not vary
        m = math.floor(n * p) + 1
        log_choose = math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)
        total += 2 * m * math.exp(log_choose + m * math.log(p) + (n - m + 1) * math.log1p(-p)) / n
    return 0.5 * total


def tv_excess(tv: float, floor: float) -> float:
    """Total variation beyond sampling noise, as the two add in quadrature, roughly (reconstruction).

    Pass averages over sources, because a single source's total variation can lie below its floor.
    """
    return math.sqrt(max(0.0, tv * tv - floor * floor))


def _right(samples: Sequence[str], support: Mapping[str, float]) -> list[str]:
    """The samples that are right."""
    return [sample for sample in samples if support.get(sample, 0.0) > 0]


def expected_distinct(support: Mapping[str, float], n: int) -> float:
    """Expected number of distinct targets among n independent samples of the truth: sum_k 1 - (1 - p_k)^n."""
    return math.fsum(1.0 - (1.0 - p) ** n for p in support.values())


def coverage(samples: Sequence[str], support: Mapping[str, float]) -> float:
    """Distinct right outputs over the number expected of as many true samples; near 1 if no mode is lost."""
    _check_world(samples, support)
    return len(set(_right(samples, support))) / expected_distinct(support, len(samples))


def world_metrics(
    samples_per_source: Sequence[Sequence[str]], supports: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """All world scores, averaged over sources; samples_per_source[i] belong to the source of supports[i].

    validity, tv, coverage, distinct (the number of different outputs, right or wrong) and right_tv have their
    standard errors over sources under `<key>_se`, nan for one source. tv_floor, distinct_truth and
    right_floor are the exact expectations of tv, distinct and right_tv for as many true samples. tv_excess
    and right_excess are those of the averaged distances and floors.

    tv mixes wrong sentences, whose share is 1 - validity, with wrong shares of the right ones. right_tv is
    the distance of the right sentences alone from the truth, 1 where there is none.
    """
    _check(samples_per_source=samples_per_source)
    if len(supports) != len(samples_per_source):
        raise InputError(f"{len(samples_per_source)} sources were sampled but {len(supports)} supports given")
    pairs, n = list(zip(samples_per_source, supports)), len(supports)
    scores = {"validity": validity, "tv": total_variation, "coverage": coverage}
    scores["distinct"] = lambda samples, support: len(set(samples))
    scores["right_tv"] = lambda samples, support: (
        total_variation(right, support) if (right := _right(samples, support)) else 1.0
    )
    result: dict[str, float] = {}
    for key, score in scores.items():
        values = [score(*pair) for pair in pairs]
        result[key], result[f"{key}_se"] = fmean(values), stdev(values) / math.sqrt(n) if n > 1 else math.nan
    result["tv_floor"] = fmean(tv_floor(support, len(samples)) for samples, support in pairs)
    result["tv_excess"] = tv_excess(result["tv"], result["tv_floor"])
    rights = [(support, len(_right(samples, support))) for samples, support in pairs]
    result["right_floor"] = fmean(tv_floor(support, count) if count else 0.0 for support, count in rights)
    result["right_excess"] = tv_excess(result["right_tv"], result["right_floor"])
    result["distinct_truth"] = fmean(expected_distinct(support, len(samples)) for samples, support in pairs)
    return result
