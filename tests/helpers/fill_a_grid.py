"""Fills a store in a process of its own, so that it can be killed: no torch, pictures at once."""

import sys

import sdnb
from helpers import grids
from sdnb.jobs.executor import Inline

AXES = {"steps": [1, 2, 4, 8, 16], "cfg": [2, 4, 8], "seed": [1, 2, 3, 4]}

if __name__ == "__main__":
    grid = sdnb.sweep(grids.BASE, **AXES)
    steps = grid.steps(grids.model(), store=sys.argv[1], executor=Inline(grids.make))
    next(steps)
    assert "torch" not in sys.modules
    print("at work", flush=True)
    for _ in steps:
        pass
