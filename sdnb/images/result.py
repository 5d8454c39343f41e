"""What a run gives: `Progress` on the way, a `Result` at the end."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from sdnb.images import contact_sheet, saving
from sdnb.request.plain_words import counted, digits

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from sdnb.images.used_files import UsedFile
    from sdnb.request import Request
    from sdnb.request.lora import Lora


@dataclass(frozen=True, repr=False)
class Result:
    """Pictures and how they came about. As the last line of a cell it shows itself."""

    images: tuple[Image.Image, ...]  # RGB; image i is the image of seed + i
    request: Request  # resolved: nothing left open
    model: str
    fingerprint: str
    seconds: float
    peak: float  # GB: reserved on a card, resident memory of the process on a CPU
    notes: tuple[str, ...] = ()  # what was done instead of, or to, what was given
    memory: str = ""  # the name of the plan that was used
    expected: float | None = None  # GB: the predicted peak, where there was a prediction
    #: The finished latents `[4, h/8, w/8]`, float32 on the CPU: `sdnb.decode` takes them again.
    latents: tuple[Tensor, ...] = field(default=(), compare=False)
    #: All that were used, of the field and of the prompt's tags, with the digests of their files.
    loras: tuple[Lora, ...] = ()
    #: The LoRAs and embeddings that were used; the checkpoint and the VAE where a hash is known.
    files: tuple[UsedFile, ...] = ()
    #: Of each picture, where a template gave them different words: then `request` has the template.
    requests: tuple[Request, ...] = ()

    def request_of(self, index: int) -> Request:
        """The request for picture `index` alone."""
        return saving.request_of(self, index)

    @property
    def image(self) -> Image.Image:
        """The first picture."""
        return self.images[0]

    def save(self, folder: str | Path, name: str | None = None) -> list[Path]:
        """One PNG a picture, with the request inside; see `sdnb.images.save`. A `folder` such as
        "cat.png" is the file's name.
        """
        return saving.save(self, folder, name)

    def __repr__(self) -> str:
        r, n = self.request, len(self.images)
        size = "x".join(map(str, self.image.size))
        return (
            f"Result({counted(n, 'picture')} {size}, {counted(r.steps or 0, 'step')} of "
            f"{r.sampler}, cfg {digits(r.cfg or 0)}, seed {r.seed}, {self.seconds:.1f} s, "
            f"peak {self.peak:.2f} GB)"
        )

    def _repr_html_(self) -> str:
        buffer = BytesIO()
        sheet = contact_sheet.sheet(list(self.images))
        sheet.save(buffer, "PNG")
        data = b64encode(buffer.getvalue()).decode()
        said = "".join(f"<div>&#9432; {html.escape(note)}</div>" for note in self.notes)
        alt = html.escape(self.request.prompt, quote=True)
        return (
            f'<img src="data:image/png;base64,{data}" alt="{alt}" width="{sheet.width}" '
            'style="max-width:100%;height:auto">'
            f'<div style="font-size:smaller;opacity:.8">{html.escape(repr(self))}{said}</div>'
        )


@dataclass(frozen=True)
class Progress:
    """How far a run is. The first says how many steps there will be; the last has the `result`."""

    step: int  # steps done: 0..total
    total: int  # steps of the whole run, over all pictures
    seconds: float  # since the run began
    latent: Tensor | None = None  # [b, 4, h/8, w/8], the clean latent as guessed now: for previews
    result: Result | None = None
    #: After each pass but the last of a run of several pictures: those that are finished, as the
    #: result of a request for so many. Whoever stops there has them.
    so_far: Result | None = None
    results: tuple[Result, ...] = ()  # instead, at the end of `pipeline.run_together`
    waiting: bool = False  # nothing has begun
    waits_for: str = "another run of this model"

    @property
    def where(self) -> str:
        """ "step 7 of 25", or what it waits for."""
        if self.waiting:
            return f"waiting for {self.waits_for}"
        return f"step {self.step} of {self.total}"


def bar(steps: Iterable[Progress]) -> Iterator[Progress]:
    """Pass `steps` on, showing how far they are. The bar goes when all are done; when the run stops
    it stays where it was.
    """
    steps = iter(steps)
    first = next(steps)  # step 0: the bar is there before the first step, which may be long
    waiting = False
    with tqdm(total=first.total, unit="step", dynamic_ncols=True, disable=not first.total) as meter:
        for at in chain([first], steps):
            if at.waiting != waiting:
                waiting = at.waiting
                meter.set_postfix_str(at.where if waiting else "")
            meter.total = at.total
            meter.update(at.step - meter.n)
            yield at
        put_away(meter)


def put_away(meter: Any) -> None:
    """Take tqdm's bar out of sight at its end: below one another, finished bars tell nothing."""
    box = getattr(meter, "container", None)
    if box is None:  # in a terminal
        meter.leave = False
    else:  # hidden and not closed: a page that is loaded again would miss a closed one
        box.layout.display = "none"
