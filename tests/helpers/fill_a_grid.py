"""Fills a store in a process of its own, so that it can be killed: no torch, pictures at once.

For each folder that is asked for by a line it forks one, which says its number when it is at work,
and is there until it is killed: what they import is imported once.
"""

import os
import signal
import sys

import sdnb
from helpers import grids
from sdnb.jobs.executor import Inline

AXES = {"steps": [1, 2, 4, 8, 16], "cfg": [2, 4, 8], "seed": [1, 2, 3, 4]}


def fill(folder):
    grid = sdnb.sweep(grids.BASE, **AXES)
    steps = grid.steps(grids.model(), store=folder, executor=Inline(grids.make))
    next(steps)
    assert "torch" not in sys.modules
    print(os.getpid(), flush=True)
    for _ in steps:
        pass


if __name__ == "__main__":
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            try:
                fill(line.rstrip("\n"))
                signal.pause()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "ended by itself", flush=True)
