"""The control of a request's LoRAs, and of those that tags in its prompt name: a row for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import ipywidgets as widgets

from sdnb.request.lora import Lora
from sdnb.widgets.addons import prompt_tags
from sdnb.widgets.addons.lora_row import Acts, FileFacts, LoraRow
from sdnb.widgets.form.controls import Changed, FieldControl
from sdnb.widgets.form.fields import Field


@dataclass(eq=False)
class _Held:
    """A LoRA of the field, on or off, or one of the prompt, and its row, once that was made."""

    lora: Lora
    on: bool = True
    tag: prompt_tags.Tag | None = None
    row: LoraRow | None = None


class LorasControl(FieldControl):
    """LoRAs with their strengths. One that is switched off keeps its numbers here, and is in no
    request; so does one whose tag is taken out of the prompt.

    `write` gets a prompt that a row has changed. Rows are made when they are first to be seen.
    """

    def __init__(self, field: Field, changed: Changed, write: Callable[[str], object]) -> None:
        super().__init__(field, changed)
        self._write = write
        self._entries: list[_Held] = []
        self._tagged: list[_Held] = []
        self._prompt = ""
        self._spare: list[LoraRow] = []  # of what was removed
        self._seen = False
        self._lock = threading.RLock()  # digests of files come from a thread
        #: What is known of a LoRA's file, and what to do with a trigger word: the owner says so.
        self.facts: Callable[[Lora], FileFacts] = lambda _: FileFacts()
        self.put: Callable[[str], object] = lambda _: None
        self.grown: Callable[[], object] = lambda: None  #: called when there are more boxes
        self.widget = widgets.VBox()

    @property
    def value(self) -> tuple[Lora, ...]:
        return tuple(entry.lora for entry in self._entries if entry.on)

    @value.setter
    def value(self, value: Sequence[Lora]) -> None:
        if tuple(value) == self.value:
            return
        names = [lora.name for lora in value]
        off = [e for e in self._entries if not e.on and e.lora.name not in names]
        self._entries = [*_taken_over(self._entries, [_Held(lora) for lora in value]), *off]
        self._show()

    @property
    def used(self) -> tuple[Lora, ...]:
        """Those of the field, then those of the prompt."""
        return (*self.value, *(entry.lora for entry in self._tagged))

    @property
    def tagged(self) -> tuple[tuple[prompt_tags.Tag, Lora], ...]:
        """The tags of the prompt that name LoRAs."""
        return tuple((_tag(entry), entry.lora) for entry in self._tagged)

    def take_out(self, number: int) -> None:
        """Take a tag out of the prompt, by a person's hand."""
        if number < len(self._tagged):
            self._drop(self._tagged[number])

    def rename(self, number: int, name: str) -> None:
        """Put another name into a tag of the prompt, by a person's hand."""
        if number < len(self._tagged):
            tag = _tag(self._tagged[number])
            self._write(prompt_tags.renamed(self._prompt, tag, name))

    @property
    def wrong(self) -> str:
        rows = [e.row for e in (*self._entries, *self._tagged) if e.on and e.row is not None]
        return next((row.wrong for row in rows if row.wrong), "")

    def add(self, lora: Lora) -> None:
        """Take another one, by a person's hand; one of this name that is off is switched on."""
        same = next((e for e in self._entries if e.lora.name == lora.name), None)
        if same is None:
            self._entries.append(_Held(lora))
        else:
            same.on = True
        self._by_hand()

    def remove(self, names: Sequence[str]) -> None:
        """Take out those of these names, by a person's hand."""
        self._entries = [e for e in self._entries if e.lora.name not in names]
        for entry in [e for e in self._tagged if e.lora.name in names]:
            self._write(prompt_tags.without(self._prompt, _tag(entry)))
        self._by_hand()

    def prompted(self, text: str) -> None:
        """Show the LoRAs that this prompt names."""
        self._prompt = text
        tags = [tag for tag in prompt_tags.placed(text) if tag.lora is not None]
        made = [_Held(tag.lora, tag=tag) for tag in tags if tag.lora is not None]
        self._tagged = _taken_over(self._tagged, made)
        self._show()

    def unfold(self) -> None:
        """Make the rows: they are to be seen."""
        self._seen = True
        self._show()

    def refresh(self) -> None:
        """Show again what is known of the files, and leave the numbers as a person has them."""
        with self._lock:
            for entry in (*self._entries, *self._tagged):
                if entry.row is not None:
                    entry.row.tell(self.facts(entry.lora))

    def _show(self) -> None:
        with self._lock:
            if self._seen:
                self._show_rows()

    def _show_rows(self) -> None:
        entries = [*self._entries, *self._tagged]
        kept = [entry.row for entry in entries]
        gone = [row for row in self.widget.children if row not in kept]
        for row in gone:
            row.acts = None
            row.fold()
        self._spare += gone
        for entry in entries:
            if entry.row is None:
                entry.row = self._spare.pop() if self._spare else LoraRow()
            entry.row.acts = self._acts(entry)
            entry.row.show(
                entry.lora, self.facts(entry.lora), on=entry.on, tagged=entry.tag is not None
            )
        rows = [entry.row for entry in entries]
        if rows != list(self.widget.children):
            self.widget.children = rows
            self.grown()

    def _acts(self, entry: _Held) -> Acts:
        return Acts(
            partial(self._took, entry), partial(self._turned, entry), partial(self._drop, entry),
            self.put, self.grown,
        )  # fmt: skip

    # -- a person's hand -----------------------------------------------------------------------
    def _took(self, entry: _Held, lora: Lora) -> None:
        if entry.tag is not None:
            self._write(prompt_tags.rewritten(self._prompt, entry.tag, lora.unet))
            return
        entry.lora = lora
        self._by_hand()

    def _turned(self, entry: _Held, on: bool) -> None:
        if entry.tag is not None:  # it keeps its strength here
            self._entries.append(_Held(entry.lora, on=False))
            self._write(prompt_tags.without(self._prompt, entry.tag))
            return
        entry.on = on
        self._by_hand()

    def _drop(self, entry: _Held) -> None:
        if entry.tag is not None:
            self._write(prompt_tags.without(self._prompt, entry.tag))
            return
        self._entries = [other for other in self._entries if other is not entry]
        self._by_hand()

    def _by_hand(self) -> None:
        self._show()
        self._changed()


def _taken_over(before: Sequence[_Held], now: Sequence[_Held]) -> list[_Held]:
    """The new entries, each with the row of an earlier one of its name, if there is one."""
    left = list(before)
    for entry in now:
        same = next((e for e in left if e.lora.name == entry.lora.name), None)
        if same is not None:
            left.remove(same)
            entry.row = same.row
    return list(now)


def _tag(entry: _Held) -> prompt_tags.Tag:
    assert entry.tag is not None
    return entry.tag
