"""The widgets: panels, the mask editor, the gallery, the grid's view, the studio. No torch.

A widget is a value: the next cell reads `panel.request` or `editor.mask`, or assigns to it.
"""
