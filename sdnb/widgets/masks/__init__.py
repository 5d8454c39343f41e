"""The mask editor. `strokes` and `history` make the mask; `editor_state`, `viewport`, `veil` and
`preview` decide what is shown; `surface`, `gestures`, `toolbar`, `extend_fold`, `notice` and
`editor` are the widget.
"""
