"""sharpen: the teacher's clamped sentences as its pairs, what stays, and the run."""

from __future__ import annotations

import contextlib
from statistics import fmean
from types import SimpleNamespace

import pets
import pytest
import torch
from tiny import SOURCES, make_codec, make_model, make_pairs, make_world, rng, same_weights

from dlmone_lite import __main__ as program
from dlmone_lite.checkpoints.checkpoint import Checkpoint, load
from dlmone_lite.corpora.corpus import Corpus
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.files import digest
from dlmone_lite.generation import generate
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.corpus_task import CorpusTask
from dlmone_lite.jobs.records import Evaluation
from dlmone_lite.model import ModelConfig, sized
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch
from dlmone_lite.variants import own_samples
from dlmone_lite.variants.bert import BertDenoiser
from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec
from dlmone_lite.variants.sharpen import OwnSentences, SharpenConfig, SharpenRun


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


@pytest.fixture
def codec(world):
    return make_codec(world)


@pytest.fixture
def pairs(codec, world):
    return make_pairs(world, codec)


def make_run(codec, pairs, model=None, **changes):
    settings = {"steps": 4, "batch_size": 16, "samples": 5, "nfe": 3, "precision": "float32", "warmup": 2}
    return SharpenRun(model or make_model(codec), pairs, SharpenConfig(**{**settings, **changes}))


def test_it_writes_without_the_clamp_nearly_what_it_wrote_with_it(codec, pairs, world):
    """A rough teacher, much better under the clamp: sharpened, it has closed most of the gap without one."""
    settings = {"batch_size": 32, "lr": 5e-3, "lr_muon": 0.02, "warmup": 10, "ema": 0.98}
    rough = TeacherRun(
        make_model(codec).train(), pairs, TeacherConfig(steps=200, precision="float32", **settings)
    )
    list(rough)
    run = make_run(codec, pairs, rough.result.eval(), steps=200, samples=32, nfe=20, **settings)
    list(run.prepare())
    list(run)

    def validity(model, clamp):
        made = Checkpoint(model, codec, "tiny", "teacher")
        texts = generate(made, SOURCES, steps=20, samples=200, clamp=clamp, seed=1)
        return fmean(text in world.support(source) for source, own in zip(SOURCES, texts) for text in own)

    free, clamped, sharp = validity(run.phi, False), validity(run.phi, True), validity(run.result, False)
    assert clamped > free + 0.15
    assert sharp > free + 0.5 * (clamped - free)


def test_sentences_are_drawn_with_all_of_their_source(codec, pairs):
    own = OwnSentences(pairs, torch.tensor([0, 12, 24]), 2)
    left = [codec.sources(pairs.batch[[row]])[0] for row in (0, 12, 24)]
    texts = [[f"{a} runs fast here", f"{a} runs quickly here"] for a in ("cat", "dog", "fish")]
    for source, both in zip(left, texts):
        assert not own.full
        own.append(codec.encode([source] * 2, both).ids[None])
    assert own.full and len(own) == 6
    batch, references, log_share = own.rows(torch.tensor([3, 4]))
    assert codec.sources(batch) == left[1:] and codec.decode(batch.ids) == [texts[1][1], texts[2][0]]
    for i in (0, 1):
        both = codec.encode([left[i + 1]] * 2, texts[i + 1]).ids[:, codec.source_length :]
        assert torch.equal(references[i], both) and log_share[i].exp().tolist() == pytest.approx([0.5, 0.5])
    counts = torch.bincount(own.draw(6000, rng(0)), minlength=6)
    assert counts.min() > 850 and counts.max() < 1150


def test_a_perfect_teachers_own_sentences_are_right_and_as_often_as_they_should_be(codec, pairs, world):
    """Under the exact denoiser and in many steps: only right sentences, about the world's shares."""
    run = make_run(codec, pairs, samples=96, nfe=60)
    exact = ExactDenoiser(world.support, codec, run.phi.embedding(), run.phi.schedule)
    run.phi.forward = lambda x_t, t, batch: exact(x_t, t, batch)
    assert list(run.prepare())[-1] == (3, 3)
    for ids in run.sentences.ids:
        source = codec.sources(Batch(ids[:1], run.sentences.batch.target[:1]))[0]
        truth, texts = world.support(source), codec.decode(ids)
        assert source in SOURCES and set(texts) <= set(truth)
        assert sum(abs(texts.count(t) / len(texts) - p) for t, p in truth.items()) / 2 < 0.35


def test_the_clamp_is_used_and_the_seed_decides(codec, pairs, monkeypatch):
    seen = []
    ancestral = own_samples.ancestral

    def spy(*args, **options):
        seen.append(options)
        return ancestral(*args, **options)

    monkeypatch.setattr(own_samples, "ancestral", spy)
    one, same, other = (make_run(codec, pairs, seed=seed) for seed in (0, 0, 1))
    for run in (one, same, other):
        list(run.prepare())
    assert torch.equal(one.sentences.ids, same.sentences.ids)
    assert not torch.equal(one.sentences.ids, other.sentences.ids)
    assert all(how["steps"] == 3 and how["clamp"] is not None for how in seen)
    fewer = make_run(codec, pairs, sources=2)
    assert len(fewer.sentences) == 2 * 5


def test_the_run_learns_its_sentences_and_keeps_the_embeddings(codec, pairs):
    run = make_run(codec, pairs, steps=150, batch_size=32, lr=5e-3, lr_muon=0.02)
    with pytest.raises(InputError, match="no sentences to learn from yet; exhaust prepare"):
        run.advance()
    assert list(run.prepare()) == [(3, 3)] and list(run.prepare()) == []
    values = [step.losses["denoising"] for step in run]
    assert sum(values[-10:]) < 0.8 * sum(values[:10])
    teacher = make_model(codec)
    assert same_weights(run.phi, teacher) and torch.equal(run.result.words, teacher.words)
    assert not same_weights(run.result, teacher)


def test_any_optimiser_leaves_the_embeddings_alone(codec, pairs):
    run = make_run(codec, pairs, optimiser="adamw")
    list(run.prepare())
    before = run.model.words.clone()
    assert run.advance().step == 1 and torch.equal(run.model.words, before)


@pytest.mark.parametrize("stop", ["in the sentences", "in training"])
def test_a_resumed_run_equals_an_uninterrupted_one(codec, pairs, tmp_path, stop):
    whole, first, second = (make_run(codec, pairs) for _ in range(3))
    for run in (whole, first, second):
        run.rows_per_call = 5  # one source at a time
    assert [done for done, _ in whole.prepare()] == [1, 2, 3]
    steps = list(whole)
    if stop == "in the sentences":
        next(first.prepare())
    else:
        list(first.prepare())
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.load(tmp_path / "state.safetensors")
    list(second.prepare())
    again = list(second)
    assert [s.losses for s in again] == [s.losses for s in steps[-len(again) :]]
    assert same_weights(second.result, whole.result)


def test_diffuseqs_layout_keeps_each_rows_own_source():
    pieces = WordPieces.learn(["can a cat run here", "cat runs here", "can a dog run"] * 4, 60)
    codec = DiffuSeqCodec(pieces, 0, 24)
    pairs = PairedText(["can a cat run", "can a dog run here"], ["cat runs", "dog runs here"], codec)
    shape = ModelConfig(embed_dim=8, width=32, depth=1, heads=2, network="bert", discriminator="mean")
    run = make_run(codec, pairs, BertDenoiser(sized(shape, codec)), samples=2, target="sample")
    list(run.prepare())
    own = run.sentences
    for ids, before, target in zip(own.ids, own.batch.ids, own.batch.target):
        assert all(torch.equal(row[~target], before[~target]) for row in ids)
    assert all(step.losses["denoising"] > 0 for step in run)


def sharpen_argv(folder, out, *more):
    argv = ["sharpen", "--teacher", folder / "teacher.safetensors", "--world", folder / "pets.grammar"]
    settings = ["samples=3", "nfe=3", "sources=4", *pets.FAST[1:]]
    return [*argv, "--out", out, "--steps", "3", "--set", *settings, *pets.EVALUATION, *more]


def test_the_command_goes_on_after_ctrl_c_and_its_teacher_is_distilled(capsys, tmp_path, monkeypatch):
    pets.make_lab(tmp_path)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    out = pets.run(capsys, *sharpen_argv(tmp_path, one, "--eval-every", "3", "--eval-steps", "3"))
    assert "sharpening step 3: validity" in out
    made, teacher = load(one), load(tmp_path / "teacher.safetensors")
    assert (made.role, made.sampling, made.world) == ("teacher", {"clamp": 0}, "pets")
    teacher_record = {"name": "teacher", "sha256": digest(tmp_path / "teacher.safetensors"), "command": ""}
    assert made.provenance["teacher"] == teacher_record and torch.equal(made.model.words, teacher.model.words)
    assert made.provenance["config"]["samples"] == 3 and made.provenance["steps"] == 3

    with monkeypatch.context() as hurried:
        hurried.setattr(loop, "Stopper", lambda: contextlib.nullcontext(SimpleNamespace(asked=True)))
        argv = [str(word) for word in sharpen_argv(tmp_path, two)]
        assert program.main(argv) == 130 and program.main([*argv, "--resume"]) == 130
        assert "stopped: sharpening at step 1 of 3; go on with --resume" in capsys.readouterr().err
    pets.run(capsys, *argv, "--resume")
    assert pets.same_network(one, two) and not list(tmp_path.glob("*.state*"))

    student = tmp_path / "s.safetensors"
    how = ["--world", tmp_path / "pets.grammar", "--steps", "3", *pets.FAST, *pets.EVALUATION]
    pets.run(capsys, "distill", "--teacher", one, "--out", student, *how)
    teacher_record = {"name": "one", "sha256": digest(one), "command": made.provenance["command"]}
    assert load(student).provenance["teacher"] == teacher_record


def test_the_copy_with_the_lowest_tv_is_kept_or_the_last_if_told(capsys, tmp_path):
    """Every copy is measured as it is distilled: without the clamp."""
    pets.make_lab(tmp_path)
    best, last, log = tmp_path / "best.safetensors", tmp_path / "last.safetensors", tmp_path / "s.jsonl"
    often = ["--eval-every", "1", "--eval-steps", "3", "--steps", "6", "--log", log]
    pets.run(capsys, *sharpen_argv(tmp_path, best, *often))
    tv = {row["step"]: row["evaluation"]["tv"] for row in read_jsonl(log, ())}
    made = load(best).provenance
    assert (made["kept"], made["kept_step"], len(tv)) == ("best", min(tv, key=tv.get), 6)
    pets.run(capsys, *sharpen_argv(tmp_path, last, *often, "--keep", "last"))
    assert load(last).provenance["kept_step"] == 6 and not list(tmp_path.glob("*.state*"))


def test_of_a_corpus_the_copy_is_at_most_as_repetitive_as_the_clamped_teacher(monkeypatch):
    task = CorpusTask(Corpus("corpus"), None)
    task.unknown = 0.0
    asked = []
    scores = {"bleu": 0.14, "rouge_l": 0.4, "self_bleu": 0.21, "copies": 0.0}
    monkeypatch.setattr(CorpusTask, "scores", lambda *how: asked.append(how[4]) or scores)
    teacher = SimpleNamespace(model=SimpleNamespace(schedule=SimpleNamespace(T=2000)), sampling={})
    evaluation = Evaluation(1, sources=2, samples=3, steps=1)
    assert "at most 0.210" in task.measure_teacher(teacher, evaluation, within=0)
    copies = [{"bleu": bleu, "self_bleu": own} for bleu, own in ((0.15, 0.22), (0.14, 0.2), (0.13, 0.1))]
    assert [(sampling.clamp, sampling.samples) for sampling in asked] == [(True, 6)], (
        "many, for chance is large"
    )
    assert min(copies, key=task.rank) == copies[1]


def test_mistakes_of_the_command_are_named(capsys, tmp_path):
    pets.make_lab(tmp_path)
    out = tmp_path / "x.safetensors"
    assert "sharpen needs --teacher and --out" in pets.fail(capsys, "sharpen", "--out", out)
    student = ["--teacher", tmp_path / "student.safetensors"]
    assert "is a student; sharpen a teacher" in pets.fail(capsys, *sharpen_argv(tmp_path, out), *student)
    for wrong in ("samples=0", "nfe=2", "sources=-1"):
        said = pets.fail(capsys, *sharpen_argv(tmp_path, out), "--set", wrong)
        assert said.startswith(wrong.split("=")[0])
    said = pets.fail(capsys, *sharpen_argv(tmp_path, out), "--eval-every", "0")
    assert "--keep best needs evaluations" in said
    assert "  samples=2 " in pets.run(capsys, "sharpen", "--settings")
    assert not out.exists()
