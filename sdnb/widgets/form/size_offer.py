"""What is offered for a picture that is much larger or smaller than the model's own size."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from sdnb.request import Resolved, Settings, sizes
from sdnb.request.sizes import Size
from sdnb.widgets.style import row

# Times the model's own pixels: a picture between them keeps its size.
_SMALL, _LARGE = 0.5, 1.5
# Larger ones often repeat their subject. Upscaling is meant to: four times the sides.
_LARGE_TIMES, _LARGE_UPSCALED = 2.5, 16
PART = "Only the masked part"  # as the check box is called


class SizeOffer(widgets.VBox):
    """Words on a picture's size, and buttons: for a size near the model's own, for the picture's,
    and for the masked part alone. They call `near`, `own` and `part`.
    """

    def __init__(
        self, near: Callable[[], None], own: Callable[[], None],
        part: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._acts = near, own, part
        super().__init__(layout=widgets.Layout(display="none"))

    def hide(self) -> None:
        """Show nothing."""
        self.layout.display = "none"

    def _make(self) -> None:
        """Make the parts: most pictures need no offer."""
        near, own, part = self._acts
        self._words = widgets.HTML()
        self._near = _button("A size that takes as long as others of this model", near)
        self._own = _button("All pixels of the picture", own)
        self._part = _button("Generate only what is masked, and put it back into the picture", part)
        self.children = [row([self._words, self._near, self._own, self._part])]

    def tell(
        self, size: Size, now: tuple[int | None, int | None], near: Size, settings: Settings, *,
        keeps: bool, part: bool,
    ) -> None:  # fmt: skip
        """Offer the size `near` to a picture of this size that is made at `now`, where None is its
        own. `keeps` says that "Only the masked part" keeps the picture's, and offers that; with
        `part` it is on, and nothing is masked yet.
        """
        words = f"The picture is {by_pixels(size, settings)}"
        its_own, large = now == (None, None), times(size, settings) > 1
        if its_own:
            words += (
                ": it takes that much longer or more" if large else ": less than it can draw on"
            )
        elif now == near:
            words = f"It is made at {in_words(near)}. {words}"
            if accepted(size) and large:
                words += ", and would take that much longer or more"
        if part:
            words += ". Once something is masked, only that is made, and the picture keeps its size"
        elif keeps:
            words += f". “{PART}” keeps its size"
        take = "" if now == near else f"Take {in_words(near)}"
        own = "Take its own size" if accepted(size) and not its_own else ""
        self.show(f"{words}.", take, own, PART if keeps and not part else "", warn=its_own)

    def show(self, words: str, near: str, own: str, part: str = "", *, warn: bool) -> None:
        """Show these words and the buttons with these labels; "" hides a button."""
        if not self.children:
            self._make()
        kind = "sdnb-warn" if warn else "sdnb-quiet"
        self._words.value = f'<div class="{kind}">{html.escape(words)}</div>'
        for button, label in ((self._near, near), (self._own, own), (self._part, part)):
            button.description = label
            button.layout.display = "" if label else "none"
        self.layout.display = ""


def proposed(
    original: Size, settings: Settings, small: float = _SMALL, large: float = _LARGE
) -> Size | None:
    """A size near the model's own for a picture with less than `small` times its pixels, or more
    than `large` times; else None, and None where that is the picture's own.
    """
    if small <= times(original, settings) <= large:
        return None
    near = sizes.near(original, (settings.width, settings.height))
    return None if near == original else near


def accepted(original: Size) -> bool:
    """Whether a picture can be made at this one's own size."""
    try:
        sizes.of_picture(original, None, None)
    except ValueError:
        return False
    return True


def times(size: Size, settings: Settings) -> float:
    """The pixels of a size, in those of the model's own."""
    return size[0] * size[1] / (settings.width * settings.height)


def by_pixels(size: Size, settings: Settings) -> str:
    """ "4000 × 3000, 46 times the model's own pixels"."""
    number = times(size, settings)
    shown = f"{number:.0f}" if number >= 9.5 else f"{number:.1f}"
    shown = "less than 0.1" if number < 0.05 else shown
    return f"{in_words(size)}, {shown} times the model's own pixels"


def in_words(size: Size) -> str:
    """ "4000 × 3000"."""
    return f"{size[0]} × {size[1]}"


def about_size(resolved: Resolved, settings: Settings, *, upscales: bool, told: bool) -> str:
    """The size of a request as HTML, with a warning where it takes long, unless that is `told`."""
    own, size = (settings.width, settings.height), (resolved.width, resolved.height)
    if size == own:
        return _quiet(f"{in_words(size)}, the model's own size")
    if told or times(size, settings) <= (_LARGE_UPSCALED if upscales else _LARGE_TIMES):
        return _quiet(f"{in_words(size)}; the model's own is {in_words(own)}")
    words = f"{by_pixels(size, settings)}: it takes that much longer or more"
    if resolved.image is None and not upscales:
        words += (
            ", and things may stand there twice. Make it at the model's own size, "
            f"{in_words(own)}, then upscale it"
        )
    return f'<div class="sdnb-warn">{words}.</div>'


def _quiet(words: str) -> str:
    return f'<div class="sdnb-quiet">{words}</div>'


def _button(tooltip: str, act: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(tooltip=tooltip, layout=widgets.Layout(width="auto"))
    button.on_click(lambda _: act())
    return button
