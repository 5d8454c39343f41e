"""What a planner knows of a model: numbers and places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from sdnb.engine.networks.config import TINY_VAE, ModelConfig, VAEConfig
from sdnb.request.memory_plan import GB, MemoryPlan

#: What the names of control networks among a model's parts begin with; their digest follows.
CONTROL = "control "


@dataclass(frozen=True)
class PartFacts:
    """A part of a model that is placed on its own."""

    role: str  # by which a plan says where it is: text, unet, control, vae, tiny_vae
    size: int  # bytes of its weights, in the numbers that the model computes in
    on_device: bool  # whether they are on the device now, between stages
    in_turn: int = 0  # bytes that are there at once, where it is read from its file; 0: all


@dataclass(frozen=True)
class Facts:
    """A model as a planner sees it."""

    config: ModelConfig
    device: torch.device
    dtype: torch.dtype
    asked_plan: MemoryPlan | None  # None: chosen for each request, within `budget`
    budget: float  # GB; 0: what is free
    # text, unet, encoder and decoder (of the VAE), tiny_encoder and tiny_decoder where it has them,
    # and the control networks of the last run
    parts: Mapping[str, PartFacts]
    # Bytes that streaming the UNet takes on the device, for the weights' storage and the GB that
    # stay there: of the ring, and beside it.
    ring_bytes: Callable[[str, float], tuple[int, int]]
    has_run: bool = True  # whether the process holds already what its first run leaves behind
    has_second_stream: bool = False  # whether it holds what `memory.Beside` leaves on the card
    tiny_vae: VAEConfig = TINY_VAE  # of the tiny VAE beside the model's own, where it has one
    # Whether it makes, unasked, what the full one has no memory for: who gave it knows of it.
    tiny_stands_in: bool = True

    def gb(self, part: str) -> float:
        """GB of a part's weights."""
        return self.parts[part].size / GB

    @property
    def has_tiny_vae(self) -> bool:
        """Whether there is a tiny VAE beside the model's own."""
        return "tiny_decoder" in self.parts

    @property
    def limit(self) -> float:
        """GB that whoever loaded the model allows it, or 0; a named plan's limit is for a card."""
        asked = self.asked_plan
        if asked is None or (self.device.type != "cuda" and asked.name != "custom"):
            return self.budget
        return asked.gb
