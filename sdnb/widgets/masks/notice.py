"""The mask editor's status line, and its fallback where the browser has no canvas."""

from __future__ import annotations

import contextvars
import html
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence

import ipywidgets

from sdnb.widgets.masks.editor_state import EditorState
from sdnb.widgets.masks.preview import Ink, veiled
from sdnb.widgets.masks.toolbar import IMPORT
from sdnb.widgets.upload import Upload

ANSWER_SECONDS = 8.0  # within which the browser's part of ipycanvas should answer
MISSING = (
    "<b>Drawing is not possible here.</b> The package ipycanvas, which one draws with, is not "
    "installed in this kernel: pip install ipycanvas, then restart the kernel and reload the page."
)
_NO_ANSWER = (
    "<b>Drawing is not possible yet.</b> The drawing area has not answered. It comes when the cell "
    "that is running has ended; if none is running, this page lacks the browser's part of "
    "ipycanvas: pip install ipycanvas where Jupyter runs, then reload the page."
)


class Status(ipywidgets.HTML):
    """One line: the size, what is drawn, and a message."""

    def __init__(self) -> None:
        super().__init__()
        self.add_class("sdnb-said")

    def tell(self, state: EditorState, extra: str = "", problem: bool = False) -> None:
        """Say how much of the picture the mask repaints."""
        share, why = state.repainted()
        words = [f"<b>{share:.1%}</b> is repainted"]
        if state.invert:
            words.append("inverted: black is repainted")
        if state.latent and not state.problem:
            words.append("as the model sees it")
        if why and not extra:
            extra, problem = why, True
        self.say(state, words, extra, problem)

    def say(
        self, state: EditorState, words: Sequence[str], extra: str = "", problem: bool = False
    ) -> None:
        """Say the picture's size, these words (HTML) and a message."""
        said = ["{} × {}".format(*state.picture.size), *words]
        if extra:
            kind = "sdnb-problem" if problem else "sdnb-note"
            said.append(f'<span class="{kind}">{html.escape(extra)}</span>')
        self._show(" · ".join(said))

    def offer(self, png: bytes) -> None:
        """Show a link that downloads the mask, until the next message."""
        data = b64encode(png).decode()
        self._show(
            f'<a download="mask.png" href="data:image/png;base64,{data}">Download mask.png</a> '
            f"({len(png) / 1024:.0f} KB); <code>editor.save('mask.png')</code> writes it beside "
            "the notebook"
        )

    def _show(self, words: str) -> None:
        self.value = f'<div role="status">{words}</div>'


class Fallback(ipywidgets.VBox):
    """The masked picture until the canvas has come; if it does not come, the reason and a button to
    import a mask.

    The editor calls `shown` when a page shows it, and `heard` when the canvas has answered. `how`
    says what is done instead of drawing; without `take` there is no button for it.
    """

    def __init__(
        self, state: EditorState, ink: Ink, how: str, take: Callable[[bytes, str], None] | None
    ) -> None:
        self._state, self._ink, self._how = state, ink, how
        self._timer: threading.Timer | None = None
        self._why = ipywidgets.HTML()
        self._why.add_class("sdnb-said")
        uploads = [] if take is None else [Upload(*IMPORT, take, classes=[], width="180px")]
        self._instead: list[ipywidgets.Widget] = [self._why, *uploads]
        self._picture = ipywidgets.Image(format="jpeg", layout={"max_width": "100%"})
        super().__init__([self._picture])
        self.refresh()

    @property
    def waiting(self) -> bool:
        """Whether the canvas has not come."""
        return bool(self.children)

    @property
    def final(self) -> bool:
        """Whether it shows that no canvas comes."""
        return len(self.children) > 1

    def shown(self, views: int) -> None:
        """Wait for the canvas, if `views` pages show the editor."""
        if views and self.waiting and self._timer is None:
            run = contextvars.copy_context().run
            self._timer = threading.Timer(ANSWER_SECONDS, run, (self._silent,))
            self._timer.daemon = True
            self._timer.start()

    def heard(self) -> None:
        """Hide: the canvas has come."""
        if self._timer is not None:
            self._timer.cancel()
        if self.waiting:
            self.children: list[ipywidgets.Widget] = []
            self.layout.display = "none"
            self._picture.value = b""

    def explain(self, why: str) -> None:
        """Show why drawing is impossible (HTML), and what is done instead."""
        self._why.value = f'<div role="alert">{why} {self._how}</div>'
        self.children = [*self._instead, self._picture]

    def refresh(self) -> None:
        """Show the current mask."""
        if not self.waiting:
            return
        state = self._state
        with state.lock:
            mask = state.in_effect((0, 0, *state.picture.size))
            self._picture.value = veiled(state.picture, mask, state.page, self._ink)
            self._picture.layout.width = f"{state.page[0]}px"

    def _silent(self) -> None:
        if self.waiting:
            self.explain(_NO_ANSWER)
