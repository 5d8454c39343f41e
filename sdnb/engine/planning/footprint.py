"""What the networks' work takes on a device besides weights: they are rehearsed on tensors without
data (`memory.rehearse`), so that the figures follow the code.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from sdnb.engine import memory
from sdnb.engine.networks import row_bands, winograd
from sdnb.engine.networks.config import UNetConfig, VAEConfig
from sdnb.engine.networks.controlnet import ControlNet, ControlNetConfig
from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.engine.planning.measured import BESIDE_MOST, GRAPH_MIN_STEPS, MIN_CHUNK
from sdnb.request import Resolved
from sdnb.request.prompt.guidance import guidance

_LETTERS = 300  # of 75 tokens of English


@dataclass(frozen=True)
class Workload:
    """The fields of a request that determine its peak memory."""

    width: int
    height: int
    count: int
    texts: int  # 2 with guidance, more where AND joins prompts
    pictured: bool  # whether a picture is encoded
    recorded: bool = True  # whether there are enough steps to record one as a graph
    chunks: int = 1  # of 77 positions in each text, as far as letters tell
    sets: int = 1  # of texts, which take turns in a schedule
    nets: int = 0  # control networks that may work at once
    adapters: bool = False  # whether T2I-Adapters do
    # Recorded steps: of each combination of networks that work, texts read, and depth.
    graphs: int = 1
    keeps: bool = False  # whether deep features are kept from step to step

    @classmethod
    def of(cls, request: Resolved) -> Workload:
        """The workload of a request."""
        texts = guidance(request).texts
        words = [{words for _, words in text.stages} for text in texts]
        longest = [1 + max(map(len, some)) // _LETTERS for some in words]
        chunks = min(math.lcm(*longest), 4 * max(longest))
        sets = math.prod(map(len, words))
        pictured, recorded = request.image is not None, request.steps >= GRAPH_MIN_STEPS
        return cls(
            request.width, request.height, request.count, len(texts), pictured, recorded,
            chunks, min(sets, max(len(text.stages) for text in texts)),
        )  # fmt: skip

    @property
    def chunk(self) -> int:
        """Tokens or pixels of the latent that a chunked layer has in work at once."""
        return max(MIN_CHUNK, math.ceil(self.width * self.height / 64 / 8))

    def scaled(self, longest: int) -> Workload:
        """The same with so many pixels on the longest side, in multiples of 64."""
        share = longest / max(self.width, self.height)
        w, h = (max(64, math.floor(s * share / 64) * 64) for s in (self.width, self.height))
        return replace(self, width=w, height=h)


def _stand_in(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # noqa: ARG001 - a kernel's own signature
    """An attention kernel that makes its output, and beside it a wide head's sums in float32."""
    sums = torch.empty_like(q, dtype=torch.float32) if q.shape[-1] > 256 else None
    out = torch.empty_like(q)
    del sums
    return out


@lru_cache(maxsize=8)
def without_data(
    network: type[nn.Module], config: UNetConfig | VAEConfig | ControlNetConfig, dtype: torch.dtype
) -> nn.Module:
    """A UNet, a VAE or a control network whose weights have no data."""
    with torch.device("meta"):
        model = network(config).to(dtype).to(memory_format=torch.channels_last)
    for module in model.modules():
        if hasattr(module, "kernel"):
            module.kernel = _stand_in
    return model.requires_grad_(False).eval()


@lru_cache(maxsize=256)
def unet_peak(
    config: UNetConfig,
    dtype: torch.dtype,
    work: Workload,
    together: bool,
    chunk: int,
    *,
    batch: int,
    recorded: bool = False,
    beside: bool = False,
    on_cpu: bool = False,
) -> int:
    """Bytes that a step takes besides weights; `recorded`, the pages of its graph's own pool.
    `beside`: control networks work beside the UNet's way down. `on_cpu`: with what the CPU's
    convolutions take.
    """
    model = without_data(UNet, config, dtype)
    model.set_chunk(int(chunk))
    pictures = min(batch, work.count)
    texts = work.texts if together else 1
    h, w = work.height // 8, work.width // 8
    nets = [_control(config, dtype, chunk) for _ in range(work.nets)]  # their weights do not count

    def step() -> object:
        positions, waiting = 77 * work.chunks, work.texts * work.sets - texts
        context = _meta(texts * pictures, positions, config.context_dim, dtype=dtype)
        words = model.prepare(context)
        others = _meta(waiting * pictures, positions, config.context_dim, dtype=dtype)
        more = model.prepare(others) if len(others) else None
        # What other passes kept; with little memory each text has one.
        width, rows = config.channels[0], work.texts * pictures if work.keeps else 0
        kept = _meta(rows, width, h, w, dtype=dtype)
        x = _meta(pictures, config.in_channels, h, w, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        row = _meta(sum(model.widths), dtype=dtype)
        read = [(net.prepare(context), _hint(config, h, w, dtype)) for net in nets]

        def residuals() -> list[Tensor]:
            total: list[Tensor] = []
            for net, its in zip(nets, read, strict=True):
                maps = net(x[:, :4], row[: sum(net.widths)], *its)
                pairs = zip(total, maps, strict=True)
                total = [a.add_(b) for a, b in pairs] if total else maps
                del maps, pairs
            return total

        features = _features(config, h, w, dtype) if work.adapters else None
        if not beside:
            return model(x, row, words, residuals(), features, keep=work.keeps), kept, more, read
        with memory.Beside(residuals, x) as maps:
            return model(x, row, words, maps, features, keep=work.keeps), kept, more, read

    def encode() -> object:
        factor = 2 ** (len(ControlNetConfig().hint_widths) - 1)
        return nets[0].encode_hint(_meta(1, 3, factor * h, factor * w, dtype=dtype))

    state = 8 * pictures * 4 * h * w * 4  # the sampler's own, float32
    rehearse = _on_cpu if on_cpu else memory.rehearse
    steps = (memory.rehearse_alone if recorded else rehearse)(step) + state
    return max(steps, rehearse(encode)) if work.nets else steps


def _on_cpu(work: Callable[[], object]) -> int:
    with winograd.rehearsed():
        return memory.rehearse(work, copies_weights=True)


def is_beside(shape: Sequence[int]) -> bool:
    """Whether control networks of a recorded pass over latents `[b, c, h/8, w/8]` work beside the
    UNet's way down: larger ones fill a card by themselves.
    """
    pictures, _, height, width = shape
    return pictures * height * width <= BESIDE_MOST


def control_size(config: UNetConfig, dtype: torch.dtype) -> int:
    """Bytes of the weights of a control network for this UNet."""
    return sum(parameter.nbytes for parameter in _control(config, dtype, 0).parameters())


@lru_cache(maxsize=64)
def control_ring(
    config: UNetConfig, dtype: torch.dtype, storage: str, keep: int
) -> tuple[int, int]:
    """Bytes that streaming a control network takes on the device, `keep` of them staying there: of
    the ring, and beside it.
    """
    net = _control(config, dtype, 0)
    return memory.streaming_bytes(net.execution_order(), net.once_a_run(), keep, storage)


def _control(config: UNetConfig, dtype: torch.dtype, chunk: int) -> nn.Module:
    own = ControlNetConfig(replace(config, in_channels=4))
    net = without_data(ControlNet, own, dtype)
    net.set_chunk(int(chunk))
    return net


def _hint(config: UNetConfig, h: int, w: int, dtype: torch.dtype) -> Tensor:
    return _meta(1, config.channels[0], h, w, dtype=dtype)


def _features(config: UNetConfig, h: int, w: int, dtype: torch.dtype) -> dict[int, Tensor]:
    """An adapter's maps."""
    maps = {}
    for level, width in enumerate(config.channels):
        maps[(level + 1) * (config.blocks + 1) - 1] = _meta(1, width, h, w, dtype=dtype)
        h, w = -(-h // 2), -(-w // 2)
    return maps


@lru_cache(maxsize=256)
def vae_peak(
    config: VAEConfig,
    dtype: torch.dtype,
    work: Workload,
    tile: float,
    store: str,
    *,
    on_cpu: bool = False,
) -> int:
    """Bytes that decoding one picture takes besides weights, or encoding one, if there is one."""
    model = without_data(TinyVAE if config.tiny else VAE, config, dtype)
    factor = 2 ** (len(config.channels) - 1)
    h, w = work.height // factor, work.width // factor
    bands = row_bands.Bands(tile, most=3)

    def make(shape: tuple[int, int, int, int], kind: torch.dtype) -> Tensor:
        return _meta(*shape, dtype=kind) if store == "device" else memory.not_counted(shape, kind)

    storage = row_bands.MapStorage(make, on_host=store == "host")

    def decode() -> object:
        latent = _meta(1, config.latent_channels, h, w, dtype=dtype)
        if not tile:
            return model.decode(latent)
        return deque(model.decode_tiled(latent, bands, storage), maxlen=0)

    def encode() -> object:
        pixels = _meta(1, 3, work.height, work.width, dtype=dtype)
        return model.encode_tiled(pixels, bands, storage) if tile else model.encode(pixels)

    rehearse = _on_cpu if on_cpu else memory.rehearse
    return max(rehearse(run) for run in ([decode, encode] if work.pictured else [decode]))


def _meta(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")
