"""The section "Control" of a panel: up to three controls, a card for each.

It is folded until somebody opens it, or a request comes that has controls; its title says which.
What is in it is made when it is first opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import ipywidgets as widgets
from PIL import Image

from sdnb.request import control
from sdnb.request.control import Control
from sdnb.request.plain_words import counted, plain
from sdnb.request.sizes import Size
from sdnb.widgets.buttons import text_button
from sdnb.widgets.control.control_card import CardActs, ControlCard
from sdnb.widgets.control.nets_on_offer import NetsOnOffer
from sdnb.widgets.fold import Fold
from sdnb.widgets.form.controls import Changed, FieldControl
from sdnb.widgets.form.fields import Field
from sdnb.widgets.hearing import in_order
from sdnb.widgets.style import level

MOST = 3  # that a person adds; a request that comes may have more
_LONGEST = 80  # letters of the title


class ControlCards(FieldControl):
    """A request's controls. A card without a net is in no request; one that has a picture is
    refused until it has a net too, or is removed.
    """

    def __init__(self, field: Field, changed: Changed) -> None:
        super().__init__(field, changed)
        self._cards: list[ControlCard] = []
        self._spare: list[ControlCard] = []  # of what was removed
        self._model: Any = None
        self._nets: NetsOnOffer | None = None
        self._size: Size = (512, 512)
        self._is_built = False
        self.grown: Changed = lambda: None  #: called when there are other boxes
        self.widget = self.fold = Fold("Control", [], self._build)

    @property
    def value(self) -> tuple[Control, ...]:
        if not self._is_built:
            return tuple(self._value)
        return tuple(card.value for card in self._cards if card.value is not None)

    @value.setter
    def value(self, value: Sequence[Control]) -> None:
        self._value = tuple(value)
        if self._is_built:
            self._show_cards()
        self._name()

    @property
    def wrong(self) -> str:
        for number, card in enumerate(self._cards, 1):
            if card.wrong:
                which = f"Control {number}" if len(self._cards) > 1 else "Control"
                return f"{which}: {card.wrong}"
        return ""

    def serve(self, model: Any) -> None:
        """Offer the nets of this model's library from now on."""
        self._model = model
        self.look()

    def look(self) -> None:
        """Look at the library's list again."""
        self._nets = None
        for card in self._cards:
            card.refresh()

    def adjust(self, size: Size) -> None:
        """Show hints for pictures of this size."""
        self._size = size
        for card in self._cards:
            card.adjust(size)

    def hold_to(self, image: Image.Image) -> str:
        """Take a picture of this page into the first card without one, or into another one; returns
        the card's CSS class.

        Raises ValueError where there are as many as can be.
        """
        self.fold.unfolded = True
        free = next((card for card in self._cards if not card.has_picture), None)
        if free is None and len(self._cards) >= MOST:
            raise ValueError(f"There are {MOST} controls already: remove one of them, below.")
        card = free or self._added()
        card.hold_to(image)
        return card.mark

    # -- the cards -----------------------------------------------------------------------------
    def _build(self) -> None:
        self._is_built, self._place = True, widgets.VBox()
        self._add = level(text_button("Add another", "plus", "Another control", self._added))
        self._add.layout.align_self = "flex-start"
        self.fold.inside.children = [self._place, self._add]
        in_order(self.fold.inside)
        self._show_cards()

    def _on_offer(self) -> NetsOnOffer:
        if self._nets is None:
            self._nets = NetsOnOffer(self._model)
        return self._nets

    def _show_cards(self) -> None:
        """Show a card for each control, and an empty one where there is none."""
        wanted = self._value or (None,)
        while len(self._cards) < len(wanted):
            self._cards.append(self._card())
        self._spare += self._cards[len(wanted) :]
        del self._cards[len(wanted) :]
        for card, given in zip(self._cards, wanted, strict=True):
            card.show(given)
        self._lay_out()

    def _card(self) -> ControlCard:
        if self._spare:
            return self._spare.pop()
        acts = CardActs(self._by_hand, self._remove, self._has_grown)
        card = ControlCard(self._on_offer, acts)
        card.adjust(self._size)
        return card

    def _lay_out(self) -> None:
        self._place.children = self._cards
        self._add.layout.display = "" if len(self._cards) < MOST else "none"
        self.grown()

    def _added(self) -> ControlCard:
        card = self._card()
        card.show(None)
        card.adjust(self._size)
        self._cards.append(card)
        self._lay_out()
        return card

    def _remove(self, card: ControlCard) -> None:
        self._cards.remove(card)
        card.show(None)
        self._spare.append(card)
        if self._cards:
            self._lay_out()
        else:
            self._added()
        self._by_hand()

    def _has_grown(self) -> None:
        self.grown()

    def _by_hand(self) -> None:
        self._name()
        self._changed()

    def _name(self) -> None:
        """Say in the title what is set."""
        used = self.value
        short = [replace(each, net=PurePath(each.net).name or each.net) for each in used]
        said = [control.in_words(short)] if used else []
        unfinished = sum(not card.is_empty and card.value is None for card in self._cards)
        said += [f"{counted(unfinished, 'control')} not finished"] if unfinished else []
        words = plain(", ".join(said), _LONGEST)
        self.fold.name(f"Control: {words}" if words else "Control")
