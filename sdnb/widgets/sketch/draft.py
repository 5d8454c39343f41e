"""The quick picture that follows a pencil: few steps, by the fast variant where there is one."""

from __future__ import annotations

from typing import Any

from sdnb import hints
from sdnb.assets import built_in, embedded_model
from sdnb.library import few_steps
from sdnb.request import Request
from sdnb.request.lora import Lora
from sdnb.widgets.control.nets_on_offer import NetsOnOffer

#: Steps of a quick picture, by a model that was not made for few; fewer are noise.
STEPS = 6
_FAST = "tiny-fast"  # the built-in model's variant


def own_steps(model: Any) -> int:
    """How many steps a quick picture of a model takes."""
    return int(_suited(Request(), model).steps if fast_lora(model) else min(STEPS, _own(model)))


def draft(request: Request, model: Any, steps: int, seed: int) -> Request:
    """The quick picture of a request: one, of this seed, in so many steps."""
    request = request.but(count=1, seed=seed if request.seed is None else request.seed)
    lora = fast_lora(model)
    if lora is None:
        return request.but(steps=steps)
    suits = _suited(request, model)
    fast = request.but(sampler=suits.sampler, loras=(*request.loras, lora))
    return fast.but(steps=steps, cfg=suits.cfg, schedule=suits.schedule, eta=suits.eta)


def fast_lora(model: Any) -> Lora | None:
    """The LoRA by which the built-in model needs few steps; None for another model, and where its
    file is not there.
    """
    config = getattr(model, "load_arguments", {})
    is_own = config.get("path") in (None, embedded_model().name)
    folder = built_in().get(_FAST)
    file = None if folder is None else folder / f"{_FAST}.safetensors"
    if not is_own or file is None or not file.is_file():
        return None
    return Lora(str(file))


def net_for_lines(model: Any) -> str | None:
    """The name of a control network that follows lines: the model's own, or one of its library,
    if its folders were looked at; None for none.
    """
    for name in NetsOnOffer(model).usable:
        wanted = hints.wanted(name)
        if wanted is not None and wanted.prepare == "scribble":
            return name
    return None


def _own(model: Any) -> int:
    return int(model.settings.steps)


def _suited(request: Request, model: Any) -> Any:
    lora = fast_lora(model)
    loras = () if lora is None else (lora,)
    open_ = request.but(
        steps=None, cfg=None, sampler=None, schedule=None, eta=None, loras=loras, prompt=""
    )
    return few_steps.suited(open_, model.settings, few_steps.finder(None))[0]
