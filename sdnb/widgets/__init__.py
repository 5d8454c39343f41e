"""The part that people touch: panels, the mask editor, the gallery, the studio. No torch.

A widget is a value: `panel.request` and `editor.mask` are read in the next cell, and assigned to.
"""
