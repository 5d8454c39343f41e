"""A small classifier of the real sprites, which judges whether a picture shows its concept.

It learns every style of the asked concepts, also those that are held out from the UNet. The sprites
are moved, scaled, turned, blurred and recoloured, so that it learns the thing and not the file.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .catalog import Catalog
from .painter import Painter
from .scenes import Scene, plain, stack

SIDE = 48  # pixels a side of its input
_BATCH = 64


class Classifier(nn.Module):
    """Pictures `[n, 3, 48, 48]` in -1..1 to scores `[n, classes]`: four convolutions and a mean."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 192)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)]
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        # The 3x3 map keeps where things are: an eye above a mouth is another face than one below.
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(192 * 9, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x))


def shrink(pictures: Tensor) -> Tensor:
    """`[n, 3, s, s]` to the classifier's size, averaged."""
    return F.interpolate(pictures, size=(SIDE, SIDE), mode="area")


def examples(
    catalog: Catalog,
    rows: Sequence[int],
    copies: int,
    seed: int,
    *,
    least: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """`copies` views of every sprite of these concepts, and `least` or more of every concept, of
    which some have few sprites: uint8 `[n, 3, 48, 48]` and classes `[n]`, on the device.
    """
    random = np.random.default_rng(seed)
    pairs = judged_pairs(catalog, rows)
    painter = Painter(catalog.sprites([catalog.number[p] for p in pairs]), 2 * SIDE, device)
    drawings = Counter(row for row, _ in pairs)
    repeats = [max(copies, -(-least // drawings[row])) for row, _ in pairs]
    views = [_view(n, random) for n, count in enumerate(repeats) for _ in range(count)]
    batches = [views[i : i + _BATCH] for i in range(0, len(views), _BATCH)]
    pictures = torch.cat([shrink(painter(stack(batch))) for batch in batches])
    pixels = ((pictures + 1) * 127.5).round().to(torch.uint8)
    classes = torch.tensor([rows.index(row) for row, _ in pairs])
    return pixels, classes.repeat_interleave(torch.tensor(repeats)).to(device)


def judged_pairs(catalog: Catalog, rows: Sequence[int]) -> list[tuple[int, str]]:
    """The drawings by which these concepts are judged, as (row, style): in the styles that are
    asked for, and of what is not asked for among the others, in all.
    """
    concepts = [(row, catalog.concepts[row]) for row in rows]
    return [(row, style) for row, c in concepts for style in c.judged]


def floats(pixels: Tensor) -> Tensor:
    """uint8 pixels as -1..1."""
    return pixels.float() / 127.5 - 1


def _view(sprite: int, random: np.random.Generator) -> Scene:
    scene = plain(sprite, scale=random.uniform(0.55, 0.92))
    scene.place[0] = random.normal(0, 0.05, 2)
    scene.turn[0] = random.normal(0, 0.1)
    scene.flip[0] = random.random() < 0.3
    return scene


def train(pixels: Tensor, classes: Tensor, count: int, epochs: int = 12) -> Classifier:
    """The classifier of these examples, on their device; AdamW, one cycle of the learning rate."""
    torch.manual_seed(0)
    model, rate = Classifier(count).to(pixels.device).train(), 2e-3
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * -(-len(pixels) // _BATCH)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(epochs):
        for at in torch.randperm(len(pixels)).split(_BATCH):
            scores = model(_worn(floats(pixels[at])))
            loss = F.cross_entropy(scores, classes[at], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
    return model.eval()


def _worn(x: Tensor) -> Tensor:
    """Blur, recolour and add grain, since pictures of a small model have these faults."""
    if torch.rand(()) < 0.3:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain = 1 + 0.12 * torch.randn(len(x), 3, 1, 1, device=x.device)
    return ((x - 1) * gain + 1 + 0.04 * torch.randn_like(x)).clamp(-1, 1)  # white stays white


@torch.inference_mode()
def ranks(model: Classifier, pictures: Tensor, classes: Tensor) -> Tensor:
    """How many classes score above the right one `[n]`: 0 is top-1, below 5 is top-5."""
    scores = torch.cat([model(batch) for batch in pictures.split(_BATCH)])
    return (scores > scores.gather(1, classes[:, None])).sum(1)
