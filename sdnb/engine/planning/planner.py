"""What a request will take: for a plan, the predicted peak; for a budget, the fastest plan.

The networks are rehearsed on tensors without data (`footprint`), so the prediction follows the
code. What kernels take for themselves does not show there and is added as measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil

from sdnb.engine import memory
from sdnb.engine.planning.footprint import Job, unet_peak, vae_peak
from sdnb.request.memory_plan import Forecast, MemoryPlan, below, ladder
from sdnb.request.memory_plan import read as _read_plan

if TYPE_CHECKING:
    from sdnb.engine.loading import Model
    from sdnb.request.request import Request

GB = 2**30
WORTH = 6  # steps from which recording a graph for one run pays
CHUNK = -1  # the UNet's layers in parts: of an eighth of the pixels, and of 4096 at the least

#: GB on a card beside our tensors: workspaces of cuBLAS; in full precision also cuDNN's own copies
#: of what it convolves. Then the rounding of the allocator's pools.
LIBRARIES, LIBRARIES_FULL = 0.07, 0.15
POOLS = 0.03

#: What the allocator reserves for activations, in multiples of what is in use: maps of different
#: sizes come and go, and leave holes that the next one does not fit into. A recorded step has its
#: own pool, and hardly any. Measured on an H100.
HOLES, HOLES_RECORDED, HOLES_VAE = 1.15, 1.0, 1.15

#: Of the room there is, what a plan is made to fill: predictions are right to a tenth.
FILL = 0.93

#: From the fastest to the leanest way to run each stage.
UNET_KNOBS = (
    {"together": True, "chunk": 0},
    {"together": True, "chunk": CHUNK},
    {"together": False, "chunk": 0},
    {"together": False, "chunk": CHUNK},
)
VAE_KNOBS = (
    {"tile": 0, "store": "device"},
    {"tile": 512, "store": "device"},
    {"tile": 256, "store": "device"},
    {"tile": 512, "store": "host"},
    {"tile": 256, "store": "host"},
    {"tile": 128, "store": "host"},
)


def chunk_of(what: Job) -> int:
    """Tokens or pixels of the latent that a layer of the UNet has in work, where it is chunked."""
    return max(4096, math.ceil(what.width * what.height / 64 / 8))


def job(request: Request) -> Job:
    """The job of a resolved request."""
    assert request.width is not None
    assert request.height is not None
    texts = 1 if request.cfg in (0, 1) else 2
    long = (request.steps or 0) >= WORTH
    return Job(request.width, request.height, request.count, texts, request.image is not None, long)


def placement(plan: MemoryPlan, part: str) -> str:
    """Where a plan wants a part: both halves of the VAE are placed alike."""
    return plan.vae if part in ("encoder", "decoder") else str(getattr(plan, part))


def forecast(model: Model, request: Request) -> Forecast:
    """The plan for a resolved request, and what it takes: the model's own plan where it fits, else
    the next leaner one that does; with a refusal in words where none does.
    """
    what = job(request)
    free = memory.free(model.device)
    room = free + held(model)
    most = room + free if model.device.type == "cpu" else room  # half is left to others, unasked
    tried = []
    for plan in _candidates(model):
        limit = min(plan.gb, most) if plan.gb else room
        found = decide(model, plan, what, limit)
        if found.fits:
            return found
        tried.append(found)
    best = min(tried, key=lambda f: f.gb)
    return Forecast(**{**best.__dict__, "refusal": _refusal(model, what, best, most)})


def limit(model: Model) -> float:
    """GB that whoever loaded the model allows it; 0: none were named. The named plans' limits are
    those of cards.
    """
    wanted = model.wanted
    if wanted is None or (model.device.type != "cuda" and wanted.name != "custom"):
        return model.budget
    return wanted.gb


def _candidates(model: Model) -> Iterator[MemoryPlan]:
    """The plans to try: down the ladder from the model's own, each with fewer pictures in a pass
    before the next.
    """
    if model.device.type != "cuda":
        plan = model.wanted or _read_plan("cpu")  # what it leaves open is decided for each size
        yield plan.but(gb=limit(model))
        return
    for plan in [model.wanted, *_below(model.wanted)] if model.wanted else ladder(model.budget):
        yield plan
        if plan.batch > 1:
            yield plan.but(batch=1)


def _below(plan: MemoryPlan) -> Iterator[MemoryPlan]:
    """The leaner plans; a plan by hand is what is wanted, and has none."""
    lower = below(plan) if plan.name != "custom" else None
    while lower is not None:
        yield lower
        lower = below(lower)


def held(model: Model) -> float:
    """GB that the model's weights take on its device now: a plan may use them otherwise. On a CPU
    all that the process takes, which counts as part of what it needs.
    """
    if model.device.type == "cpu":
        return resident()
    if model.device.type != "cuda":
        return 0.0
    return sum(model.weights(part) for part in model.parts if model.on_device(part)) / GB


def resident() -> float:
    """GB of the computer's memory that this process takes now."""
    return float(psutil.Process().memory_info().rss) / GB


def decide(model: Model, plan: MemoryPlan, what: Job, room: float) -> Forecast:
    """Decide what `plan` leaves open so that it fits into `room` GB, the fastest first."""
    sizes = {part: model.weights(part) / GB for part in model.parts}
    places = {part: placement(plan, part) for part in sizes}
    cpu = model.device.type == "cpu"
    stay = 0.0 if cpu else sum(sizes[p] for p in sizes if places[p] == "resident")
    extra = POOLS + (LIBRARIES if model.dtype.itemsize == 2 else LIBRARIES_FULL)
    if cpu:
        extra = resident()  # weights and all
    halves = ("encoder", "decoder") if what.pictured else ("decoder",)

    shape = replace(what, long=True)  # a rehearsal does not depend on it

    def visiting(*parts: str) -> float:
        return max((sizes[p] for p in parts if places[p] == "offload" and not cpu), default=0.0)

    def unet(knobs: dict[str, object]) -> float:
        together, chunk = knobs["together"], knobs["chunk"]
        work = unet_peak(model.config.unet, model.dtype, shape, together, chunk, batch=plan.batch)
        recorded = plan.speed != "eager" and (what.long or plan.unet == "resident")
        holes = HOLES_RECORDED if recorded else HOLES
        ring = model.ring(plan.weights, 0.0) / GB if plan.unet == "stream" and not cpu else 0.0
        return stay + extra + visiting("unet") + ring + holes * work / GB

    def vae(knobs: dict[str, object], pool: float) -> float:
        if plan.vae == "cpu" and not cpu:
            return stay + extra + pool
        store = "device" if cpu else knobs["store"]  # the computer's memory is the only one there
        work = vae_peak(model.config.vae, model.dtype, shape, knobs["tile"], store)
        return stay + extra + visiting(*halves) + pool + HOLES_VAE * work / GB

    unet_knobs = _first(_open(UNET_KNOBS, plan, what), unet, FILL * room)
    steps = unet(unet_knobs)
    graphed = plan.speed != "eager" and plan.unet == "resident" and not cpu  # and kept
    pool = steps - stay - extra if graphed else 0.0
    vae_knobs = _first(_open(VAE_KNOBS, plan, what), lambda k: vae(k, pool), FILL * room)
    picture = vae(vae_knobs, pool)
    keep = 0.0
    if plan.unet == "stream":
        keep = plan.keep if plan.keep is not None else max(0.0, FILL * room - steps)
        keep = min(keep, sizes["unet"])
        steps += (model.ring(plan.weights, keep) - model.ring(plan.weights, 0.0)) / GB
    gb, stage = max((stay + extra + visiting("text"), "text"), (steps, "unet"), (picture, "vae"))
    chosen = plan.but(**unet_knobs, **vae_knobs, keep=keep)
    host = sum(sizes[p] for p in sizes if places[p] in ("offload", "stream"))
    if vae_knobs["store"] == "host" and not cpu:
        pixels = what.width * what.height
        host += pixels * model.config.vae.channels[0] * model.dtype.itemsize / GB
    return Forecast(chosen, gb, stage, room, _slowdown(model, chosen, what), host)


def _open(
    knobs: tuple[dict[str, object], ...], plan: MemoryPlan, what: Job
) -> list[dict[str, object]]:
    """The ways that agree with what the plan says."""
    fixed = {k: getattr(plan, k) for k in knobs[0] if getattr(plan, k) is not None}
    ways = [{**way, **fixed} for way in knobs]
    if "chunk" in knobs[0]:
        ways = [{**w, "chunk": chunk_of(what) if w["chunk"] == CHUNK else w["chunk"]} for w in ways]
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _first(ways: list[dict[str, object]], peak: object, room: float) -> dict[str, object]:
    """The first way that fits, else the leanest."""
    peaks = []
    for way in ways:
        gb = peak(way)  # type: ignore[operator]
        if gb <= room:
            return way
        peaks.append(gb)
    return ways[min(range(len(ways)), key=peaks.__getitem__)]


# -- words -------------------------------------------------------------------------------------
def _slowdown(model: Model, plan: MemoryPlan, what: Job) -> float:
    """The time of a step, in multiples of what it takes with all weights on the device."""
    if plan.unet != "stream" or model.device.type != "cuda":
        return 1.0
    moved = model.weights("unet") * (0.5 if plan.weights == "int8" else 1.0) - plan.keep * GB
    passes = 1 if plan.together or what.texts == 1 else 2
    compute = step_flops(what) / FLOPS
    return max(1.0, max(moved, 0) * passes / BUS / compute)


#: A card of the middle: bytes a second over the bus, operations a second in a UNet.
BUS, FLOPS = 20e9, 60e12


def step_flops(what: Job) -> float:
    """Operations of one step of an SD 1.x UNet: linear in the pixels, and attention's square."""
    n = what.width * what.height / 64
    return what.texts * (0.68e12 * n / 4096 + 4 * 320 * n * n * 5 * 1.2)


def _refusal(model: Model, what: Job, best: Forecast, most: float) -> str:
    """What is too large, and what would fit."""
    size = f"{what.width}x{what.height}"
    words = (
        f"{size} needs {best.gb:.2f} GB with memory={best.tier!r}, the leanest plan, and there are "
        f"{best.room:.2f} GB"
    )
    fitting = _largest(model, best.plan, what, best.room)
    if fitting is None:
        other = "" if model.device.type == "cpu" else ", or use memory='cpu'"
        more = "give it more" if 0 < best.plan.gb <= most else "free some memory"
        return f"{words}. No size fits: {more}{other}."
    fits = f"{words}. {fitting[0]}x{fitting[1]} fits with memory={best.tier!r}"
    return f"{fits}." if model.device.type == "cpu" else f"{fits}; or use memory='cpu'."


def _largest(model: Model, plan: MemoryPlan, what: Job, room: float) -> tuple[int, int] | None:
    """The largest size of the same proportions that fits, in steps of 64 pixels."""
    longest = max(what.width, what.height)

    def peak(side: int) -> float:
        smaller = replace(what, **dict(zip(("width", "height"), _scaled(what, side), strict=True)))
        ways = {"together": False, "chunk": chunk_of(smaller), "tile": 256, "store": "host"}
        return decide(model, plan.but(**ways, keep=0.0), smaller, room).gb

    whole, half = peak(longest), peak(longest // 2)  # linear in the pixels
    share = (room - (4 * half - whole) / 3) / max((whole - half) * 4 / 3, 1e-9)
    side = math.floor(longest * math.sqrt(min(max(share, 0.0), 1.0)) / 64) * 64
    while side >= 64 and peak(side) > room:
        side -= 64
    return _scaled(what, side) if side >= 64 else None


def _scaled(what: Job, longest: int) -> tuple[int, int]:
    share = longest / max(what.width, what.height)
    width, height = (max(64, math.floor(s * share / 64) * 64) for s in (what.width, what.height))
    return width, height
