"""Axes of a control: its scale, its range of steps, its net, or the picture that it follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sdnb import images
from sdnb.grid import lora_axis
from sdnb.request import Request, checks, control
from sdnb.request.control import Control

#: The axes, and the field of a `Control` that each one varies.
FIELDS = {
    "control_scale": "scale", "control_start": "start", "control_end": "end",
    "control_net": "net", "control_hint": "image",
}  # fmt: skip
_MOST = {"control_scale": control.MOST_SCALE, "control_start": 1.0, "control_end": 1.0}


def net_and_values(given: Any) -> tuple[str, Any]:
    """The net of an axis and its values, not yet checked: of `("canny", [0, 1])`, or "" and all of
    it where no net is named, so that the request's only control is meant.
    """
    pair = isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], str)
    if pair and isinstance(given[1], (tuple, list)):
        return given[0].strip(), given[1]
    return "", given


def value(name: str, given: Any) -> Any:
    """A value as a `Control` holds it; a hint of None is the picture that the request starts from.
    Raises TypeError or ValueError.
    """
    if name in _MOST:
        return checks.number(name, given, 0.0, _MOST[name])
    if name == "control_hint":
        return None if given is None else images.picture(given)
    return checks.text(name, given)


def with_values(request: Request, net: str, values: Mapping[str, Any]) -> Request:
    """The request, one of its controls with other values, by the names of their axes.

    Raises ValueError where the request has no such control, or several.
    """
    among = list(request.controls)
    meant = [each for each in among if not net or lora_axis.same(each.net, net)]
    if len(meant) != 1:
        raise ValueError(_not_one(next(iter(values)), net, among))
    changes = {FIELDS[name]: each for name, each in values.items()}
    if "net" in changes:
        changes["sha256"] = None  # that of the other net
    among[among.index(meant[0])] = replace(meant[0], **changes)
    return request.but(controls=among)


def _not_one(name: str, net: str, among: list[Control]) -> str:
    if not among:
        return f"{name} varies a control, and the request has none: give controls=[sdnb.Control()]"
    nets = ", ".join(each.net for each in among)
    which = f"the net {checks.shown(net)}" if net else "one control"
    return (
        f"{name} means {which}, and the request has {len(among)} ({checks.shown(nets)}): name one "
        f"of them, as in {name}=({among[0].net!r}, [...])"
    )
