"""Grids: one request with one to three things varied, as pictures and as data. No torch.

`sdnb.sweep` and `Grid` in `grid.py` are what other code uses of it.
"""
