"""The commands of `python -m dlmone_lite` on a tiny world: what they write is what the library says."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pets
import pytest
import torch

from dlmone_lite import __main__ as program
from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import load, save
from dlmone_lite.cli import bench, demo, evaluate
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.world import World
from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.bayes_floor import perfect
from dlmone_lite.evaluation.measure import held_out_sources, measure
from dlmone_lite.evaluation.metrics import bleu, world_metrics
from dlmone_lite.files import digest, read_tensors
from dlmone_lite.generation import generate
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.console import tidy
from dlmone_lite.jobs.settings import changed, settings
from dlmone_lite.jobs.task import codec_of, references
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.training.seeds import seed_weights

COMMANDS = ["demo", "generate", "evaluate", "train", "sharpen", "distill"]
COMMANDS += ["world", "scores", "bench", "doctor"]
Lab = tuple[Path, World]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A folder with the world, `teacher.safetensors` and `student.safetensors`."""
    folder = tmp_path_factory.mktemp("cli")
    return folder, pets.make_lab(folder)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# ---- help


def test_help_answers_without_torch() -> None:
    """That is what makes it quick; the bound on CPU seconds holds on a machine that is busy."""
    code = (
        "import sys, time\nfrom dlmone_lite.__main__ import main\n"
        "for command in [[], *([name] for name in sys.argv[1:])]:\n"
        "    try: main([*command, '-h'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "print('CPU', time.process_time(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMANDS],
        capture_output=True,
        text=True,
        check=True,
        cwd=zoo.DATA.parent,
    )
    seconds, loaded = re.search(r"^CPU (\S+) (\S+)$", done.stdout, re.M).groups()
    assert loaded == "False" and float(seconds) < 1
    assert all(f"    {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main([name, "-h"])
    examples = re.findall(r"^example: python -m dlmone_lite (.*)$", capsys.readouterr().out, re.M)
    assert examples
    for example in examples:
        args = program.parser().parse_args(shlex.split(example))
        assert args.run.__module__ == f"dlmone_lite.cli.{name}"


def test_runs_as_a_module(lab: Lab) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlmone_lite", "world", "none.grammar"],
        capture_output=True,
        text=True,
        cwd=zoo.DATA.parent,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r'error: no world "none.grammar".*\n', done.stderr)


# ---- demo


def duel(folder: Path) -> list[str]:
    return ["demo", "--world", f"{folder}/pets.grammar", *checkpoints(folder), "--samples", "64"]


def checkpoints(folder: Path) -> list[str]:
    return ["--teacher", f"{folder}/teacher.safetensors", "--student", f"{folder}/student.safetensors"]


def rows(out: str) -> dict[tuple[str, str], list[str]]:
    """The table of `demo`: (who, NFE) -> [ms, valid, distinct, coverage, TV, sentence]."""
    found = {}
    for line in out.splitlines():
        if match := re.match(
            r"(truth|teacher|student) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)  (.+)", line
        ):
            found[match[1], match[2]] = list(match.groups()[2:])
    return found


def test_demo_shows_teacher_and_student(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the exact denoiser as the teacher: its 64 steps are all right, an untrained student's are not."""
    folder, world = lab
    monkeypatch.setattr(demo, "TEACHER_STEPS", (1, 64))
    shipped = zoo.load

    def load_exact(name, device, world_name):
        checkpoint = shipped(name, device, world_name)
        return checkpoint if checkpoint.role == "student" else perfect(checkpoint, world)

    monkeypatch.setattr(zoo, "load", load_exact)
    out = pets.run(capsys, *duel(folder))
    table = rows(out)
    assert list(table) == [
        ("truth", "-"),
        ("teacher", "1"),
        ("teacher", "64"),
        ("student", "1"),
        ("student", "2"),
        ("student", "4"),
    ]
    source = held_out_sources(world, 1)[0]
    assert f"source: {source}\nheld out from training; 4 right sentences" in out
    assert table["truth", "-"][1:4] == ["100%", "4", "1.00"] and table["truth", "-"][5] in world.support(
        source
    )
    assert table["teacher", "64"][1] == "100%" and table["teacher", "64"][5] in world.support(source)
    assert float(table["teacher", "64"][4]) < 0.3 < float(table["student", "1"][4])
    assert table["student", "1"][1] != "100%"
    assert "SiD matches distributions, not trajectories" in out


def test_demo_with_a_sentence_of_ones_own(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = lab
    monkeypatch.setattr(demo, "TEACHER_STEPS", (2,))
    monkeypatch.setattr(demo, "FULL", 3)
    known = pets.run(capsys, *duel(folder), "Can a horse race  AWAY", "--full")
    assert f"source: {pets.SOURCE}\nheld out" in known and ("teacher", "3") in rows(known)
    unknown = pets.run(capsys, *duel(folder), pets.UNKNOWN)
    assert f'no source "{pets.UNKNOWN}"; the nearest is "can a horse race ' in unknown
    assert "its truth is not known" in unknown
    table = rows(unknown)
    assert {row[1] for row in table.values()} == {"-"} and ("truth", "-") not in table
    assert tidy("How can I, Ann, learn?") == "how can i , ann , learn ?"


def test_demo_says_the_same_for_the_same_seed(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "TEACHER_STEPS", (2,))
    tables = [rows(pets.run(capsys, *duel(lab[0]), "--seed", seed)) for seed in ("1", "1", "2")]
    first, again, other = ([row[1:] for row in table.values()] for table in tables)
    assert first == again != other


# ---- generate, evaluate, bench


def test_generate_keeps_fields_and_adds_hypotheses(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = lab
    given = [{"src": pets.SOURCE, "trg": "horse races fast away", "n": 7}, {"src": "can a cat race here"}]
    (tmp_path / "in.jsonl").write_text("\n\n".join(map(json.dumps, given)), encoding="utf-8")
    argv = ["generate", "--checkpoint", folder / "student.safetensors", "--input", tmp_path / "in.jsonl"]
    argv += ["--steps", "2", "--samples", "3", "--seed", "5", "--output"]
    pets.run(capsys, *argv, tmp_path / "new" / "out.jsonl")
    written = read_jsonl(tmp_path / "new" / "out.jsonl")
    student = load(folder / "student.safetensors")
    expected = generate(student, [row["src"] for row in given], steps=2, samples=3, seed=5)
    assert written == [{**row, "hyps": hyps} for row, hyps in zip(given, expected, strict=True)]
    pets.run(capsys, *argv, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "new" / "out.jsonl").read_bytes()


def test_evaluate_writes_what_the_library_measures(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, world = lab
    argv = ["evaluate", "--checkpoint", folder / "teacher.safetensors", "--world", folder / "pets.grammar"]
    argv += [
        "--steps",
        "2,4",
        "--sources",
        "3",
        "--samples",
        "8",
        "--seed",
        "2",
        "--json",
        tmp_path / "e.json",
    ]
    out = pets.run(capsys, *argv)
    result, teacher = read(tmp_path / "e.json"), load(folder / "teacher.safetensors")
    for nfe, row in zip((2, 4), result["world_scores"], strict=True):
        expected = measure(teacher, world, steps=nfe, sources=3, samples=8, seed=2)
        scores = {name: value for name, value in row.items() if name not in ("seconds", "signs", "failures")}
        assert set(row["signs"]) >= {"repetition", "grip", "modes"}
        assert scores == {name: expected[name] for name in scores} and "tv_excess" in scores
        assert f"teacher {nfe:7}   {row['validity']:.3f} ±{row['validity_se']:.3f}" in out
    sources = held_out_sources(world, 3)
    assert result["kind"] == "evaluation"
    copies = bleu(sources, references(world, "test", sources))
    assert result["field_scores"]["copy"]["bleu"] == copies
    assert set(result["field_scores"]) == {"copy", "truth", "teacher 2", "teacher 4"}
    assert result["provenance"] == {"made": "for a test"} and result["command"].endswith(
        shlex.join(map(str, argv))
    )
    assert result["versions"]["torch"] == torch.__version__ and result["device"] and result["seconds"] > 0


def test_evaluate_names_a_failure(lab: Lab) -> None:
    _, world = lab
    sources = held_out_sources(world, 3)
    one = [[next(iter(world.support(source)))] * 16 for source in sources]
    (said,) = evaluate.degeneration(one, world, sources, seed=0)["failures"]
    assert said.startswith("mode collapse") and "Try: " in said
    assert (
        evaluate.degeneration(evaluate.truth(world, sources, 1, 16), world, sources, seed=0)["failures"] == []
    )
    assert evaluate.degeneration(one[:1], world, sources[:1], seed=0) == {"signs": {}, "failures": []}


def test_references_are_the_splits_own(lab: Lab) -> None:
    folder, world = lab
    pairs = {(row["src"], row["trg"]) for row in read_jsonl(folder / "pets" / "test.jsonl", ("src", "trg"))}
    sources = world.split_sources("test")
    assert set(zip(sources, references(world, "test", sources), strict=True)) <= pairs


def test_evaluate_the_exact_denoiser(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The oracle is always right, and as near to the truth as that many samples can be."""
    folder, world = lab
    argv = ["evaluate", "--exact", folder / "pets.grammar", "--embeddings", folder / "teacher.safetensors"]
    pets.run(
        capsys, *argv, "--steps", "32", "--sources", "2", "--samples", "128", "--json", tmp_path / "e.json"
    )
    result = read(tmp_path / "e.json")
    (row,) = result["world_scores"]
    assert result["role"] == "exact" and row["validity"] == 1
    assert row["tv"] < 2 * row["tv_floor"]


def test_evaluate_the_floor(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, _ = lab
    argv = ["evaluate", "--floor", folder / "teacher.safetensors", "--world", folder / "pets.grammar"]
    out = pets.run(capsys, *argv, "--draws", "8", "--json", tmp_path / "f.json")
    deciles = read(tmp_path / "f.json")["floor"]["deciles"]
    assert len(deciles) == 10 and f"{deciles[9]['bayes']:.4f} ±{deciles[9]['bayes_se']:.4f}" in out


def test_bench_at_a_presets_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "--preset", "classroom", "--batch-size", "2", "--repeats", "1", "--nfe", "1,3"]
    out = pets.run(capsys, *argv, "--json", tmp_path / "b.json")
    assert "matrix products at" in out and "rows at a time" in out
    found = json.loads((tmp_path / "b.json").read_text())
    ours = [row for row in found["training"] if row["name"] == "dlmone_lite"]
    assert len({row["precision"] for row in ours}) == len(ours) and ours[-1]["precision"] == "float32"
    assert [row["name"] for row in found["training"]][-2:] == [
        "torch.nn.TransformerEncoder", "transformers.BertModel",
    ]  # fmt: skip
    assert all(row["positions"] == 2 * 32 and 0 < row["share_of_peak"] < 1 for row in found["training"])
    assert [(row["role"], row["nfe"]) for row in found["writing"]] == [
        ("student", 1), ("teacher", 1), ("teacher", 3),
    ]  # fmt: skip


def test_bench_times_ours_compiled_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlmone_lite.teacher.compile_blocks", lambda networks: None)
    argv = ["bench", "--preset", "classroom", "--batch-size", "2", "--repeats", "1", "--nfe", "1"]
    pets.run(capsys, *argv, "--compile", "--json", tmp_path / "b.json")
    names = [row["name"] for row in json.loads((tmp_path / "b.json").read_text())["training"]]
    assert names[:2] == ["dlmone_lite, compiled", "dlmone_lite"] and 4 <= len(names) <= 5
    networks = ["--teacher", "a", "--student", "b"]
    assert "leave it out" in pets.fail(capsys, "bench", *networks, "--compile")


def test_bench_reports_medians(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    folder, world = lab
    monkeypatch.setattr(zoo, "load", lambda name, device, known=zoo.load: known(name, device))
    monkeypatch.setattr(World, "load", classmethod(lambda cls, name: world))  # the checkpoint says "pets"
    argv = ["bench", *checkpoints(folder), "--steps", "2,20", "--repeats", "2", "--json", tmp_path / "b.json"]
    out = pets.run(capsys, *argv)
    result = read(tmp_path / "b.json")
    measured = [(batch["batch"], batch["teacher_nfe"]) for batch in result["batches"]]
    assert measured == [(1, 2), (1, 20), (64, 2), (64, 20)]
    for batch in result["batches"][1::2]:
        slow, quick = statistics.median(batch["teacher_ms"]), statistics.median(batch["student_ms"])
        assert len(batch["teacher_ms"]) == 2 and len(batch["student_ms"]) == 20
        assert batch["ratio"] == slow / quick > 2, "20 steps against one"
        assert f"{slow:.1f}" in out and f"{batch['ratio']:.3g}x" in out


def test_bench_times_the_student_warm(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    """A student whose first calls after the teacher's are slow: they are made, and not timed."""
    folder, world = lab
    calls = []

    def clock(checkpoint, texts, steps):
        def timed(seed: int) -> float:
            calls.append(checkpoint.role)
            cold = calls[-bench.WARM_UP :].count("student") < bench.WARM_UP
            return 100.0 if checkpoint.role == "teacher" or cold else 2.0

        return timed, "float32"

    monkeypatch.setattr("dlmone_lite.evaluation.speed.stopwatch", clock)
    monkeypatch.setattr(World, "load", classmethod(lambda cls, name: world))
    out = pets.run(capsys, "bench", *checkpoints(folder), "--steps", "20", "--repeats", "1")
    assert out.count("50x") == 2 and calls.count("teacher") == 2


# ---- world


def test_world_writes_the_exact_targets(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, world = lab
    argv = ["world", folder / "pets.grammar", "--support", "Can a horse race away"]
    pets.run(capsys, *argv, "--json", tmp_path / "s.json")
    assert read(tmp_path / "s.json") == [
        {"text": text, "p": p} for text, p in world.support(pets.SOURCE).items()
    ]
    assert pets.run(capsys, *argv).splitlines()[0] == "0.5000  horse races fast away"


def test_world_describes_samples_and_builds(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.grammar").write_text(pets.GRAMMAR, encoding="utf-8")
    out = pets.run(capsys, "world", tmp_path / "mine.grammar")
    assert re.search(r"^meanings +train 40, valid 4, test 4$", out, re.M)
    assert "warning: frame race: 4 right targets, under 6" in out
    pairs = pets.run(capsys, "world", tmp_path / "mine.grammar", "--sample", "2").splitlines()
    assert len(pairs) == 4 and pairs[1].removeprefix("  -> ") in lab[1].support(pairs[0])
    pets.run(capsys, "world", tmp_path / "mine.grammar", "--build")
    assert {path.name for path in (tmp_path / "pets").iterdir()} == {
        "train.jsonl",
        "valid.jsonl",
        "test.jsonl",
    }


# ---- train and distill


def train_argv(folder: Path, out: Path) -> list[str | Path]:
    argv = ["train", "--world", folder / "pets.grammar", "--out", out, "--seed", "3", "--steps", "6"]
    return [*argv, *pets.TINY, *pets.FAST, *pets.EVALUATION, "--eval-steps", "2"]


def test_train_makes_the_librarys_teacher_and_says_how(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, world = lab
    out, log = tmp_path / "t.safetensors", tmp_path / "t.jsonl"
    argv = [*train_argv(folder, out), "--log", log, "--eval-every", "4", "--save-every", "2"]
    pets.run(capsys, *argv)
    made, steps = load(out), read_jsonl(log, ())
    codec = codec_of(world)
    train = read_jsonl(folder / "pets" / "train.jsonl", ("src", "trg"))
    data = PairedText([row["src"] for row in train], [row["trg"] for row in train], codec)
    config = TeacherConfig(steps=6, seed=3, batch_size=8, warmup=2, precision="float32")
    with torch.random.fork_rng():
        seed_weights(3)
        by_hand = TeacherRun(type(made.model)(made.model.config), data, config)
    losses = [step.losses for step in by_hand]
    assert [step["losses"] for step in steps] == losses and [step["step"] for step in steps] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    state = made.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in by_hand.result.state_dict().items())
    assert [bool(step["evaluation"]) for step in steps] == [False, False, False, True, False, True]
    assert (made.role, made.world, made.sampling) == ("teacher", "pets", {})
    told = made.provenance
    assert told["command"] == "python -m dlmone_lite " + shlex.join(map(str, argv))
    assert (told["seed"], told["steps"], told["config"]["lr"]) == (3, 6, TeacherConfig().lr)
    assert told["data"] == {"pairs": 300, "train_sha256": digest(folder / "pets" / "train.jsonl")}
    assert told["metrics"]["split"] == "test" and 0 <= told["metrics"]["validity"] <= 1
    assert told["versions"]["torch"] == torch.__version__ and told["seconds"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"t.safetensors", "t.jsonl"}, "no state is left"


def test_time_to_stops_at_the_goal(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    argv = train_argv(lab[0], tmp_path / "t.safetensors")
    out = pets.run(capsys, *argv, "--eval-every", "2", "--time-to", "0")
    told = load(tmp_path / "t.safetensors").provenance
    assert (
        told["steps"] == 2
        and told["time_to"]["step"] == 2
        and told["time_to"]["seconds"] <= told["seconds"] + 0.01
    )
    assert "validity 0 reached at step 2" in out
    out = pets.run(capsys, *argv, "--eval-every", "3", "--time-to", "1", "--json", tmp_path / "t.json")
    assert "validity 1 was not reached in 6 steps" in out
    told = load(tmp_path / "t.safetensors").provenance
    record = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert told["time_to"] is None and record == {
        "kind": "making",
        "world": "pets",
        "made": "teacher",
        **told,
    }


def distill_argv(folder: Path, out: Path) -> list[str | Path]:
    argv = [
        "distill",
        "--teacher",
        folder / "teacher.safetensors",
        "--world",
        folder / "pets.grammar",
        "--out",
        out,
    ]
    return [*argv, "--steps", "6", *pets.FAST, "psi_warmup=1", *pets.EVALUATION, "--eval-every", "2"]


def test_half_size_is_measured_as_it_is_stored(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, world = lab
    out = tmp_path / "t.safetensors"
    pets.run(capsys, *train_argv(folder, out), "--half")
    made = load(out)
    assert all(tensor.dtype == torch.float16 for tensor in read_tensors(out)[0].values())
    again = measure(made, world, steps=2, sources=2, samples=4)
    told = made.provenance["metrics"]
    assert {k: v for k, v in told.items() if k not in ("seconds", "split")} == {
        k: v for k, v in again.items() if k != "seconds"
    }


def test_distill_keeps_the_best_of_each_stage(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = lab
    out, one, log = tmp_path / "s.safetensors", tmp_path / "s1.safetensors", tmp_path / "s.jsonl"
    end = tmp_path / "end.safetensors"
    argv = [*distill_argv(folder, out), "--stages", "2", "--out-stage1", one, "--steps2", "4", "--log", log]
    pets.run(capsys, *argv, "--set2", "mu=0.5", "b_g=0.1", "--out-last", end)
    rows, first, second = read_jsonl(log, ()), load(one), load(out)
    assert [(row["stage"], row["step"]) for row in rows] == [(1, i) for i in range(1, 7)] + [
        (2, i) for i in range(1, 5)
    ]
    for number, made in ((1, first), (2, second)):
        tv = {
            row["step"]: row["evaluation"]["tv"]
            for row in rows
            if row["stage"] == number and row["evaluation"]
        }
        assert made.provenance["kept"] == "best" and made.provenance["kept_step"] == min(tv, key=tv.get)
        assert (made.role, made.sampling) == ("student", {"t_init": 1491})
    told = second.provenance
    assert [stage["config"]["mu"] for stage in told["stages"]] == [1.0, 0.5] and told["steps"] == 10
    assert [stage["config"]["seed"] for stage in told["stages"]] == [0, 1]
    assert told["teacher"] == {"name": "teacher", "sha256": digest(folder / "teacher.safetensors")}
    last = load(end)
    assert [last.provenance[key] for key in ("kept", "kept_step", "steps")] == ["last", 4, 10]
    other = tmp_path / "l.safetensors"
    argv = [*distill_argv(folder, other), "--stages", "2", "--steps2", "4", "--set2", "mu=0.5", "b_g=0.1"]
    pets.run(capsys, *argv, "--keep", "last")
    for name, weights in load(other).model.state_dict().items():
        assert weights.equal(last.model.state_dict()[name]), f"{name} is that of the end"
    left = {"s.safetensors", "s1.safetensors", "end.safetensors", "l.safetensors", "s.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_distill_warns_when_the_student_degenerates(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = lab  # an untrained teacher: its student knows nothing of its source
    out = pets.run(capsys, *distill_argv(folder, tmp_path / "s.safetensors"))
    warnings = [line for line in out.splitlines() if "warning, " in line]
    assert warnings and all(re.match(r"stage 1 step [246]: warning, .+: .+ Try: .+", w) for w in warnings)
    assert "signs" in load(tmp_path / "s.safetensors").provenance["validation"]
    few = [*distill_argv(folder, tmp_path / "t.safetensors"), "--eval-samples", "1"]
    assert "warning" not in pets.run(capsys, *few), "one output a source: nothing can be said of variety"


def test_distill_with_a_warm_start_goes_on_after_ctrl_c(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = lab
    out, log = tmp_path / "s.safetensors", tmp_path / "s.jsonl"
    argv = [*distill_argv(folder, out), "--stages", "2", "--steps2", "4", "--log", log, "--warm-start", "3"]
    argv += ["--set0", "samples=3", "nfe=3", "sources=4", "batch_size=8", "precision=float32"]
    pets.run(capsys, *argv)
    made, rows = load(out), read_jsonl(log, ())
    assert [row["stage"] for row in rows] == [0] * 3 + [1] * 6 + [2] * 4
    assert all(set(row["losses"]) == {"regression", "denoising"} for row in rows[:3])
    warm, one, two = made.provenance["stages"]
    assert (warm["steps"], warm["config"]["samples"], warm["config"]["seed"]) == (3, 3, 0)
    assert warm["config"]["t_init"] == one["config"]["t_init"] == 1491
    assert made.provenance["steps"] == 13 and (one["steps"], two["steps"]) == (6, 4)

    again = tmp_path / "again.safetensors"
    argv[argv.index(out)] = again
    log.unlink()
    with monkeypatch.context() as hurried:  # stopped in the pool, then in the first update
        hurried.setattr(loop, "Stopper", lambda: contextlib.nullcontext(SimpleNamespace(asked=True)))
        assert program.main([str(word) for word in argv]) == 130
        assert "stopped: warm start at step 0 of 3; go on with --resume" in capsys.readouterr().err
        assert program.main([*map(str, argv), "--resume"]) == 130
        assert "stopped: warm start at step 1 of 3" in capsys.readouterr().err
    pets.run(capsys, *argv, "--resume")
    assert pets.same_network(again, out)
    assert not list(tmp_path.glob("*.state*"))


def test_a_warm_start_made_alone_begins_the_same_run(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = lab
    whole, warm, rest = (tmp_path / f"{name}.safetensors" for name in ("whole", "warm", "rest"))
    first = ["--set0", "samples=3", "nfe=3", "sources=4", "batch_size=8", "clamp=true", "precision=float32"]
    first += ["--warm-start", "3"]
    pets.run(capsys, *distill_argv(folder, whole), *first)
    pets.run(capsys, *distill_argv(folder, warm), *first, "--stages", "0")
    pets.run(capsys, *distill_argv(folder, rest), "--start", warm)
    assert pets.same_network(rest, whole) and not pets.same_network(warm, whole)
    told = {"name": "warm", "sha256": digest(warm), "command": load(warm).provenance["command"]}
    assert load(rest).provenance["start"] == told
    assert not list(tmp_path.glob("*.state*"))
    wrong = [*distill_argv(folder, tmp_path / "no.safetensors"), "--start"]
    assert "is a teacher" in pets.fail(capsys, *wrong, folder / "teacher.safetensors")
    stranger = load(warm)
    stranger.model.words.data.add_(1)
    save(tmp_path / "stranger.safetensors", stranger)
    assert "was not distilled from" in pets.fail(capsys, *wrong, tmp_path / "stranger.safetensors")
    assert "leave one of the two" in pets.fail(capsys, *wrong, warm, *first)
    assert "add --warm-start N" in pets.fail(capsys, *wrong[:-1], "--stages", "0")


def test_settings_of_a_warm_start_need_one(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, _ = lab
    argv = distill_argv(folder, tmp_path / "s.safetensors")
    assert "--warm-start N" in pets.fail(capsys, *argv, "--set0", "steps=3")
    wrong = pets.fail(capsys, *argv, "--warm-start", "3", "--set0", "sources=-1")
    assert wrong.startswith("sources must be at least 0")


def test_a_warm_starts_sentences_are_saved_before_its_first_update(
    lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = lab
    argv = [*distill_argv(folder, tmp_path / "s.safetensors"), "--warm-start", "3"]
    argv += ["--set0", "samples=3", "nfe=3", "sources=4", "batch_size=8", "precision=float32"]

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(loop.Loop, "advance", killed)
    with pytest.raises(RuntimeError, match="killed"):
        program.main([str(word) for word in argv])
    kept = read_tensors(tmp_path / "s.safetensors.warm.state")[0]
    assert int(kept["module/pool/filled"]) == 4


def test_distill_keeps_the_last_if_told(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "s.safetensors"
    argv = [*distill_argv(lab[0], out), "--keep", "last", "--eval-every", "0", "--set", "t_init=1200"]
    pets.run(capsys, *argv)
    made = load(out)
    assert (made.provenance["kept"], made.provenance["kept_step"], made.sampling) == (
        "last",
        6,
        {"t_init": 1200},
    )


def test_settings_are_listed_with_types(capsys: pytest.CaptureFixture[str]) -> None:
    out = pets.run(capsys, "distill", "--settings")
    assert re.search(rf"^  mu={DistillConfig().mu} +a number$", out, re.M) and "seed=" not in out
    assert re.search(r"^  depth=\d+ +a whole number$", pets.run(capsys, "train", "--settings"), re.M)


def test_settings_have_types() -> None:
    pairs = ["mu=2", "psi_steps=3", "lr_shape=constant"]
    assert settings(pairs, DistillConfig()) == {"mu": 2.0, "psi_steps": 3, "lr_shape": "constant"}
    assert isinstance(settings(["mu=2"], DistillConfig())["mu"], float)
    with pytest.raises(InputError, match=r"t_min = 9 lies above t_max = 8"):
        changed(DistillConfig(), {"t_min": 9, "t_max": 8}, 2000)
    with pytest.raises(InputError, match=r"clamp must be a share, 0\.\.1, not 5\.0"):
        changed(DistillConfig(), {"clamp": 5.0}, 2000)


def test_the_best_is_the_lowest_tv(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted sequence of evaluations: the second is the best, ties go to the earlier one."""
    folder, world = lab
    scores = iter([0.9, 0.4, 0.4, 0.7])
    truth = world_metrics([["x"]], [world.support(pets.SOURCE)])
    monkeypatch.setattr(
        "dlmone_lite.evaluation.measure.measure",
        lambda *_, **__: {**truth, "tv": next(scores, 0.1), "nfe": 1},
    )
    out = tmp_path / "s.safetensors"
    assert program.main([str(word) for word in distill_argv(folder, out)] + ["--steps", "8"]) == 0
    told = load(out).provenance
    assert told["kept_step"] == 4 and told["validation"]["tv"] == 0.4
    assert loop.best_of(out).name == "s.safetensors.best"


def test_a_recipe_sets_both_stages(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, _ = lab
    two = ["--stages", "2", "--steps", 2, "--steps2", 2, "--eval-every", 0]
    made = {}
    for name, changes in (("dlmone", ["batch_size=6"]), ("classroom", ["batch_size=6", "group=3"])):
        out = tmp_path / f"{name}.safetensors"
        argv = pets.distil_command(folder, out, "--recipe", name, *two, "--keep", "last", *pets.EVALUATION)
        pets.run(capsys, *argv, "--set", *changes, "precision=float32")
        made[name] = load(out)
    paper, ours = ([stage["config"] for stage in each.provenance["stages"]] for each in made.values())
    assert [(c["mu"], c["b_d"], c["b_g"], c["t_max"]) for c in paper] == [
        (1, 0.5, 0.5, 1977),
        (0.5, 0.9, 0.1, 1977),
    ]
    assert {(c["divergence"], c["b_d"], c["b_g"], c["rho"], c["group"]) for c in ours} == {
        ("reverse_kl", 0, 0, 1, 3)
    }
    assert made["classroom"].sampling == {"t_init": 1490, "rho": 1.0}
    message = pets.fail(capsys, *pets.distil_command(folder, tmp_path / "x.safetensors", "--recipe", "best"))
    assert "there is no recipe 'best'; known: dlmone, sida, classroom, pocket" in message
