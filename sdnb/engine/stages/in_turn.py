"""Several runs as one: the pictures of a request whose template gives each its own words."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from sdnb.engine.stages import adapt
from sdnb.images.result import Progress, Result
from sdnb.request import Request, Resolved, digests, lora, prompt
from sdnb.request.prompt.guidance import guidance

if TYPE_CHECKING:
    from sdnb.engine.model import Model

Run = Callable[[], Generator[Progress, None, None]]


def alike(request: Resolved) -> tuple[object, ...]:
    """What requests must have in common to be made in one pass a step: all but the words, the seed,
    cfg and its rescaling; the LoRAs, also those that tags in the prompt name; and how many texts
    guide them, for AND joins several and cfg 0 and 1 need but one.
    """
    texts = len(guidance(request).texts)
    loras = lora.of_request(request.prompt, request.loras)
    rest = request.but(loras=(), prompt="", negative="", seed=0, cfg=0, cfg_rescale=0, count=1)
    return texts, loras, rest


def for_one_pass(model: Model, pictures: Sequence[Request]) -> list[list[Request]]:
    """Requests for one picture each, those together that one pass of the UNet can make: neighbours
    that are `alike`, as many as the plan makes at once. Raises for words that cannot be read and
    LoRAs that are not there, before the first of them is made.
    """
    groups: list[list[Request]] = []
    last: object = None
    for picture in pictures:
        prompt.check(picture.prompt, picture.negative, picture.syntax, picture.steps)
        resolved = picture.resolved(model.suited(picture)[0])
        kind = alike(resolved)
        if kind != last:
            adapt.choose(model, resolved)
        room = bool(groups) and len(groups[-1]) < model.memory.batch
        if room and kind == last and (picture.image is None or picture.strength > 0):
            groups[-1].append(picture)
        else:
            groups.append([picture])
        last = kind
    return groups


def in_turn(asked: Request, runs: Sequence[Run]) -> Generator[Progress, None, None]:
    """Go through the runs, one after the other, with the progress of one run of `asked`: between
    them what is finished, at the end the result of all.
    """
    made: list[Result] = []
    steps, seconds = 0, 0.0  # of the runs that are done
    for left, run in reversed(list(enumerate(reversed(runs)))):
        last = Progress(0, 0, 0.0)
        with closing(run()) as progress:
            for last in progress:
                now = replace(
                    last, step=steps + last.step, total=steps + last.total * (left + 1),
                    seconds=seconds + last.seconds, result=None, results=(),
                )  # fmt: skip
                results = last.results or ((last.result,) if last.result else ())
                made += results
                if results and left:
                    now = replace(now, so_far=joined(asked, made))
                if not results or left:
                    yield now
        steps, seconds = steps + last.total, seconds + last.seconds
    yield Progress(steps, steps, seconds, result=joined(asked, made))


def joined(asked: Request, results: Sequence[Result]) -> Result:
    """The results of runs of one picture each as one, of the request with its templates."""
    first, requests = results[0], tuple(each.request for each in results)
    known = digests.joined((), dict(pair for each in requests for pair in each.digests))
    request = first.request.but(
        prompt=asked.prompt, negative=asked.negative, template=asked.template,
        negative_template=asked.negative_template, count=len(requests), digests=known,
    )  # fmt: skip
    return replace(
        first,
        images=tuple(image for each in results for image in each.images),
        request=request,
        seconds=sum(each.seconds for each in results),
        peak=max(each.peak for each in results),
        notes=tuple(dict.fromkeys(note for each in results for note in each.notes)),
        latents=tuple(latent for each in results for latent in each.latents),
        loras=tuple(dict.fromkeys(lora for each in results for lora in each.loras)),
        files=tuple(dict.fromkeys(file for each in results for file in each.files)),
        requests=requests,
    )
