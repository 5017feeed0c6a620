"""What damaged files, bad inputs and random options do to the commands: one line, never a traceback or a hang.

    python tests/fuzz.py            # the long form of all kinds, about an hour
    python tests/fuzz.py grammars 40

`test_fuzz.py` runs a few of each kind. Every case depends on its number alone, so that a failure can be
repeated. A call that needs more than 20 seconds counts as a hang.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import string
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import pets  # noqa: E402

from dlmone_lite.__main__ import main  # noqa: E402
from dlmone_lite.files import read_tensors  # noqa: E402

SECONDS = 20
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "1e9",
    "-1e300",
    "nan",
    "inf",
    "99999999999999999999",
    "2.5",
    "1e-320",
    "",
    "x",
]
WORDS = [
    "é",
    "数据",
    "\u202e",
    "a b",
    "a=b",
    "=",
    "--",
    "-",
    ".",
    "/",
    "/dev/null/x",
    "n" * 300,
    "\x01",
    "[SEP]",
]


class Hang(Exception):
    """A call took too long."""


@contextlib.contextmanager
def redirected(folder: Path, out: io.StringIO, err: io.StringIO) -> Iterator[None]:
    """Work in a folder of our own, because random options name files to write."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        os.chdir(before)


def outcome(argv: list[str], folder: Path) -> str:
    """What a command does: its last line of stderr, or what is wrong with it in capitals."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    before, out, err = signal.signal(signal.SIGALRM, stop), io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with redirected(folder, out, err):
            code = main(argv)
    except Hang:
        return "HANG"
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        return "TRACEBACK " + traceback.format_exc()[-900:]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    last = (err.getvalue().strip().splitlines() or [""])[-1]
    if code not in (0, 1, 2, 3) or (code in (2, 3) and not last.startswith("error: ")):
        return f"ODD exit code {code}: {last}"
    if code and (len(last) > 500 or not last.isprintable()):
        return f"LONG OR UNPRINTABLE: {last[:600]!r}"
    return f"{code} {last}"


# ---- files


def changed_text(text: str, rng: random.Random) -> str:
    """A text with one thing gone wrong."""
    signs = [*string.printable, *"é\u202e数\ud83d\x00", "}{", '""', "\t\t", "1e999", "null", "9" * 5000]
    i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    j = min(j, i + rng.choice([0, 1, 5, 50]))
    return text[:i] + rng.choice(["", rng.choice(signs), rng.choice(signs) * 3, text[i:j] * 2]) + text[j:]


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """A file with a flipped bit, a cut end, a hole or an end that is not its own."""
    kind = rng.randrange(4)
    i = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 2000))
    if kind == 0:
        return data[:i] + bytes([data[i] ^ 1 << rng.randrange(8)]) + data[i + 1 :]
    if kind == 1:
        return data[:i]
    if kind == 2:
        return data[:i] + data[i + rng.randrange(1, 40) :]
    return data + rng.randbytes(rng.randrange(1, 40))


def changed_header(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file with a value of its header replaced, and no digest that would tell."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    meta = header["__metadata__"]
    meta.pop("sha256", None)
    odd = rng.choice([0, -1, 10**9, 1e300, None, "x", [], {}, True, "9" * 5000])
    name = rng.choice(sorted(meta))
    try:
        value = json.loads(meta[name])
    except ValueError:
        value = None
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        if rng.random() < 0.2:
            del value[key]
        else:
            value[key] = odd
        meta[name] = json.dumps(value)
    elif rng.random() < 0.5:
        del meta[name]
    else:
        meta[name] = str(odd)
    if rng.random() < 0.2:
        del header[rng.choice(sorted(set(header) - {"__metadata__"}))]
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + data[start:]


class Lab:
    """A folder with the small world, its networks, and a training state."""

    def __init__(self, folder: Path):
        self.folder = folder
        pets.make_lab(folder)
        self.grammar = str(folder / "pets.grammar")
        (folder / "in.jsonl").write_text('{"src": "can a cat race here"}\n{"src": "can a dog race away"}\n')
        end = [*pets.TINY, *pets.FAST, *pets.EVALUATION, "--eval-steps", "2"]
        self.train = ["train", "--world", self.grammar, "--steps", "3", "--save-every", "1", *end]
        self.kept = self.state()

    def state(self) -> bytes:
        """A state of a run in its second update."""
        from dlmone_lite.jobs import loop

        out, kept = self.folder / "kept.safetensors", loop.clean
        saved = []
        advance = loop.Loop.advance

        def stop_after_two(self: Any, *args: Any) -> None:
            advance(self, *args)
            if self.run.step == 2:
                saved.append(self.state.read_bytes())

        loop.Loop.advance = stop_after_two
        try:
            assert outcome([*self.train, "--out", str(out)], self.folder).startswith("0")
        finally:
            loop.Loop.advance, loop.clean = advance, kept
        return saved[0]


def damaged_files(number: int, lab: Lab) -> str:
    """A damaged checkpoint that is used, or a damaged state that is resumed."""
    rng = random.Random(f"file {number}")
    change = rng.choice([changed_bytes, changed_header])
    if rng.random() < 0.5:
        path = lab.folder / "damaged.safetensors"
        path.write_bytes(change((lab.folder / "student.safetensors").read_bytes(), rng))
        use = ["generate", "--checkpoint", str(path), "--input", str(lab.folder / "in.jsonl")]
        return outcome([*use, "--output", str(lab.folder / "out.jsonl")], lab.folder)
    out = lab.folder / "resumed.safetensors"
    out.with_name(out.name + ".state").write_bytes(change(lab.kept, rng))
    return outcome([*lab.train, "--out", str(out), "--resume"], lab.folder)


def grammars(number: int, lab: Lab) -> str:
    """A grammar with one to three things gone wrong, described and sampled."""
    rng = random.Random(f"grammar {number}")
    text = pets.GRAMMAR
    for _ in range(rng.randrange(1, 4)):
        text = changed_text(text, rng)
    path = lab.folder / "fuzz.grammar"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return outcome(["world", str(path), *rng.choice([[], ["--sample", "3"]])], lab.folder)


def corpora(number: int, lab: Lab) -> str:
    """A corpus file of some kind with one to three things gone wrong, trained on for an update."""
    rng = random.Random(f"corpus {number}")
    kind = rng.choice([".jsonl", ".csv", ".tsv", ".JSONL", ".ndjson", ".txt"])
    rows = [(f"what is thing {i} ?", f"tell me of {i} .") for i in range(12)]
    if "json" in kind.lower() or kind.endswith("ndjson"):
        text = "".join(json.dumps({"src": a, "trg": b}) + "\n" for a, b in rows)
    else:
        sign = "," if kind == ".csv" else "\t"
        text = f"src{sign}trg\n" + "".join(f"{a}{sign}{b}\n" for a, b in rows)
    for _ in range(rng.randrange(1, 4)):
        text = changed_text(text, rng)
    path = lab.folder / f"corpus{kind}"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    argv = [
        "train",
        "--corpus",
        str(path),
        "--preset",
        "lite",
        "--set-model",
        "width=16",
        "depth=1",
        "embed_dim=8",
    ]
    argv += ["--set", "batch_size=2", "precision=float32", "--eval-steps", "2", "--eval-samples", "2"]
    return outcome([*argv, "--steps", "1", "--out", str(lab.folder / "corpus.safetensors")], lab.folder)


def calls(number: int, lab: Lab) -> str:
    """A command with some random options, followed by those that make it short."""
    from dlmone_lite.__main__ import parser

    rng = random.Random(f"call {number}")
    students, teacher = str(lab.folder / "student.safetensors"), str(lab.folder / "teacher.safetensors")
    ends = {
        "generate": ["--checkpoint", students, "--input", str(lab.folder / "in.jsonl"), "--steps", "1"],
        "evaluate": ["--checkpoint", students, "--world", lab.grammar, "--steps", "1", "--sources", "2"],
        "train": [*lab.train[1:], "--steps", "1", "--processes", "1"],
        "distill": ["--teacher", teacher, "--world", lab.grammar, "--steps", "1", "--processes", "1"],
        "sharpen": ["--teacher", teacher, "--world", lab.grammar, "--steps", "1", "--processes", "1"],
        "world": [lab.grammar],
        "sweep": ["stages", "--list"],
        "scores": [],
        "demo": ["--world", lab.grammar, "--teacher", teacher, "--student", students],
    }
    name = rng.choice(sorted(ends))
    command = next(a for a in parser()._actions if a.dest == "command" or a.choices and name in a.choices)
    options = [a for a in command.choices[name]._actions if a.option_strings and a.dest != "help"]
    argv = [name]
    for option in rng.sample(options, min(len(options), rng.randrange(1, 5))):
        argv.append(option.option_strings[-1])
        if option.nargs == 0:
            continue
        if option.nargs == "+":
            fields = [
                "lr",
                "batch_size",
                "mu",
                "b_d",
                "ema",
                "beta1",
                "clip",
                "width",
                "heads",
                "depth",
                "T",
                "loss",
            ]
            argv.append(f"{rng.choice(fields)}={rng.choice(NUMBERS)}")
        else:
            argv.append(rng.choice([*NUMBERS, *WORDS]))
    argv += ends[name]
    if name in ("generate", "train", "distill", "sharpen"):
        argv += ["--output" if name == "generate" else "--out", str(lab.folder / "call.safetensors")]
    for path in lab.folder.glob("call.safetensors.*"):
        path.unlink()
    return outcome(argv, lab.folder)


# ---- kills


def killed(argv: list[str], lab: Lab, seconds: float) -> tuple[int, str]:
    """(exit code, output) of a command in a process of its own, which is killed after some seconds."""
    printed = lab.folder / "printed.txt"
    child = os.fork()
    if child == 0:
        file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1), os.dup2(file, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = 70
        try:
            code = main(argv)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), printed.read_text(errors="replace")
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ""


def kills(number: int, lab: Lab) -> str:
    """A run that is killed at a random moment and resumed until it ends, with the bits of one that was not."""
    rng = random.Random(f"kill {number}")
    kind = ["train", "distill", "two stages", "warm start"][number % 4]
    teacher = ["distill", "--teacher", str(lab.folder / "teacher.safetensors"), "--world", lab.grammar]
    teacher += [*pets.FAST, "psi_warmup=1", *pets.EVALUATION, "--save-every", "7", "--eval-every", "20"]
    warm = ["--warm-start", "40", "--set0", "samples=2", "nfe=3", "precision=float32", "sources=8"]
    argv = {
        "train": [*lab.train, "--steps", "150", "--save-every", "7"],
        "distill": [*teacher, "--steps", "60"],
        "two stages": [*teacher, "--steps", "30", "--stages", "2", "--steps2", "30"],
        "warm start": [*teacher, "--steps", "20", *warm],
    }[kind]
    whole, out = (lab.folder / f"{name} {kind}.safetensors" for name in ("whole", "killed"))
    if not whole.is_file():
        assert outcome([*argv, "--out", str(whole)], lab.folder).startswith("0")
    out.unlink(missing_ok=True)
    for start in range(1, 9):
        code, printed = killed(
            [*argv, "--out", str(out), "--resume"], lab, rng.uniform(0.05, 1.5) if start < 8 else 60
        )
        if code not in (0, -signal.SIGKILL):
            return f"ODD {kind} exit code {code}: {printed[-300:]}"
        if code == 0:
            break
    else:
        return f"UNFINISHED {kind}"
    first, second = read_tensors(whole)[0], read_tensors(out)[0]
    if any(not first[name].equal(second[name]) for name in first):
        return f"OTHER BITS {kind}"
    left = [path.name for path in lab.folder.iterdir() if path.name.startswith((".killed", out.name + "."))]
    return f"LEFT {kind}: {left}" if left else f"0 {kind} after {start} starts"


KINDS: dict[str, tuple[Callable[[int, Lab], str], int]] = {
    "damaged_files": (damaged_files, 600),
    "grammars": (grammars, 160),
    "corpora": (corpora, 110),
    "calls": (calls, 2500),
    "kills": (kills, 1200),
}


def failures(kind: str, numbers: range, lab: Lab) -> list[str]:
    """The outcomes that nobody should see."""
    found = []
    for number in numbers:
        said = KINDS[kind][0](number, lab)
        if not said[:1].isdigit():
            found.append(f"{kind} {number}: {said}")
            print(found[-1], flush=True)
    return found


if __name__ == "__main__":
    chosen = sys.argv[1:2] or list(KINDS)
    with tempfile.TemporaryDirectory() as scratch:
        laboratory = Lab(Path(scratch))
        for name in chosen:
            many = int(sys.argv[2]) if len(sys.argv) > 2 else KINDS[name][1]
            began = time.monotonic()
            bad = failures(name, range(many), laboratory)
            print(f"{name}: {len(bad)} of {many} failed, {time.monotonic() - began:.0f} s", flush=True)
