"""Data-parallel training in several processes, started by --processes or torchrun.

All processes draw the same random numbers for the whole batch, each computes its own rows, and gradients and
losses are averaged over all. A run therefore has the numbers of one process with the same batch, up to the
order of sums and the entries that dropout drops, and a state saved by either goes on in the other. Only the
first process writes files.
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

TIMEOUT = timedelta(hours=2)  # of an exchange, because the others wait while the first process evaluates
LAUNCHER = "DLMONE_LAUNCHER"  # the number of the process that started the others, for them
STOPPED = 130  # the exit code of a process that Ctrl-C asked to save and stop


def launch(argv: Sequence[str], processes: int) -> int:
    """Run `python -m dlmone_lite argv` in several processes of this machine; return 0 or the exit code of the
    first that fails, which ends the others. `torchrun` does the same over several machines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    cores = max(1, (os.cpu_count() or 1) // processes)
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(cores))
    shared[LAUNCHER] = str(os.getpid())
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dlmone_lite", *argv],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]
    # Ctrl-C reaches the processes themselves, which save and stop; a SIGTERM is handed on to them.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopped = signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in started])
    try:
        while None in (codes := [process.poll() for process in started]) and not any(codes):
            time.sleep(0.2)
        failed = next((code for code in codes if code), 0)
        if failed not in (0, STOPPED):  # the others would wait for the failed one forever
            if failed < 0:
                print(f"error: a process was ended by signal {-failed}; go on with --resume", file=sys.stderr)
            for process in started:
                process.terminate()
        until = None if failed in (0, STOPPED) else time.monotonic() + 15
        for process in started:
            _ended(process, until and until - time.monotonic())
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, stopped)
    return failed if failed >= 0 else 1


def _ended(process: subprocess.Popen[bytes], seconds: float | None) -> None:
    """Wait for a process, then kill it: one that hangs in an exchange answers no milder signal."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _group() -> Any:
    """torch.distributed if a process group exists, else None; imported late, because --help must not wait."""
    import torch.distributed as dist

    return dist if dist.is_available() and dist.is_initialized() else None


def one_of_several() -> bool:
    """Whether --processes or torchrun started this process with others; one variable alone says nothing."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return all(name in os.environ for name in names) and os.environ["WORLD_SIZE"] != "1"


def orphaned() -> bool:
    """Whether the process that started this one is gone."""
    return os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid())


def is_exchange(error: RuntimeError) -> bool:
    """Whether an error comes from an exchange with another process."""
    text = f"{type(error).__name__} {error}".lower()
    return any(
        word in text for word in ("gloo", "nccl", "connection", "distbackend", "distnetwork", "socket")
    )


def init(device: str) -> str:
    """Join the process group if this is one of several processes; return its device (`cuda`: a GPU each)."""
    if not one_of_several() or _group():
        return device
    import torch

    if device.startswith("cuda"):
        here, there = os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]), torch.cuda.device_count()
        if int(here) > there:
            raise InputError(f"{here} processes, but {there} GPU(s): start as many, or add --device cpu")
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # The functions of this module take the group at import time as a default argument. If an optimiser
    # imports it later, through torch._dynamo, they keep the group and its threads alive beyond `shutdown`,
    # and a thread that outlives the interpreter may abort its exit.
    import torch.distributed.nn

    how = {"backend": "gloo"}
    if device.startswith("cuda"):
        how = {"backend": "nccl", "device_id": torch.device(device)}
    torch.distributed.init_process_group(**how, timeout=TIMEOUT)
    return device


def shutdown() -> None:
    """Leave the process group together: to leave during an exchange would break the others."""
    barrier()
    if group := _group():
        group.destroy_process_group()


def abort() -> None:
    """Leave the process group alone, after an error, because its threads may abort the interpreter's exit.

    NCCL is left as it is: it would first wait for the others, which wait for this process.
    """
    if "torch.distributed" in sys.modules and (group := _group()):  # do not import torch for this
        if group.get_backend() != "nccl":
            group.destroy_process_group()


def world_size() -> int:
    """Number of processes that train together; 1 without a group."""
    group = _group()
    return group.get_world_size() if group else 1


def is_main() -> bool:
    """Whether this is the first process, which evaluates, prints and writes."""
    return rank() == 0


def rank() -> int:
    """Number of this process, from 0."""
    group = _group()
    return group.get_rank() if group else 0


def own_rows(rows: int) -> slice:
    """The rows of a batch that this process computes; InputError if they cannot be shared evenly."""
    if rows % world_size():
        raise InputError(f"a batch of {rows} cannot be shared by {world_size()} processes; choose a multiple")
    share = rows // world_size()
    return slice(rank() * share, (rank() + 1) * share)


def all_reduce_mean(tensors: list[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place and in one exchange."""
    if group := _group():
        import torch

        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        group.all_reduce(flat)
        means = flat.div(world_size()).split([tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))


def all_gather_rows(share: Tensor) -> Tensor:
    """The rows of all processes in order; each has the same number of rows."""
    if not (group := _group()):
        return share
    import torch

    parts = [torch.empty_like(share) for _ in range(world_size())]
    group.all_gather(parts, share.contiguous())
    return torch.cat(parts)


def all_gather_uneven(own: Tensor, rows: int) -> Tensor:
    """The rows of all processes in order, where each has at most `rows` and the last ones may have fewer."""
    if world_size() == 1:
        return own
    count = own.new_zeros(1)[0].long() + len(own)
    filled = own.new_zeros(rows, *own.shape[1:])
    filled[: len(own)] = own
    return all_gather_rows(filled)[: int(all_gather_rows(count[None]).sum())]


def broadcast(number: int) -> int:
    """The first process' number, for all."""
    if not (group := _group()):
        return number
    tensor = _as_tensor(number)
    group.broadcast(tensor, 0)
    return int(tensor)


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all get the same answer and so stop after the same update."""
    if not (group := _group()):
        return flag
    tensor = _as_tensor(flag)
    group.all_reduce(tensor, group.ReduceOp.MAX)
    return bool(tensor)


def _as_tensor(value: int) -> Tensor:
    """The number as a tensor where the group exchanges tensors."""
    import torch

    return torch.tensor(int(value), device="cuda" if _group().get_backend() == "nccl" else "cpu")


def barrier() -> None:
    """Barrier: wait until all processes are here."""
    if group := _group():
        group.barrier()
