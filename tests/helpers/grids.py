"""A model of no weights for tests of grids: pictures at once, each told by its request alone."""

from __future__ import annotations

import hashlib
import time

import numpy as np
from PIL import Image

from helpers.fakes import Model
from sdnb.images.result import Progress, Result
from sdnb.request import Request, Settings

BASE = Request("a castle:1 thick fog:2", seed=7, width=64, height=64)
FINGERPRINT = "f" * 64


def model(fingerprint=FINGERPRINT, channels=4, **settings):
    """A model for a grid: no words are looked at."""
    settings = Settings(width=64, height=64, **settings)
    return Model("painter", settings, tokenizer=None, fingerprint=fingerprint, channels=channels)


def picture(request):
    """Noise of this request: nearer to its last picture the more steps it has."""
    said = request.but(steps=1).to_json().encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(said).digest()[:8], "big"))
    pixels = rng.integers(0, 256, (request.height, request.width, 3)).astype(float)
    noise = rng.normal(size=pixels.shape) * 100 / request.steps
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def make(request, seconds=0.0, fingerprint=FINGERPRINT):
    """A run: three steps, and the picture."""
    request = request.resolved(Settings(width=64, height=64))
    for step in range(3):
        yield Progress(step, 3, 0.0)
        time.sleep(seconds / 3)
    result = Result((picture(request),), request, "painter", fingerprint, 1.5, 0.25)
    yield Progress(3, 3, 1.5, result=result)
