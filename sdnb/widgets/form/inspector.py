"""The prompt inspector: the blocks of a prompt with their weights, their tokens, and warnings.

`inspected` turns a prompt into HTML; `Inspector` shows that under a prompt box.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.request import prompt

if TYPE_CHECKING:
    from sdnb.engine.networks.tokenizer import Tokens
    from sdnb.request.prompt import Fragment

Tokenize = Callable[[str], "Tokens"]

# Okabe and Ito's palette, which people with any colour vision can tell apart. No text is on it.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")


def inspected(text: str, tokenize: Tokenize | None = None) -> str:
    """The errors and warnings of a prompt, then its blocks as chips, as HTML; "" for no prompt.

    `tokenize` is a model's tokenizer; without it, no tokens are counted.
    """
    try:
        fragments = prompt.parse(text)
        shares = prompt.normalised(fragments)
    except prompt.PromptError as error:
        parts = text[: error.start], text[error.start : error.end], text[error.end :]
        before, wrong, after = map(html.escape, parts)
        place = f"{before}<del>{wrong}</del>{after}"
        return (
            f'<div class="sdnb-chips"><span class="sdnb-chip" style="--c:#d32f2f">{place}</span>'
            f'</div><div class="sdnb-warn">{html.escape(str(error))}</div>'
        )
    warnings = [html.escape(trap.message) for trap in prompt.traps(text)]
    weight_written = text.replace("\\:", ":").strip() != fragments[0].text.strip()
    if len(fragments) == 1 and weight_written:
        warnings.append("There is one block: its weight changes nothing.")
    if tokenize is not None:
        warnings = [*_too_long(fragments, tokenize), *warnings]
    chips = "".join(_chips(fragments, shares, tokenize)) if _worth_it(fragments, tokenize) else ""
    notes = "".join(f'<div class="sdnb-warn">{words}</div>' for words in warnings)
    return notes + (f'<div class="sdnb-chips">{chips}</div>' if chips else "")


def _worth_it(fragments: list[Fragment], tokenize: Tokenize | None) -> bool:
    """Whether the blocks are shown: for one block only where its tokens are nearly used up."""
    if len(fragments) > 1 or tokenize is None:
        return len(fragments) > 1
    tokens = tokenize(fragments[0].text)
    return tokens.count > 0.8 * tokens.room


def _chips(fragments: list[Fragment], shares: list[float], tokenize: Tokenize | None) -> list[str]:
    chips = []
    for i, (fragment, share) in enumerate(zip(fragments, shares, strict=True)):
        words, count = html.escape(fragment.text.strip()) or "<i>nothing</i>", ""
        if tokenize is not None:
            tokens = tokenize(fragment.text)
            count = f" {_count(tokens)}"
            if tokens.dropped:
                kept = fragment.text[: len(fragment.text) - len(tokens.dropped)]
                words = f"{html.escape(kept)}<del>{html.escape(tokens.dropped)}</del>"
        weight = f" <b>{share:.0%}</b>" if len(fragments) > 1 else ""
        title = f"weight {fragment.weight:g}, {share:.1%} of the average"
        chips.append(
            f'<span class="sdnb-chip" style="--c:{_COLOURS[i % len(_COLOURS)]}" title="{title}">'
            f'{words}{weight} <span class="sdnb-quiet">{count}</span></span>'
        )
    return chips


def _too_long(fragments: list[Fragment], tokenize: Tokenize) -> list[str]:
    """What is said of each block that does not fit: above the chips, which may be many lines."""
    several, words = len(fragments) > 1, []
    for i, fragment in enumerate(fragments):
        tokens = tokenize(fragment.text)
        if tokens.dropped:
            which = f"Block {i + 1} is too long" if several else "Too long"
            words.append(
                f"{which}: {tokens.count + 2} of {tokens.room + 2} tokens (a word is one or more). "
                "What is struck out is not read."
            )
    return words


def _count(tokens: Tokens) -> str:
    """The count of tokens, with the start and end tokens that belong to the 77."""
    return f"{tokens.count + 2}/{tokens.room + 2}"


class Inspector(widgets.HTML):
    """Shows the HTML of `inspected`; the owner of the prompt box calls `show`."""

    def __init__(self, tokenize: Tokenize | None = None) -> None:
        super().__init__(layout=widgets.Layout(margin="0 0 0 86px"))
        self.tokenize = tokenize

    def show(self, text: str) -> None:
        self.value = inspected(text, self.tokenize)
        self.layout.display = "" if self.value else "none"
