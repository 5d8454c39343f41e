"""From a request to pictures: the one place where all parts meet.

`run` checks a request and waits until the model is free; `_journey` is the whole way, its stops
numbered from 1 to 7; `generate` drives it with a progress bar. txt2img, img2img, inpainting and
upscaling are this one path (`sdnb.engine.verbs` only builds their requests).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.diffusion.denoise import blend, eps_denoiser, inpainting
from sdnb.engine.diffusion.noise import Noise, finish, start
from sdnb.engine.diffusion.samplers import SAMPLERS, Step
from sdnb.engine.diffusion.schedule import sigmas
from sdnb.engine.full_precision import current, full_precision, in_full_precision
from sdnb.engine.model import Model
from sdnb.engine.stages import adapt, autoencode, control_nets, prompts
from sdnb.engine.stages.account import Account
from sdnb.engine.stages.contexts import Contexts, of_pass
from sdnb.engine.stages.control_nets import ChosenNets
from sdnb.engine.stages.from_picture import FromPicture, from_picture
from sdnb.engine.stages.guiding import Guiding
from sdnb.engine.stages.in_turn import alike, for_one_pass, in_turn
from sdnb.engine.stages.predictor import Predictor, is_sound, not_sound
from sdnb.engine.stages.prepare import beyond_limit, prepare
from sdnb.engine.stages.steering import Steering
from sdnb.images.canvas import Canvas, fit
from sdnb.images.result import Progress, Result, bar
from sdnb.request import Request, Resolved, checks, words
from sdnb.request.guidance_steps import GuidanceSteps
from sdnb.request.pace import Times
from sdnb.request.prompt.guidance import guidance

if TYPE_CHECKING:
    from PIL import Image


def generate(model: Model, request: Request, progress: bool = True) -> Result:
    """Make the pictures of `request`, with a progress bar. Ctrl-C, or the kernel's interrupt, stops
    within a second, also inside a step.

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
    with model.run_lock.ask(within=True) as turn, full_precision(), current(model.device):
        turn.wait()
        return autoencode.decode_all(model, latents, [])


@torch.inference_mode()
def run(model: Model, request: Request) -> Generator[Progress, None, None]:
    """The generator under `generate`: a `Progress` before the first step, after each, and at the
    end with the result. Break off, and close it, whenever you like.

    A model makes one run at a time: while another thread has it, this one is `waiting`. Raises
    `ValueError` for what cannot be made, before any work is done, and `RuntimeError` where another
    run of the model is half-way in the same thread.

    Where a prompt is a template, the seed of each picture chooses its words, and pictures of other
    words are made one after the other.
    """
    _check_given(model, [request])
    pictures = words.each_settled(request, model)
    if len(pictures) == 1:
        yield from _run(model, pictures)
    else:
        runs = [partial(_run, model, group) for group in for_one_pass(model, pictures)]
        yield from in_turn(request, runs)


@torch.inference_mode()
def run_together(model: Model, requests: Sequence[Request]) -> Generator[Progress, None, None]:
    """As `run`, for several requests that are `alike`, one picture each, in one pass of the UNet a
    step; the last `Progress` has their `results`, in the same order.

    A picture made so is that of its request alone but for rounding: a wider product adds up in
    another order. Raises as `run` does, and `ValueError` for what cannot be made together.
    """
    _check_given(model, requests)
    yield from _run(model, [words.settled(each, model) for each in requests], together=True)


@dataclass(frozen=True)
class Batch:
    """The pictures of one run: those of one request, or one of each of several alike."""

    requests: list[Resolved]
    levels: list[float]  # the sigmas to run; [] at strength 0
    canvas: Canvas | None  # the picture to begin from
    chosen: adapt.Chosen  # the LoRAs
    nets: ChosenNets  # for control
    together: bool  # all in one pass, whatever the plan says

    @property
    def first(self) -> Resolved:
        """What all of them have in common."""
        return self.requests[0]

    @property
    def steps(self) -> int:
        """Steps of one pass."""
        return max(len(self.levels) - 1, 0)

    def passes(self, most: int) -> list[list[tuple[int, int]]]:
        """The pictures of each pass of the UNet, as (index of its request, seed): image i of a
        request is the image of seed + i, alone or not.
        """
        pictures = [(r, q.seed + i) for r, q in enumerate(self.requests) for i in range(q.count)]
        most = len(pictures) if self.together else most
        return [pictures[i : i + most] for i in range(0, len(pictures), most)]


def _check_given(model: Model, requests: Sequence[Request]) -> None:
    checks.model(model)
    checks.loaded(model)
    for request in requests:
        if not isinstance(request, Request):
            raise TypeError(
                f"request={request!r} is no Request; write sdnb.Request(...), or use sdnb.txt2img"
            )


def _run(
    model: Model, requests: Sequence[Request], together: bool | None = None
) -> Generator[Progress, None, None]:
    """Check, wait for the model, and go; of several requests together."""
    began = time.perf_counter()
    together = len(requests) > 1 if together is None else together
    suited = [model.suited(request) for request in requests]
    resolved = [r.resolved(settings) for r, (settings, _) in zip(requests, suited, strict=True)]
    levels = _levels(model, resolved[0])
    if together:
        _check_together(resolved, levels)
    checks.picture_given(model.name, model.config.unet.in_channels, resolved[0].image)
    canvas, notes = fit(resolved[0])
    notes += [brought for _, brought in suited[:1] if brought]
    notes += _without_effect(resolved, max(len(levels) - 1, 0))
    chosen = adapt.choose(model, resolved[0])
    notes += chosen.notes
    nets = control_nets.choose(model, resolved[0], canvas)
    notes += nets.notes
    resolved = [nets.noted(chosen.noted(each)) for each in resolved]
    batch = Batch(resolved, levels, canvas, chosen, nets, together)
    with model.run_lock.ask() as turn:
        while not turn.come():
            yield Progress(0, batch.steps, turn.waited, waiting=True)
        with model.pace.timed(batch.first) as times:
            journey = _journey(model, batch, notes, began + turn.waited, times)
            last = yield from in_full_precision(journey, model.device)
            times.whole = last.seconds
    yield last  # the model is free: whoever gets the result may begin the next run


def _journey(
    model: Model, batch: Batch, notes: list[str], began: float, times: Times
) -> Generator[Progress, None, Progress]:
    """From requests that were checked to their pictures; returns the last `Progress`."""
    checks.loaded(model)  # again: it was waited for
    canvas, count = batch.canvas, sum(request.count for request in batch.requests)
    # 1. Control networks are taken in, the memory plan is chosen and put in force, and the LoRAs in
    # the weights where they lie.
    control_nets.take_in(model, batch.nets.used)
    expected = prepare(model, replace(batch.first, count=count), notes)
    adapt.put_in_force(model, batch.chosen)
    passes = batch.passes(model.memory.batch)
    times.count, times.at_once = count, len(passes[0])
    total = batch.steps * len(passes)
    if not batch.steps:
        notes.append("Strength 0 asks for no change: this is the picture that was given.")
    yield Progress(0, total, 0.0)
    pictures: list[Image.Image] = []
    latents: list[Tensor] = []  # [4, h/8, w/8] each, on the CPU; none at strength 0
    with memory.Peak(model.device) as peak:
        # 2. The prompts are encoded: contexts [1, 77 k, d] over the calls of the UNet.
        known = batch.chosen.embeddings(model)
        encoded = [prompts.encode(model, request, known) for request in batch.requests]
        own = [its.notes for its in encoded]
        used = (*model.files, *batch.chosen.files, *batch.nets.files)
        files = [(*used, *its.files) for its in encoded]
        requests = [its.noted(each) for its, each in zip(encoded, batch.requests, strict=True)]
        account = Account(
            model, requests, batch.together, expected, notes, own, batch.chosen.loras, files
        )
        notes = []
        # 3. The picture becomes a latent [1, 4, h/8, w/8], the mask is brought to its size.
        source = from_picture(model, canvas, batch.first.strength, notes)
        steering = Steering(model, batch.nets, batch.first, batch.steps)
        notes += steering.idle()
        for done, members in enumerate(passes):
            if not batch.steps and canvas is not None:
                pictures += [canvas.untouched()] * len(members)
                continue
            # 4. The sampler denoises noise, step by step; each step calls the UNet (`Predictor`).
            texts = _words(batch, encoded, members)
            for step in _denoise(model, batch, source, texts, notes, steering=steering):
                passed = time.perf_counter() - began
                times.ends.append(passed)
                at = done * batch.steps + step.index + 1
                yield Progress(at, total, passed, step.denoised)
            latents += [x.cpu() for x in _finished_latents(step, source)]
            # 5. The finished latents are decoded; they are kept, whatever the decoder does.
            decoded = autoencode.decode_all(model, latents[-len(members) :], notes)
            # 6. Pixels that the mask keeps are put back, and padding is cut off.
            pictures += [canvas.finish(p) for p in decoded] if canvas else decoded
            if len(pictures) < count:
                passed = time.perf_counter() - began
                made = account.results(pictures, latents, passed, peak.read(), notes)[0]
                yield Progress((done + 1) * batch.steps, total, passed, so_far=made)
        gb = peak.read()
        notes += beyond_limit(model, gb)
    # 7. The results say how the pictures came about.
    seconds = time.perf_counter() - began
    results = account.results(pictures, latents, seconds, gb, notes)
    if batch.together:
        return Progress(total, total, seconds, results=results)
    return Progress(total, total, seconds, result=results[0])


@dataclass(frozen=True)
class _Words:
    """In what the pictures of one pass differ."""

    seeds: list[int]
    contexts: Contexts
    guiding: Guiding


def _words(
    batch: Batch, encoded: Sequence[prompts.Encoded], members: Sequence[tuple[int, int]]
) -> _Words:
    """The words of one pass from those of each of its pictures."""
    requests, its = [batch.requests[r] for r, _ in members], [encoded[r] for r, _ in members]
    scales = [one.scales or [1.0] for one in its]
    if its[0].scales and any(request.cfg_rescale for request in requests):
        scales = [[*s, q.cfg_rescale, 1 / q.cfg] for s, q in zip(scales, requests, strict=True)]
    contexts = of_pass([one.texts for one in its])
    steps = GuidanceSteps.of(batch.first, batch.steps, contexts.texts, contexts.at)
    by_text = torch.tensor(scales).T[..., None, None, None]  # [texts - 1 (+ 2), b, 1, 1, 1]
    cfgs = [request.cfg or 1.0 for request in requests]  # at cfg 0 nothing guides
    return _Words([seed for _, seed in members], contexts, Guiding(steps, by_text, cfgs))


@torch.inference_mode()
def _denoise(
    model: Model,
    batch: Batch,
    source: FromPicture,
    texts: _Words,
    notes: list[str],
    *,
    steering: Steering,
) -> Generator[Step, None, None]:
    """The steps of the pictures of one pass; once more in full precision where what comes out is
    no picture.
    """
    request, levels = batch.first, batch.levels
    times = [model.schedule.sigma_to_t(level) for level in levels[:-1]]
    shape = model.latent_shape(request.width, request.height)
    for dtype in (None, torch.float32):
        noise = Noise(texts.seeds, shape)
        first = noise().to(model.device)  # [b, 4, h/8, w/8]
        x = start(source.begin if request.strength < 1 else None, first, levels[0])
        with Predictor(
            model, texts.contexts, texts.guiding, extra=source.extra,
            steering=steering if steering.used else None, times=times, dtype=dtype,
            merge=request.token_merging, notes=notes,
        ) as predict:  # fmt: skip
            denoise = eps_denoiser(predict, model.schedule, model.config.noise.prediction)
            if source.mask is not None and source.latent is not None:
                denoise = inpainting(denoise, source.latent, source.mask, first)
            sampler = SAMPLERS[request.sampler]
            walk = sampler(
                denoise, x, levels, eta=request.eta, noise=noise, schedule=model.schedule
            )
            with closing(walk) as steps:
                for step in steps:
                    yield step
                    checks.loaded(model)  # whoever looks may unload
        if is_sound(step.x):
            return
        notes.append(not_sound(model, dtype))
        if torch.float32 in (dtype, model.dtype):
            return


def _finished_latents(step: Step, source: FromPicture) -> Tensor:
    """The latents to decode; where a picture was to be kept, exactly its own."""
    x = finish(step.x, step.sigma)
    if source.mask is not None and source.latent is not None:
        x = blend(source.latent, x, source.mask)
    return x


def _levels(model: Model, request: Resolved) -> list[float]:
    """The sigmas to run; [] for strength 0."""
    strength = 1.0 if request.image is None else request.strength
    return sigmas(request.schedule, request.steps, model.schedule, strength)


def _without_effect(requests: Sequence[Resolved], steps: int) -> list[str]:
    """Words, where a field is set that does something to guidance or leaves something out, and
    there is none of it in the run, of so many steps.
    """
    idle = [r for r in requests if r.cfg_rescale and r.cfg in (0, 1)]
    said = [f"cfg_rescale has no effect at cfg {r.cfg:g}, which has no guidance." for r in idle[:1]]
    texts = guidance(requests[0])
    return said + GuidanceSteps.of(requests[0], steps, len(texts.texts), texts.at).notes


def _check_together(requests: Sequence[Resolved], levels: Sequence[float]) -> None:
    if len({alike(request) for request in requests}) > 1 or any(r.count > 1 for r in requests):
        raise ValueError("these requests differ in more than words, seed and cfg: run them alone")
    if not levels:
        raise ValueError("strength 0 makes nothing, alone or together: run it alone")
