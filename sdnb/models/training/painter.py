"""Paints plans (`scenes.stack`) as pictures, a batch at a time, on any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .backgrounds import PAINTERS, Easel
from .phrases import BACKGROUNDS
from .scenes import EFFECTS, MOST

Plans = dict[str, Tensor]
_PARTS = ("sprite", "place", "scale", "turn", "flip", "tint")  # a plan has one for every sprite


class Painter:
    """Paints with these sprites (uint8 `[n, 4, 224, 224]`), `size` pixels a side."""

    def __init__(
        self, sprites: Tensor, size: int = 256, device: torch.device | str = "cpu"
    ) -> None:
        self.sprites, self.size = sprites.to(device), size
        self.device = self.sprites.device
        axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.x, self.y = x[None, None], y[None, None]

    @torch.no_grad()
    def __call__(self, plans: Plans) -> Tensor:
        """Plans on the CPU as pictures `[n, 3, size, size]` in -1..1 on the painter's device."""
        return self.with_things(plans)[0]

    @torch.no_grad()
    def with_things(self, plans: Plans) -> tuple[Tensor, Tensor]:
        """The pictures, and what each pixel belongs to, uint8 `[n, size, size]`: 0 the background,
        else the number of a sprite in its plan, from 1 on.
        """
        effect = plans["effect"]
        on_paper = effect == EFFECTS.index("line")  # a line drawing is on white paper
        plans = {**plans, "background": plans["background"].where(~on_paper, 0)}
        plans["colors"] = plans["colors"].where(~on_paper[:, None, None], 1.0)
        behind = self._background(plans)
        out, cover = behind.clone(), torch.zeros_like(behind[:, :1])
        things = torch.zeros_like(cover[:, 0], dtype=torch.uint8)
        for slot in range(MOST):
            drawn = plans["sprite"][:, slot] >= 0
            if bool(drawn.any()):
                at = drawn.nonzero()[:, 0].to(self.device)
                sticker = plans["sticker"][drawn] if slot == 0 else None
                layer = self._layer({name: plans[name][drawn, slot] for name in _PARTS})
                out[at] = self._over(out[at], layer, sticker)
                cover[at] = torch.maximum(cover[at], layer[:, 3:])
                things[at] = torch.where(layer[:, 3] > 0.5, slot + 1, things[at])
        return self._effects(out, behind, cover, effect).clamp(0, 1) * 2 - 1, things

    def _background(self, plans: Plans) -> Tensor:
        """`[n, 3, s, s]` in 0..1; all pictures of one kind are painted at once."""
        kinds = plans["background"]
        colors = plans["colors"].to(self.device)[..., None, None]  # [n, 2, 3, 1, 1]
        chance = plans["chance"].to(self.device)[..., None, None, None]  # [n, 8, 1, 1, 1]
        out = torch.empty(len(kinds), 3, self.size, self.size, device=self.device)
        for kind in kinds.unique().tolist():
            at = (kinds == kind).nonzero()[:, 0].to(self.device)
            easel = Easel(self.x, self.y, colors[at, 0], colors[at, 1], chance[at])
            out[at] = PAINTERS[BACKGROUNDS[kind]](easel)
        return out.clamp(0, 1)

    def _layer(self, parts: Plans) -> Tensor:
        """One sprite for each picture, tinted and in its place: premultiplied RGBA `[m, 4, s, s]`.

        Interpolating straight alpha would leave dark fringes.
        """
        parts = {name: part.to(self.device, non_blocking=True) for name, part in parts.items()}
        q = self.sprites[parts["sprite"]].float() / 255
        q = _tinted(torch.cat([q[:, :3] * q[:, 3:], q[:, 3:]], 1), parts["tint"])
        small = (parts["scale"] < 0.55)[:, None, None, None]  # blur before shrinking
        soft = F.interpolate(F.avg_pool2d(q, 2), scale_factor=2.0, mode="bilinear")
        q = torch.where(small, soft, q)
        grid = F.affine_grid(_placed(parts), [len(q), 4, self.size, self.size], align_corners=False)
        return F.grid_sample(q, grid, mode="bilinear", align_corners=False)

    def _over(self, picture: Tensor, layer: Tensor, sticker: Tensor | None) -> Tensor:
        """Lay the sprite over the picture; under a sticker goes a white rim and a soft shadow."""
        if sticker is not None and bool((sticker > 0).any()):
            at = (sticker > 0).nonzero()[:, 0].to(self.device)
            rim = F.max_pool2d(layer[at, 3:], 13, 1, 6)
            rim = F.avg_pool2d(F.pad(rim, (2, 2, 2, 2), mode="replicate"), 5, 1)
            shadow = F.avg_pool2d(F.pad(rim, (8, 8, 4, 12), mode="replicate"), 17, 1)
            picture[at] = picture[at] * (1 - 0.35 * shadow) * (1 - rim) + rim
        return picture * (1 - layer[:, 3:]) + layer[:, :3]

    def _effects(self, out: Tensor, behind: Tensor, cover: Tensor, effect: Tensor) -> Tensor:
        for number in effect.unique().tolist():
            name = EFFECTS[number]
            if name == "none":
                continue
            at = (effect == number).nonzero()[:, 0].to(self.device)
            if name == "silhouette":
                out[at] = _silhouette(behind[at], cover[at])
            else:
                out[at] = _EFFECTS[name](out[at])
        return out


def _placed(parts: Plans) -> Tensor:
    """`[m, 2, 3]` for `affine_grid`: from the picture's coordinates to the sprite's."""
    cos, sin, mirror = parts["turn"].cos(), parts["turn"].sin(), 1 - 2 * parts["flip"]
    x, y = parts["place"].unbind(1)
    rows = [
        torch.stack([cos, sin, -(cos * x + sin * y)], 1) * mirror[:, None],
        torch.stack([-sin, cos, sin * x - cos * y], 1),
    ]
    return torch.stack(rows, 1) / parts["scale"][:, None, None]


def _tinted(q: Tensor, tint: Tensor) -> Tensor:
    """Paint premultiplied RGBA in a colour and keep its shading; dark stays dark."""
    color, share = tint[:, :3, None, None], tint[:, 3:, None, None]
    rgb, alpha = q[:, :3], q[:, 3:]
    luma = _luma(rgb) / alpha.clamp_min(1e-3)
    dark, light = color * (0.25 + 1.25 * luma), color + (1 - color) * ((luma - 0.6) / 0.4 * 0.55)
    painted = torch.where(luma < 0.6, dark, light).clamp(0, 1) * alpha
    return torch.cat([rgb * (1 - share) + painted * share, alpha], 1)


def _luma(rgb: Tensor) -> Tensor:
    weights = torch.tensor((0.3, 0.59, 0.11), device=rgb.device)[None, :, None, None]
    return (rgb * weights).sum(1, keepdim=True)


def _silhouette(behind: Tensor, cover: Tensor) -> Tensor:
    shade = torch.where(behind.mean((1, 2, 3), keepdim=True) > 0.3, 0.05, 0.95)
    return behind * (1 - cover) + cover * shade


def _pixel(x: Tensor) -> Tensor:
    return F.interpolate(F.avg_pool2d(x, 8), scale_factor=8.0, mode="nearest")


def _gray(x: Tensor) -> Tensor:
    return _luma(x).expand_as(x)


def _line(x: Tensor) -> Tensor:
    """Dark where the picture changes, thickened to three pixels."""
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    across = (soft[..., 1:] - soft[..., :-1]).abs().amax(1, keepdim=True)
    down = (soft[..., 1:, :] - soft[..., :-1, :]).abs().amax(1, keepdim=True)
    lines = F.max_pool2d(F.pad(across, (0, 1, 0, 0)) + F.pad(down, (0, 0, 0, 1)), 3, 1, 1)
    return (1 - (lines * 5).clamp(0, 1) * 0.95).expand(-1, 3, -1, -1)


def _blur(x: Tensor) -> Tensor:
    for _ in range(3):
        x = F.avg_pool2d(F.pad(x, (5, 5, 5, 5), mode="replicate"), 11, 1)
    return x


def _lowq(x: Tensor) -> Tensor:
    x = F.interpolate(F.avg_pool2d(x, 4), scale_factor=4.0, mode="bilinear")
    return x + 0.06 * torch.randn_like(x)


_EFFECTS = {"pixel": _pixel, "gray": _gray, "line": _line, "blur": _blur, "lowq": _lowq}
