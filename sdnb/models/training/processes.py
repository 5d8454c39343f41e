"""One training process for each GPU, started by `torchrun`; one process alone needs none of this.

The weights of all processes are the same at every step, their random numbers are not.
"""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist


def rank() -> int:
    """The number of this process; 0 prints and saves."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> torch.device:
    """Take part, and take this process's device."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if world() > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    return torch.device("cuda" if cuda else "cpu")


def say(*words: object) -> None:
    """Print, once."""
    if rank() == 0:
        print(*words, flush=True)


def mean_(flat: torch.Tensor) -> torch.Tensor:
    """The mean over the processes, in place."""
    if world() > 1:
        dist.all_reduce(flat)
        flat /= world()
    return flat


def agreed(value: float) -> float:
    """Process 0's number, in every process.

    Clocks differ by a little, and a rate that differs by a little would part the weights. It goes
    by the CPU, so that the GPU is not waited for.
    """
    if world() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return shared.item()


def wait() -> None:
    """Until all are here."""
    if world() > 1:
        dist.all_reduce(torch.zeros(1))


def leave() -> None:
    """End all processes together, once process 0 has saved.

    At once, without the interpreter's shutdown: with a live process group that can abort, and an
    abort of one ends the others.
    """
    if world() > 1:
        wait()
        sys.stdout.flush()
        os._exit(0)
