"""Connects the training processes that `torchrun` starts, one for each GPU.

All have the same weights at every step, and different random numbers. One alone needs none of this.
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
    """The number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join() -> torch.device:
    """Join the other processes; returns this one's device, set up to be fast."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if world() > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    return torch.device("cuda" if cuda else "cpu")


def say(*words: object) -> None:
    """Print, in process 0 only."""
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

    Clocks differ, and so would the rates and then the weights. It goes through the CPU, so that
    nothing waits for the GPU.
    """
    if world() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    dist.broadcast(shared, 0)
    return shared.item()


def leave() -> None:
    """End all processes together, once process 0 has saved."""
    if world() > 1:
        dist.all_reduce(torch.zeros(1))  # wait until all are here
        sys.stdout.flush()
        # The interpreter's shutdown can abort with a live process group, which ends the others.
        os._exit(0)
