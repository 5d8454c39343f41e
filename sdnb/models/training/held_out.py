"""The scenes by which autoencoders are judged: made only of pairs that training leaves out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .catalog import Catalog
from .painter import Painter
from .scenes import Composer, stack

SCENES = 64


def pictures(catalog: Catalog, size: int, count: int = SCENES) -> Iterator[Tensor]:
    """The same scenes each time, painted on the CPU, one by one: `[1, 3, size, size]`, -1..1."""
    composer = Composer(catalog, seed=9, which="held")
    scenes = [composer.draw()[0] for _ in range(count)]
    numbers = sorted({int(n) for scene in scenes for n in scene.sprite if n >= 0})
    place = {number: i for i, number in enumerate(numbers)}
    for scene in scenes:  # read only the sprites that are used
        scene.sprite[:] = [place.get(int(n), -1) for n in scene.sprite]
    painter = Painter(catalog.sprites(numbers), size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the painter draws random stars
        painted = [painter(stack([scene])) for scene in scenes]
    yield from painted
