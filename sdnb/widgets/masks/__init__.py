"""The mask editor. `strokes` and `history` make the mask; `editor_state`, `viewport`, `veil` and
`preview` decide what is shown; `surface`, `gestures`, `toolbar`, `notice` and `editor` are the
widget.
"""
