"""The memory plan that a request gets: the model's own, or the fastest leaner one that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from sdnb.engine import memory
from sdnb.engine.planning import measured, peaks
from sdnb.engine.planning.facts import CONTROL, Facts, PartFacts
from sdnb.engine.planning.footprint import Workload, control_size
from sdnb.engine.planning.peaks import decide
from sdnb.request import Resolved
from sdnb.request.control import working
from sdnb.request.deep_steps import KEEPS
from sdnb.request.guidance_steps import GuidanceSteps
from sdnb.request.memory_plan import GB, Forecast, MemoryPlan, below, ladder, read
from sdnb.request.plain_words import counted


def forecast(facts: Facts, request: Resolved) -> Forecast:
    """The plan for a request, and what it takes; where none fits, the refusal says why."""
    facts = _steered(facts, request)
    work = _with_control(Workload.of(request), facts, request)
    free = memory.free(facts.device)
    room = free + _held(facts)
    # On a CPU `free` is half of what is free: others have the other half, unless it is asked for.
    most = room + free if facts.device.type == "cpu" else room
    asked = facts.asked_plan.tiny_vae if facts.asked_plan else None
    best = _first_that_fits(facts, work, room, most, tiny_vae=bool(asked))
    way_out = ""
    if best.gb > allowed(facts, best) and facts.has_tiny_vae and asked is None:
        draft = _first_that_fits(facts, work, room, most, tiny_vae=True)
        if facts.tiny_stands_in:
            best = draft
        elif draft.fits:
            way_out = " A draft by its tiny VAE fits: give a memory plan with tiny_vae=True."
    if best.fits:
        return best
    words = _refusal(facts, work, best, most, in_words(request))
    return replace(best, refusal=words + way_out)


def allowed(facts: Facts, forecast: Forecast) -> float:
    """GB that a request may be predicted to take, and is run: a tenth more than there are, since
    predictions are right to a tenth and what runs out on a card steps down; on a CPU also the half
    of what is free that is left to others, but no more than a limit, which nothing holds there.
    """
    if facts.device.type != "cpu":
        return measured.REFUSE_ABOVE * forecast.room
    if facts.limit:
        return forecast.room
    return measured.REFUSE_ABOVE * (forecast.room + memory.free(facts.device))


def _first_that_fits(
    facts: Facts, work: Workload, room: float, most: float, *, tiny_vae: bool
) -> Forecast:
    """The first of the plans that fits, else the leanest, with the tiny VAE or with the model's
    own.
    """
    tried = []
    for each in _candidates(facts):
        plan = each.with_tiny_vae() if tiny_vae else each.but(tiny_vae=False)
        prediction = decide(facts, plan, work, min(plan.gb, most) if plan.gb else room)
        if prediction.fits:
            return prediction
        tried.append(prediction)
    return min(tried, key=lambda prediction: prediction.gb)


def in_words(request: Resolved) -> str:
    """What takes memory: "512x512", with its control networks if there are any."""
    nets = f" with {counted(len(request.controls), 'control network')}" if request.controls else ""
    return f"{request.width}x{request.height}{nets}"


def _steered(facts: Facts, request: Resolved) -> Facts:
    """The facts with the control networks of a request, and no others. Before a run it may have
    others: then each is thought to be as large as a ControlNet is.
    """
    parts = {name: part for name, part in facts.parts.items() if not name.startswith(CONTROL)}
    for name in _names(request):
        parts[name] = facts.parts.get(name) or PartFacts(
            "control", control_size(facts.config.unet, facts.dtype), False
        )
    return replace(facts, parts=parts)


def _with_control(work: Workload, facts: Facts, request: Resolved) -> Workload:
    roles = [facts.parts[name].role for name in _names(request)]
    steps = request.steps
    guidance = GuidanceSteps.of(request, steps, work.texts)
    guesses = [guidance.at_step(step) for step in range(steps)]
    graphs = {
        (working(request.controls, step, steps), guess.reads, guess.depth)
        for step, guess in enumerate(guesses)
    }
    return replace(
        work, nets=roles.count("control"), adapters="text" in roles, graphs=max(len(graphs), 1),
        keeps=any(guess.depth == KEEPS for guess in guesses),
    )  # fmt: skip


def _names(request: Resolved) -> list[str]:
    """Of the parts that are a request's control networks, one for each control."""
    return [CONTROL + (each.sha256 or each.net) for each in request.controls]


def _candidates(facts: Facts) -> Iterator[MemoryPlan]:
    """The plans to try: from the model's own down the ladder, each also with batch 1."""
    asked = facts.asked_plan
    if facts.device.type != "cuda":
        plan = asked or read("cpu")  # what it leaves open is decided for each size
        yield plan.but(gb=facts.limit)
        if asked is None and facts.device.type == "cpu" and facts.limit:
            # It is open how much stays in memory, and what is in work at once.
            yield read("file").but(gb=facts.limit, keep=None, together=None, tile=None)
        return
    for plan in [asked, *_leaner(asked)] if asked else ladder(facts.budget):
        yield plan
        if plan.batch > 1:
            yield plan.but(batch=1)


def _leaner(plan: MemoryPlan) -> Iterator[MemoryPlan]:
    """The leaner plans; a plan by hand has none."""
    lower = below(plan) if plan.name != "custom" else None
    while lower is not None:
        yield lower
        lower = below(lower)


def _held(facts: Facts) -> float:
    """GB that the model's weights take on its device now, which a plan may use otherwise; on a CPU,
    all that the process takes.
    """
    if facts.device.type == "cpu":
        return peaks.resident()
    if facts.device.type != "cuda":
        return 0.0
    return sum(part.size for part in facts.parts.values() if part.on_device) / GB


def _refusal(facts: Facts, work: Workload, best: Forecast, most: float, what: str) -> str:
    """What is too large, and what would fit."""
    words = (
        f"{what} needs {best.gb:.2f} GB with memory={best.name!r}, the leanest plan, and there are "
        f"{best.room:.2f} GB"
    )
    smaller = _largest(facts, best.plan, work, best.room)
    if smaller is None:
        other = "" if facts.device.type == "cpu" else ", or use memory='cpu'"
        more = "give it more" if 0 < best.plan.gb <= most else "free some memory"
        return f"{words}. No size fits: {more}{other}."
    fits = f"{words}. {smaller.width}x{smaller.height} fits with memory={best.name!r}"
    return f"{fits}." if facts.device.type == "cpu" else f"{fits}; or use memory='cpu'."


def _largest(facts: Facts, plan: MemoryPlan, work: Workload, room: float) -> Workload | None:
    """The largest size of the same proportions that fits, in steps of 64 pixels."""
    longest = max(work.width, work.height)

    def peak(side: int) -> float:
        smaller = work.scaled(side)
        leanest = plan.but(together=False, chunk=smaller.chunk, tile=256, store="host", keep=0.0)
        return decide(facts, leanest, smaller, room).gb

    whole, half = peak(longest), peak(longest // 2)  # linear in the pixels
    share = (room - (4 * half - whole) / 3) / max((whole - half) * 4 / 3, 1e-9)
    side = math.floor(longest * math.sqrt(min(max(share, 0.0), 1.0)) / 64) * 64
    while side >= 64 and peak(side) > room:
        side -= 64
    return work.scaled(side) if side >= 64 else None
