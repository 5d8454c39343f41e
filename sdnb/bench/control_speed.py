"""`sdnb bench gpu --control`: a ControlNet beside an SD 1.4-sized UNet on a card, and diffusers.

Random fp16 weights of both; the hint is noise of the picture's size. A cell is run once to load and
compile, and once to measure: the whole picture, and the median step of it. Diffusers has a process
of its own, and so have our cells with all weights on the card. Each memory plan's picture is
compared with theirs, also where the network works at some steps alone, and so there are several
recorded steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import sdnb
from sdnb.bench import card, random_net, random_sd
from sdnb.bench.card import CFG, PROMPT, Case

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.engine.model import Model
    from sdnb.images.result import Result
    from sdnb.request.memory_plan import MemoryPlan

#: The network's share of the steps: all, a part in the middle, and one step alone.
WHOLE, PART, ONE = (0.0, 1.0), (0.2, 0.5), (0.43, 0.47)


@dataclass(frozen=True)
class Steered(Case):
    """A case with a ControlNet from the first to the second of `works`, shares of the steps; None:
    without one.
    """

    works: tuple[float, float] | None = WHOLE

    @property
    def name(self) -> str:
        words = {None: ", no control", WHOLE: "", PART: ", in part", ONE: ", one step"}
        return super().name + words[self.works]


RESIDENT = (
    Steered("resident", 512, 20, works=None),
    Steered("resident", 512, 20),
    Steered("resident", 512, 20, works=PART),
    Steered("resident", 512, 20, works=ONE),
    Steered("resident", 1088, 10, works=None),
    Steered("resident", 1088, 10),
)
LEAN = (
    Steered("4gb", 512, 20, "4gb"),
    Steered("4gb", 512, 20, "4gb", works=PART),
    Steered("2gb", 512, 20, "2gb"),
    Steered("2gb", 512, 20, "2gb", works=ONE),
    Steered("1gb", 512, 20, "1gb"),
    Steered("least", 512, 20, 0.5),
    Steered("least", 512, 20, 0.5, works=PART),
    Steered("least", 512, 20, 0.5, works=ONE),
    Steered("4gb", 1088, 10, "4gb"),
    Steered("2gb", 1088, 10, "2gb"),
    Steered("least", 1088, 10, 0.62),
)
#: Each in a process of its own, since libraries keep for each stream what they once took: with all
#: on the card the network has a stream that the others lack.
OURS = {"resident": RESIDENT, "lean": LEAN}
THEIRS = (
    Case("resident", 512, 20),
    Case("channels_last, fused qkv", 512, 20),
    Case("model offload, VAE tiling", 512, 10),
    Case("group offload, leaf, stream", 512, 10),
    Case("resident", 1088, 10),
    Case("model offload, VAE tiling", 1088, 10),
    Case("group offload, leaf, stream", 1088, 6),
)
#: Which cells are compared: ours, and diffusers' of the same kind.
PAIRS = (
    ("512 resident", "512 resident"),
    ("512 resident", "512 channels_last, fused qkv"),
    ("512 4gb", "512 model offload, VAE tiling"),
    ("512 least", "512 group offload, leaf, stream"),
    ("1088 resident", "1088 resident"),
    ("1088 4gb", "1088 model offload, VAE tiling"),
    ("1088 least", "1088 group offload, leaf, stream"),
)
#: A cell, a figure of it (a step in ms, or the peak in GiB) and what it is to stay below.
AIMS = (
    ("512 resident", "step", 8.5),
    ("512 least", "reserved", 0.45),
    ("1088 least", "reserved", 0.55),
    ("1088 4gb", "reserved", 2.4),
)


def bench_control(
    out: Path, say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data. The arguments are those of `card.measure_sides`,
    whose folder holds 2.9 GB meanwhile.

    Raises RuntimeError without a CUDA card.
    """
    card.refuse_without("gpu --control")
    random_net.write(out / "bench-control_speed" / "net", device="cuda")  # where the model will be
    asked = {"sdnb": [*OURS], "diffusers": [""]}
    data = card.measure_sides("control_speed", out, asked, say, keep)
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """A line for each cell, then the ratios, the forecasts and the aims."""
    lines = [f"{'':44}{'a step':>8}{'whole':>8}{'reserved':>10}{'predicted':>10}{'differs':>9}"]
    for side in ("sdnb", "diffusers"):
        for name, cell in data.get(side, {}).items():
            line = f"{side + ' ' + name:44}"
            if "error" in cell:
                lines.append(f"{line}  {cell['error'][:110]}")
                continue
            line += f"{cell['step']:8.1f}{cell['ms']:8.1f}{cell['reserved']:10.2f}"
            line += f"{cell['predicted']:10.2f}" if cell.get("predicted") else f"{'':10}"
            lines.append(line + (f"{cell['largest']:9}" if "largest" in cell else ""))
    ours, theirs = data.get("sdnb", {}), data.get("diffusers", {})
    for mine, other in PAIRS:
        a, b = ours.get(mine, {}), theirs.get(other, {})
        if "ms" in a and "ms" in b:
            lines.append(
                f"sdnb {mine} / diffusers {other}: a step {a['step'] / b['step']:.2f}, "
                f"memory {a['reserved'] / b['reserved']:.2f}"
            )
    off = [c["predicted"] / c["reserved"] for c in ours.values() if c.get("predicted")]
    if off:
        lines.append(f"predicted / measured peak: {min(off):.2f} to {max(off):.2f}")
    for name, figure, most in AIMS:
        if (found := ours.get(name, {}).get(figure)) is not None:
            told = "reached" if found <= most else "NOT reached"
            lines.append(f"{name}: {figure} {found:.2f}, aim {most:g}: {told}")
    lines.append("(ms a step: the median step, and the whole picture by its steps; GiB; of 255)")
    return "\n".join(lines)


# -- one side, in a process of its own ---------------------------------------------------------
def cells(side: str, path: Path, which: str) -> Iterator[dict[str, Any]]:
    """Measure the cells of a side; `which` of ours."""
    net = path.parent / "net"
    return _ours(path, net, OURS[which]) if side == "sdnb" else _theirs(path, net, THEIRS)


def _ours(path: Path, net: Path, cases: tuple[Steered, ...]) -> Iterator[dict[str, Any]]:
    for case in cases:
        try:
            with sdnb.load(path, memory=_plan(case)) as model:
                data, result = _our_picture(model, net, case)
        except Exception as error:  # noqa: BLE001 - one cell's failure is a figure too
            yield {"name": case.name, "error": f"{type(error).__name__}: {error}"}
            card.clean()
            continue
        image = np.asarray(result.image).astype(int)
        truth = path.parent / f"{case.size}-{case.works}.npy"
        if case.how == "resident":
            np.save(truth, image)
        off = abs(image - np.load(truth))
        data |= {"largest": int(off.max()), "within2": float((off <= 2).mean())}
        yield {"name": case.name, **data, "notes": list(result.notes)}
        card.clean()


def _plan(case: Steered) -> str | MemoryPlan:
    return case.memory if isinstance(case.memory, str) else card.least(case.size, case.memory)


def _our_picture(model: Model, net: Path, case: Steered) -> tuple[dict[str, Any], Result]:
    request = card.request_of(case.size, case.steps)
    if case.works is not None:
        image, (start, end) = sdnb.images.picture(hint(case.size)), case.works
        request = request.but(controls=[sdnb.Control(str(net), image, start=start, end=end)])
    ends: list[float] = []

    def work() -> Result:
        ends.clear()
        with closing(sdnb.run(model, request)) as going:
            for at in going:
                if at.result is not None:
                    return at.result
                if at.step:
                    _now(ends)
        raise RuntimeError("the run ended without a result")

    data, result = card.measure(work, case.steps)
    plan = model.memory
    return {**data, "step": _median_ms(ends), "predicted": result.expected, "tier": plan.name,
            "plan": repr(plan)}, result  # fmt: skip


def _now(ends: list[float]) -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    ends.append(time.perf_counter())


def _median_ms(ends: list[float]) -> float:
    """Of the steps but for the first two, which may record."""
    return 1000 * statistics.median(b - a for a, b in pairwise(ends[2:]))


def hint(size: int) -> Image.Image:
    """White noise in blocks of 8 pixels, where edges are everywhere."""
    from PIL import Image

    noise = np.random.default_rng(1).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.NEAREST)


def _theirs(path: Path, net: Path, cases: tuple[Case, ...]) -> Iterator[dict[str, Any]]:
    for case in cases:
        try:
            data = _their_picture(path, net, case)
        except Exception as error:  # noqa: BLE001
            yield {"name": case.name, "error": f"{type(error).__name__}: {error}"}
        else:
            yield {"name": case.name, **data}
        card.clean()


def _their_picture(path: Path, net: Path, case: Case) -> dict[str, Any]:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    numbers = torch.float16 if torch.cuda.is_available() else torch.float32
    parts = random_sd.diffusers_pipeline(path, numbers).components
    control = ControlNetModel.from_pretrained(str(net), torch_dtype=numbers)
    pipe = StableDiffusionControlNetPipeline(
        **parts | {"safety_checker": None}, controlnet=control, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    pipe = card.place(pipe, case.how)
    if case.how.startswith("channels_last"):
        control.to(memory_format=torch.channels_last)
    generator, image = torch.Generator(), hint(case.size)
    ends: list[float] = []

    def end_of_step(_: Any, __: int, ___: Any, kept: dict[str, Any]) -> dict[str, Any]:
        _now(ends)
        return kept

    def work() -> Any:
        ends.clear()
        return pipe(
            PROMPT, image=image, height=case.size, width=case.size, guidance_scale=CFG,
            num_inference_steps=case.steps, generator=generator.manual_seed(3),
            callback_on_step_end=end_of_step,
        )  # fmt: skip

    return {**card.measure(work, case.steps)[0], "step": _median_ms(ends)}
