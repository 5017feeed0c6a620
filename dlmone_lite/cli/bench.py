"""`bench`: one step against many from text to text; or training and writing at a preset's size."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.options import command, device_option, positive, step_list
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import Table
from dlmone_lite.jobs.provenance import command_line, environment

if TYPE_CHECKING:
    import torch

    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import TeacherConfig

BATCHES = (1, 64)
WARM_UP = 20  # untimed calls of the student before its timed ones
WORDS = {"classroom": 256, "lite": 8192, "paper": 30522}  # of a preset's vocabulary
EXAMPLES = """--preset lite
--preset paper --batch-size 4 --repeats 3 --compile --json paper.json
--teacher paraphrase-teacher --student paraphrase-student --json speed.json
--teacher runs/teacher.safetensors --student runs/student.safetensors --steps 8,256 --repeats 5 --device cuda
--teacher qqp-teacher --student qqp-student --corpus folder/qqp"""
MORE = """With --teacher and --student, each time runs from strings to strings: encoding, sampling, rounding,
decoding. Some untimed calls of the student come first, for the teacher's many are warm, too. Both run in
their fastest form: no clamping, no gradients, and in the precision (float32 or half) that a short run at that
batch finds faster. Median over the repeats; on a CPU the teacher's 2000 steps for 64 sentences take minutes.
Without them, whole training updates of a new network at the preset's size on random words, in positions a
second, with the share that its matrix products have of this machine's fastest; the same loss in float32 over
torch.nn.TransformerEncoder and transformers' BertModel; rows written a second from noise to embeddings, at
each number of network evaluations; and the memory that was needed at most."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "time one step against many, or training at a preset's size"
    parser = command(commands, "bench", summary, EXAMPLES, run, MORE)
    add = parser.add_argument
    add("--teacher", metavar="NAME_OR_FILE")
    add("--student", metavar="NAME_OR_FILE")
    add("--corpus", help="where the corpus lies that both were trained on, if it was one")
    add("--steps", type=step_list, default=[2000], help="of the teacher: 2000, or several as 4,64,2000")
    add("--student-steps", type=positive, default=1, help="of the student (default 1)")
    add("--repeats", type=positive, default=3, help="of the teacher; ten times as many of the student (3)")
    add("--preset", default="lite", help="without a teacher: the size (default lite)")
    add("--batch-size", type=positive, default=0, metavar="N", help="rows (default: 64; paper on a CPU: 4)")
    at = "to write at (1,2,4,8,100; the last is slow)"
    add("--nfe", type=step_list, default=[1, 2, 4, 8, 100], help=at)
    add("--compile", action="store_true", help="without a teacher: ours by torch.compile too, a minute more")
    add("--json", metavar="FILE", help="write all times there")
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Time what the options say, print it, write it."""
    from dlmone_lite.training.precision import pick_device

    check_output(args.json)
    if (args.teacher is None) != (args.student is None):
        raise InputError("bench compares a teacher with a student; give both --teacher and --student")
    if args.corpus and not args.teacher:
        raise InputError("--corpus gives a teacher and a student their sources; name both networks")
    if args.compile and args.teacher:
        raise InputError("--compile is for training at a preset's size; leave it out, or both networks")
    device = pick_device(args.device)
    found = bench_pair(args, device) if args.teacher else bench_size(args, device)
    if args.json:
        write_json(args.json, {"command": command_line(args.argv), **found, **environment(device)})


def bench_pair(args: argparse.Namespace, device: str) -> dict[str, Any]:
    """Time a teacher and its student at each batch size; print the table, return the record."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.evaluation.speed import stopwatch

    teacher, student = zoo.load(args.teacher, device), zoo.load(args.student, device)
    if (roles := (teacher.role, student.role)) != ("teacher", "student"):
        raise InputError(f"bench compares a teacher with a student, got a {roles[0]} and a {roles[1]}")
    if teacher.world != student.world:
        raise InputError(f"{args.teacher} writes for {teacher.world}, {args.student} for {student.world}")
    sources = held_out(args, teacher)

    runs = f"median of {args.repeats} teacher runs and {10 * args.repeats} student runs"
    print(f"{environment(device)['device']}; {runs}")
    table = Table(("batch", 5), ("teacher NFE", 11), ("ms", 10), ("student NFE", 11), ("ms", 8), ("ratio", 7))
    batches = []
    for batch in BATCHES:
        texts = [sources[i % len(sources)] for i in range(batch)]
        time_student, student_precision = stopwatch(student, texts, args.student_steps)
        for steps in args.steps:
            time_teacher, teacher_precision = stopwatch(teacher, texts, steps)

            # Teacher and student take turns, because a machine's speed drifts.
            teacher_ms, student_ms = [], []
            for seed in range(args.repeats):
                for _ in range(WARM_UP):
                    time_student(0)
                student_ms += [time_student(10 * seed + i) for i in range(10)]
                teacher_ms.append(time_teacher(seed))

            slow, fast = statistics.median(teacher_ms), statistics.median(student_ms)
            cells = [str(batch), str(steps), f"{slow:.1f}", str(args.student_steps), f"{fast:.2f}"]
            table.row(*cells, f"{slow / fast:.3g}x")
            times = {"batch": batch, "teacher_nfe": steps, "ratio": slow / fast}
            times |= {"teacher_ms": teacher_ms, "student_ms": student_ms}
            precisions = {"teacher_precision": teacher_precision, "student_precision": student_precision}
            batches.append({**times, **precisions})
    found = {"teacher": args.teacher, "student": args.student}
    return {**found, "student_nfe": args.student_steps, "batches": batches}


def held_out(args: argparse.Namespace, teacher: Checkpoint) -> list[str]:
    """Sources that the networks did not train on, as many as the largest batch if there are so many."""
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.jobs.corpus_task import CorpusTask
    from dlmone_lite.jobs.task import task_of

    task = task_of(teacher, args.teacher, None, args.corpus)
    if isinstance(task, CorpusTask):
        return task.valid[0][: max(BATCHES)]
    return held_out_sources(task.world, min(max(BATCHES), task.held_out("test")))


def bench_size(args: argparse.Namespace, device: str) -> dict[str, Any]:
    """Print the tables of training and of writing; return the record."""
    import torch

    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.evaluation.memory import distillation_memory
    from dlmone_lite.evaluation.speed import matmul_peak, peak_memory
    from dlmone_lite.model import preset
    from dlmone_lite.teacher import RECIPES
    from dlmone_lite.training.precision import candidate_precisions, reuse_memory

    shape, where = preset(args.preset, vocab_size=WORDS.get(args.preset, 0)), torch.device(device)
    rows = args.batch_size or (4 if args.preset == "paper" and where.type == "cpu" else 64)
    reuse_memory()
    peaks = {name: matmul_peak(name, where) for name in candidate_precisions(where)}
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)  # without the products above
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in peaks.items())
    print(f"{device}, {torch.get_num_threads()} threads: matrix products at {rates}")
    print(f"training, preset {args.preset}, {rows} rows of {shape.length}, median of {args.repeats} updates")
    recipe = replace(RECIPES[args.preset], batch_size=rows, compile=args.compile)
    training = training_table(shape, recipe, where, peaks, args.repeats)
    precision = training[0]["precision"]
    print(f"writing {rows} rows from noise, median of {args.repeats}")
    writing = writing_table(shape, where, rows, args.nfe, precision, args.repeats)

    memory, owner = peak_memory(where), "the GPU" if where.type == "cuda" else "this process"
    print(f"memory at most: {memory / 2**20:.0f} MiB of {owner}")
    needs = distillation_memory(shape, DistillConfig(batch_size=rows, precision=precision), where)
    print(
        f"two-stage distillation: {needs.total(0) / 2**20:.0f} MiB for networks, gradients, optimisers and "
        f"copies, {needs.activations / 2**20:.1f} MiB for each row; 16 GiB hold {needs.rows(0.9 * 2**34)} "
        "rows at a time (micro_batch), a tenth left free"
    )
    found = {"preset": args.preset, "rows": rows, "length": shape.length, "matmul_flops": peaks}
    found |= {"training": training, "writing": writing, "peak_memory_bytes": memory}
    return {**found, "distillation": asdict(needs)}


def training_table(
    shape: ModelConfig, recipe: TeacherConfig, device: torch.device, peaks: dict[str, float], repeats: int
) -> list[dict[str, Any]]:
    """Time our network in the fastest precision, compiled first if asked, in float32, then the baselines."""
    from dlmone_lite.evaluation.speed import BASELINES, training_speed
    from dlmone_lite.training.precision import resolve_precision

    columns = [("", -27), ("precision", -9), ("ms", 9), ("positions/s", 11)]
    table = Table(*columns, ("of products", 11), ("ours is", 8))
    fast = resolve_precision(recipe.precision, device, shape.width)
    own = dict.fromkeys([(fast, recipe.compile), (fast, False), ("float32", False)])  # without repetition
    cases = [*((*one, None) for one in own), *(("float32", False, library) for library in BASELINES)]
    rows: list[dict[str, Any]] = []
    for name, compiled, library in cases:
        changed = replace(recipe, precision=name, compile=compiled)
        speed = training_speed(shape, changed, device, repeats, library)
        share = speed.share(peaks[speed.precision])
        rows.append({**asdict(speed), "share_of_peak": share})
        slower = speed.seconds / rows[0]["seconds"]
        numbers = [f"{1000 * speed.seconds:.1f}", f"{speed.tokens:.0f}", f"{share:.0%}", f"{slower:.2f}x"]
        table.row(speed.name, speed.precision, *numbers)
    return rows


def writing_table(
    shape: ModelConfig, device: torch.device, rows: int, steps: list[int], precision: str, repeats: int
) -> list[dict[str, Any]]:
    """Time a student at one step, then a teacher's sampler at each number of steps."""
    from dlmone_lite.evaluation.speed import writing_seconds

    table = Table(("", -8), ("NFE", 5), ("ms", 10), ("rows/s", 9), ("against student", 15))
    times: list[dict[str, Any]] = []
    for role, nfe in [("student", 1), *(("teacher", nfe) for nfe in steps)]:
        seconds = writing_seconds(shape, device, rows, nfe, role, precision, repeats)
        times.append({"role": role, "nfe": nfe, "seconds": seconds})
        slower = f"{seconds / times[0]['seconds']:.1f}x"
        table.row(role, str(nfe), f"{1000 * seconds:.1f}", f"{rows / seconds:.1f}", slower)
    return times
