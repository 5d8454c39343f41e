"""Tiny autoencoders (TAESD), told by the names and shapes of their tensors.

There are three layouts: two files of numbered layers, one for each half, as the original has them
(https://github.com/madebyollin/taesd); one of `encoder.layers.N` and `decoder.layers.N`, as
diffusers has them; and ComfyUI's one file of `taesd_encoder.N` and `taesd_decoder.N`. Names and
shapes tell by the latents' channels what is for Stable Diffusion 3 and Flux. They do not tell TAESD
from SDXL's TAESDXL, which is built alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Shapes = Mapping[str, tuple[int, ...]]

HALVES = ("encoder", "decoder")
COMFY = "taesd_"  # what ComfyUI puts before the halves' names
#: ComfyUI's numbers beside the layers: the latents' scale and shift of the model that it is for.
NUMBERS = ("vae_scale", "vae_shift")
_BLOCK = re.compile(r"(?:(?:taesd_)?(?:encoder|decoder)\.(?:layers\.)?)?\d{1,3}\.conv\.[024]\.")
_FIRST = {"encoder": ("0.weight", 3), "decoder": ("1.weight", None)}  # the layer, its channels


def is_tiny(names: Iterable[str]) -> bool:
    """Whether tensors of these names are a tiny autoencoder's, or one half of it."""
    return any(_BLOCK.match(name) for name in names)


def lone_half(shapes: Shapes) -> str:
    """Which half the file of a pair is: "encoder" or "decoder"; "" where both are named."""
    if any(not name[:1].isdigit() for name in shapes):
        return ""
    for half, (name, channels) in _FIRST.items():
        shape = shapes.get(name, ())
        if len(shape) == 4 and channels in (None, shape[1]):
            return half
    return "decoder" if "0.weight" not in shapes else "encoder"


def latent_channels(shapes: Shapes) -> int:
    """Channels of the latents, by the decoder's first layer or the encoder's last; 4 where neither
    tells.
    """
    into, out = _ends(shapes)
    return into[1] if len(into) == 4 else out[0] if len(out) == 4 else 4


def width(shapes: Shapes) -> int:
    """Channels of every layer, by the decoder's first or the encoder's last; TAESD's 64 where
    neither tells.
    """
    into, out = _ends(shapes)
    return into[0] if len(into) == 4 else out[1] if len(out) == 4 else 64


def _ends(shapes: Shapes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the decoder's first convolution and of the encoder's last; () for one that is not
    there.
    """
    half = lone_half(shapes)
    bare = {re.sub(r"^taesd_|layers\.", "", n): s for n, s in shapes.items() if n not in NUMBERS}
    named = {f"{half}.{name}" if half else name: shape for name, shape in bare.items()}
    diffusers = any(name.startswith("decoder.layers.") for name in shapes)
    into = named.get("decoder.0.weight" if diffusers else "decoder.1.weight", ())
    return into, named.get("encoder.14.weight", ())
