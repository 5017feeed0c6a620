"""`bench`: one step against many from text to text; or training and writing at a preset's size."""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING

from dlmone_lite.cli.bench_size import bench_size
from dlmone_lite.cli.options import command, device_option, positive, step_list
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import Table
from dlmone_lite.jobs.provenance import command_line, environment

if TYPE_CHECKING:
    from typing import Any

    from dlmone_lite.checkpoints.checkpoint import Checkpoint

BATCHES = (1, 64)
WARM_UP = 20  # untimed calls of the student before its timed ones
EXAMPLES = """--preset lite
--preset paper --batch-size 4 --repeats 3 --compile --json paper.json
--teacher paraphrase-teacher --student paraphrase-student --json speed.json
--teacher runs/teacher.safetensors --student runs/student.safetensors --steps 256 --repeats 5 --device cuda
--teacher qqp-teacher --student qqp-student --corpus folder/qqp"""
MORE = """
With --teacher and --student, each time runs from strings to strings: encoding, sampling, rounding, decoding.
Some untimed calls of the student come first, for the teacher's many are warm, too.
Both run in their fastest form: no clamping, no gradients, and in the precision (float32 or half) that a
short run at that batch finds faster. Median over the repeats; on a CPU the teacher's 2000 steps for 64
sentences take minutes. Without them, whole training updates of a new network at the preset's size on random
words, in positions a second, with the share that its matrix products have of this machine's fastest; the
same loss in float32 over torch.nn.TransformerEncoder and transformers' BertModel; rows written a second
from noise to embeddings, at each number of network evaluations; and the memory that was needed at most.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "time one step against many, or training at a preset's size"
    parser = command(commands, "bench", summary, EXAMPLES, run, MORE)
    parser.add_argument("--teacher", metavar="NAME_OR_FILE")
    parser.add_argument("--student", metavar="NAME_OR_FILE")
    parser.add_argument("--corpus", help="where the corpus lies that both were trained on, if it was one")
    parser.add_argument("--steps", type=positive, default=2000, help="of the teacher (default 2000)")
    parser.add_argument("--student-steps", type=positive, default=1, help="of the student (default 1)")
    parser.add_argument(
        "--repeats", type=positive, default=3, help="of the teacher; ten times as many of the student (3)"
    )
    parser.add_argument("--preset", default="lite", help="without a teacher: the size (default lite)")
    parser.add_argument(
        "--batch-size", type=positive, default=0, metavar="N", help="rows (default: 64; paper on a CPU: 4)"
    )
    parser.add_argument(
        "--nfe", type=step_list, default=[1, 2, 4, 8, 100], help="to write at (1,2,4,8,100; the last is slow)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="without a teacher: ours by torch.compile too, a minute more"
    )
    parser.add_argument("--json", metavar="FILE", help="write all times there")
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
    if (teacher.role, student.role) != ("teacher", "student"):
        raise InputError(
            f"bench compares a teacher with a student, got a {teacher.role} and a {student.role}"
        )
    if teacher.world != student.world:
        raise InputError(f"{args.teacher} writes for {teacher.world}, {args.student} for {student.world}")
    sources = held_out(args, teacher)

    print(
        f"{environment(device)['device']}; "
        f"median of {args.repeats} teacher runs and {10 * args.repeats} student runs"
    )
    table = Table(("batch", 5), ("teacher NFE", 11), ("ms", 10), ("student NFE", 11), ("ms", 8), ("ratio", 7))
    batches = []
    for batch in BATCHES:
        texts = [sources[i % len(sources)] for i in range(batch)]
        time_student, student_precision = stopwatch(student, texts, args.student_steps)
        time_teacher, teacher_precision = stopwatch(teacher, texts, args.steps)

        # Teacher and student take turns, because a machine's speed drifts.
        teacher_ms, student_ms = [], []
        for seed in range(args.repeats):
            for _ in range(WARM_UP):
                time_student(0)
            student_ms += [time_student(10 * seed + i) for i in range(10)]
            teacher_ms.append(time_teacher(seed))

        slow, fast = statistics.median(teacher_ms), statistics.median(student_ms)
        steps, student_steps = str(args.steps), str(args.student_steps)
        table.row(str(batch), steps, f"{slow:.1f}", student_steps, f"{fast:.2f}", f"{slow / fast:.0f}x")
        times = {"batch": batch, "ratio": slow / fast, "teacher_ms": teacher_ms, "student_ms": student_ms}
        precisions = {"teacher_precision": teacher_precision, "student_precision": student_precision}
        batches.append({**times, **precisions})
    networks = {"teacher": args.teacher, "student": args.student}
    return {**networks, "teacher_nfe": args.steps, "student_nfe": args.student_steps, "batches": batches}


def held_out(args: argparse.Namespace, teacher: Checkpoint) -> list[str]:
    """Sources that the networks did not train on, as many as the largest batch if there are so many."""
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.jobs.corpus_task import CorpusTask
    from dlmone_lite.jobs.task import task_of

    task = task_of(teacher, args.teacher, None, args.corpus)
    if isinstance(task, CorpusTask):
        return task.valid[0][: max(BATCHES)]
    return held_out_sources(task.world, min(max(BATCHES), task.held_out("test")))
