"""What a browser does, for a mask editor without one."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
from PIL import Image

from sdnb.widgets.masks.history import rasterise


def picture(size=(256, 256), seed=0):
    """Smooth like a photograph, with a little noise."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).astype(int)
    noisy = smooth + generator.integers(-6, 7, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


class Hand:
    """The browser's side: events in pixels of the picture, for an editor that shows all of it."""

    def __init__(self, editor):
        self.editor, self.canvas = editor, editor.canvas

    def event(self, name, **content):
        self.canvas[-1]._handle_frontend_event(self.canvas, {"event": name, **content}, [])

    def at(self, name, point):
        x, y = self.editor._state.view.to_canvas(*point)
        self.event(name, x=x, y=y)

    def drag(self, *points, lift=True):
        self.at("mouse_down", points[0])
        for point in points[1:]:
            self.at("mouse_move", point)
        if lift:
            self.at("mouse_up", points[-1])

    def click(self, *points):
        for point in points:
            self.at("mouse_move", point)
            self.drag(point)

    def touch(self, name, *points):
        found = [self.editor._state.view.to_canvas(*point) for point in points]
        self.event(name, touches=[{"x": x, "y": y} for x, y in found])

    def key(self, key, shift=False, ctrl=False, meta=False):
        self.event("key_down", key=key, shift_key=shift, ctrl_key=ctrl, meta_key=meta)


def uploaded(png):
    """As a FileUpload gives it."""
    now = datetime.now(timezone.utc)
    about = {"name": "m.png", "type": "image/png", "size": len(png), "last_modified": now}
    return ({**about, "content": png},)


def same(mask, *strokes):
    return mask.tobytes() == rasterise(strokes, mask.size).tobytes()
