"""The forecast of a request (memory, plan) as a line. The planner works in a thread of its own, so
that no control waits for it.
"""

from __future__ import annotations

import contextvars
import html
import threading
from typing import Any

import ipywidgets as widgets

from sdnb.request import Request


class PlanLine(widgets.HTML):
    """Shows the forecast of the newest request given to `ask`; older ones are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._asked: tuple[Any, Request] | None = None
        self._key: object = None
        self._busy = False

    def ask(self, model: Any, request: Request) -> None:
        """Show this request's forecast soon, unless the fields that it depends on are the same."""
        key = (
            id(model), request.width, request.height, request.count, request.cfg in (0, 1),
            request.image, request.padding,
        )  # fmt: skip
        with self._lock:
            if key == self._key:
                return
            self._key, self._asked = key, (model, request)
            if self._busy:
                return
            self._busy = True
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._answer,), daemon=True).start()

    def _answer(self) -> None:
        while True:
            with self._lock:
                asked, self._asked = self._asked, None
                if asked is None:
                    self._busy = False
                    return
            self.value = _words(*asked)


def _words(model: Any, request: Request) -> str:
    try:
        forecast = model.plan(request)
    except (ValueError, TypeError):  # Generate shows these in full
        return ""
    except BaseException as error:  # noqa: BLE001 - shown here; a dead thread would answer nothing more
        why = html.escape(f"{type(error).__name__}: {error}")
        return f'<div class="sdnb-warn">What this takes could not be predicted ({why}).</div>'
    kind = "sdnb-warn" if forecast.refusal else "sdnb-quiet"
    return f'<div class="{kind}">{html.escape(str(forecast))}</div>'
