"""Several processes train one network together, by --processes or torchrun; each takes its rows of a batch.

All draw the same random numbers for the whole batch and compute on their own rows; gradients and losses are
averaged over all by `torch.distributed`. So a run has the same numbers as one process with the same batch, up
to the order of sums and to what dropout drops, and a state saved by either goes on in the other. The first
process alone writes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(hours=2)  # in an exchange: the first process evaluates while the others wait
STOPPED = 130  # the exit code of a process that Ctrl-C asked to save and stop


def launch(argv: Sequence[str], processes: int) -> int:
    """Run `python -m dlmone_lite argv` in so many processes of this machine -> 0, or the exit code of the
    first that fails, which ends the others. (`torchrun` does the same over several machines.)"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    cores = max(1, (os.cpu_count() or 1) // processes)
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(cores))
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dlmone_lite", *argv],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches them as well: they save and stop
    try:
        while None in (codes := [process.poll() for process in started]) and not any(codes):
            time.sleep(0.2)
        failed = next((code for code in codes if code), 0)
        if failed not in (0, STOPPED):  # the others would wait for it for ever
            for process in started:
                process.terminate()
        until = None if failed in (0, STOPPED) else time.monotonic() + 15
        for process in started:
            _ended(process, until and until - time.monotonic())
    finally:
        signal.signal(signal.SIGINT, before)
    return failed if failed >= 0 else 1


def _ended(process: subprocess.Popen[bytes], seconds: float | None) -> None:
    """Wait for it, then kill it: what hangs in an exchange with one that failed hears nothing else."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _group() -> Any:
    """torch.distributed once several processes have met, else None; imported late, for help must not wait."""
    import torch.distributed as dist

    return dist if dist.is_available() and dist.is_initialized() else None


def init(device: str) -> str:
    """Join the others if this is one of several processes -> its device (`cuda`: a GPU for each)."""
    if "LOCAL_RANK" not in os.environ or _group():
        return device
    import torch

    if device.startswith("cuda"):
        here, there = os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]), torch.cuda.device_count()
        if int(here) > there:
            raise InputError(f"{here} processes, but {there} GPU(s): start as many, or add --device cpu")
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # Its functions have the group of that moment as a default: first imported later (an optimiser does, with
    # torch._dynamo), they keep it and its threads beyond `end`, and one of those may abort at exit.
    import torch.distributed.nn

    how = {"backend": "gloo"}
    if device.startswith("cuda"):
        how = {"backend": "nccl", "device_id": torch.device(device)}
    torch.distributed.init_process_group(**how, timeout=PATIENCE)
    return device


def shutdown() -> None:
    """Leave together: one that goes while another still speaks to it takes it down."""
    barrier()
    if group := _group():
        group.destroy_process_group()


def abort() -> None:
    """Without the others, after a mistake: threads that outlive the interpreter may abort its exit. (NCCL
    would first wait for the others, who wait for this one.)"""
    if "torch.distributed" in sys.modules and (group := _group()):  # else help would wait for torch
        if group.get_backend() != "nccl":
            group.destroy_process_group()


def world_size() -> int:
    """How many processes train together; 1 if this one is alone."""
    group = _group()
    return group.get_world_size() if group else 1


def is_main() -> bool:
    """Whether this process evaluates, prints and writes."""
    return rank() == 0


def rank() -> int:
    """The number of this process, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def own_rows(rows: int) -> slice:
    """This process' share of a batch; InputError if it cannot be shared evenly."""
    if rows % world_size():
        raise InputError(f"a batch of {rows} cannot be shared by {world_size()} processes; choose a multiple")
    share = rows // world_size()
    return slice(rank() * share, (rank() + 1) * share)


def all_reduce_mean(tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place, in one exchange."""
    if group := _group():
        import torch

        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        group.all_reduce(flat)
        means = flat.div(world_size()).split([tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def all_gather_rows(share: Tensor) -> Tensor:
    """The shares of all processes, one after the other (equal sizes along the first dimension)."""
    if not (group := _group()):
        return share
    import torch

    parts = [torch.empty_like(share) for _ in range(world_size())]
    group.all_gather(parts, share.contiguous())
    return torch.cat(parts)


def all_gather_uneven(own: Tensor, rows: int) -> Tensor:
    """What all processes made, one after the other: each `rows` rows, the last ones perhaps fewer or none."""
    if world_size() == 1:
        return own
    made = own.new_zeros(1)[0].long() + len(own)
    filled = own.new_zeros(rows, *own.shape[1:])
    filled[: len(own)] = own
    return all_gather_rows(filled)[: int(all_gather_rows(made[None]).sum())]


def broadcast(choice: int) -> int:
    """The first process' choice, for all."""
    if not (group := _group()):
        return choice
    told = _flag(choice)
    group.broadcast(told, 0)
    return int(told)


def any_process(asked: bool) -> bool:
    """Whether any process was asked to stop: then all do, after the same update."""
    if not (group := _group()):
        return asked
    told = _flag(asked)
    group.all_reduce(told, group.ReduceOp.MAX)
    return bool(told)


def _flag(value: int) -> Tensor:
    import torch

    return torch.tensor(int(value), device="cuda" if _group().get_backend() == "nccl" else "cpu")


def barrier() -> None:
    """Until all processes are here."""
    if group := _group():
        group.barrier()
