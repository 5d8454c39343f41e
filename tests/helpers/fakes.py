"""A model and runs that need no weights: what widgets and executors are tested with."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
from PIL import Image

from sdnb.images.result import Progress, Result
from sdnb.request import Settings
from sdnb.request.memory_plan import Forecast, MemoryPlan
from sdnb.request.pace import Pace


@cache
def tokenizer():
    """The tokenizer of Stable Diffusion, imported where it is asked for."""
    from sdnb.engine.networks.tokenizer import Tokenizer

    return Tokenizer()


@dataclass(eq=False)
class Model:
    """What a panel or a grid needs of a model."""

    name: str = "fake"
    settings: Settings = field(default_factory=lambda: Settings(64, 64, 5, 4.0))
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    tokenizer: object = field(default_factory=tokenizer)
    unloaded: bool = False
    examples: tuple[str, ...] = ("a red apple", "two owls")
    load_arguments: dict = field(default_factory=lambda: {"path": None})
    fingerprint: str = "f" * 64
    channels: int = 4  # 9: made for inpainting
    unet: object = None
    library: object = None
    own_loras: tuple = ()
    embeddings: dict = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)

    @property
    def config(self):
        return SimpleNamespace(unet=SimpleNamespace(in_channels=self.channels, context_dim=768))

    def use_library(self, library):
        self.library = library

    def preview(self, latent):
        return Image.fromarray(latent)

    def full_preview(self, _latent):
        return None

    def plan(self, request):
        """It fits as far as 1024 pixels."""
        r = request.resolved(self.settings)
        words = "" if r.width <= 1024 else f"{r.width} pixels <do> not fit: take 1024"
        plan = MemoryPlan(name="fake", device="cpu")
        return Forecast(plan, r.width / 1000, "unet", 1.024, 1.0, refusal=words)

    def unload(self):
        self.unloaded = True


def picture(request, index=0):
    """Colours that all of the request decides, so that another request is another picture."""
    digest = hashlib.sha256(repr((request, request.seed + index)).encode()).digest()
    small = np.frombuffer(digest[:12], dtype=np.uint8).reshape(2, 2, 3)
    size = (request.width, request.height)
    return Image.fromarray(small).resize(size, Image.Resampling.NEAREST)


def make(request, gate: threading.Semaphore | None = None, fail_at: int | None = None):
    """A run: as many steps as asked, each waiting for the gate; `fail_at` raises there."""
    yield Progress(0, request.steps, 0.0)
    for step in range(1, request.steps + 1):
        if gate is not None:
            gate.acquire(timeout=60)
        if step == fail_at:
            raise RuntimeError("no <more> memory")
        latent = np.full((8, 8, 3), step, dtype=np.uint8)
        yield Progress(step, request.steps, step / 10, latent)
    images = tuple(picture(request, i) for i in range(request.count))
    result = Result(images, request, "fake", "0123456789abcdef", 0.5, 0.25, ("a <note>",))
    yield Progress(request.steps, request.steps, 0.5, result=result)


def gated(**how):
    """A run that waits for `release` of the semaphore that comes with it."""
    gate = threading.Semaphore(0)
    return gate, partial(make, gate=gate, **how)


def until(condition, seconds=60):
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.002)
