"""`sdnb.Panel(model)`: controls for every setting of a request, Generate, Stop, and the result.

    panel = sdnb.Panel(model); panel       # in one cell
    panel.request, panel.result            # in the next

The panel keeps no copy of the request: reading `panel.request` reads the controls, and assigning
to it moves them. Changing a control starts no run, unless `panel.live` is on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from sdnb import images
from sdnb.jobs.executor import Executor, Job
from sdnb.request import Request, Resolved, checks
from sdnb.request.plain_words import counted
from sdnb.request.quick_enough import Quicker
from sdnb.widgets import picture_acts, style
from sdnb.widgets.actions import GENERATE, Actions
from sdnb.widgets.came_with import CameWith, of_upload
from sdnb.widgets.details import about
from sdnb.widgets.drops import Drops
from sdnb.widgets.engine_door import load_model, worker_of
from sdnb.widgets.form.fitted_view import runnable
from sdnb.widgets.form.form import Form
from sdnb.widgets.form.painted_box import check_painted
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.kept_gallery import kept
from sdnb.widgets.hearing import in_order
from sdnb.widgets.keys import GenerateKeys
from sdnb.widgets.lifetime import tie
from sdnb.widgets.live_mode import LiveMode
from sdnb.widgets.live_runs import LiveRuns
from sdnb.widgets.outcome import Outcome
from sdnb.widgets.plan_line import PlanLine
from sdnb.widgets.progress import ProgressView
from sdnb.widgets.prompt_tools import PromptTools
from sdnb.widgets.run_queue import RunQueue
from sdnb.widgets.studio_tab import StudioTab
from sdnb.widgets.way_back import WayBack
from sdnb.widgets.yes_or_no import LongRun

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images import Saved
    from sdnb.images.result import Progress, Result


class Panel(StudioTab):
    """Controls, Generate and Stop, progress with a preview, and a gallery of the results.

    `kind` is "all", or "txt2img", "img2img" or "inpaint" for fewer controls. `executor` runs the
    requests; the default is a thread beside the kernel, one for each model. `gallery` takes the
    results; the default is a gallery of the panel's own, shown below it. With `autosave` each
    picture is saved to the gallery's folder as soon as it is finished.

    Five things stop a run: the button, `stop()` in any cell, the kernel's interrupt (■) while no
    cell runs, running the panel's cell again, and deleting the cell. The button leaves the requests
    that wait, which are a list with buttons of their own; the others drop them. Closing the page
    does not; and after a page was reloaded, browsers no longer report that a cell is deleted.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("all", "txt2img", "img2img", "inpaint")
    #: The word and the tooltip of its main button.
    GENERATE: ClassVar[tuple[str, str]] = GENERATE
    FORESEEN: ClassVar[str] = ""  #: what the forecast is of, where that is not plain

    def __init__(
        self, model: Model | None = None, kind: str = "all", *, executor: Executor | None = None,
        gallery: Gallery | None = None, autosave: bool | None = None,
    ) -> None:  # fmt: skip
        checks.choice("kind", kind, self.KINDS)
        if model is not None:
            checks.model(model)
        self.model = load_model() if model is None else model
        self.kind = kind
        self.gallery = gallery or kept(Gallery())
        self.has_gallery = gallery is None  #: whether it is the panel's own
        self.given = () if self.has_gallery else (self.gallery,)
        if autosave is not None:
            self.gallery.autosave.on = autosave
        settings, tokenizer = self.model.settings, self.model.tokenizer
        self.form = Form(settings, tokenizer, kind, self._edited, self._offered)
        self.form.find_as(self.model)
        self.progress = ProgressView(self.model.preview, self._left, self.model.full_preview)
        self.begun: list[Callable[[], object]] = []  #: called when a run begins
        self._build(executor or worker_of(self.model))
        self._keys = keys = GenerateKeys(self._rows, self._pressed)
        keys.composed = self._live.compose
        self._tools.question.focus = self._long.focus = keys.focus
        self.form.addons.grown = self.form.control.grown = self.words.grown = keys.look_again
        drops, own = Drops(lambda _: self.view.picture), [self.gallery] * self.has_gallery
        super().__init__([style.sheet(), keys, drops, *self._rows, *own])
        self.add_class("sdnb")
        if kind == "inpaint":
            self.add_class("sdnb-paints")
        tie(self)
        in_order(self)

    # -- a value -----------------------------------------------------------------------------
    @property
    def request(self) -> Request:
        """The controls as a request; assigning moves them. An open field stays None. Raises
        ValueError while a number stands in a box that no request can have.
        """
        self.form.check()
        return self.form.request

    @request.setter
    def request(self, request: Request) -> None:
        self.form.request = request
        self._show_plan()

    @property
    def result(self) -> Result | None:
        """The newest result of this panel, one of live included."""
        return self._outcome.newest

    @property
    def results(self) -> list[Result]:
        """The results of this panel that nobody deleted, oldest first; of live, those kept."""
        return self._outcome.results

    @property
    def running(self) -> bool:
        """Whether something runs or waits."""
        return self._queue.running or self._live.busy

    @property
    def live(self) -> bool:
        """Whether each change of a control makes the picture anew. Assign to it to switch that.

        The seed is locked meanwhile, and the pictures are in no gallery until somebody keeps them.
        """
        return self._live.on

    @live.setter
    def live(self, on: bool) -> None:
        if on and self.kind == "upscale":
            raise ValueError("upscaling takes two runs: it has no live")
        self._live.on = on

    def generate(self) -> Job | None:
        """Queue the request as the button does. If it cannot run, show why and return None; while
        the picture is being read or painted on, do so once it is there.
        """
        if words := self.form.picture.when_there(self.generate):
            self.progress.refuse(ValueError(f"{words}: the run begins then."))
            return None
        try:
            request = self._checked()
        except (ValueError, TypeError) as error:
            self.progress.refuse(error)
            return None
        self.gallery.turn_to_newest()  # what comes of this is seen there
        return self.submit(request)

    def submit(self, request: Request, then: Callable[[Result], None] | None = None) -> Job | None:
        """Queue any request; this panel shows its result.

        `then` is called with the result, in the job's thread, unless someone pressed Stop.
        """
        self._live.rest()
        job = self._queue.submit(request, then)
        if job is not None:
            self.words.remember(request)
        return job

    def use(self, picture: GalleryPicture) -> None:
        """Put a picture's settings into the panel; a photograph has none and becomes the input.

        Raises ValueError for a photograph in a txt2img panel.
        """
        if picture.known:
            self.bring(*picture.in_library(self.model.library))
        elif self.kind == "txt2img":
            raise ValueError("It brings no settings, and this panel starts from words alone.")
        else:
            self.start_from(images.picture(picture.image))
            self.form.propose()

    def bring(self, request: Request, notes: Sequence[str] = ()) -> None:
        """Take the settings that came with a picture, and say so of a seed among them; `notes` are
        what else there is to say.
        """
        before = self.form.seed.value
        self.request = request
        self.came.tell(request, before, notes)

    def start_from(self, png: bytes, mask: bytes | None = None) -> None:
        """Make this the input picture, in its own size, with this mask; the other controls stay."""
        self.form.change(image=png, mask=mask, width=None, height=None)
        self._show_plan()

    def hold_to(self, picture: GalleryPicture) -> None:
        """Make it the picture of a control, of the first without one or of another one.

        Raises ValueError where there are as many as can be.
        """
        self._keys.see(self.form.control.hold_to(picture.image))

    def empty(self) -> None:
        """Show no result: it is of another picture than the one that came."""
        if not self.running:
            self._live.forget()
            self._outcome.clear()

    def close(self) -> None:
        if hasattr(self, "_queue"):  # false where the arguments were refused
            self.stop()
        super().close()

    def __repr__(self) -> str:
        results = counted(len(self.results), "result")
        return f"Panel({self.model.name}, {self.form.request!r}, {results})"

    # -- building ----------------------------------------------------------------------------
    def _build(self, runs: Executor) -> None:
        self._tools = PromptTools(self.form, lambda: self.model.library, self._edited)
        self.words, self._long = self._tools.words, LongRun()
        asks = self._tools.question, self._long
        self._actions = Actions(self._pressed, self.skip, self._tools.buttons, asks, self.GENERATE)
        self._queue = RunQueue(runs, self._actions, self.progress, self._began, self._took)
        self._plan, self.as_left = PlanLine(self.FORESEEN), WayBack()
        self._outcome = Outcome(self.progress.picture, self.gallery, self.form.seed.made_with)
        self.view, self._caption = self._outcome.view, self._outcome.caption
        self.progress.wanted = lambda: not self.view.is_held
        self.came = CameWith(self.form, self._caption)
        self.begun += [self.as_left.forget, self.came.mask.forget, self.keep]
        self._live = self._made_live()
        picture_acts.offer(self)
        self.progress.after_stop.keep = lambda seed: self.form.change(seed=seed)
        self.about = style.quiet_line()
        # Where it is seen before somebody draws on: a mask that stays is repainted, too.
        left = widgets.VBox([*self._above(), self.came.mask, self.form])
        # What it takes stands where it is seen before Generate is pressed. What comes and goes is
        # below the picture, which stays where it is.
        above = [*self._beside(), self._plan, self.progress, self._live.line]
        below = [self._queue.waiting, self.came.line, self._live.below]
        right = self._outcome.column(above, below)
        words = widgets.VBox([self.form.words, self.words.shelf])
        top = style.box("sdnb-top", [words, self._actions])
        self._rows = [self.about, self.as_left, top, style.box("sdnb-columns", [left, right])]
        self._show_model()

    def _show_model(self) -> None:
        self.about.value = about(self.model)
        self._tools.serve(self.model.examples)

    def _above(self) -> list[widgets.Widget]:
        """What a subclass shows above the controls."""
        return []

    def _beside(self) -> list[widgets.Widget]:
        """What a subclass shows above the result, beside those."""
        return []

    def _made_live(self) -> LiveRuns:
        """What makes its pictures live."""
        return LiveMode(
            self._actions.live, self.form, self._queue, outcome=self._outcome, plan=self._plan,
            asked=self._checked, began=self._began, take=self._quicken, model=self.model,
        )  # fmt: skip

    def _pressed(self) -> None:
        """Queue the request, unless it takes so long that someone is asked first."""
        with suppress(ValueError, TypeError):  # `generate` says what is wrong
            self._checked()
            if self._long.asks(self._plan.seconds, self._begin):
                return
        self._begin()

    def _begin(self) -> None:
        if self.generate() is not None:
            self._plan.heed()

    # -- before a run ------------------------------------------------------------------------
    def asked(self) -> Request:
        """`request`, unresolved. Raises ValueError if Generate would refuse it."""
        self._checked()
        return self.request

    def _edited(self) -> None:
        """Called after a person moved a control."""
        self._caption.look(self.form.controls["image"].value)
        self._show_plan()

    def _show_plan(self) -> None:
        """Update the forecast, and the error if it no longer holds; a question is withdrawn."""
        self._tools.look()
        self._long.forget()
        for place in (self.came, self.view, self.gallery, self._live):
            place.look()
        self.progress.look_again(self._checked)
        if self._queue.paused:
            return
        with suppress(ValueError):  # Generate shows how the controls contradict each other
            self._plan.ask(self.model, self._foreseen(), settings=self.form.suited[0])

    def _quicken(self, way: Quicker) -> None:
        """Take the steps and the size with which a picture is quick enough for live."""
        self.form.change(**way.fields)
        self._edited()

    def _foreseen(self) -> Request:
        """The request that the forecast is of."""
        return self.form.request

    def _offered(self, saved: Saved) -> None:
        """Take the settings that an uploaded picture carries."""
        request, lines = of_upload(saved, self.form.request, self.model)
        self.bring(request)
        self.form.size_came()
        self._caption.say(*lines, of=self.form.controls["image"].value)

    def _checked(self) -> Resolved:
        """The resolved request. Raises ValueError if it cannot run."""
        resolved = runnable(self.request, self.kind, self.form.suited[0], self.model.library)
        check_painted(self.form.controls["image"], resolved)
        return resolved

    # -- during a run, in its own thread --------------------------------------------------------
    def _began(self) -> None:
        """Clear what was said of what was done with the last picture."""
        self._outcome.begin()
        self.form.picture.forget_refused()
        for act in self.begun:
            act()

    def _left(self, request: Request, progress: Progress) -> float | None:
        """Seconds to the end of a run of this request, by what the last runs took."""
        resolved = request.resolved(self.model.settings)
        return self.model.pace.left(resolved, progress.step, progress.total, progress.seconds)

    def _took(self, result: Result, before: Result | None, of: int) -> None:
        self._live.forget()
        self._outcome.take(result, before, of)
