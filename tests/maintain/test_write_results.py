"""README, RESULTS.md and commands.sh tell the truth: their numbers, commands, links, picture, tree."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from dlmone_lite.__main__ import parser
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT, record_kind
from dlmone_lite.maintain import results, write_results
from dlmone_lite.maintain.write_results import README, REPORT, SCRIPT

WORLDS = ROOT / "data" / "worlds" / "README.md"
TEXT, REPORTED = README.read_text(encoding="utf-8"), REPORT.read_text(encoding="utf-8")
OWN_WORLD, NOTATION = WORLDS.read_text(encoding="utf-8"), ROOT / "notebooks" / "NOTATION.md"
START = json.loads((ROOT / "notebooks" / "00_start_here.ipynb").read_text(encoding="utf-8"))
MAP = "\n".join("".join(cell["source"]) for cell in START["cells"] if cell["cell_type"] == "markdown")
COMMANDS = [
    line.strip()
    for text in (TEXT, REPORTED, OWN_WORLD)
    for line in text.splitlines()
    if line.startswith("    python -m dlmone_lite ")
]
LINKS = {
    "README": (TEXT, ROOT),
    "RESULTS": (REPORTED, REPORT.parent),
    "worlds": (OWN_WORLD, WORLDS.parent),
    "notation": (NOTATION.read_text(encoding="utf-8"), NOTATION.parent),
    "notebook 00": (MAP, ROOT / "notebooks"),
}


@pytest.mark.parametrize("path", [README, REPORT, SCRIPT], ids=lambda path: path.name)
def test_what_is_generated_is_as_the_records_say(path: Path) -> None:
    assert write_results.generated()[path] == path.read_text(encoding="utf-8"), (
        "run: python -m dlmone_lite.maintain.write_results"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_accepts_each_example(command: str) -> None:
    parser().parse_args(shlex.split(command)[3:])


def test_the_command_line_accepts_every_recorded_command() -> None:
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if line.startswith("python")]
    assert len(told) > 80 and len(told) == len(set(told))
    for line in told:
        parser().parse_args(shlex.split(line)[3:])
    others = [line for line in lines if line and not line.startswith(("python -m dlmone_lite ", "#"))]
    assert [line.split()[0] for line in others] == ["set", "cd"]


def test_the_example_sentence_is_one_of_the_world() -> None:
    sentences = set(re.findall(r'"(how [^"]+\?)"', TEXT))
    assert sentences and all(World.load("paraphrase").support(sentence) for sentence in sentences)


def test_the_lines_of_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    small = code.replace("steps=64", "steps=2").replace("sources=16, samples=64", "sources=2, samples=4")
    exec(compile(small, "README", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 4 and len(code.splitlines()) <= 10


def test_every_command_is_named() -> None:
    (all_commands,) = [action.choices for action in parser()._actions if isinstance(action.choices, dict)]
    shown = {shlex.split(line)[3] for line in COMMANDS} | set(re.findall(r"`(\w+)`", TEXT))
    assert set(all_commands) - {"bench-size"} <= shown


@pytest.mark.parametrize("name", LINKS)
def test_links_lead_somewhere(name: str) -> None:
    text, folder = LINKS[name]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert name in ("notation",) or links
    for link in links:
        path, _, heading = link.partition("#")
        assert (folder / path).exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", (folder / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [title.lower().replace(" ", "-") for title in titles], link


def test_the_map_links_every_notebook() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in TEXT
        assert path.name == "00_start_here.ipynb" or f"({path.name})" in MAP


def test_readme_is_short_and_shows_the_picture_first() -> None:
    assert len(TEXT.splitlines()) <= 150 and len(TEXT.encode()) <= 12_000
    name = write_results.PICTURE.relative_to(ROOT).as_posix()
    line = next(number for number, line in enumerate(TEXT.splitlines()) if line.endswith(f"]({name})"))
    assert line < 10 and write_results.PICTURE.stat().st_size < 150_000


def test_the_tree_names_every_room() -> None:
    package = ROOT / "dlmone_lite"
    tree = TEXT[TEXT.index("## What lies where") : TEXT.index("## A world of your own")]
    named = {name.removeprefix("dlmone_lite/") for name in re.findall(r"`([\w./]+)`", tree)}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    files = {path.stem for path in package.glob("*.py") if path.stem[0] != "_"}
    data = {f"data/{path.name}/" for path in (ROOT / "data").iterdir() if path.is_dir()}
    assert (folders | files | data | {"notebooks/", "tests/"}) - named == set()
    gone = {name for name in named if name.endswith("/") and not (ROOT / name).is_dir()}
    assert {name for name in gone if not (package / name).is_dir()} == set()


def test_the_example_world_is_a_world(tmp_path: Path) -> None:
    (grammar,) = re.findall(r"```\n(world .*?)```", OWN_WORLD, re.DOTALL)
    (tmp_path / "travel.grammar").write_text(grammar, encoding="utf-8")
    support = World.load(tmp_path / "travel.grammar").support("how do i get to new york ?")
    shares = {"which way is it to": 2 / 3, "how can i reach": 1 / 5, "how could i reach": 2 / 15}
    assert support == pytest.approx({f"{said} new york ?": p for said, p in shares.items()})
    assert all(f'"{said} new york ?"' in OWN_WORLD for said in shares)


def test_what_readme_says_of_speed_and_calls_stands_in_the_records() -> None:
    full = write_results.tables()
    factors = sorted(int(row[7]) for row in full["speed"][1:])
    assert f"{factors[0]:,} to {factors[-1]:,} times faster than its teacher's 2000 steps" in TEXT
    rows = {(row[1], row[2]): row for row in full["worlds"] if row[0] == "paraphrase"}

    def score(role: str, nfe: str, column: int) -> float:
        return float(rows[f"`paraphrase-{role}`", nfe][column].split()[0])

    validity, excess = score("student", "1", 4), score("student", "1", 6)
    assert score("teacher", "2", 4) < validity < score("teacher", "4", 4)
    assert score("teacher", "8", 6) > excess > score("teacher", "16", 6)
    assert "at most 4 calls for the same validity, 16 for the same distance" in TEXT
    assert "seed 0; three seeds of paraphrase have validity {3}, excess {4}".format(
        *next(row for row in full["seeds"] if row[1:4] == ["`paraphrase-student`", "1", "3"])[1:]
    ) in TEXT.replace("\n", " ")
    equal = {tuple(row[:2]): row[3] for row in full["equal"][1:]}
    for world in ("paraphrase", "simplify", "question"):
        assert [equal[f"`{world}-student`", name] for name in ("validity", "excess")] == ["4", "16"]


def test_what_notebooks_quote_from_tables_stands_in_the_records() -> None:
    """A number in a notebook's text, where no cell computes it."""

    def text(number: str) -> str:
        (path,) = (write_results.ROOT / "notebooks").glob(f"{number}_*.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")

    full = write_results.tables()
    (row,) = (row for row in full["speed"] if row[1:3] == ["`paraphrase-student`", "1"])
    assert f"one pass is {int(row[7]):,} times faster than the teacher's 2,000 steps" in text("05")
    one, four = (next(row for row in full["worlds"] if row[1:3] == ["`paraphrase-student`", n]) for n in "14")
    assert f"validity from {one[4]} to {four[4]} and lower TV from {one[5]} to {four[5]}" in text("05")
    (row,) = (row for row in full["kept"] if row[1] == "`wiki_auto-student-seed1`")
    assert f"second student has {row[4]}, and its own interval, {row[5]}, does leave out 1" in text("09")


# ---- the tables, from records made by hand


def evaluation(role: str, nfe: int, validity: float, world: str = "toys") -> dict:
    scores = {"validity": validity, "tv": 0.25, "coverage": 0.9}
    errors = {f"{name}_se": 0.01 for name in scores}
    counts = {"nfe": nfe, "tv_floor": 0.125, "tv_excess": 0.2165}
    field = {"truth": {"bleu": 0.3, "self_bleu": 0.2}, f"{role} {nfe}": {"bleu": 0.28, "self_bleu": None}}
    made = {"command": f"make {role}", "checkpoint": f"{world}-{role}", "world": world, "role": role}
    made["settings"] = {"sources": 8, "samples": 64}
    return {**made, "world_scores": [{**scores, **errors, **counts}], "field_scores": field}


def write(folder: Path, **contents: object) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def test_tables_of_worlds_by_hand(tmp_path: Path) -> None:
    small = {**evaluation("teacher", 2000, 0.9), "settings": {"sources": 4, "samples": 16}}
    write(tmp_path, a=evaluation("student", 1, 0.875), b=evaluation("teacher", 64, 0.96875), other=[1])
    write(tmp_path / "steps", c=small, d=evaluation("exact", 16, 1.0, "zoo"))
    rows = write_results.tables(tmp_path)["worlds"]
    same = ["0.250 ± 0.010", "0.216", "0.900 ± 0.010", "0.280", ""]
    assert rows[1:4] == [
        ["toys", "the truth itself", "", "8 x 64", "1", "0.125", "0", "1", "0.300", "0.200"],
        ["toys", "`toys-teacher`", "64", "8 x 64", "0.969 ± 0.010", *same],
        ["toys", "the truth itself", "", "4 x 16", "1", "0.125", "0", "1", "0.300", "0.200"],
    ]
    assert [row[:4] for row in rows[4:]] == [
        ["toys", "`toys-teacher`", "2000", "4 x 16"],
        ["toys", "`toys-student`", "1", "8 x 64"],
        ["zoo", "the truth itself", "", "8 x 64"],
        ["zoo", "exact denoiser", "16", "8 x 64"],
    ]


def test_training_seeds_are_summed_up(tmp_path: Path) -> None:
    other = {**evaluation("teacher", 64, 0.5), "checkpoint": "runs/toys-teacher-seed1.safetensors"}
    write(tmp_path, a=evaluation("teacher", 64, 0.75), b=other, c=evaluation("student", 1, 0.7))
    full = write_results.tables(tmp_path)
    assert [row[1] for row in full["worlds"][1:]] == ["the truth itself", "`toys-teacher`", "`toys-student`"]
    scores = ["0.625 ± 0.177", "0.216 ± 0.000", "0.900 ± 0.000"]
    assert full["seeds"][1:] == [["toys", "`toys-teacher`", "64", "2", *scores]]


def test_a_log_shows_its_first_evaluation_and_the_last_of_each_stage(tmp_path: Path) -> None:
    def step(stage: int, number: int, validity: float) -> str:
        scores = evaluation("student", 1, validity)["world_scores"][0]
        evaluated = {**scores, "sources": 8, "samples": 64} if validity else None
        return json.dumps({"stage": stage, "step": number, "evaluation": evaluated})

    lines = [
        step(0, 1, 0),
        step(0, 2, 0.25),
        step(0, 4, 0.5),
        step(0, 6, 0.75),
        step(1, 2, 0.8),
        step(1, 4, 0.9),
    ]
    (tmp_path / "toys.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = list(results.stages(tmp_path))[1:]
    assert [(row[1].split(" (")[0], row[3], row[5][:5]) for row in rows] == [
        ("warm start", "2", "0.250"), ("warm start", "6", "0.750"), ("stage 1", "4", "0.900")
    ]  # fmt: skip


def test_tables_of_time_by_hand(tmp_path: Path) -> None:
    times = {"teacher_ms": [70.0, 60.0, 90.0], "student_ms": [2.0, 1.0, 4.0], "ratio": 35.0}
    batches = [{"batch": 1, "teacher_nfe": 64, **times}, {"batch": 1, "teacher_nfe": 4, **times, "ratio": 4}]
    speed = {"command": "make speed", "device": "cpu", "batches": batches}
    speed |= {"teacher": "t", "student": "s", "student_nfe": 1}
    deciles = [{"t_from": 1, "t_to": 5, "ratio": None}, {"t_from": 6, "t_to": 10, "ratio": 0.125}]
    floor = {
        "floor": {"deciles": deciles},
        "command": "make floor",
        "checkpoint": "toys-teacher",
        "world": "toys",
    }
    race = {"command": "make race", "world": "toys", "made": "student", "device": "cpu", "seed": 3}
    race |= {"time_to": {"validity": 0.5, "seconds": 8.4, "step": 7}, "metrics": {"validity": 0.5625}}
    race |= {"stages": [{"steps": 7}]}
    ours = {"name": "dlmone_lite, compiled", "precision": "bfloat16", "seconds": 2.0, "positions": 4096}
    bench = {"command": "make bench", "device": "cpu", "preset": "lite", "rows": 64, "length": 64}
    bench |= {"training": [{**ours, "share_of_peak": 0.5}]}
    teacher = {**race, "made": "teacher", "command": "make teacher"}
    write(tmp_path, speed=speed, floor=floor, r0=race, r1={**race, "time_to": None}, r2=teacher, z=bench)
    full = write_results.tables(tmp_path)
    assert full["speed"][1:] == [["`t`", "`s`", "1", "64", "70.0", "1", "2.00", "35", "cpu"]]
    assert full["bayes"][1:] == [["toys", "`toys-teacher`", "6..10", "12.5%"]]
    goal = ["0.5", "7", "8", "0.562", "cpu"]
    assert full["times"][1:] == [
        ["toys", "teacher", "3", "training", *goal],
        ["toys", "student", "3", "warm start (regression)", *goal],
    ]
    trained = ["lite", "`dlmone_lite, compiled`", "bfloat16", "64 x 64", "2048", "50%", "cpu"]
    assert full["training-speed"][1:] == [trained]


def test_a_student_is_compared_with_the_least_calls_that_score_as_well() -> None:
    def evaluated(name: str, **scores: dict[int, float]) -> dict:
        calls = next(iter(scores.values()))
        rows = [{"nfe": n} | {key: values[n] for key, values in scores.items()} for n in calls]
        return {"checkpoint": f"runs/{name}.safetensors", "world_scores": rows}

    student = evaluated("s", validity={1: 0.9, 4: 1.0}, tv_excess={1: 0.1, 4: 0.1})
    few = evaluated("t", validity={2: 0.7, 4: 0.95}, tv_excess={2: 0.5, 4: 0.2})
    many = evaluated("t", validity={64: 1.0}, tv_excess={64: 0.15})
    batches = [{"batch": n, "teacher_nfe": 4, "ratio": 40 / n} for n in (1, 64)]
    bench = {"teacher": "t", "student": "s", "batches": batches}
    assert list(results.equal_quality([bench], [student, few, many]))[1:] == [
        ["`s`", "validity", "0.900", "4", "0.950", "40", "0.625"],
        ["`s`", "excess", "0.100", "none does", "", "", ""],
    ]


def test_the_kind_of_a_record() -> None:
    kinds = [record_kind(json.loads(path.read_text())) for path in (ROOT / "data" / "runs").rglob("*.json")]
    assert set(kinds) == {"evaluation", "corpus-evaluation", "floor", "speed", "training-speed", "making"}
    assert record_kind({"kind": "floor", "batches": []}) == "floor" and record_kind({}) == "unknown"


def test_a_text_is_filled_between_its_marks_only() -> None:
    full = {"a": [["x", "y"], ["1", "2"]], "b": [["z", "w"]]}
    text = "above\n<!-- table a -->\nold\n<!-- end -->\nbetween\n<!-- table b --><!-- end -->\n"
    filled = write_results.fill(text.replace("b --><", "b -->\n<"), full)
    assert filled.startswith(
        "above\n<!-- table a -->\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n<!-- end -->\nbetween\n"
    )
    assert "old" not in filled and write_results.fill(filled, full) == filled
    for wrong in ("# no marks", text.replace("table a", "table c")):
        with pytest.raises(InputError, match="names: a, b"):
            write_results.fill(wrong, full)


def test_the_command_writes_three_files_or_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, path in (("README", README), ("REPORT", REPORT), ("SCRIPT", SCRIPT)):
        monkeypatch.setattr(write_results, name, tmp_path / path.name)
        text = re.sub(r"\| (paraphrase|QQP) \|.*\n", "", path.read_text(encoding="utf-8"))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    assert write_results.main([]) == 0
    for path in (README, REPORT, SCRIPT):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    (tmp_path / "README.md").write_text("no marks", encoding="utf-8")
    assert write_results.main([]) == 2 and "error: marks" in capsys.readouterr().err
    with pytest.raises(InputError, match="no record gives the row paraphrase, `paraphrase-teacher`, 64"):
        write_results.headline(write_results.tables(tmp_path / "nowhere"))


def test_behind_a_student_stands_what_made_its_teacher(tmp_path: Path) -> None:
    teacher = {"provenance": {"command": "train"}, "command": "evaluate teacher"}
    sharp = {"name": "x-sharp", "sha256": "", "command": "sharpen"}
    warm = {"name": "warm", "command": "warm"}
    student = {"provenance": {"command": "distill", "teacher": sharp, "start": warm}, "command": "evaluate"}
    plain = {"provenance": {"command": "distill too", "teacher": {"name": "x"}}, "command": "evaluate too"}
    records = [{**record, "text_scores": []} for record in (student, teacher, plain)]
    told = ["train", "sharpen", "warm", "distill", "distill too"]
    assert write_results.networks(records) == told
    write(tmp_path, **{str(number): record for number, record in enumerate(records)})
    script = write_results.script(tmp_path).splitlines()
    start = script.index("# Real text: the networks")
    rest = ["", "# Real text: evaluations", "evaluate", "evaluate teacher", "evaluate too"]
    assert script[start + 1 :] == [*told, *rest]
