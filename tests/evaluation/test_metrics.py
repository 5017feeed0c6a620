"""metrics: hand-computed values, nltk called directly, exact enumeration and Monte Carlo."""

from __future__ import annotations

import itertools
import math
import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dlmone_lite.errors import InputError
from dlmone_lite.evaluation import metrics

SENTENCES = [
    "the cat sat on the mat",
    "the cat sat on a mat",
    "a dog ran over the green hill",
    "how do i learn to swim fast ?",
    "what is the best way to learn to swim ?",
    "learn learn learn learn",
    "swim fast",
    "swim",
    "",
]


def nltk_bleu(hypothesis, references):
    """Sentence BLEU as DiffuSeq's script asks for it."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method4
    return sentence_bleu([r.split() for r in references], hypothesis.split(), smoothing_function=smooth)


def test_bleu_by_hand():
    # Precisions 5/6 ("the" counts once), 3/5, 2/4, 1/3, equal lengths: (1/12)^(1/4).
    assert metrics.bleu(SENTENCES[:1], SENTENCES[1:2]) == pytest.approx((1 / 12) ** 0.25)
    # All n-grams right, four words for six: only the brevity penalty exp(1 - 6/4).
    assert metrics.bleu(["a b c d"], ["a b c d e f"]) == pytest.approx(math.exp(-0.5))
    # The other way round no penalty, precisions 4/6, 3/5, 2/4, 1/3.
    assert metrics.bleu(["a b c d e f"], ["a b c d"]) == pytest.approx((1 / 15) ** 0.25)
    # A right sentence of two words: method4 puts ln(2) / (5 * 2^i) for the missing 3- and 4-grams.
    assert metrics.bleu(["a b"], ["a b"]) == pytest.approx((math.log(2) / 10 * math.log(2) / 20) ** 0.25)
    assert metrics.bleu(["a"], ["a"]) == 1.0
    assert metrics.bleu(["x y z", ""], ["a b c", "a b c"]) == 0.0
    # The mean over sentences, case and spacing aside.
    assert metrics.bleu(["A b  C d", "x"], ["a b c D", "y"]) == pytest.approx(0.5)


def test_bleu_is_nltks():
    for hypothesis, reference in itertools.product(SENTENCES, SENTENCES):
        assert metrics.bleu([hypothesis], [reference]) == pytest.approx(nltk_bleu(hypothesis, [reference]))
    several = [SENTENCES[1:3], SENTENCES[3:5]]
    each = [nltk_bleu(SENTENCES[0], several[0]), nltk_bleu(SENTENCES[5], several[1])]
    assert metrics.bleu([SENTENCES[0], SENTENCES[5]], several) == pytest.approx(np.mean(each))


def test_rouge_l_by_hand():
    # Longest common subsequence "the sat": precision 2/3, recall 2/4.
    assert metrics.rouge_l(["the cat sat"], ["The dog sat, down!"]) == pytest.approx(4 / 7)
    assert metrics.rouge_l(["runs fast", "a"], ["running fast", "b"]) == pytest.approx(0.25)  # no stemming
    assert metrics.rouge_l(["", "a b"], ["a", "a b"]) == pytest.approx(0.5)


def test_copy_rate():
    assert metrics.copy_rate(["A  b", "b a", ""], ["a b", "a b", "a b"]) == pytest.approx(1 / 3)


def test_distinct_1_by_hand():
    assert metrics.distinct_1(["a b a", "A a", "", "a b c"]) == pytest.approx((2 / 3 + 1 / 2 + 0 + 1) / 4)


def test_div_4_by_hand():
    # abcd twice, bcde, bcdf: three of four; no 4-gram at all counts 0 (as in DiffuSeq).
    assert metrics.div_4([["a b c d e", "A b c d f"], ["x y", "z"]]) == pytest.approx((3 / 4 + 0) / 2)
    # Repeating within one sentence lowers it as well: aaaa twice of two.
    assert metrics.div_4([["a a a a a"]]) == pytest.approx(0.5)


def test_self_bleu_is_the_mean_over_ordered_pairs():
    sources = [[SENTENCES[0], SENTENCES[1], SENTENCES[0], SENTENCES[2], SENTENCES[0]], SENTENCES[3:6]]
    expected = np.mean(
        [np.mean([nltk_bleu(a, [b]) for a, b in itertools.permutations(group, 2)]) for group in sources]
    )
    assert metrics.self_bleu(sources) == pytest.approx(expected)
    shuffled = [random.Random(0).sample(group, len(group)) for group in sources]
    assert metrics.self_bleu(shuffled) == pytest.approx(metrics.self_bleu(sources))
    assert metrics.self_bleu([["a b c d"] * 3]) == pytest.approx(1.0)
    assert metrics.self_bleu([["a b c d", "e f g h"]]) == 0.0


def test_mbr_by_hand():
    close = ["a b c d e f", "a b c d e g", "a b c d h f", "x y z u v w"]
    assert metrics.mbr(close) == "a b c d e f"  # shares most with the others; the outsider never wins
    assert metrics.mbr(close[::-1]) == "a b c d e f"
    assert metrics.mbr(["only one"]) == "only one"
    assert metrics.mbr(["p q r s", "x y z u", "x y z u"]) == "x y z u"  # two votes against one
    # BLEU of a short sentence with itself is below one, so a vote for oneself would decide this.
    assert metrics.mbr(["f e", "b f e", "c d f b f"]) == "b f e"
    with pytest.raises(InputError, match="at least one"):
        metrics.mbr([])


def test_mbr_maximises_nltks_summed_bleu():
    texts = [
        "how do i learn to swim fast",
        "how can i learn to swim quickly",
        "how do i learn to cook fast",
        "what is the way to swim",
        "how do i swim fast",
        "what is the way to learn to swim fast",
    ]
    scores = {}
    for i, hypothesis in enumerate(texts):
        others = texts[:i] + texts[i + 1 :]
        scores[hypothesis] = sum(nltk_bleu(hypothesis, [other]) for other in others)
    ranked = sorted(scores, key=scores.get, reverse=True)
    assert scores[ranked[0]] - scores[ranked[1]] > 0.01
    assert metrics.mbr(texts) == ranked[0]


@pytest.mark.parametrize("score", ["bleu", "rouge_l", "copy_rate", "bertscore"])
def test_scores_of_pairs_refuse_wrong_lists(score):
    call = getattr(metrics, score)
    with pytest.raises(InputError, match="one string"):
        call("a b", ["a b"])
    with pytest.raises(InputError, match="one string"):
        call(["a b"], "a b")
    with pytest.raises(InputError, match="nothing to score"):
        call([], [])
    with pytest.raises(InputError, match="2 entries for 1"):
        call(["a"], ["a", "b"])


def test_other_wrong_lists():
    with pytest.raises(InputError, match="hypothesis 1 has 0 references"):
        metrics.bleu(["a", "b"], ["a", []])
    with pytest.raises(InputError, match="at least two"):
        metrics.self_bleu([["a", "b"], ["a"]])
    for score in (metrics.self_bleu, metrics.div_4):
        with pytest.raises(InputError, match="one string"):
            score(["a b c d", "e f g h"])  # a flat list: one hypothesis per source, not lists of them
        with pytest.raises(InputError, match="nothing"):
            score([])
    with pytest.raises(InputError, match="one string"):
        metrics.distinct_1("a b")


@pytest.mark.parametrize("module, score", [
    ("nltk.translate.bleu_score", "bleu"), ("rouge_score", "rouge_l"), ("bert_score", "bertscore"),
])  # fmt: skip
def test_missing_library_is_named(monkeypatch, module, score):
    monkeypatch.delitem(sys.modules, "rouge_score.rouge_scorer", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="pip install") as caught:
        getattr(metrics, score)(["a"], ["a"])
    assert "\n" not in str(caught.value)


def test_bertscore_without_weights_and_with_empty_text(monkeypatch):
    class Scorer:
        def __init__(self, model_type, num_layers):
            if model_type != "folder":
                raise OSError("no such model\nand no network")
            assert num_layers == 3
            self._tokenizer = SimpleNamespace(model_max_length=10**30)

        def score(self, hypotheses, references):
            assert self._tokenizer.model_max_length == 512
            assert (hypotheses, references) == (["a", "c"], ["A", "C"])
            return np.zeros(2), np.zeros(2), np.array([0.25, 0.75])

    monkeypatch.setitem(sys.modules, "bert_score", SimpleNamespace(BERTScorer=Scorer))
    with pytest.raises(InputError, match="pass its folder") as caught:
        metrics.bertscore(["a"], ["a"])
    assert "\n" not in str(caught.value)
    score = metrics.bertscore(["a", " ", "c", ""], ["A", "B", "C", "D"], model="folder", layers=3)
    assert score == pytest.approx((0.25 + 0.75) / 4)
    assert metrics.bertscore([""], ["a"], model="folder", layers=3) == 0.0


def test_bertscore_runs_on_a_local_model(tmp_path):
    pytest.importorskip("bert_score")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    words = [*marks.values(), *"the cat sat on a mat".split()]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(tmp_path)
    size = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(tmp_path)
    same = metrics.bertscore(["the cat sat"], ["the cat sat"], model=str(tmp_path), layers=2)
    half = metrics.bertscore(["the cat sat", ""], ["the cat sat", "a mat"], model=str(tmp_path), layers=2)
    assert same == pytest.approx(1.0, abs=1e-5) and half == pytest.approx(0.5, abs=1e-5)


SUPPORT = {"x": 0.5, "y": 0.25, "z": 0.25, "never": 0.0}


def test_world_scores_by_hand():
    samples = ["x", "x", "y", "wrong"]
    assert metrics.validity(samples, SUPPORT) == 0.75
    assert metrics.validity(["never", "X"], SUPPORT) == 0.0  # string for string; probability 0 is not right
    # 1/2 (|2/4 - .5| + |1/4 - .25| + |0 - .25| + 1/4 outside)
    assert metrics.total_variation(samples, SUPPORT) == pytest.approx(0.25)
    assert metrics.total_variation(["wrong"] * 3, SUPPORT) == pytest.approx(1.0)
    assert metrics.total_variation(["x", "x", "y", "z"], SUPPORT) == pytest.approx(0.0)
    # Four true samples hold 1 - 1/16 + 2 (1 - (3/4)^4) distinct targets on average.
    assert metrics.expected_distinct(SUPPORT, 4) == pytest.approx(2.3046875)
    assert metrics.coverage(samples, SUPPORT) == pytest.approx(2 / 2.3046875)
    assert metrics.coverage(["wrong", "never"], SUPPORT) == 0.0
    assert metrics.tv_excess(0.5, 0.3) == pytest.approx(0.4)
    assert metrics.tv_excess(0.1, 0.3) == 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 64])
def test_tv_floor_is_the_binomial_sum(n):
    """De Moivre's form against the plain sum, with n p whole and not, tiny and near 1."""
    for cells in (
        [1],
        [math.nextafter(1, 0)],
        [0.5, 0.5],
        [0.3, 0.7],
        [1e-9, 1 - 1e-9],
        [0.1, 0.2, 0, 0.7],
        [1 / 12] * 12,
    ):
        support = {str(k): p for k, p in enumerate(cells)}
        plain = 0.0
        for p in support.values():
            mass = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
            plain += 0.5 * sum(m * abs(k / n - p) for k, m in enumerate(mass))
        assert metrics.tv_floor(support, n) == pytest.approx(plain, rel=1e-9, abs=1e-15)
    assert metrics.tv_floor({"a": 0.5, "b": 0.5}, 1) == pytest.approx(0.5)
    # Many samples: sqrt(p (1-p) / n) times the mean of |standard normal| in each cell.
    n = 10**6
    normal = 0.5 * sum(math.sqrt(p * (1 - p) / n * 2 / math.pi) for p in (0.2, 0.3, 0.5))
    assert metrics.tv_floor({"a": 0.2, "b": 0.3, "c": 0.5}, n) == pytest.approx(normal, rel=1e-3)


def draw(rng, probabilities, n):
    return [str(k) for k in rng.choice(len(probabilities), size=n, p=probabilities)]


def test_floor_and_expected_distinct_against_monte_carlo():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(9))
    support = {str(k): float(q) for k, q in enumerate(p)}
    runs = [draw(rng, p, 24) for _ in range(4000)]
    for exact, values in (
        (metrics.tv_floor(support, 24), [metrics.total_variation(run, support) for run in runs]),
        (metrics.expected_distinct(support, 24), [len(set(run)) for run in runs]),
        (1.0, [metrics.coverage(run, support) for run in runs]),
    ):
        assert abs(np.mean(values) - exact) < 4 * np.std(values) / math.sqrt(len(runs))


def test_tv_excess_finds_the_true_distance():
    """Samples of a tilted model over many sources: the excess is near its distance, the raw TV far above."""
    rng = np.random.default_rng(1)
    p = np.full(10, 0.1)
    support = {str(k): 0.1 for k in range(10)}
    for tilt, wrong in ((0.0, 0.0), (0.03, 0.0), (0.06, 0.1)):
        right = (p + tilt * np.where(np.arange(10) % 2, 1, -1)) * (1 - wrong)
        q = np.append(right, wrong)  # the eleventh string, "10", is not in the support
        true = 0.5 * (np.abs(right - p).sum() + wrong)
        result = metrics.world_metrics([draw(rng, q, 32) for _ in range(400)], [support] * 400)
        assert result["validity"] == pytest.approx(1 - wrong, abs=0.02)
        assert result["tv_floor"] < result["tv"] + 3 * result["tv_se"]
        if tilt:
            assert 0.75 * true < result["tv_excess"] < 1.1 * true < result["tv"]
        else:
            assert result["tv_excess"] < 0.06


def test_world_metrics_by_hand():
    supports = [SUPPORT, {"u": 1.0}]
    result = metrics.world_metrics([["x", "x", "y", "wrong"], ["u", "u"]], supports)
    cover, right = [2 / 2.3046875, 1.0], metrics.total_variation(["x", "x", "y"], SUPPORT)
    assert result == pytest.approx({
        "validity": 0.875, "validity_se": 0.125,  # half the difference, for two sources
        "tv": 0.125, "tv_se": 0.125,
        "coverage": sum(cover) / 2, "coverage_se": (cover[1] - cover[0]) / 2,
        "distinct": 2.0, "distinct_se": 1.0, "distinct_truth": (2.3046875 + 1) / 2,
        "tv_floor": metrics.tv_floor(SUPPORT, 4) / 2,
        "tv_excess": metrics.tv_excess(0.125, metrics.tv_floor(SUPPORT, 4) / 2),
        "right_tv": right / 2, "right_tv_se": right / 2,
        "right_floor": metrics.tv_floor(SUPPORT, 3) / 2,
        "right_excess": metrics.tv_excess(right / 2, metrics.tv_floor(SUPPORT, 3) / 2),
    })  # fmt: skip
    alone = metrics.world_metrics([["x"]], [SUPPORT])
    assert alone["validity"] == 1.0 and math.isnan(alone["validity_se"])
    none = metrics.world_metrics([["wrong"]], [SUPPORT])
    assert (none["right_tv"], none["right_floor"], none["right_excess"]) == (1.0, 0.0, 1.0)


def test_wrong_sentences_and_wrong_shares_are_told_apart():
    rng, support = np.random.default_rng(4), {str(k): 0.1 for k in range(10)}
    for tilt, wrong in ((0.0, 0.2), (0.06, 0.0), (0.06, 0.2)):
        right = (0.1 + tilt * np.where(np.arange(10) % 2, 1, -1)) * (1 - wrong)
        texts = [draw(rng, np.append(right, wrong), 64) for _ in range(400)]
        result = metrics.world_metrics(texts, [support] * 400)
        assert result["validity"] == pytest.approx(1 - wrong, abs=0.02)
        assert result["right_excess"] == pytest.approx(5 * tilt, abs=0.06), "half of ten times the tilt"
        assert result["right_floor"] >= result["tv_floor"]


def test_world_scores_refuse_wrong_input():
    for score in (metrics.validity, metrics.total_variation, metrics.coverage):
        with pytest.raises(InputError, match="nothing to score"):
            score([], SUPPORT)
        with pytest.raises(InputError, match="one string"):
            score("x", SUPPORT)
        for wrong in ({}, {"x": 0.5}, {"x": 1.5, "y": -0.5}):
            with pytest.raises(InputError, match="sum to 1"):
                score(["x"], wrong)
    with pytest.raises(InputError, match="at least one sample"):
        metrics.tv_floor(SUPPORT, 0)
    with pytest.raises(InputError, match="2 sources were sampled but 1 supports"):
        metrics.world_metrics([["x"], ["y"]], [SUPPORT])
    with pytest.raises(InputError, match="nothing to score"):
        metrics.world_metrics([], [])


def test_tight_text_is_what_transformers_decodes() -> None:
    from transformers import BertTokenizer

    decode = BertTokenizer.clean_up_tokenization
    for text in (
        "is it rome , or paris ?",
        "i ' m sure it ' s not !",
        "we do n't 'm 's 've 're . . ?",
        "a ' b",
    ):
        assert metrics.tight(text) == decode(None, text)
