"""A corpus is trained, distilled and measured like a world, and every row is counted."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pets
import pytest

from dlmone_lite import generation
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.cli.evaluate import bert_judge, more_scores
from dlmone_lite.corpora.corpus import Corpus
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.evaluation.metrics import bleu
from dlmone_lite.jobs.corpus_task import WITHIN, CorpusTask, text_scores
from dlmone_lite.jobs.records import Evaluation
from dlmone_lite.text import Codec
from dlmone_lite.variants.bert import BertDenoiser
from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec

BIRDS, PLACES = (
    ["heron", "curlew", "plover", "swan", "gull", "tern"],
    ["Marsh", "Lake", "Old Pier", "Café Roof"],
)
ELSEWHERE = ["Mill", "Shore", "Far Rock", "Hill"]  # of valid pairs
TINY = ["--set-model", "embed_dim=8", "width=24", "depth=1", "heads=3"]
EVALUATION = ["--eval-sources", "3", "--eval-samples", "2"]


def pair(rng: random.Random, places: list[str]) -> dict[str, str]:
    bird, place = rng.choice(BIRDS), rng.choice(places)
    return {
        "src": f"Where does the {bird} nest, at the {place}?",
        "trg": f"Is the {bird}'s nest at the {place}?",
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `birds` with train.jsonl, of which one row is too long and some repeat, and valid.jsonl."""
    folder, rng = tmp_path_factory.mktemp("text") / "birds", random.Random(0)
    folder.mkdir()
    rows = [pair(rng, PLACES) for _ in range(60)] + [{"src": "far " * 190, "trg": "away"}]
    for split, part in (("train", rows), ("valid", [pair(rng, ELSEWHERE) for _ in range(12)])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


def train(capsys, corpus: Path, out: Path, *more: str) -> str:
    argv = ["train", "--corpus", corpus, "--out", out, "--steps", "3", "--pieces", "90", *TINY, *EVALUATION]
    fast = ["--set", "batch_size=4", "warmup=1", "precision=float32"]
    return pets.run(capsys, *argv, *fast, "--eval-every", "2", "--eval-steps", "2", *more)


def test_a_corpus_leaves_the_lengths_open(capsys, corpus, tmp_path) -> None:
    out = train(capsys, corpus, tmp_path / "t.safetensors", "--set-model", "length=40", "source_length=24")
    codec = load(tmp_path / "t.safetensors").codec
    assert (codec.source_length, codec.target_length) == (24, 16)
    counts = r"^birds: 61 rows, (\d+) kept, (\d+) repeated, 0 empty, (\d+) long source, (\d+) long target"
    told = re.search(counts, out, re.M)
    assert sum(map(int, told.groups())) == 61 and int(told[3]) >= 1
    narrow = ["--preset", "lite", "--set-model", "length=32", "source_length=31"]
    assert "leaves no room" in pets.fail(capsys, "train", "--corpus", corpus, *narrow)


@pytest.mark.parametrize(("preset", "layout"), [("lite", Codec), ("paper", DiffuSeqCodec)])
def test_a_corpus_is_trained_distilled_and_measured(capsys, corpus, tmp_path, preset, layout) -> None:
    teacher, student = tmp_path / "t.safetensors", tmp_path / "s.safetensors"
    out = train(capsys, corpus, teacher, "--preset", preset)
    assert re.search(
        r"^birds: 61 rows, \d+ kept, \d+ repeated, 0 empty, 1 long source, 0 long target$", out, re.M
    )
    assert re.search(r"teacher step 2: BLEU 0\.\d+, ROUGE-L", out)
    made = load(teacher)
    assert (made.world, type(made.codec), isinstance(made.model, BertDenoiser)) == (
        "birds", layout, preset == "paper",
    )  # fmt: skip
    counts = made.provenance["data"]
    assert counts["rows"] == 61 == sum(n for k, n in counts.items() if k not in ("rows", "train_sha256"))
    argv = [
        "distill",
        "--teacher",
        teacher,
        "--corpus",
        corpus,
        "--out",
        student,
        "--steps",
        "2",
        *EVALUATION,
    ]
    fast = ["--set", "batch_size=4", "psi_warmup=1", "precision=float32"]
    assert "BLEU" in pets.run(capsys, *argv, *fast, "--eval-every", "1")
    assert load(student).provenance["kept"] == "best" and load(student).world == "birds"
    evaluate = ["evaluate", "--corpus", corpus, "--sources", "4", "--json", tmp_path / "e.json"]
    out = pets.run(capsys, *evaluate, "--checkpoint", student, "--steps", "1,2")
    made = json.loads((tmp_path / "e.json").read_text())
    rows = made["text_scores"]
    assert made["settings"]["samples"] == 10 and made["settings"]["sources"] == 4
    assert [(row["name"], row["nfe"]) for row in rows] == [("copy", 0), ("student", 1), ("student", 2)]
    assert rows[0]["copies"] == 1 and rows[0]["self_bleu"] == pytest.approx(1) and rows[0]["mbr"] is None
    assert "BERTScore was not asked for" in out


def words_of(corpus: Path) -> list[str]:
    """Every sentence of its train split."""
    rows = [json.loads(line) for line in (corpus / "train.jsonl").open()]
    return [row[side] for row in rows for side in ("src", "trg")]


def test_both_sides_are_compared_as_the_pieces_spell_them(corpus) -> None:
    lines = words_of(corpus)
    task = CorpusTask(Corpus(str(corpus)), Codec(WordPieces.learn(lines, 90), 40, 40))
    sources, targets = task.valid
    assert len(set(sources)) == len(sources) and all(text == text.lower() for text in sources + targets)
    assert all(re.fullmatch(r"is the \w+ ' s nest at the [a-z ]+ \?", target) for target in targets)
    found = text_scores([[target] * 2 for target in targets], sources, targets)
    assert found["bleu"] == pytest.approx(bleu(targets, targets)) and found["copies"] == 0
    assert CorpusTask(Corpus(str(corpus)), task.codec).valid == task.valid


def test_copies_are_scored_apart_and_punctuation_as_diffuseq_has_it() -> None:
    texts, sources = (
        [["where is rome ?", "rome , where ?"], ["it ' s so"] * 2],
        ["where is rome ?", "is it so ?"],
    )
    targets = ["is rome where ?", "it ' s so so"]
    found = more_scores(texts, sources, targets, None, choose=False)
    rest = bleu(["rome , where ?", "it ' s so", "it ' s so"], [targets[0], targets[1], targets[1]])
    assert found["bleu_rest"] == pytest.approx(rest)
    joined = bleu(
        ["where is rome?", "rome, where?"] + ["it's so"] * 2, ["is rome where?"] * 2 + ["it's so so"] * 2
    )
    assert found["bleu_tight"] == pytest.approx(joined)
    assert more_scores([sources[:1]], sources[:1], targets[:1], None, choose=False)["bleu_rest"] is None


def test_the_best_student_is_as_diverse_as_its_teacher(capsys, corpus, tmp_path) -> None:
    """BLEU decides among those: copies of the source, which have more than any teacher, are not chosen."""
    teacher, student, log = (tmp_path / name for name in ("t.safetensors", "s.safetensors", "s.jsonl"))
    train(capsys, corpus, teacher, "--preset", "lite")
    argv = ["distill", "--teacher", teacher, "--corpus", corpus, "--out", student, "--log", log]
    fast = ["--steps", "6", "--set", "batch_size=4", "psi_warmup=1", "precision=float32", "--eval-every", "1"]
    out = pets.run(capsys, *argv, *fast, "--eval-sources", "4", "--eval-samples", "3")
    made = load(student)
    task = CorpusTask(Corpus(str(corpus)), made.codec)
    found = [row["evaluation"] for row in map(json.loads, log.open())]
    task.teacher = found[0]["teacher"]
    assert f"self-BLEU of at most {task.teacher['self_bleu'] + WITHIN:.3f}" in out
    assert made.provenance["kept_step"] == 1 + min(range(6), key=lambda i: task.rank(found[i]))
    few = [*argv, *fast, "--eval-samples", "1", "--eval-sources", "2"]
    assert "at most" not in pets.run(capsys, *few) and "teacher" not in load(student).provenance["validation"]

    task.teacher = {"self_bleu": 0.2, "within": 0.05}
    scores = [(0.6, 1.0), (0.3, 0.4), (0.15, 0.22), (0.16, 0.25), (0.1, 0.0)]  # BLEU, self-BLEU
    ranked = sorted(scores, key=lambda pair: task.rank({"bleu": pair[0], "self_bleu": pair[1]}))
    assert ranked == [scores[i] for i in (3, 2, 4, 1, 0)]
    task.teacher = {}
    assert min(scores, key=lambda pair: task.rank({"bleu": pair[0], "self_bleu": pair[1]})) == scores[0]


def test_training_looks_at_other_sources_than_evaluate(corpus, monkeypatch) -> None:
    lines = words_of(corpus)
    task, seen = CorpusTask(Corpus(str(corpus)), Codec(WordPieces.learn(lines, 90), 40, 40)), []

    def write(made, sources: list[str], **how: int) -> list[list[str]]:
        seen.append((sources, how["samples"]))
        return [["a"]] * len(sources)

    monkeypatch.setattr(generation, "generate", write)
    assert task.measure(None, Evaluation(1, sources=2, samples=7, steps=1), "valid")["sources"] == 2
    assert seen == [(task.valid[0][-2:], 7)] and len(task.valid[0]) > 4


def test_every_sample_counts_but_for_div_4_and_mbr() -> None:
    """Twelve samples of one source: the last two alone are right; the fourth alone has new 4-grams."""
    right, wrong, new = "a b c d e", "f g h i j", "k l m n o"
    samples = [wrong] * 3 + [new] + [wrong] * 6 + [right] * 2
    found = text_scores([samples], ["s"], [right]) | more_scores([samples], ["s"], [right], None, choose=True)
    scores = [bleu([text], [right]) for text in samples]
    assert (
        found["bleu"]
        == pytest.approx(sum(scores) / 12)
        == pytest.approx(found["bleu_by_source"][0], abs=1e-4)
    )
    pairs = [bleu([a], [b]) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j]
    assert found["self_bleu"] == pytest.approx(sum(pairs) / len(pairs))
    assert found["mbr"] == pytest.approx(bleu([wrong], [right])) and found["div_4"] == pytest.approx(1 / 3)


def test_students_are_compared_with_the_teacher_that_is_named(capsys, corpus, tmp_path) -> None:
    one, other, student = (tmp_path / f"{name}.safetensors" for name in ("one", "other", "s"))
    train(capsys, corpus, one, "--preset", "lite")
    train(capsys, corpus, other, "--preset", "lite", "--seed", "5")
    argv = ["distill", "--teacher", one, "--corpus", corpus, "--steps", "2", "--set", "batch_size=4"]
    argv += ["psi_warmup=1", "precision=float32", "--eval-every", "2", "--eval-sources", "4"]
    argv += ["--out", student]
    said = [
        next(line for line in pets.run(capsys, *argv, *more).splitlines() if line.startswith("teacher at"))
        for more in ([], ["--like", one], ["--like", other])
    ]
    assert said[0] == said[1] != said[2]
    argv[-1] = tmp_path / "other-student.safetensors"
    assert "--like takes a teacher" in pets.fail(capsys, *argv, "--like", student)


@pytest.mark.parametrize(("sampling", "clamped"), [({}, True), ({"clamp": 0}, False)])
def test_a_sharpened_teacher_is_compared_as_it_is(corpus, monkeypatch, sampling, clamped) -> None:
    task, seen = CorpusTask(Corpus(str(corpus)), Codec(WordPieces.learn(words_of(corpus), 90), 40, 40)), []

    def scores(self, checkpoint, sources: int, steps: int, sampling, title: str) -> dict[str, float]:
        seen.append(sampling.clamp)
        return {"bleu": 0.1, "rouge_l": 0.1, "self_bleu": 0.2, "copies": 0.0}

    monkeypatch.setattr(CorpusTask, "scores", scores)
    teacher = SimpleNamespace(sampling=sampling, model=SimpleNamespace(schedule=SimpleNamespace(T=2000)))
    said = task.measure_teacher(teacher, Evaluation(1, sources=2, samples=3, steps=1))
    assert seen == [clamped] and "at most 0.250" in said


def test_mistakes_are_named(capsys, corpus, tmp_path) -> None:
    teacher = tmp_path / "t.safetensors"
    assert "one of the two" in pets.fail(capsys, "train")
    assert "one of the two" in pets.fail(capsys, "train", "--corpus", corpus, "--world", "paraphrase")
    assert "waits for a validity" in pets.fail(
        capsys, "train", "--corpus", corpus, *TINY, "--eval-every", "1", "--time-to", ".5", "--out", teacher
    )
    train(capsys, corpus, teacher, "--preset", "lite")
    argv = ["distill", "--teacher", teacher, "--out", tmp_path / "s.safetensors"]
    assert "say where it is: --corpus" in pets.fail(capsys, *argv)
    other = corpus.parent / "fish"
    other.mkdir()
    assert "was trained for 'birds', not 'fish'" in pets.fail(capsys, *argv, "--corpus", other)
    evaluate = ["evaluate", "--checkpoint", teacher, "--zero-shot"]
    assert "belong to --corpus" in pets.fail(capsys, *evaluate)
    evaluate = ["evaluate", "--checkpoint", teacher, "--corpus", corpus, "--world", "paraphrase"]
    assert "no exact truth" in pets.fail(capsys, *evaluate)


def test_a_corpus_never_seen_is_measured_when_asked(capsys, corpus, tmp_path) -> None:
    teacher, record = tmp_path / "t.safetensors", tmp_path / "r.json"
    train(capsys, corpus, teacher, "--preset", "lite")
    other = tmp_path / "fish"
    other.mkdir()
    (other / "valid.jsonl").write_bytes((corpus / "valid.jsonl").read_bytes())
    argv = ["evaluate", "--checkpoint", teacher, "--corpus", other, "--steps", "2", "--samples", "2"]
    assert "evaluate --zero-shot" in pets.fail(capsys, *argv)
    pets.run(capsys, *argv, "--zero-shot", "--json", record)
    found = json.loads(record.read_text())
    assert (found["world"], found["trained_on"]) == ("fish", "birds")
    assert [row["name"] for row in found["text_scores"]] == ["copy", "teacher"]


def test_bertscore_that_cannot_be_had_is_said(tmp_path) -> None:
    assert bert_judge(None)[0] is None
    judge, why = bert_judge(str(tmp_path / "absent"))
    assert judge is None and why.startswith("no BERTScore: ")


def test_scores_of_each_source_have_the_mean_of_all() -> None:
    texts, targets = [["a b c d", "a b"], ["c d e f", "c d e f"]], ["a b c d", "c d e g"]
    whole, each = (
        text_scores(texts, targets, targets),
        more_scores(texts, targets, targets, None, choose=False),
    )
    for score in ("bleu", "self_bleu"):
        assert sum(each[f"{score}_by_source"]) / 2 == pytest.approx(whole[score], abs=1e-4)
    one = more_scores([["a b"]], ["c d"], ["a b"], None, choose=True)
    assert "self_bleu_by_source" not in one and one["mbr"] is None, "one sample is like no other"


def test_bench_takes_its_sources_from_the_corpus(capsys, corpus, tmp_path) -> None:
    teacher, student, json_file = (tmp_path / name for name in ("t.safetensors", "s.safetensors", "b.json"))
    train(capsys, corpus, teacher)
    argv = ["distill", "--corpus", corpus, "--teacher", teacher, "--out", student, "--steps", "1"]
    pets.run(capsys, *argv, *EVALUATION, "--set", "batch_size=4", "psi_warmup=0", "precision=float32")
    argv = ["bench", "--teacher", teacher, "--student", student, "--steps", "20", "--repeats", "1"]
    assert "say where it is: --corpus" in pets.fail(capsys, *argv)
    out = pets.run(capsys, *argv, "--corpus", corpus, "--json", json_file)
    batches = json.loads(json_file.read_text())["batches"]
    assert [batch["batch"] for batch in batches] == [1, 64] and f"{batches[0]['ratio']:.3g}x" in out
    assert "writes for" in pets.fail(capsys, *argv[:3], "--student", "paraphrase-student", "--corpus", corpus)
    assert "name both networks" in pets.fail(capsys, "bench", "--corpus", corpus)
