"""The predicted peak of a workload under a plan, stage by stage, and the plan decided by it.

A peak is the sum of the weights that stay on the device, those that come for the stage, the work of
the stage (`footprint`), and what libraries and the allocator take (`measured`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import psutil

from sdnb.engine.planning import measured
from sdnb.engine.planning.facts import Facts
from sdnb.engine.planning.footprint import (
    Workload,
    control_ring,
    is_beside,
    unet_peak,
    vae_peak,
)
from sdnb.request.memory_plan import GB, DecidedPlan, Forecast, MemoryPlan

Knobs = Mapping[str, Any]  # fields of a plan

#: Stands in `UNET_KNOBS` for the chunk of the workload.
CHUNKED = -1
#: From the fastest to the leanest way to run each stage.
UNET_KNOBS: tuple[Knobs, ...] = (
    {"together": True, "chunk": 0},
    {"together": True, "chunk": CHUNKED},
    {"together": False, "chunk": 0},
    {"together": False, "chunk": CHUNKED},
)
VAE_KNOBS: tuple[Knobs, ...] = (
    {"tile": 0, "store": "device"},
    {"tile": 512, "store": "device"},
    {"tile": 256, "store": "device"},
    {"tile": 512, "store": "host"},
    {"tile": 256, "store": "host"},
    {"tile": 128, "store": "host"},
)


def resident() -> float:
    """GB of the computer's memory that this process takes now."""
    return float(psutil.Process().memory_info().rss) / GB


def decide(facts: Facts, plan: MemoryPlan, work: Workload, room: float) -> Forecast:
    """Decide what `plan` leaves open: the fastest way that fits into `room` GB."""
    peaks = _Peaks(facts, plan, work)
    fill = measured.FILL_FRACTION * room
    unet_knobs, steps = _first_that_fits(_ways(UNET_KNOBS, plan, work), peaks.unet, fill)
    vae = partial(peaks.vae, peaks.recorded_pool(steps))
    vae_knobs, decoding = _first_that_fits(_ways(VAE_KNOBS, plan, work), vae, fill)
    keep = peaks.keep(fill - steps)
    steps += peaks.ring(keep) - peaks.ring(0.0)
    gb, stage = max((peaks.text(), "text"), (steps, "unet"), (decoding, "vae"))
    decided = plan.decided(**unet_knobs, **vae_knobs, keep=keep)
    slower = _slowdown(facts, decided, work)
    return Forecast(decided, gb, stage, room, slower, peaks.host(decided))


class _Peaks:
    """The peak of each stage, in GB, for one plan and one workload."""

    def __init__(self, facts: Facts, plan: MemoryPlan, work: Workload) -> None:
        self.facts, self.plan, self.work = facts, plan, work
        self.on_cpu = facts.device.type == "cpu"
        # So that more rehearsals are alike.
        self._rehearsed = replace(work, recorded=True, graphs=1)
        self._places = {name: plan.placement(part.role) for name, part in facts.parts.items()}
        if self.on_cpu:
            # Weights and all; by another plan others are in memory than now.
            there = {name for name, part in facts.parts.items() if part.on_device}
            wanted = {name for name, at in self._places.items() if at != "file"}
            self._base = resident() + sum(map(facts.gb, wanted - there))
            self._base -= sum(map(facts.gb, there - wanted))
            first = measured.FIRST_RUN_LEAN if plan.reads_files else measured.FIRST_RUN_CPU
            self._base += 0.0 if facts.has_run else first
            self._base += measured.KERNELS_CPU if plan.reads_files else 0.0
            return
        half = facts.dtype.itemsize == 2
        libraries = measured.LIBRARIES_HALF if half else measured.LIBRARIES_FULL
        staying = sum(facts.gb(name) for name, at in self._places.items() if at == "resident")
        self._base = staying + (measured.POOL_ROUNDING + libraries)
        self._base += measured.BESIDE_STREAM if facts.has_second_stream else 0.0

    def _visiting(self, *parts: str) -> float:
        """GB of the largest of these parts that comes to the device for its stage."""
        return max(self._visitors(parts), default=0.0)

    def _visitors(self, parts: Iterable[str]) -> list[float]:
        if self.on_cpu:
            its = {p: self.facts.parts[p] for p in parts if self._places[p] == "file"}
            return [(part.in_turn or part.size) / GB for part in its.values()]
        return [self.facts.gb(p) for p in parts if self._places[p] == "offload"]

    def _of_role(self, role: str) -> list[str]:
        return [name for name, part in self.facts.parts.items() if part.role == role]

    def text(self) -> float:
        return self._base + self._visiting(*self._of_role("text"))

    def ring(self, keep: float) -> float:
        """GB of what is streamed for a step, of which `keep` stay on the device: the UNet's, and
        what it leaves the control networks', which pass through the same ring. What is read from
        files has a ring each.
        """
        facts, storage, left = self.facts, self.plan.weights, int(keep * GB)
        parts = [(0, 0)]
        for name in self._streamed():
            if name == "unet":
                parts.append(facts.ring_bytes(storage, keep))
            else:
                parts.append(control_ring(facts.config.unet, facts.dtype, storage, max(left, 0)))
            left -= facts.parts[name].size
        rings = (sum if self.on_cpu else max)(ring for ring, _ in parts)
        return (rings + sum(beside for _, beside in parts)) / GB

    def _streamed(self) -> list[str]:
        """The parts whose weights cross the bus, or are read, in each step; the UNet is first."""
        parts = self._of_role("unet") + self._of_role("control")
        return [n for n in parts if self._places[n] == ("file" if self.on_cpu else "stream")]

    def unet(self, knobs: Knobs) -> float:
        facts, plan = self.facts, self.plan
        recorded = plan.speed != "eager" and (self.work.recorded or plan.unet == "resident")
        on_card = facts.device.type == "cuda"
        beside = recorded and on_card and self._beside(knobs)
        bytes_ = unet_peak(
            facts.config.unet, facts.dtype, self._rehearsed, knobs["together"], knobs["chunk"],
            batch=plan.batch, recorded=recorded and on_card, beside=beside,
            on_cpu=self.on_cpu,
        )  # fmt: skip
        bytes_ *= self.work.graphs if recorded else 1
        come = self._of_role("unet") + self._of_role("control")
        visitors = 0.0 if self.on_cpu else sum(self._visitors(come))
        work = bytes_ / GB * (1.0 if recorded else measured.FRAGMENTATION)
        if recorded:
            # A preview comes between steps; what a recorded one has taken is not free then.
            work += self._preview() + (measured.RECORDING_STREAM if on_card else 0.0)
        work += measured.BESIDE_STREAM if beside and not facts.has_second_stream else 0.0
        return self._base + visitors + self.ring(0.0) + work

    def _beside(self, knobs: Knobs) -> bool:
        """Whether control networks work beside the UNet's way down in a recorded step."""
        plan, work = self.plan, self.work
        if not work.nets or knobs["chunk"] or plan.speed == "compile":
            return False
        stay = plan.placement("unet") == plan.placement("control") == "resident"
        pictures = min(plan.batch, work.count)
        return stay and is_beside((pictures, 4, work.height // 8, work.width // 8))

    def _preview(self) -> float:
        """GB that a full preview takes, where there is a tiny VAE for it."""
        facts, work = self.facts, replace(self._rehearsed, pictured=False)
        if not (facts.has_tiny_vae or facts.config.vae.tiny):
            return 0.0
        tiny = facts.tiny_vae if facts.has_tiny_vae else facts.config.vae
        return vae_peak(tiny, facts.dtype, work, measured.PREVIEW_TILE, "device") / GB

    def recorded_pool(self, steps: float) -> float:
        """GB that a recorded step keeps while the picture is decoded."""
        plan = self.plan
        kept = plan.speed != "eager" and plan.unet == "resident" and not self.on_cpu
        return steps - self._base - self._preview() if kept else 0.0

    def vae(self, pool: float, knobs: Knobs) -> float:
        facts, tiny = self.facts, self.plan.tiny_vae
        prefix, config = ("tiny_", facts.tiny_vae) if tiny else ("", facts.config.vae)
        if self._places[f"{prefix}decoder"] == "cpu" and not self.on_cpu:
            return self._base + pool
        # On a CPU the computer's memory is the only one there is.
        store = "device" if self.on_cpu else knobs["store"]
        halves = [f"{prefix}decoder", *([f"{prefix}encoder"] if self.work.pictured else [])]
        bytes_ = vae_peak(
            config, facts.dtype, self._rehearsed, knobs["tile"], store, on_cpu=self.on_cpu
        )
        return self._base + self._visiting(*halves) + pool + measured.FRAGMENTATION * bytes_ / GB

    def keep(self, left: float) -> float:
        """GB of a streamed UNet that stay on the device, where `left` are free for that."""
        if self.plan.unet not in ("stream", "file"):
            return 0.0
        keep = max(0.0, left) if self.plan.keep is None else self.plan.keep
        return min(keep, sum(map(self.facts.gb, self._streamed())))

    def host(self, plan: DecidedPlan) -> float:
        """GB of the computer's memory that weights and maps take."""
        facts, away = self.facts, ("offload", "stream")
        gb = sum(facts.gb(name) for name, place in self._places.items() if place in away)
        if plan.store == "host" and not self.on_cpu:
            pixels = self.work.width * self.work.height
            config = facts.tiny_vae if plan.tiny_vae else facts.config.vae
            gb += pixels * config.channels[0] * facts.dtype.itemsize / GB
        return gb


def _ways(knobs: tuple[Knobs, ...], plan: MemoryPlan, work: Workload) -> list[Knobs]:
    """The ways that agree with what the plan says, each once."""
    fixed = {name: getattr(plan, name) for name in knobs[0] if getattr(plan, name) is not None}
    ways = [{**way, **fixed} for way in knobs]
    for way in ways:
        if way.get("chunk") == CHUNKED:
            way["chunk"] = work.chunk
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _first_that_fits(
    ways: list[Knobs], peak: Callable[[Knobs], float], room: float
) -> tuple[Knobs, float]:
    """The first way whose peak fits, else the leanest; with its peak."""
    tried = []
    for way in ways:
        gb = peak(way)
        tried.append((way, gb))
        if gb <= room:
            break
    return min(tried, key=lambda pair: pair[1])


def _slowdown(facts: Facts, plan: DecidedPlan, work: Workload) -> float:
    """The time of a step, in multiples of what it takes with all weights on the device."""
    roles = [r for r in ("unet", "control") if plan.placement(r) == "stream"]
    streamed = sum(part.size for part in facts.parts.values() if part.role in roles)
    if not streamed or facts.device.type != "cuda":
        return 1.0
    stored = streamed * (0.5 if plan.weights == "int8" else 1.0)
    moved = max(stored - plan.keep * GB, 0)
    passes = 1 if plan.together else work.texts
    n = work.width * work.height / 64  # latent pixels; attention grows with their square
    flops = work.texts * (measured.PASS_FLOPS * n / 4096 + 4 * 320 * n * n * 5 * 1.2)
    flops *= 1 + measured.CONTROL_FLOPS * work.nets
    return max(1.0, moved * passes / measured.BUS_BYTES / (flops / measured.FLOPS))
