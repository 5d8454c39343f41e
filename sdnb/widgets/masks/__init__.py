"""The mask editor: `strokes` and `history` are what a mask is made of, without any widget;
`editor_state`, `viewport`, `veil` and `preview` are what is to be seen; `surface`, `gestures`,
`toolbar`, `notice` and `editor` are the widget.
"""
