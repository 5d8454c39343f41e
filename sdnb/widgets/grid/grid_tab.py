"""The studio's tab for grids: up to three axes, typed as lists of values, and the grid's view."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.assets import user_path
from sdnb.grid import lora_axis
from sdnb.grid.axes import Axis, make_axes
from sdnb.grid.cells import make_cells, with_seed
from sdnb.grid.grid import Grid
from sdnb.grid.typed_axes import HOW, label, parsed
from sdnb.request import checks
from sdnb.widgets import style
from sdnb.widgets.addons import finding
from sdnb.widgets.buttons import text_button
from sdnb.widgets.control.nets_on_offer import NetsOnOffer
from sdnb.widgets.grid.grid_detail import Send
from sdnb.widgets.grid.grid_view import GridView
from sdnb.widgets.grid.large_grid import ASKED_FROM, LargeGrid, count_of, in_numbers, seconds_of
from sdnb.widgets.keys import GenerateKeys
from sdnb.widgets.progress import ErrorBox

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.jobs.executor import Executor
    from sdnb.request import Request
    from sdnb.widgets.gallery.gallery import Gallery

_MOST_OFFERED = 500  # LoRAs, nets
_FEW = 4  # nets of an axis that is offered
_ROWS = ("Across", "Down", "Third")


@dataclass(frozen=True)
class _Plan:
    """What is asked for when someone presses Run grid."""

    source: str  # the tab's name
    base: Request
    axes: tuple[Axis, ...]
    store: str | None


class GridTab(widgets.VBox):
    """Makes grids of another tab's request.

    `requests` gives each tab's request by the tab's name; `use` puts a cell's request into the tab
    of that name. `send` and `gallery` are those of `GridView`. `view` is the newest grid's view.
    """

    def __init__(
        self,
        model: Model,
        requests: Mapping[str, Callable[[], Request]],
        use: Callable[[Request, str], None],
        executor: Executor | None = None,
        *,
        send: Mapping[str, Send] | None = None,
        gallery: Gallery | None = None,
    ) -> None:
        self.model, self._requests, self._use, self._executor = model, requests, use, executor
        self._sends, self._gallery = send, gallery
        self.view: GridView | None = None
        self._plan: _Plan | None = None  # of the view
        self._from = widgets.Dropdown(
            options=tuple(requests), description="Settings of",
            style={"description_width": "76px"}, layout=widgets.Layout(width="240px"),
        )  # fmt: skip
        self._problem, self._question = ErrorBox(), LargeGrid()
        self._prompt, self._forecast = style.quiet_line(), style.quiet_line()
        self._from.observe(lambda _: self.show_prompt(), "value")
        self._store = widgets.Text(
            description="Keep in",
            placeholder="a folder of its own, to go on with the grid another day; or empty",
            style={"description_width": "76px"}, layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._axes = [self._row(words) for words in _ROWS]
        self._show(0, "steps", "4, 8, 16")
        self._show(1, "cfg", "2, 4, 8")
        self._run_button = text_button(
            "Run grid", "th", "Make a picture of each combination (Ctrl+Enter)", self.run
        )
        self._run_button.button_style = "primary"
        self._run_button.add_class("sdnb-main")
        self._run_button.add_class("sdnb-generate")  # by which `keys.js` finds it
        self._place = widgets.VBox()
        rows = [style.box("sdnb-axis", [*row]) for row in self._axes]
        whose = style.row([self._from, self._prompt])
        top = style.box("sdnb-top", [widgets.VBox([whose, *rows, self._store]), self._actions()])
        # The boxes' own messages may come after the click: with it comes what stands in them.
        keys = GenerateKeys([top], self.run)
        self._question.focus = keys.focus
        below = [self._question, self._problem, self._place]
        super().__init__([style.sheet(), keys, top, *below])
        self.show_prompt()
        self.add_class("sdnb")

    @property
    def source(self) -> str:
        """The name of the tab whose request the grid varies."""
        return str(self._from.value)

    def show_prompt(self) -> None:
        """Show the prompt that the grid will vary, and how long it takes."""
        try:
            asked = self._requests[self.source]()
            words = f"“{asked.prompt}”"
            if asked.count > 1:
                words += f" · one picture in each cell, where {self.source} makes {asked.count}"
        except (ValueError, TypeError) as error:  # Run grid shows it too
            words = str(error)
        self._prompt.value = html.escape(words)
        self.refresh()

    @property
    def axes(self) -> dict[str, Any]:
        """The typed axes as arguments of `sweep`. Raises ValueError for a malformed list."""
        axes: dict[str, Any] = {}
        for kind, values in self._axes:
            name = kind.value
            if not name:
                continue
            if name == "lora":  # each row may be of another LoRA
                name = next(n for n in lora_axis.NAMES if n not in axes)
            if name in axes:
                raise ValueError(f"{label(name)} is chosen twice; choose another axis")
            axes[name] = parsed(kind.value, values.value, self.model.library)
        return axes

    @property
    def typed(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """The tab, the folder, and each row's axis and values, as they stand in the boxes."""
        rows = tuple((kind.value, values.value) for kind, values in self._axes)
        return self.source, self._store.value, rows

    @typed.setter
    def typed(self, typed: tuple[str, str, tuple[tuple[str, str], ...]]) -> None:
        self._from.value, self._store.value, rows = typed
        for number, (name, text) in enumerate(rows):
            self._show(number, name, text)

    def run(self) -> GridView | None:
        """Plan the grid, show its view and fill it. None if it is refused, which is shown, and if
        it is so large that the page asks first. A grid that is running already goes on.
        """
        self._problem.hide()
        self._question.forget()
        try:
            plan = self._asked()
            count = count_of(plan.axes)
        except (ValueError, TypeError, LookupError) as error:
            self._problem.show_error(error)
            return None
        if self.view is not None and self.view.running and plan == self._plan:
            return self.view
        if count > ASKED_FROM:
            seconds = seconds_of(self.model, plan.base, plan.axes)
            self._question.about(count, seconds, partial(self._begin, plan))
            return None
        return self._begin(plan)

    def refresh(self) -> None:
        """Show how many pictures the grid would have, and how long they take by the last runs; and
        which values cannot be read as they stand.
        """
        words = self._mark_wrong()
        with suppress(ValueError, TypeError, LookupError, OSError):  # Run grid shows these
            plan = self._asked()
            words = in_numbers(count_of(plan.axes), seconds_of(self.model, plan.base, plan.axes))
        self._forecast.value = html.escape(words)

    def _mark_wrong(self) -> str:
        """Mark the boxes whose values are no list; returns words for that, "" where all are."""
        wrong = []
        for kind, values in self._axes:
            values.remove_class("sdnb-wrong")
            try:
                _ = kind.value and parsed(kind.value, values.value, self.model.library)
            except (ValueError, TypeError, LookupError, OSError):
                values.add_class("sdnb-wrong")
                wrong.append(label(kind.value))
        return f"Values of {' and '.join(wrong)} cannot be read yet." if wrong else ""

    def _asked(self) -> _Plan:
        """What the controls ask for. Raises ValueError, TypeError or LookupError."""
        base = self._requests[self.source]().but(count=1)
        return _Plan(self.source, base, make_axes(self.axes), self._store.value.strip() or None)

    def _begin(self, plan: _Plan) -> GridView | None:
        """Show the view of a planned grid and fill it, unless it is refused."""
        try:
            base = with_seed(plan.base)
            grid = Grid(base, plan.axes, make_cells(base, plan.axes))
            self._refuse_unknown_files(grid)
        except (ValueError, TypeError, LookupError) as error:
            self._problem.show_error(error)
            return None
        self.stop()
        self._plan = plan
        self.view = GridView(
            grid, self.model, store=plan.store, executor=self._executor,
            use=lambda request: self._use(request, plan.source), send=self._sends,
            gallery=self._gallery,
        )  # fmt: skip
        self._place.children = [self.view]
        self.view.turned = partial(self._turned, self.view)
        self.view.run()
        return self.view

    def _turned(self, view: GridView, running: bool) -> None:
        """While a grid is filled, its Stop is the button to see."""
        if view is self.view:
            self._run_button.button_style = "" if running else "primary"

    def _refuse_unknown_files(self, grid: Grid) -> None:
        """Raise LookupError, with similar names, for a LoRA or a net that is not there."""
        library, nets = self.model.library, NetsOnOffer(self.model)
        for name in {each.net for request in grid for each in request.controls}:
            if not (facts := nets.about(name)).known:
                raise LookupError(f"net {checks.shown(name)}: {facts.why_not}")
        if library is None:  # then the name of a LoRA is a path, which its cells look for
            return
        for name in {each.name for request in grid for each in request.loras}:
            if not user_path(name).is_file():
                library.find("lora", name)

    def stop(self) -> None:
        """Stop filling the grid; finished cells are kept."""
        if self.view is not None:
            self.view.stop()

    def pause(self) -> None:
        """Stop, and allow no grid until `serve`."""
        self.stop()
        self._run_button.disabled = True

    def serve(self, model: Model, executor: Executor | None = None) -> None:
        """Make grids with another model from now on."""
        self.model, self._executor = model, executor
        self._question.forget()
        self.refresh()
        if self.view is not None:
            self.view.serve(model, executor)
        self._run_button.disabled = False

    def close(self) -> None:
        self.stop()
        super().close()

    def __repr__(self) -> str:
        return f"GridTab({self.view!r})"

    def _actions(self) -> widgets.VBox:
        actions = widgets.VBox([self._run_button, self._forecast])
        actions.add_class("sdnb-actions")
        return actions

    def _row(self, words: str) -> tuple[widgets.Dropdown, widgets.Combobox]:
        # "" and not None: a list shows None as no selection.
        names = [("nothing", ""), *((label(name), name) for name in HOW)]
        kind = widgets.Dropdown(
            options=names, description=words, style={"description_width": "76px"},
            layout=widgets.Layout(width="240px", flex="0 0 auto"),
        )  # fmt: skip
        values = widgets.Combobox(
            description="values", ensure_option=False, style={"description_width": "auto"},
            layout=widgets.Layout(width="auto", display="none"),
        )  # fmt: skip
        values.add_class("sdnb-values")

        typed: dict[str, str] = {}  # what was typed for each kind, for when it is chosen again

        def changed(change: dict[str, Any]) -> None:
            typed[change["old"]] = values.value
            values.options = self._offered(change["new"])
            values.value = typed.get(change["new"], "") or next(iter(values.options), "")
            values.placeholder = values.tooltip = HOW.get(change["new"], "")
            values.layout.display = "" if change["new"] else "none"

        kind.observe(changed, "value")
        for part in (kind, values):  # what was wrong may be mended
            part.observe(lambda _: self._changed(), "value")
        return kind, values

    def _changed(self) -> None:
        """What was said, or asked, of other values is not of these."""
        self._problem.hide()
        self._question.forget()
        self.refresh()

    def _offered(self, name: str) -> tuple[str, ...]:
        """What the library has for an axis of LoRAs or nets: values to be taken as they are."""
        if name not in ("lora", "loras", "control_net"):
            return ()
        if name == "control_net":
            nets = NetsOnOffer(self.model).usable[:_MOST_OFFERED]
            return tuple(dict.fromkeys((", ".join(nets[:_FEW]), *nets))) if nets else ()
        width = self.model.config.unet.context_dim
        names = finding.usable(self.model.library, width)[:_MOST_OFFERED]
        ending, start = (": 0, 0.5, 1", "") if name == "lora" else ("", "none, ")
        return tuple(f"{start}{each}{ending}" for each in names)

    def _show(self, row: int, name: str, text: str) -> None:
        kind, values = self._axes[row]
        kind.value = name
        values.value = text
