"""One request with things varied: axes, cells, the folder they are kept in, filling, figures, data.

`sdnb.sweep` and `Grid` (`sdnb.grid.grid`) are the door to all of it. Nothing here imports torch.
"""
