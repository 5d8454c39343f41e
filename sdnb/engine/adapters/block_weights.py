"""Block weights: how much of a LoRA works in which block of the UNet, in CompVis' numbering."""

from __future__ import annotations

from collections.abc import Sequence

from sdnb.request.lora import ATTENDING, BLOCKS

_PLACES = {"input_blocks": "IN", "output_blocks": "OUT"}


def block(name: str) -> str:
    """The block of a weight of the UNet: "IN04", "M00", "OUT11"; "" for the times' layers, which
    are in none. The last norm and convolution count as the last block's.
    """
    place, number = name.split(".")[:2]
    if place in _PLACES:
        return f"{_PLACES[place]}{int(number):02}"
    return {"middle_block": "M00", "out": BLOCKS[-1]}.get(place, "")


def strength(name: str, weights: Sequence[float] | None) -> float:
    """The share of a LoRA in a weight of the UNet. Where 17 numbers are given, blocks without
    attention get none of it, as in sd-webui-lora-block-weight.
    """
    at = block(name)
    if weights is None or not at:
        return 1.0
    known = BLOCKS if len(weights) == len(BLOCKS) else ATTENDING
    return weights[known.index(at)] if at in known else 0.0
