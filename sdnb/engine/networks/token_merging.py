"""Alike tokens share one place in self-attention, which grows with the square of their number.

Token merging for Stable Diffusion, Bolya and Hoffman 2023, https://arxiv.org/abs/2303.17604: of
each 2 x 2 tokens one stays, and of all others a share joins the one that stays and that is most
like it. What differs from the authors' code: which of the four stays is as good as random but
always the same, so that a picture can be made again; the mean of those that join is taken in a
fixed order, so that it has the same bits each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdnb.engine.networks import pieces

if TYPE_CHECKING:
    from typing_extensions import Self

#: Likenesses that are held at once: 16 MB of floats.
_AT_ONCE = 4 * 2**20


@dataclass(frozen=True)
class Merged:
    """Which tokens of a map are one: u that stay alone, and d groups, in each one that stays."""

    alone: Tensor  # [b, u] tokens
    members: Tensor  # [b, d + joined] tokens, group by group
    ends: Tensor  # [b, d + 1] where each group begins among them, and where the last one ends
    places: Tensor  # [b, n] of each token: which of the u + d it is part of

    @classmethod
    def of(cls, x: Tensor, height: int, width: int, share: float) -> Self:
        """Those of a map's tokens x `[b, height * width, c]`, of which a `share` joins others, at
        most three quarters.
        """
        others, staying = _parted(height, width, x.device)
        joining = min(int(x.shape[1] * share), len(others))
        likeness, nearest = _nearest(x, others, staying)
        rank = likeness.argsort(dim=1, descending=True, stable=True)
        joins, rest = rank[:, :joining], rank[:, joining:]
        groups = torch.arange(len(staying), device=x.device).expand(len(x), -1)
        group = torch.cat([groups, nearest.gather(1, joins)], dim=1)
        tokens = torch.cat([staying.expand(len(x), -1), others[joins]], dim=1)
        alone = others[rest]
        numbers = torch.arange(alone.shape[1], device=x.device).expand(len(x), -1)
        places = torch.empty(x.shape[:2], dtype=torch.long, device=x.device)
        places.scatter_(1, alone, numbers)
        places.scatter_(1, tokens, group + alone.shape[1])
        sorted_group, order = group.sort(dim=1, stable=True)
        bounds = torch.arange(len(staying) + 1, device=x.device).expand(len(x), -1)
        ends = torch.searchsorted(sorted_group, bounds.contiguous())
        return cls(alone, tokens.gather(1, order), ends, places)

    def merge(self, x: Tensor) -> Tensor:
        """Tokens `[b, n, c]` to `[b, u + d, c]`: a group has its members' mean."""
        members = _take(x, self.members)
        means = torch.segment_reduce(members, "mean", offsets=self.ends, axis=1, unsafe=True)
        return torch.cat([_take(x, self.alone), means], dim=1)

    def spread(self, y: Tensor) -> Tensor:
        """What came of those, `[b, u + d, c]`, for each of the tokens `[b, n, c]`."""
        return _take(y, self.places)


def _parted(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The tokens that may join others, and those that stay: one of each whole 2 x 2."""
    rows = torch.arange(height // 2, device=device)[:, None]
    columns = torch.arange(width // 2, device=device)
    # Numbers without a pattern, made on the device: a graph that is recorded cannot fetch any.
    mixed = (rows * 73_856_093) ^ (columns * 19_349_663)
    corner = (mixed * 0x2545F491) >> 13 & 3
    staying = ((2 * rows + corner // 2) * width + 2 * columns + corner % 2).flatten()
    stays = torch.zeros(height * width, dtype=torch.uint8, device=device)
    stays.scatter_(0, staying, torch.ones_like(staying, dtype=torch.uint8))
    order = stays.argsort(stable=True)
    return order[: len(order) - len(staying)], order[len(order) - len(staying) :]


def _nearest(x: Tensor, others: Tensor, staying: Tensor) -> tuple[Tensor, Tensor]:
    """How alike each of the others is to the staying one that it is most like, by the cosine
    between them, and which that is, both `[b, len(others)]`.
    """
    shape = len(x), len(others)
    likeness = torch.empty(shape, dtype=x.dtype, device=x.device)
    nearest = torch.empty(shape, dtype=torch.long, device=x.device)
    # Picture by picture, so that its numbers are the same, however many there are.
    for row, one in enumerate(x):
        one = one / one.norm(dim=-1, keepdim=True).clamp_(min=1e-6)
        targets = one[staying].T
        for a, b in pieces.spans(len(others), max(_AT_ONCE // len(staying), 1)):
            torch.max(
                one[others[a:b]] @ targets, dim=1, out=(likeness[row, a:b], nearest[row, a:b])
            )
    return likeness, nearest


def _take(x: Tensor, tokens: Tensor) -> Tensor:
    """Some tokens of x `[b, n, c]`, by their numbers `[b, m]`."""
    return x.gather(1, tokens[..., None].expand(-1, -1, x.shape[-1]))
