"""The README tells the truth: its numbers, commands, links, picture, example world and library map."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from dlmone_lite.__main__ import parser
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT
from dlmone_lite.maintain import real_results, results, write_results

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = (
    write_results.split(TEXT)[0] + write_results.split(TEXT)[2]
)  # without the results, which have a test of their own
COMMANDS = [line.strip() for line in PROSE.splitlines() if line.startswith("    python -m dlmone_lite ")]
START = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8"))
MAP = "\n".join("".join(cell["source"]) for cell in START["cells"] if cell["cell_type"] == "markdown")


def test_the_results_are_those_of_the_records() -> None:
    assert write_results.split(TEXT)[1] == write_results.table(), (
        "run: python -m dlmone_lite.maintain.write_results table"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_accepts_each_example(command: str) -> None:
    parser().parse_args(shlex.split(command)[3:])


def test_the_example_sentence_is_one_of_the_world() -> None:
    sentences = set(re.findall(r'"(how [^"]+\?)"', PROSE))
    assert sentences and all(World.load("paraphrase").support(sentence) for sentence in sentences)


def test_every_command_has_an_example() -> None:
    (commands,) = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    assert {shlex.split(line)[3] for line in COMMANDS} == set(commands)


@pytest.mark.parametrize(
    ("text", "folder"), [(TEXT, ROOT), (MAP, ROOT / "notebooks")], ids=["README", "notebook 00"]
)
def test_links_lead_somewhere(text: str, folder: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert links and [link for link in links if not (folder / link).is_file()] == []


def test_the_map_links_every_notebook() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in TEXT
        assert path.name == "00_start_here.ipynb" or f"({path.name})" in MAP


def test_the_picture_is_light_and_stands_on_the_first_screen() -> None:
    name = write_results.PICTURE.relative_to(ROOT).as_posix()
    line = next(number for number, line in enumerate(TEXT.splitlines()) if line.endswith(f"]({name})"))
    assert line < 10 and write_results.PICTURE.stat().st_size < 150_000


def test_the_library_map_names_every_module() -> None:
    package = ROOT / "dlmone_lite"
    first_cells = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`(.*?)`", cell)}
    patterns = [name for name in named if name.endswith(".py")]
    missing = {p.name for p in package.glob("*.py") if not any(p.match(pattern) for pattern in patterns)}
    assert missing == {"__init__.py"}
    assert [name for name in patterns if not any(package.glob(name))] == []
    folders = {f"{p.name}/" for p in package.iterdir() if (p / "__init__.py").is_file()}
    assert folders == {name for name in named if name.endswith("/") and not name.startswith("data/")}


def test_the_example_world_is_a_world(tmp_path: Path) -> None:
    (grammar,) = re.findall(r"```\n(world .*?)```", TEXT, re.DOTALL)
    (tmp_path / "travel.grammar").write_text(grammar, encoding="utf-8")
    support = World.load(tmp_path / "travel.grammar").support("how do i get to new york ?")
    shares = {"which way is it to": 2 / 3, "how can i reach": 1 / 5, "how could i reach": 2 / 15}
    assert support == pytest.approx({f"{said} new york ?": p for said, p in shares.items()})


# ---- the table itself, from records made by hand


def evaluation(role: str, nfe: int, validity: float, world: str = "toys") -> dict:
    scores = {"validity": validity, "tv": 0.25, "coverage": 0.9}
    errors = {f"{name}_se": 0.01 for name in scores}
    counts = {"nfe": nfe, "tv_floor": 0.125, "tv_excess": 0.2165}
    field = {"truth": {"bleu": 0.3, "self_bleu": 0.2}, f"{role} {nfe}": {"bleu": 0.28, "self_bleu": None}}
    made = {"command": f"make {role}", "checkpoint": f"{world}-{role}", "world": world, "role": role}
    made["settings"] = {"sources": 8, "samples": 64}
    return {**made, "world_scores": [{**scores, **errors, **counts}], "field_scores": field}


def write(folder: Path, **contents: object) -> None:
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_table_by_hand(tmp_path: Path) -> None:
    times = {"teacher_ms": [70.0, 60.0, 90.0], "student_ms": [2.0, 1.0, 4.0], "ratio": 35.0}
    speed = {"command": "make speed", "device": "cpu", "batches": [{"batch": 1, **times}]}
    speed |= {"teacher": "t", "student": "s", "teacher_nfe": 64, "student_nfe": 1}
    write(tmp_path, a=evaluation("student", 1, 0.875), b=evaluation("teacher", 64, 0.96875), speed=speed)
    deciles = [{"t_from": 1, "t_to": 5, "ratio": None}, {"t_from": 6, "t_to": 10, "ratio": 0.125}]
    floor = {"floor": {"deciles": deciles}, "command": "make floor", "checkpoint": "toys-teacher"}
    race = {"command": "make race", "world": "toys", "made": "teacher", "device": "cpu"}
    race |= {"time_to": {"validity": 0.5, "seconds": 8.4}, "metrics": {"validity": 0.5625}}
    late = {**race, "command": "make late", "time_to": {"validity": 0.5, "seconds": 9.0}}
    never = {**race, "command": "make never", "time_to": None}
    write(tmp_path, other=[1], floor=floor, r0=race, r1=late, r2=never)
    lines = write_results.table(tmp_path).splitlines()
    same = "0.250 ± 0.010 | 0.216 | 0.900 ± 0.010 | 0.280 |"
    assert lines[2:5] == [
        "| toys | the truth itself |  | 8 x 64 | 1 | 0.125 | 0 | 1 | 0.300 | 0.200 |",
        f"| toys | `toys-teacher` | 64 | 8 x 64 | 0.969 ± 0.010 | {same}  |",
        f"| toys | `toys-student` | 1 | 8 x 64 | 0.875 ± 0.010 | {same}  |",
    ]
    assert lines[6].startswith("- Loss of `toys-teacher` above the exact Bayes loss")
    assert lines[6].endswith(": 12.5% for t in 6..10.")
    assert lines[7] == "- Batch 1 on cpu: `t` at 64 NFE 70.0 ms, `s` at 1 NFE 2.00 ms, a factor of 35."
    assert lines[8] == (
        "- Seconds of training until a teacher of toys reaches validity 0.5 on valid sources, on cpu, 2 "
        "seeds: 8, 9 (on test sources then 0.562, 0.562)."
    )
    made = ["teacher", "student", "floor", "speed", "race", "late"]
    assert lines[-6:] == [f"    make {what}" for what in made]


def test_each_sample_size_has_its_own_truth(tmp_path: Path) -> None:
    small = {**evaluation("teacher", 2000, 0.9), "settings": {"sources": 4, "samples": 16}}
    write(tmp_path, a=small, b=evaluation("teacher", 64, 0.9))
    rows = [line.split(" | ") for line in write_results.table(tmp_path).splitlines()[2:6]]
    assert [(row[1][:9], row[3]) for row in rows] == [
        ("the truth", "4 x 16"), ("`toys-tea", "4 x 16"), ("the truth", "8 x 64"), ("`toys-tea", "8 x 64")
    ]  # fmt: skip


def test_training_seeds_are_summed_up(tmp_path: Path) -> None:
    other = {**evaluation("teacher", 64, 0.5), "checkpoint": "runs/toys-teacher-seed1.safetensors"}
    write(tmp_path, a=evaluation("teacher", 64, 0.75), b=other, c=evaluation("student", 1, 0.7))
    lines = write_results.table(tmp_path).splitlines()
    assert [line.count("seed1") for line in lines[:5]] == [0] * 5, "the table is of the shipped ones"
    assert lines[10] == "| toys | `toys-teacher` | 64 | 2 | 0.625 ± 0.177 | 0.216 ± 0.000 | 0.900 ± 0.000 |"
    assert len([line for line in lines if line.startswith("|")]) == 8


def test_each_world_has_its_own_truth(tmp_path: Path) -> None:
    write(tmp_path, a=evaluation("teacher", 64, 0.9), b=evaluation("exact", 16, 1.0, "zoo"))
    names = [line.split(" | ")[:2] for line in write_results.table(tmp_path).splitlines()[2:6]]
    assert names == [
        ["| toys", "the truth itself"], ["| toys", "`toys-teacher`"],
        ["| zoo", "the truth itself"], ["| zoo", "exact denoiser"],
    ]  # fmt: skip


def test_training_speed_and_real_text_have_their_lines(tmp_path: Path) -> None:
    ours = {"name": "dlmone_lite", "precision": "bfloat16", "seconds": 2.0, "positions": 4096}
    plain = {"name": "torch.nn.TransformerEncoder", "precision": "float32", "seconds": 5.0, "positions": 4096}
    slow = {**ours, "precision": "float32", "seconds": 4.0}
    bench = {"command": "make bench", "device": "cpu", "preset": "lite", "rows": 64, "length": 64}
    bench |= {"matmul_flops": {"bfloat16": 2e11}, "training": [{**ours, "share_of_peak": 0.5}, slow, plain]}
    write(tmp_path, b=evaluation("student", 1, 0.875), z=bench)
    (tmp_path / "real").mkdir()
    row = {"name": "student", "nfe": 1, "bleu": 0.19, "bleu_by_source": [0.1, 0.28]}
    row |= {"self_bleu_by_source": [0.2, 0.3]}
    many = {"name": "teacher", "nfe": 2000, "bleu": 0.2, "bleu_by_source": [0.1, 0.3]}
    many |= {"self_bleu_by_source": [0.1, 0.2]}
    real = {"checkpoint": "runs/qqp-student.safetensors", "world": "qqp", "text_scores": [row]}
    real |= {"settings": {"sources": 8, "samples": 3}, "command": "measure it"}
    warm = {"name": "warm", "command": "make warm"}
    students = {"teacher": {"name": "t"}, "start": warm, "command": "make student"}
    teacher = {**real, "checkpoint": "qqp-teacher", "text_scores": [many]}
    teacher["provenance"] = {"command": "make teacher"}
    write(tmp_path / "real", a={**real, "provenance": students}, b=teacher)
    lines = write_results.table(tmp_path).splitlines()
    assert any(line.startswith("| QQP | qqp-student | 1 | 0.190 |") for line in lines)
    assert "| QQP | DLM-One (arXiv 2506.00290) | 1 | 0.179 |" in "\n".join(lines)
    assert (
        "- Training at preset `lite`, 64 rows of 64 on cpu: 2048 positions a second in bfloat16, 50% of the "
        "machine's 200 GFLOP/s of matrix products; 2.50 times `torch.nn.TransformerEncoder` in float32."
    ) in lines
    assert (
        "- QQP: `qqp-student` at one step has 0.95 (0.93 to 1.00 with other sources) of the teacher's BLEU "
        "at 2000 steps, self-BLEU +0.10, on 2 sources."
    ) in lines
    compiled = {**bench, "training": [{**ours, "name": "dlmone_lite, compiled", "share_of_peak": 0.6}, plain]}
    assert "a second in bfloat16, blocks compiled, 60% of" in results._training(compiled)
    made = ["make bench", "make teacher", "make warm", "make student", "measure it", "measure it"]
    assert lines[-6:] == [f"    {command}" for command in made]


def test_without_records_the_table_says_how_to_make_one(tmp_path: Path) -> None:
    assert write_results.table(tmp_path) == write_results.table(tmp_path / "nowhere") == results.EMPTY


def test_a_readme_without_its_marks_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="once each"):
        write_results.split("# no marks")
    monkeypatch.setattr(write_results, "README", tmp_path / "README.md")
    write_results.README.write_text(
        f"above\n{write_results.BEGIN}\nold\n{write_results.END}\nbelow\n", encoding="utf-8"
    )
    monkeypatch.setattr(write_results, "table", lambda: "new")
    assert write_results.main(["table"]) == 0
    assert (
        write_results.README.read_text(encoding="utf-8")
        == f"above\n{write_results.BEGIN}\nnew\n{write_results.END}\nbelow\n"
    )
    write_results.README.write_text("no marks", encoding="utf-8")
    assert write_results.main(["table"]) == 2 and "error: README.md needs" in capsys.readouterr().err


def test_behind_a_student_of_a_sharpened_teacher_stands_what_sharpened_it(tmp_path: Path) -> None:
    teacher = {"provenance": {"command": "train"}, "command": "evaluate teacher"}
    sharp = {"name": "x-sharp", "sha256": "", "command": "sharpen"}
    student = {"provenance": {"command": "distill", "teacher": sharp}, "command": "evaluate student"}
    plain = {"provenance": {"command": "distill too", "teacher": {"name": "x"}}, "command": "evaluate too"}
    for name, record in (("a", student), ("b", teacher), ("c", plain)):
        (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    told = ["train", "sharpen", "distill", "distill too"]
    assert real_results.behind(tmp_path) == [*told, "evaluate student", "evaluate teacher", "evaluate too"]
