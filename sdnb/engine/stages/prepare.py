"""Before a run: the memory plan of a request is chosen and put in force. After it: what to say of
its limit.
"""

from __future__ import annotations

from sdnb.engine.model import Model
from sdnb.engine.planning import planner
from sdnb.engine.planning.measured import LARGE_PICTURE
from sdnb.request import Resolved


def prepare(model: Model, request: Resolved, notes: list[str]) -> float | None:
    """Choose the plan for a request and put it in force; the predicted peak in GB, where it was
    predicted: a picture of a usual size on a CPU does not wait for that.

    Raises ValueError where the request cannot fit: in words that say what would.
    """
    if not _is_planned(model, request):
        # The last one was large, or stepped down; or a network for control came.
        if model.memory != model.first_plan() or not model.weights.are_placed:
            model.weights.apply(model.first_plan())
        notes += _drafted(model, request)
        return None
    forecast = model.plan(request)
    room, size = planner.allowed(model.facts(), forecast), planner.in_words(request)
    if model.device.type == "cpu" and forecast.room < forecast.gb <= room:
        notes.append(
            f"{size} takes about {forecast.gb:.1f} GB, more than half of the memory that was free: "
            "other programs may be slow."
        )
    if forecast.gb > room:
        raise ValueError(forecast.refusal or str(forecast))
    if model.asked_plan is not None and forecast.name != model.asked_plan.name:
        notes.append(
            f"memory={model.asked_plan.name!r} is too small for {size}: {forecast.name!r} was used."
        )
    model.weights.apply(forecast.plan)
    notes += _drafted(model, request)
    return forecast.gb


def _drafted(model: Model, request: Resolved) -> list[str]:
    """Words, where the plan in force has the tiny VAE in place of the model's own."""
    if not model.memory.tiny_vae:
        return []
    asked = model.asked_plan is not None and model.asked_plan.tiny_vae
    size = f"{request.width}x{request.height}"
    why = "as the memory plan has it" if asked else f"since the full one does not fit at {size}"
    return [f"By the tiny VAE, {why}: a draft, in which small things are smeared."]


def _is_planned(model: Model, request: Resolved) -> bool:
    """Whether a plan is to be chosen: on a card always, on a CPU where a limit was given or the
    picture is large. It costs a CPU a second or two.
    """
    if model.device.type != "cpu":
        return model.device.type == "cuda"
    usual = model.settings.width * model.settings.height
    return model.facts().limit > 0 or request.width * request.height > LARGE_PICTURE * usual


def beyond_limit(model: Model, gb: float) -> list[str]:
    """Words for a run on a CPU that took `gb`, more than whoever loaded the model allows it."""
    limit = model.facts().limit
    if model.device.type != "cpu" or not 0 < limit < gb:
        return []
    why = "on a CPU a limit is predicted, not enforced"
    return [f"It took {gb:.2f} GB, and {limit:g} are allowed: {why}."]
