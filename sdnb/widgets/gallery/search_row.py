"""The row above a gallery's thumbnails by which one finds pictures: words, model, day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import TextStyle

from sdnb.request.plain_words import plain
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.picture_search import PictureSearch, day_of
from sdnb.widgets.style import box, shared

_DAYS = ("any day", "today", "yesterday", "the last 7 days", "the last 30 days")
_WHERE = (
    "In the prompts, the names of model, sampler, LoRAs and control networks, the seed, the size, "
    'the file\'s name. "words together" in quotes; -without this one'
)
_MOST_MODELS = 200  # in the list; the rarest are left out
_Span = tuple[date | None, date | None]


class SearchRow(widgets.Box):
    """Three controls, and a switch for subfolders. `wanted` is what they say, and is shown when it
    is assigned. `changed` is called after a person moved one, and `turned` with the switch's state.
    """

    def __init__(
        self, changed: Callable[[], object], turned: Callable[[bool], object], *, below: bool
    ) -> None:
        self._changed = changed
        self._wanted = PictureSearch()
        self._setting = False  # while the lists are written
        self._models: list[str | None] = [None]
        self._spans: list[_Span] = [(None, None)]
        self._words = widgets.Text(
            placeholder="words, a seed, -without", tooltip=_WHERE,
            description="Find", style=shared(TextStyle, "auto"),
        )  # fmt: skip
        self._words.add_class("sdnb-find")
        self._model = _list("Model", "Only what this model made", ["any model"])
        self._day = _list("Day", "Only what was made then", ["any day"])
        self._below = widgets.Checkbox(
            value=below, description="Subfolders", indent=False,
            tooltip="Show the pictures in subfolders too", layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._words.observe(lambda change: self._moved(words=change["new"]), "value")
        self._model.observe(lambda change: self._moved(model=self._models[change["new"]]), "index")
        self._day.observe(lambda change: self._spanned(self._spans[change["new"]]), "index")
        self._below.observe(lambda change: turned(bool(change["new"])), "value")
        parts = [self._words, self._model, self._day, self._below]
        super().__init__([box("sdnb-search", parts)])

    @property
    def wanted(self) -> PictureSearch:
        return self._wanted

    @wanted.setter
    def wanted(self, wanted: PictureSearch) -> None:
        self._wanted = wanted
        self._setting = True
        try:
            self._words.value = wanted.words
        finally:
            self._setting = False

    def show(self, pictures: Sequence[GalleryPicture], *, folders: bool) -> None:
        """List the models and the days of these pictures; with `folders` there are subfolders."""
        self._below.layout.display = "" if folders else "none"
        seen = (picture.glance for picture in pictures)
        models = Counter(each.model for each in seen if each is not None).most_common(_MOST_MODELS)
        counts = dict(models)
        names: list[str | None] = [None, *(name for name, _ in models)]
        if self._wanted.model not in names:
            names.append(self._wanted.model)
        labels = ["any model", *(_model_label(n, counts.get(n or "", 0)) for n in names[1:])]
        spans = dict(zip(_DAYS, _spans(), strict=True)) | _months(pictures)
        span = self._wanted.since, self._wanted.until
        if span not in spans.values():
            spans["{} to {}".format(*(each or "…" for each in span))] = span
        self._setting = True
        try:
            self._models, self._spans = names, list(spans.values())
            _fill(self._model, labels, names.index(self._wanted.model))
            _fill(self._day, list(spans), self._spans.index(span))
        finally:
            self._setting = False

    def _spanned(self, span: _Span) -> None:
        self._moved(since=span[0], until=span[1])

    def _moved(self, **changes: Any) -> None:
        if not self._setting:
            self._wanted = replace(self._wanted, **changes)
            self._changed()


def _list(words: str, tooltip: str, options: list[str]) -> widgets.Dropdown:
    made = widgets.Dropdown(
        options=options, description=words, tooltip=tooltip,
        style=shared(DescriptionStyle, "auto"),
    )  # fmt: skip
    made.add_class("sdnb-narrowing")
    return made


def _fill(box: widgets.Dropdown, labels: list[str], index: int) -> None:
    if list(box.options) != labels:
        box.options = labels
    if box.index != index:
        box.index = index


def _model_label(name: str | None, count: int) -> str:
    return f"{plain(name, 48) if name else 'no model told'} ({count:,})"


def _spans() -> list[_Span]:
    """Those of `_DAYS`, now."""
    today = date.today()  # noqa: DTZ011 - a person's day
    before = today - timedelta(1)
    return [
        (None, None), (today, None), (before, before), (today - timedelta(6), None),
        (today - timedelta(29), None),
    ]  # fmt: skip


def _months(pictures: Sequence[GalleryPicture]) -> dict[str, _Span]:
    """The months in which pictures were made, the newest first, by their words."""
    firsts = sorted({day_of(picture).replace(day=1) for picture in pictures}, reverse=True)
    ends = ((first + timedelta(31)).replace(day=1) - timedelta(1) for first in firsts)
    return {f"{first:%B %Y}": (first, end) for first, end in zip(firsts, ends, strict=True)}
