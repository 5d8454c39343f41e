"""The cells of a grid: one request for each combination of the axes' values."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from sdnb import images
from sdnb.grid import control_axis, lora_axis
from sdnb.grid.axes import Axis
from sdnb.request import Request, Settings, checks, prompt, record
from sdnb.request.plain_words import counted

#: Fields that a model's settings fill in where a request leaves them open.
OPEN_FIELDS = (*(item.name for item in fields(Settings)), "eta")


@dataclass(frozen=True)
class Cell:
    """One request of a grid, and the values of the axes that make it."""

    index: tuple[int, ...]  # on each axis
    names: tuple[str, ...]  # of the axes
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    request: Request
    of: tuple[str, ...] = ()  # what the axes are called in words: of a LoRA, by its name

    @property
    def label(self) -> str:
        """The values in words: "steps=20, pixelart=0.5"."""
        of = self.of or self.names
        return ", ".join(f"{n}={v}" for n, v in zip(of, self.labels, strict=True))

    def value(self, name: str) -> Any:
        """The value on the axis of that name, or None."""
        return dict(zip(self.names, self.values, strict=True)).get(name)

    @cached_property
    def key(self) -> str:
        """A hash (16 hexadecimal digits) of all that decides the picture. Equal cells run once."""
        varied = {n: plain_value(self.value(n)) for n in ("model", "memory") if n in self.names}
        plain = self.request.plain()
        for name, template in record.TEMPLATES.items():
            if prompt.literal(plain[name]) == plain[name]:  # where the words came from changes none
                plain.pop(template, None)
        text = json.dumps(plain, ensure_ascii=False)
        text += json.dumps(varied, sort_keys=True)
        return images.sha256(text.encode())[:16]


def make_cells(base: Request, axes: Sequence[Axis]) -> tuple[Cell, ...]:
    """All cells, the last axis running fastest. Raises ValueError that names each invalid one."""
    possible: list[Cell] = []
    wrong: list[tuple[str, str]] = []
    names = tuple(axis.name for axis in axes)
    of = tuple(axis.title if axis.name in lora_axis.NAMES else axis.name for axis in axes)
    for index in itertools.product(*(range(len(axis)) for axis in axes)):
        labels = tuple(axis.labels[i] for axis, i in zip(axes, index, strict=True))
        values = tuple(axis.values[i] for axis, i in zip(axes, index, strict=True))
        cell = Cell(index, names, values, labels, base, of)
        with noting_errors(wrong, cell):
            possible.append(replace(cell, request=_combined(base, axes, index)))
    refuse_cells(wrong, len(possible) + len(wrong))
    return tuple(possible)


def with_seed(base: object) -> Request:
    """The base of a grid. An open seed is drawn here, so that all cells have the same noise. Raises
    TypeError for what is no Request, and ValueError for more than one picture.
    """
    if not isinstance(base, Request):
        raise TypeError(
            f"base={checks.shown(base)} is no Request; a sweep begins with one: "
            'sweep(sdnb.Request("a castle", seed=7), steps=[10, 20])'
        )
    if base.count != 1:
        raise ValueError(
            f"base has count={base.count}, and a cell of a grid is one picture: "
            "leave count out, and vary the seed for more of them: seed=[1, 2, 3]"
        )
    return base if base.seed is not None else base.but(seed=secrets.randbits(32))


def refuse_unresolvable(cells: Sequence[Cell], resolved: Callable[[Request], object]) -> None:
    """Raise ValueError that names each cell that `resolved` refuses, as a model's settings are."""
    wrong: list[tuple[str, str]] = []
    for cell in cells:
        with noting_errors(wrong, cell):
            resolved(cell.request)
    refuse_cells(wrong, len(cells))


@contextmanager
def noting_errors(wrong: list[tuple[str, str]], *cells: Cell) -> Iterator[None]:
    """A context manager that puts an error of these cells into `wrong`, as (label, why)."""
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError) as error:
        wrong.extend((cell.label, str(error)) for cell in cells)


def refuse_cells(wrong: Sequence[tuple[str, str]], count: int) -> None:
    """Raise ValueError for wrong cells, given as (label, why). Equal reasons are listed once."""
    if not wrong:
        return
    reasons: dict[str, list[str]] = {}
    for label, why in wrong:
        reasons.setdefault(why, []).append(label)
    lines = []
    for why, labels in reasons.items():
        more = f" and {len(labels) - 6} more" if len(labels) > 6 else ""
        lines.append(f"  {'; '.join(labels[:6])}{more}: {why}")
    raise ValueError(
        f"{len(wrong)} of {counted(count, 'cell')} cannot be made:\n" + "\n".join(lines)
    )


def plain_value(value: Any) -> Any:
    """A value of an axis as JSON can hold it: pictures become their sha256."""
    if isinstance(value, bytes):
        return images.sha256(value)
    if isinstance(value, tuple):
        return [plain_value(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain_value(each) for name, each in asdict(value).items()}
    return value


def _combined(base: Request, axes: Sequence[Axis], index: Sequence[int]) -> Request:
    """The base with a value of each axis. The order matters: the image before the mask, the sampler
    before its schedule and eta, and after all fields prompt_sr, then weight, then LoRAs. A control
    gets the values of its axes at once: a start may be behind the end that the base has.
    """
    order = {"image": 0, "mask": 1, "sampler": 1, "prompt_sr": 3, "weight": 4}
    order |= dict.fromkeys(lora_axis.NAMES, 5)
    pairs = zip(axes, index, strict=True)
    request = base
    of_controls: dict[str, dict[str, Any]] = {}
    for axis, i in sorted(pairs, key=lambda pair: order.get(pair[0].name, 2)):
        if axis.name in control_axis.FIELDS:
            of_controls.setdefault(axis.of, {})[axis.name] = axis.values[i]
        else:
            request = axis.applied(request, i)
    for net, values in of_controls.items():
        request = control_axis.with_values(request, net, values)
    prompt.check(request.prompt, request.negative, request.syntax, request.steps)
    request.but(steps=request.steps or 1).resolved(Settings())  # the model's are not known yet
    return request
