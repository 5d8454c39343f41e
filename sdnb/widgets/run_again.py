"""What is dead says so: "run this cell again", where JupyterLab alone would say nothing of use.

Two things die. A page stays open while its kernel is restarted: the front end then marks each
widget as disconnected, and `style.css` does the rest. A page is loaded without the kernel that
made its widgets: nothing of them is there, and the front end writes "Error displaying widget". For
that case, each widget that is shown is followed by a line of HTML in the notebook, which the same
page hides while there is a widget.

The front end writes "Error displaying widget" also where a page was too slow; `run_again.js` mends
that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from sdnb.widgets import replaced
from sdnb.widgets.lifetime import running_cell

WORDS = "This is no longer connected to a kernel: run this cell again."
_LOOK = """font: inherit; line-height: 1.5; padding: 4px 8px;
  color: var(--jp-ui-font-color1, #212121); background: var(--jp-layout-color2, #eee);
  border-left: 4px solid var(--jp-warn-color1, #ef6c00);"""

_ALIVE = ":has(.sdnb, .sdnb-mask)"
_DEAD = ":has(.jp-OutputArea-output.jupyter-widgets)"  # the front end's own words
# Front ends that are not of JupyterLab's family never show the line, and neither does a page whose
# widgets are on their way.
_LINE = f"""<style>
.sdnb-again {{ display: none; }}
.jp-OutputArea{_DEAD}:not({_ALIVE}) .sdnb-again {{ display: block; {_LOOK} }}
.jp-OutputArea{_ALIVE} > .jp-OutputArea-child:has(.sdnb-again),
.jp-OutputArea:not({_DEAD}) > .jp-OutputArea-child:has(.sdnb-again),
.jp-OutputArea:has(.sdnb-again):not({_ALIVE}) .jp-OutputArea-output.jupyter-widgets {{
  display: none; }}
</style><div class="sdnb-again" data-widget="WIDGET">{WORDS}</div>"""


class _Mender(anywidget.AnyWidget):
    """The part with JavaScript, of which nothing is seen."""

    _esm = Path(__file__).with_name("run_again.js").read_text(encoding="utf-8")  # see keys.py
    shown = traitlets.Unicode().tag(sync=True)


class RunAgain:
    """A widget that a notebook shows together with that line, and that goes when its cell has made
    another one.
    """

    comm: Any
    model_id: str
    #: Widgets that it was given: they are not its parts.
    given: tuple[Any, ...] = ()
    _mender: Any = None

    def __init__(self, *args: Any, **more: Any) -> None:
        self.shown_in: set[str | None] = set()  #: the ids of cells
        super().__init__(*args, **more)
        replaced.made(self)

    def close(self) -> None:
        """Close it, and all widgets that it is made of."""
        if getattr(self, "comm", None) is not None:  # else it is closed
            replaced.close_parts(self)

    def _ipython_display_(self, **how: Any) -> None:
        from IPython.display import display

        bundle = getattr(self, "_repr_mimebundle_", None)
        if bundle is None:  # it was closed: IPython shows its repr
            raise NotImplementedError
        display(bundle(**how), raw=True)
        self.shown_in.add(running_cell()[0])
        display(
            {"text/html": _LINE.replace("WIDGET", self.model_id), "text/plain": WORDS}, raw=True
        )
        self._mender = self._mender or _Mender(shown=self.model_id)
