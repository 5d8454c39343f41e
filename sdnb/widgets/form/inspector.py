"""The prompt inspector: how a prompt is read, its weights, its chunks of tokens, and warnings.

`inspected` turns a prompt into HTML; `Inspector` shows that under a prompt box, and offers the
syntax in which the prompt seems to be written, where that is another one.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from sdnb.request import lora, prompt
from sdnb.request.plain_words import counted, plain
from sdnb.request.prompt import popular_embeddings
from sdnb.request.prompt.dialects import recognised
from sdnb.widgets.buttons import text_button
from sdnb.widgets.form.fields import SYNTAXES_CALLED

if TYPE_CHECKING:
    from sdnb.engine.networks.chunks import Chunk
    from sdnb.engine.networks.tokenizer import Tokenizer
    from sdnb.request.prompt import Fragment

# Okabe and Ito's palette, which people with any colour vision can tell apart. No text is on it.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_MOST_STAGES = 4  # of a schedule that are shown


class _Tokens:
    """A model's tokenizer with its embeddings; `found` has the vectors of those that were named."""

    def __init__(self, tokenizer: Tokenizer, embeddings: Mapping[str, Any]) -> None:
        self._tokenizer, self._embeddings = tokenizer, embeddings
        self.room, self.positions = tokenizer.room, tokenizer.positions
        self.found: dict[str, int] = {}

    def chunks(self, fragments: Sequence[Fragment], syntax: str = "blocks") -> list[Chunk]:
        chunks = self._tokenizer.chunks(fragments, syntax, self._embeddings)
        named = (embedding for chunk in chunks for _, embedding in chunk.embeddings)
        self.found.update((each.name, len(each.vectors)) for each in named)
        return chunks


def inspected(
    text: str, tokenizer: Tokenizer | None = None, syntax: str = "blocks",
    *, embeddings: Mapping[str, Any] | None = None, steps: int = 20, negative: bool = False,
    warn: bool = True,
) -> str:  # fmt: skip
    """The errors and warnings of a prompt, then its runs as chips, then the embeddings that it
    names, as HTML; "" for no prompt.

    `tokenizer` is a model's; without it, no tokens are counted. `embeddings` are the model's, by
    name, each with `vectors`: popular ones that it has not are said; None says nothing of them.
    Without `warn`, warnings are left out, and errors stay.
    """
    tokens = None if tokenizer is None else _Tokens(tokenizer, embeddings or {})
    return _inspected(
        text, tokens, syntax, embeddings=embeddings, steps=steps, negative=negative, warn=warn
    )


def _inspected(
    text: str, tokens: _Tokens | None, syntax: str,
    *, embeddings: Mapping[str, Any] | None, steps: int, negative: bool, warn: bool,
) -> str:  # fmt: skip
    try:
        parts = prompt.parts(text, syntax, steps, negative=negative)
        warnings = [t.message for t in prompt.traps(text, syntax, steps, negative=negative)]
        lines = []
        for part in parts:
            if len(parts) > 1:
                lines.append(_quiet(f"guides by {part.weight:g} times cfg:"))
            lines += _stages(part, tokens, syntax, whole=len(parts) > 1)
    except prompt.PromptError as error:
        return _wrong(text, error)
    except (ValueError, OSError) as error:  # an embedding that is not here, or damaged
        return f'<div class="sdnb-warn">{html.escape(str(error))}</div>'
    if syntax == "blocks" and _changes_nothing(text):
        warnings.append("There is one block: its weight changes nothing.")
    if embeddings is not None:
        warnings += filter(None, [popular_embeddings.missing([text], embeddings)])
    found = {} if tokens is None else tokens.found
    named = [f"embedding {name}: {counted(vectors, 'vector')}" for name, vectors in found.items()]
    shown = warnings if warn else []
    notes = "".join(f'<div class="sdnb-warn">{html.escape(words)}</div>' for words in shown)
    # Where there are many lines they scroll; what stands below them is always seen.
    reading = f'<div class="sdnb-reading">{"".join(lines)}</div>' if lines else ""
    return notes + reading + (_quiet(", ".join(named)) if named else "")


def _wrong(text: str, error: prompt.PromptError) -> str:
    parts = text[: error.start], text[error.start : error.end], text[error.end :]
    before, wrong, after = map(html.escape, parts)
    place = f"{before}<del>{wrong}</del>{after}"
    return (
        f'<div class="sdnb-chips"><span class="sdnb-chip" style="--c:#d32f2f">{place}</span>'
        f'</div><div class="sdnb-warn">{html.escape(str(error))}</div>'
    )


def _changes_nothing(text: str) -> bool:
    fragments = prompt.parse(text)
    return len(fragments) == 1 and text.replace("\\:", ":").strip() != fragments[0].text.strip()


def _stages(
    part: prompt.PromptPart, tokens: _Tokens | None, syntax: str, *, whole: bool
) -> list[str]:
    """A line of chips for each stage of a part, or for the first ones, and its tokens below; of a
    part without weights only if the `whole` is to be seen.
    """
    lines = []
    for until, words in part.stages[:_MOST_STAGES]:
        try:
            fragments = prompt.parse(words, syntax)
        except prompt.PromptError as error:  # its place is one of the stage's text
            several = len(part.stages) > 1
            start, end = (0, part.end - part.start) if several else (error.start, error.end)
            raise prompt.PromptError(str(error), part.start + start, part.start + end) from error
        chips = "".join(_chips(fragments, tokens, syntax))
        if len(part.stages) > 1:
            chips = f'<span class="sdnb-quiet">to step {until}:</span> {chips}'
        elif not whole and not _worth_it(fragments, tokens, syntax):
            continue
        lines.append(_line(chips or "<i>nothing</i>"))
        if tokens is not None and not _counted_apart(fragments, syntax):
            lines.append(f"<div>{_count(tokens.chunks(fragments, syntax), tokens)}</div>")
    more = len(part.stages) - _MOST_STAGES
    return lines + ([_quiet(f"and {more} more stages")] * (more > 0))


def _line(chips: str) -> str:
    return f'<div class="sdnb-chips">{chips}</div>'


def _quiet(words: str) -> str:
    return f'<div class="sdnb-quiet">{html.escape(words)}</div>'


def _counted_apart(fragments: Sequence[Fragment], syntax: str) -> bool:
    """Whether each run has its own count of tokens: several blocks are encoded one by one."""
    return syntax == "blocks" and len(fragments) > 1


def _worth_it(fragments: Sequence[Fragment], tokens: _Tokens | None, syntax: str) -> bool:
    """Whether the runs are shown: for one of weight 1 only where a chunk is nearly used up."""
    if len(fragments) > 1 or (syntax != "blocks" and fragments[0].weight != 1):
        return True
    if tokens is None:
        return False
    chunks = tokens.chunks(fragments, syntax)
    return len(chunks) > 1 or chunks[0].count > 0.8 * tokens.room


def _chips(fragments: Sequence[Fragment], tokens: _Tokens | None, syntax: str) -> list[str]:
    """A chip for each run; several blocks have their own count of tokens each."""
    is_blocks = syntax == "blocks"
    shares = prompt.normalised(fragments) if is_blocks else []
    together = [] if tokens is None or is_blocks else _cut(fragments, tokens, syntax)
    chips = []
    for i, fragment in enumerate(fragments):
        chunks, count = [(i == at[0], at) for at in together], ""
        if tokens is not None and is_blocks:
            its = tokens.chunks([fragment])
            chunks = [(True, chunk.begins) for chunk in its[1:]]
            count = f" {_count(its, tokens)}" if _counted_apart(fragments, syntax) else ""
        words = _with_borders(fragment.text, [at[1] for here, at in chunks if here])
        if is_blocks:
            weight = f" <b>{shares[i]:.0%}</b>" if len(fragments) > 1 else ""
            title = f"weight {fragment.weight:g}, {shares[i]:.1%} of the average"
        else:
            weight = "" if fragment.weight == 1 else f" <b>× {fragment.weight:.4g}</b>"
            title = f"weight {fragment.weight:g}"
        if fragment.breaks:
            words, title = "<b>BREAK</b>", "a new chunk of tokens"
        elif not is_blocks and not fragment.text.strip():
            continue
        chips.append(
            f'<span class="sdnb-chip" style="--c:{_COLOURS[i % len(_COLOURS)]}" title="{title}">'
            f"{words}{weight}{count}</span>"
        )
    return chips


def _cut(fragments: Sequence[Fragment], tokens: _Tokens, syntax: str) -> list[tuple[int, int]]:
    """Where each chunk but the first begins, as (fragment, character)."""
    return [chunk.begins for chunk in tokens.chunks(fragments, syntax)[1:] if chunk.count]


def _with_borders(text: str, borders: Sequence[int]) -> str:
    """The words, with a mark where another chunk begins."""
    places = [0, *borders, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    mark = ' <b class="sdnb-told" title="Here another chunk of 75 tokens begins">‖</b> '
    joined = mark.join(html.escape(piece.strip()) for piece in pieces)
    return joined or "<i>nothing</i>"


def _count(chunks: Sequence[Chunk], tokens: _Tokens) -> str:
    """The tokens of each chunk, with the start and end tokens that belong to the 77, as HTML."""
    counts = " + ".join(str(chunk.count + 2) for chunk in chunks)
    words = f"{counts}/{tokens.positions}" if len(chunks) == 1 else f"{counts} tokens"
    title = (
        f"The text encoder reads {tokens.positions} tokens at once, start and end among them. A "
        "longer prompt is read in chunks, whose tokens stand here one after the other"
    )
    return f'<span class="sdnb-quiet sdnb-told" title="{title}">{words}</span>'


class Inspector(widgets.VBox):
    """Shows the HTML of `inspected`; the owner of the prompt box calls `show`.

    Where a prompt seems to be written in another syntax, it says how that reads it, and a button
    calls `switch` with that syntax.
    """

    def __init__(
        self, tokenizer: Tokenizer | None = None, switch: Callable[[str], None] | None = None,
        *, negative: bool = False,
    ) -> None:  # fmt: skip
        self.tokenizer, self._switch, self._negative = tokenizer, switch, negative
        self.embeddings: Mapping[str, Any] = {}
        self.found: tuple[str, ...] = ()  #: the names of the embeddings that the prompt names
        self._other: str | None = None
        self._read = widgets.HTML()
        self._offer = widgets.HTML()
        self._button = text_button(
            "", "exchange", "Read both prompts in this syntax", self._switched
        )
        self._button.layout.align_self = "flex-start"
        self._offered = widgets.VBox([self._offer, self._button])
        super().__init__([self._offered, self._read], layout=widgets.Layout(margin="0 0 0 86px"))

    @property
    def value(self) -> str:
        """All HTML that is shown."""
        return str(self._read.value) + (str(self._offer.value) if self._other else "")

    def show_chosen(
        self, text: str, syntax: str, steps: int, seed: int | None, wildcards: Any = None
    ) -> None:
        """Show what the seed chooses of a template, or an example where the seed is open, and how
        that is read; of any other prompt, how it is read. `wildcards` as in `prompt.expand`.
        """
        try:
            words = prompt.expand(text, seed or 0, wildcards)
        except prompt.PromptError as error:
            self._show_error(_wrong(text, error))
        except ValueError as error:  # a list that cannot be read
            self._show_error(f'<div class="sdnb-warn">{html.escape(str(error))}</div>')
        else:
            self.show(words, syntax, steps)
            if words != text:
                one = "One of its prompts" if seed is None else f"With seed {seed}"
                self._read.value = _quiet(f"{one}: {plain(words, 400)}") + self._read.value
                self.layout.display = ""

    def _show_error(self, words: str) -> None:
        self._other, self.found, self._read.value = None, (), words
        self._offered.layout.display = "none"
        self.layout.display = ""

    def show(self, text: str, syntax: str = "blocks", steps: int = 20) -> None:
        """Show how a prompt is read; tags of LoRAs are none of its words."""
        text = text if self._negative else lora.words(text)
        self._other = recognised(text, syntax) if self._switch is not None else None
        read, self.found = self._inspected(text, syntax, steps)
        now = f'<div class="sdnb-quiet">As it is read now, as {SYNTAXES_CALLED[syntax]}:</div>'
        self._read.value = f"{now}{read}" if read and self._other is not None else read
        if self._other is not None:
            name = SYNTAXES_CALLED[self._other]
            words = f"It looks like a prompt of {name}, which would read:"
            would, _ = self._inspected(text, self._other, steps)
            self._offer.value = f'<div class="sdnb-warn">{words}</div>{would}'
            self._button.description = f"Read as {name}"
        self._offered.layout.display = "none" if self._other is None else ""
        self.layout.display = "" if self.value else "none"

    def _inspected(self, text: str, syntax: str, steps: int) -> tuple[str, tuple[str, ...]]:
        """How a syntax reads the prompt, and the embeddings that it finds there; beside an offer
        without what it says against it.
        """
        tokens = None if self.tokenizer is None else _Tokens(self.tokenizer, self.embeddings)
        shown = _inspected(
            text, tokens, syntax, embeddings=self.embeddings, steps=steps,
            negative=self._negative, warn=self._other is None,
        )  # fmt: skip
        return shown, () if tokens is None else tuple(tokens.found)

    def _switched(self) -> None:
        if self._switch is not None and self._other is not None:
            self._switch(self._other)
