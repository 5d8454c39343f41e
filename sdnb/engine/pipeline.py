"""From a request to pictures: the one place where all parts meet.

`run` checks and waits for its turn, `_journey` is the whole way, read from top to bottom;
`generate` drives it with a progress bar.
txt2img, img2img, inpainting and upscaling are this one path (`sdnb.engine.verbs` only builds their
requests).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdnb.engine import memory, pixels
from sdnb.engine.diffusion.denoise import blend, eps_denoiser, inpainting
from sdnb.engine.diffusion.noise import Noise, finish, start
from sdnb.engine.diffusion.samplers import SAMPLERS, Step
from sdnb.engine.diffusion.schedule import cut, sigmas
from sdnb.engine.stages import autoencode as coding
from sdnb.engine.stages import predictor as stages
from sdnb.engine.stages import prompts as words
from sdnb.engine.stages.predictor import Predictor
from sdnb.images.canvas import Canvas, fit
from sdnb.images.progress import Progress, bar
from sdnb.images.result import Result
from sdnb.request import checks
from sdnb.request.request import Request

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.engine.loading import Model


def generate(model: Model, request: Request, progress: bool = True) -> Result:
    """Make the pictures of `request`, with a progress bar. Ctrl-C, or the kernel's interrupt, stops
    within a step.

    Raises `ValueError` for what cannot be made, before any work is done.
    """
    result = None
    with closing(run(model, request)) as steps:
        for at in bar(steps) if progress else steps:
            result = at.result
    if result is None:
        raise RuntimeError("the run ended without a result")  # pragma: no cover
    return result


@torch.inference_mode()
def decode(model: Model, latents: Sequence[Tensor]) -> list[Image.Image]:
    """The pictures of finished latents `[4, h/8, w/8]`: a result's `latents`, or those that an
    error in decoding kept. Without what inpainting and cropping do afterwards. Waits for the end
    of a run in another thread.
    """
    checks.loaded(model)
    with model.turns.ask(within=True) as turn:
        turn.wait()
        return coding.finished(model, latents, [])


@torch.inference_mode()
def run(model: Model, request: Request) -> Generator[Progress, None, None]:
    """The generator under `generate`: a `Progress` before the first step, after each, and at the
    end with the result. Break off, and close it, whenever you like.

    A model makes one run at a time: while another thread has it, this one is `waiting`. Raises
    `ValueError` for what cannot be made, before any work is done, and `RuntimeError` where another
    run of the model is half-way in the same thread.
    """
    began = time.perf_counter()
    _check_arguments(model, request)
    request = request.resolved(model.settings)
    levels = _levels(model, request)
    _check_inputs(model, request)
    canvas, notes = fit(request)
    with model.turns.ask() as turn:
        while not turn.come():
            yield Progress(0, max(len(levels) - 1, 0), turn.waited, waiting=True)
        last = yield from _journey(model, request, levels, canvas, notes, began=began + turn.waited)
    yield last  # the turn is over: whoever gets the result may begin the next run


def _journey(
    model: Model,
    request: Request,
    levels: Sequence[float],
    canvas: Canvas | None,
    notes: list[str],
    *,
    began: float,
) -> Generator[Progress, None, Progress]:
    """From a request that was checked to its pictures; returns the last `Progress`."""
    checks.loaded(model)  # again: it was waited for
    expected = stages.prepare(model, request, notes)
    batches = _batches(request, model.memory.batch)
    steps = max(len(levels) - 1, 0)
    if not steps:
        notes.append("Strength 0 asks for no change: this is the picture that was given.")
    total = steps * len(batches)
    yield Progress(0, total, 0.0)
    pictures: list[Image.Image] = []
    latents: list[Tensor] = []
    with memory.Peak(model.device) as peak:
        contexts, said = words.encode(model, request)
        notes += said
        given = _given(model, canvas, contexts, notes)
        for done, seeds in enumerate(batches):
            if not steps and canvas is not None:  # strength 0
                pictures += [canvas.untouched()] * len(seeds)
                continue
            for step in _steps(model, request, levels, given, seeds, notes=notes):
                passed = time.perf_counter() - began
                yield Progress(done * steps + step.index + 1, total, passed, step.denoised)
            latents += [x.cpu() for x in _end(step, given)]  # kept, whatever the decoder does
            made = coding.finished(model, latents[-len(seeds) :], notes)
            pictures += [canvas.finish(p) for p in made] if canvas else made
        gb = peak.read()
        notes += stages.beyond(model, gb)
    seconds = time.perf_counter() - began
    result = Result(
        tuple(pictures),
        request,
        model.name,
        model.fingerprint,
        seconds,
        gb,
        tuple(notes),
        model.memory.name,
        expected,
        tuple(latents),
    )
    return Progress(total, total, seconds, result=result)


@dataclass(frozen=True)
class _Given:
    """What a run starts from besides noise, on the device."""

    contexts: Sequence[Tensor]  # [1, 77, d] each: uncond and cond, or the only one of them
    latent: Tensor | None = None  # [1, 4, h/8, w/8] of the picture
    begin: Tensor | None = None  # the same, but for what the masked part starts from
    mask: Tensor | None = None  # [1, 1, h/8, w/8]: 1 is made anew
    extra: Tensor | None = None  # [1, 5, h/8, w/8] instead of it, for a 9-channel model


def _levels(model: Model, request: Request) -> list[float]:
    """The sigmas to run; [] for strength 0."""
    levels = sigmas(request.schedule, request.steps, model.schedule)
    return levels if request.image is None else cut(levels, request.strength)


def _batches(request: Request, most: int) -> list[list[int]]:
    """The seeds of each pass: image i is the image of seed + i, alone or not."""
    seeds = [request.seed + i for i in range(request.count)]
    return [seeds[i : i + most] for i in range(0, len(seeds), most)]


def _check_arguments(model: Model, request: object) -> None:
    if not hasattr(model, "settings"):
        raise TypeError(
            f"model={model!r} is no model; the first argument is what sdnb.load() gives"
        )
    checks.loaded(model)
    if not isinstance(request, Request):
        raise TypeError(
            f"request={request!r} is no Request; write sdnb.Request(...), or use sdnb.txt2img"
        )


def _check_inputs(model: Model, request: Request) -> None:
    if model.config.unet.in_channels == 9 and request.image is None:
        raise ValueError(
            f"{model.name} is an inpainting model (its UNet has 9 input channels): it needs image= "
            "and mask=. Use sdnb.inpaint, or load an ordinary checkpoint."
        )


def _given(
    model: Model, canvas: Canvas | None, contexts: Sequence[Tensor], notes: list[str]
) -> _Given:
    """The picture as a latent, the mask at its size, and what a 9-channel model also sees."""
    if canvas is None:
        return _Given(contexts)
    nine = model.config.unet.in_channels == 9
    latent = begin = coding.encode(model, canvas.picture, notes)  # [1, 4, h/8, w/8]
    if canvas.content == "fill":
        begin = coding.encode(model, canvas.filled_picture(), notes)
    hole = coding.encode(model, canvas.masked_picture(), notes) if nine else None
    small = canvas.latent_mask()
    mask = None if small is None else pixels.mask_tensor(small).to(latent)  # [1, 1, h/8, w/8]
    if mask is not None and canvas.content == "noise":
        begin = latent * (1 - mask)  # nothing of the picture there, so that noise alone is left
    if hole is None:
        return _Given(contexts, latent, begin, mask)
    hidden = torch.ones_like(latent[:, :1]) if mask is None else (mask >= 0.5).to(latent)
    return _Given(contexts, latent, begin, extra=torch.cat([hidden, hole], dim=1))


@torch.inference_mode()
def _steps(
    model: Model,
    request: Request,
    levels: Sequence[float],
    given: _Given,
    seeds: Sequence[int],
    *,
    notes: list[str],
    cfg: float | Tensor | None = None,  # [b, 1, 1, 1] instead of the request's
) -> Generator[Step, None, None]:
    """Denoise one batch; once more in full precision where what comes out is no picture."""
    times = [model.schedule.sigma_to_t(level) for level in levels[:-1]]
    for dtype in (None, torch.float32):
        noise = Noise(seeds, model.latent_shape(request.width, request.height))
        first = noise().to(model.device)  # [b, 4, h/8, w/8]
        begin = given.begin if request.strength < 1 else None  # strength 1 is txt2img
        x = start(begin, first, levels[0])
        with Predictor(
            model, given.contexts, request.cfg if cfg is None else cfg, len(seeds),
            extra=given.extra, times=times, dtype=dtype, notes=notes,
        ) as predict:  # fmt: skip
            denoise = eps_denoiser(predict, model.schedule, model.config.noise.prediction)
            if given.mask is not None and given.latent is not None:
                denoise = inpainting(denoise, given.latent, given.mask, first)
            sampler = SAMPLERS[request.sampler]
            with closing(sampler(denoise, x, levels, eta=request.eta, noise=noise)) as steps:
                for step in steps:
                    yield step
                    checks.loaded(model)  # whoever looks may unload
        if stages.sound(step.x):
            return
        notes.append(stages.unsound_steps(model, dtype))
        if torch.float32 in (dtype, model.dtype):
            return


def _end(step: Step, given: _Given) -> Tensor:
    """The latents to decode; where a picture was to be kept, exactly its own."""
    x = finish(step.x, step.sigma)
    if given.mask is not None and given.latent is not None:
        x = blend(given.latent, x, given.mask)
    return x


# -- several requests at once -------------------------------------------------------------------


def alike(request: Request) -> tuple[object, ...]:
    """What resolved requests must have in common to be made in one pass a step: all but the words,
    the seed and cfg; and whether cfg asks for both halves of guidance.
    """
    single = request.cfg if request.cfg in (0, 1) else None
    return single, request.but(prompt="", negative="", seed=0, cfg=0, count=1)


@torch.inference_mode()
def run_together(model: Model, requests: Sequence[Request]) -> Generator[Progress, None, None]:
    """As `run`, for several requests that are `alike`, one picture each, in one pass of the UNet a
    step; the last `Progress` has their `results`, in the same order.

    A picture made so is that of its request alone but for rounding: a wider product adds up in
    another order. Raises as `run` does, and `ValueError` for what cannot be made together.
    """
    began = time.perf_counter()
    for each in requests:
        _check_arguments(model, each)
        _check_inputs(model, each)
    requests = [each.resolved(model.settings) for each in requests]
    first = requests[0]
    if len({alike(each) for each in requests}) > 1 or any(each.count > 1 for each in requests):
        raise ValueError("these requests differ in more than words, seed and cfg: run them alone")
    levels = _levels(model, first)
    if len(levels) < 2:
        raise ValueError("strength 0 makes nothing, alone or together: run it alone")
    canvas, notes = fit(first)
    with model.turns.ask() as turn:
        while not turn.come():
            yield Progress(0, len(levels) - 1, turn.waited, waiting=True)
        last = yield from _together(
            model, requests, levels, canvas, notes, began=began + turn.waited
        )
    yield last


def _together(
    model: Model,
    requests: Sequence[Request],
    levels: Sequence[float],
    canvas: Canvas | None,
    notes: list[str],
    *,
    began: float,
) -> Generator[Progress, None, Progress]:
    """As `_journey`, for requests that are alike."""
    checks.loaded(model)
    first, count = requests[0], len(requests)
    expected = stages.prepare(model, first.but(count=count), notes)
    steps = len(levels) - 1
    yield Progress(0, steps, 0.0)
    with memory.Peak(model.device) as peak:
        encoded = [words.encode(model, each) for each in requests]
        contexts = [torch.cat(half) for half in zip(*(c for c, _ in encoded), strict=True)]
        given = _given(model, canvas, contexts, notes)  # contexts [b, 77, d]
        cfg = torch.tensor([each.cfg for each in requests], device=model.device)[
            :, None, None, None
        ]
        seeds = [each.seed for each in requests]
        for step in _steps(model, first, levels, given, seeds, notes=notes, cfg=cfg):
            yield Progress(step.index + 1, steps, time.perf_counter() - began, step.denoised)
        latents = [x.cpu() for x in _end(step, given)]
        made = coding.finished(model, latents, notes)
        made = [canvas.finish(picture) for picture in made] if canvas else made
        gb = peak.read()
        notes += stages.beyond(model, gb)
    seconds = time.perf_counter() - began
    said = f"Made in one pass with {count - 1} others: alone it is the same but for rounding."
    results = tuple(
        Result((picture,), each, model.name, model.fingerprint, seconds / count, gb,
               (*notes, *more, said), model.memory.name, expected, (latent,))
        for picture, latent, each, (_, more) in zip(made, latents, requests, encoded, strict=True)
    )  # fmt: skip
    return Progress(steps, steps, seconds, results=results)
