"""A grid's table in the browser: each cell is a button, and a style sheet gives it its picture.

The table's HTML never changes, so that a cell keeps the focus when pictures arrive. Arrow keys move
the focus without the kernel; Enter, Space and a click report the cell to Python.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_string import HTMLStyle
from PIL import Image

from sdnb.widgets import style
from sdnb.widgets.jpegs import data_uri

# JupyterLab's own keys (arrows select a notebook cell, Enter edits it) must not act here. Handlers
# that run after this one get no event; those before it obey data-lm-suppress-shortcuts.
_KEYS = (
    "if (event.key === 'Enter' || event.key === ' ') event.stopPropagation();"
    "const b = event.target.closest('button'); if (!b) return;"
    "const [x, y] = b.dataset.at.split(',').map(Number);"
    "const to = {ArrowLeft: [x-1, y], ArrowRight: [x+1, y], ArrowUp: [x, y-1],"
    " ArrowDown: [x, y+1]}[event.key]; if (!to) return;"
    "event.preventDefault(); event.stopPropagation();"
    "const next = this.querySelector(`button[data-at='${to}']`); if (!next) return;"
    "this.querySelectorAll('button').forEach(each => { each.tabIndex = each === next ? 0 : -1 });"
    "next.focus();"
)
_CLICK = (
    "const b = event.target.closest('button'); if (!b) return;"
    "this.querySelectorAll('button').forEach(each => { each.tabIndex = each === b ? 0 : -1 });"
    "const box = document.querySelector('.MARK-clicked input');"
    # With the time, a second click on the same cell is a change too.
    "box.value = b.dataset.number + '.' + Date.now();"
    "box.dispatchEvent(new Event('change', {bubbles: true}));"
)
_OUTLINE = "outline: 3px solid var(--jp-brand-color1, #1976d2); outline-offset: 0;"
_GAP = 4  # pixels between two cells
_SIDE = (72, 160)  # pixels of the words beside a row, at least and at most
_LETTER = 7  # pixels of a letter there, about
_IN_A_BLOCK = 64  # cells whose style sheets are in one box


class GridTable(widgets.VBox):
    """A table of labelled thumbnails; a click calls `click` with the cell's place, row by row."""

    def __init__(
        self, across: Sequence[str], down: Sequence[str], size: tuple[int, int],
        click: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.count = len(across) * len(down)
        # A CSS class of this table's own: grids of other kernels may be on the same page.
        self._mark = f"sdnb-table-{secrets.token_hex(4)}"
        self._size = size
        longest = max(map(len, down))
        self._side = min(max(_LETTER * longest, _SIDE[0]), _SIDE[1]) if longest else 0
        #: Pixels of the whole table at the thumbnails' full size.
        self.width = self._side + len(across) * (size[0] + _GAP) + 2 * _GAP
        self.click = click
        # Each is made when its cell has something to show: a page that is sent thousands of widgets
        # at once loses some, and shows none of them.
        self._cell_styles: dict[int, widgets.HTML] = {}
        self._blocks = [widgets.Box() for _ in range(0, self.count, _IN_A_BLOCK)]
        self._keys = [""] * self.count  # which content each cell has, so that none is sent twice
        self._outline = widgets.HTML()
        self._clicked = widgets.Text(continuous_update=False)
        self._clicked.add_class(f"{self._mark}-clicked")
        self._clicked.observe(self._browser_clicked, "value")
        unseen = [self._clicked, self._outline, *self._blocks]
        hidden = widgets.Box(unseen, layout=widgets.Layout(display="none"))
        super().__init__([widgets.HTML(self._table(across, down)), hidden])

    def show(self, place: int, image: Image.Image | None, words: str, key: str) -> None:
        """Show a cell's picture, or words if it has none; the same `key` means the same content."""
        if self._keys[place] == key:
            return
        self._keys[place] = key
        cell = f".{self._mark} button[data-number='{place}']"
        if image is None:
            content = words.replace("\\", "\\\\").replace('"', "'").replace("\n", " ")[:120]
            content = content.replace("<", "‹")  # "</style>" would end the style sheet
            rule = f'{cell}::after {{ content: "{content}"; }}' if content else ""
        else:
            rule = f"{cell} {{ background-image: url({data_uri(image, max(self._size))}); }}"
        sheet = f"<style>{rule}</style>" if rule else ""
        if place in self._cell_styles:
            self._cell_styles[place].value = sheet
        elif sheet:
            like = {"style": style.shared(HTMLStyle), "layout": style.shared(widgets.Layout)}
            self._cell_styles[place] = made = widgets.HTML(sheet, **like)
            block = self._blocks[place // _IN_A_BLOCK]
            block.children = (*block.children, made)

    def mark(self, letters: Mapping[int, str]) -> None:
        """Outline the cells at these places, and write each one's letter, if any, into a corner."""
        rules = []
        for place, letter in letters.items():
            cell = f".{self._mark} button[data-number='{place}']"
            rules.append(f"{cell} {{ {_OUTLINE} }}")
            if letter:
                rules.append(f'{cell}::before {{ content: "{letter}"; }}')
        self._outline.value = f"<style>{' '.join(rules)}</style>" if rules else ""

    def _browser_clicked(self, change: dict[str, Any]) -> None:
        number = str(change["new"]).partition(".")[0]
        if number.isdecimal() and int(number) < self.count:
            self.click(int(number))

    def _table(self, across: Sequence[str], down: Sequence[str]) -> str:
        head = "".join(f'<th scope="col">{html.escape(words)}</th>' for words in across)
        corner = "<td></td>" if any(down) else ""
        rows = []
        for y, words in enumerate(down):
            side = f'<th scope="row">{html.escape(words)}</th>' if any(down) else ""
            cells = "".join(
                self._cell(x, y, y * len(across) + x, f"{column} {words}".strip())
                for x, column in enumerate(across)
            )
            rows.append(f"<tr>{side}{cells}</tr>")
        click = html.escape(_CLICK.replace("MARK", self._mark), quote=True)
        return (
            f'<div class="sdnb-table {self._mark}" data-lm-suppress-shortcuts="true" '
            f'onkeydown="{html.escape(_KEYS, quote=True)}" onclick="{click}">'
            f'<table style="--side:{self._side}px;--across:{len(across)}">'
            f"<thead><tr>{corner}{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _cell(self, x: int, y: int, number: int, words: str) -> str:
        width, height = self._size
        label = html.escape(words, quote=True)
        return (
            f'<td><button type="button" data-at="{x},{y}" data-number="{number}" '
            f'tabindex="{0 if number == 0 else -1}" aria-label="{label}" title="{label}" '
            f'style="aspect-ratio:{width}/{height}"></button></td>'
        )
