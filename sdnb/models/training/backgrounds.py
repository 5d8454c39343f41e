"""Paints backgrounds from the picture's coordinates and a few random numbers.

Every painter takes an `Easel` and returns `[n, 3, s, s]` in about 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Easel:
    """Coordinates, colours and random numbers for n backgrounds of s pixels a side."""

    x: Tensor  # [1, 1, s, s], -1 left to 1 right
    y: Tensor  # [1, 1, s, s], -1 top to 1 bottom
    first: Tensor  # [n, 3, 1, 1], a colour
    second: Tensor  # [n, 3, 1, 1], another
    chance: Tensor  # [n, 8, 1, 1, 1], random numbers in 0..1

    @property
    def size(self) -> int:
        return self.x.shape[-1]

    @property
    def horizon(self) -> Tensor:
        """The y at which the ground begins, `[n, 1, 1, 1]`."""
        return 0.1 + 0.35 * self.chance[:, 0]

    @property
    def wave(self) -> Tensor:
        """A gentle line from left to right, `[n, 1, 1, s]` broadcast: hills, dunes, a shore."""
        c = self.chance
        long = 0.05 * torch.sin(self.x * (2 + 3 * c[:, 1]) + 6 * c[:, 2])
        return long + 0.02 * torch.sin(self.x * 7 + 9 * c[:, 3])

    def color(self, red: int, green: int, blue: int) -> Tensor:
        """An 8-bit colour as `[1, 3, 1, 1]`."""
        return torch.tensor([red, green, blue], device=self.x.device).view(1, 3, 1, 1) / 255

    def edge(self, distance: Tensor) -> Tensor:
        """0 outside, 1 inside, smooth over two pixels."""
        return (distance * self.size / 2).clamp(0, 1)

    def stars(self, density: float) -> Tensor:
        """Scattered soft dots of random brightness, `[n, 1, s, s]`."""
        cells = torch.rand(len(self.first), 1, 64, 64, device=self.x.device)
        dots = (cells > 1 - density).float() * torch.rand_like(cells)
        size = (self.size, self.size)
        return F.interpolate(dots, size=size, mode="bicubic", align_corners=False).clamp(0, 1)


def _mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    return a + (b - a) * share.clamp(0, 1)


def _sky(e: Easel, high: tuple[int, int, int], low: tuple[int, int, int], end: float) -> Tensor:
    return _mix(e.color(*high), e.color(*low), (e.y + 1) / end)


def _solid(e: Easel) -> Tensor:
    return e.first.expand(-1, -1, e.size, e.size)


def _gradient(e: Easel) -> Tensor:
    along = torch.where(e.chance[:, 0] < 0.6, e.y, e.x)
    return _mix(e.first, e.second, (along + 1) / 2)


def _grass(e: Easel) -> Tensor:
    sky = _sky(e, (110, 185, 250), (205, 232, 252), 1.4)
    ground = _mix(e.color(130, 200, 80), e.color(60, 150, 50), e.y)
    return _mix(sky, ground, e.edge(e.y - e.horizon - e.wave))


def _beach(e: Easel) -> Tensor:
    sky = _sky(e, (120, 200, 250), (215, 240, 252), 1.2)
    sea = _mix(sky, e.color(30, 140, 200), e.edge(e.y - e.horizon + 0.2))
    sand = _mix(e.color(250, 225, 165), e.color(225, 190, 125), e.y)
    return _mix(sea, sand, e.edge(e.y - e.horizon - 0.12 - e.wave))


def _snow(e: Easel) -> Tensor:
    sky = _sky(e, (165, 200, 235), (225, 236, 248), 1.3)
    ground = _mix(e.color(250, 252, 255), e.color(222, 232, 244), e.y)
    out = _mix(sky, ground, e.edge(e.y - e.horizon - e.wave))
    return _mix(out, e.color(255, 255, 255), e.stars(0.02) * 1.6)


def _night(e: Easel) -> Tensor:
    sky = _sky(e, (10, 14, 50), (40, 50, 110), 2)
    return _mix(sky, e.color(255, 250, 220), e.stars(0.02) * 1.5)


def _space(e: Easel) -> Tensor:
    c = e.chance
    far = (e.x - c[:, 1] * 2 + 1) ** 2 + (e.y - c[:, 2] * 2 + 1) ** 2
    cloud = _mix(e.color(90, 30, 130), e.color(30, 60, 150), c[:, 3])
    out = _mix(e.color(6, 6, 16), cloud, 0.55 * torch.exp(-far * 2))
    return _mix(out, e.color(255, 255, 255), e.stars(0.03) * 1.5)


def _underwater(e: Easel) -> Tensor:
    out = _sky(e, (70, 190, 230), (10, 60, 140), 2)
    out = _mix(out, e.color(190, 235, 250), 0.8 * e.stars(0.008))
    rays = torch.relu(torch.sin(e.x * 6 + e.y * 2 + 6 * e.chance[:, 1])) * (1 - e.y) / 2
    return _mix(out, e.color(150, 225, 245), 0.16 * rays)


def _desert(e: Easel) -> Tensor:
    sky = _sky(e, (150, 210, 245), (250, 235, 200), 1.3)
    sand = _mix(e.color(240, 200, 120), e.color(205, 150, 80), e.y)
    return _mix(sky, sand, e.edge(e.y - e.horizon - 2.2 * e.wave))


def _sunset(e: Easel) -> Tensor:
    sky = _mix(_sky(e, (90, 50, 140), (245, 110, 90), 1), e.color(255, 200, 100), e.y + 0.2)
    away = ((e.x - e.chance[:, 1] + 0.5) ** 2 + (e.y - e.horizon) ** 2).sqrt()
    sun = _mix(sky, e.color(255, 240, 180), e.edge(0.22 - away))
    return _mix(sun, e.color(60, 40, 90), e.edge(e.y - e.horizon - 0.12))


def _city(e: Easel) -> Tensor:
    roofs = torch.rand(len(e.first), 2, 1, 14, device=e.x.device)
    roofs = F.interpolate(roofs, size=(1, e.size), mode="nearest")
    out = _sky(e, (140, 195, 240), (225, 235, 245), 1.2)
    above = e.y - e.horizon
    out = _mix(out, e.color(150, 170, 195), e.edge(above + 0.25 + 0.7 * roofs[:, :1]))
    out = _mix(out, e.color(95, 115, 150), e.edge(above + 0.45 * roofs[:, 1:]))
    return _mix(out, e.color(110, 112, 118), e.edge(above - 0.2))


def _table(e: Easel) -> Tensor:
    wall = _sky(e, (245, 235, 220), (226, 212, 194), 1.3)
    grain = e.y + 0.06 * torch.sin(e.y * 60 + 5 * e.chance[:, 1])
    wood = _mix(e.color(176, 118, 66), e.color(140, 88, 48), grain)
    return _mix(wall, wood, e.edge(e.y - e.horizon - 0.12))


def _mountains(e: Easel) -> Tensor:
    def ridge(wide: float, chance: Tensor) -> Tensor:
        return 1 - ((e.x * wide + 2 * chance) % 1.0 - 0.5).abs() * 2

    far, near = ridge(1.6, e.chance[:, 1]), ridge(1.1, e.chance[:, 2])
    above = e.y - e.horizon
    rock = e.edge(above + 0.15 + 0.55 * far)
    out = _mix(_sky(e, (130, 190, 245), (220, 236, 250), 1.2), e.color(150, 165, 195), rock)
    out = _mix(out, e.color(245, 248, 252), rock * e.edge(-above - 0.47 + 0.06 * far))  # snow
    out = _mix(out, e.color(95, 115, 130), e.edge(above + 0.35 * near))
    return _mix(out, e.color(90, 150, 80), e.edge(above - 0.12))


def _stripes(e: Easel) -> Tensor:
    upright = e.chance[:, 1] < 0.5
    across = e.x * torch.where(upright, 1.0, 0.7) + e.y * torch.where(upright, 0.0, 0.7)
    return _mix(e.first, e.second, e.edge(torch.sin(across * (9 + 10 * e.chance[:, 0])) * 0.08))


def _dots(e: Easel) -> Tensor:
    often = 2.5 + 2 * e.chance[:, 0]
    away = (((e.x * often) % 1 - 0.5) ** 2 + ((e.y * often) % 1 - 0.5) ** 2).sqrt() / often
    return _mix(e.first, e.second, e.edge(0.3 / often - away))


def _checker(e: Easel) -> Tensor:
    often = (3 + 5 * e.chance[:, 0]).floor() * torch.pi
    return _mix(e.first, e.second, e.edge(torch.sin(e.x * often) * torch.sin(e.y * often) * 0.1))


#: Name in `phrases.BACKGROUNDS` -> painter.
PAINTERS: dict[str, Callable[[Easel], Tensor]] = {
    "solid": _solid, "gradient": _gradient, "grass": _grass, "beach": _beach, "snow": _snow,
    "night": _night, "space": _space, "underwater": _underwater, "desert": _desert,
    "sunset": _sunset, "city": _city, "table": _table, "mountains": _mountains,
    "stripes": _stripes, "dots": _dots, "checker": _checker,
}  # fmt: skip
