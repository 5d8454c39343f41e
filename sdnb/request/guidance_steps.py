"""At which steps of a run the UNet guesses without words, and what stands in for that guess.

Guidance costs a second pass at each step. Two shortcuts of a `Request` leave some of them out:

* `cfg_start` and `cfg_end`: guidance works in a part of the run alone. Source: Kynkäänniemi et al.
  2024, https://arxiv.org/abs/2404.07724.
* `cfg_every`: the guess without words is made at every Nth step. In between, how far it is
  from the guess with words is taken from the last one: that changes slowly. Source: the CFG cache
  of Lv et al. 2024, section 3.3, https://arxiv.org/abs/2410.19355, without its weights for low and
  high frequencies.

A third one, `deep_every`, leaves out a part of each pass: `deep_steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from sdnb.request.choices import PASSES, calls_of, in_share, step_of
from sdnb.request.control import Control, working
from sdnb.request.deep_steps import SHALLOW, SHALLOW_SHARE, WHOLE, StepTexts, depths

if TYPE_CHECKING:
    from sdnb.request.request import Resolved

#: What a pass of the UNet reads: all texts, and gives what guidance makes of them; all, and gives
#: the guess for each; or the prompt alone.
GUIDED, APART, WORDS = "guided", "apart", "words"

_UNDER_CONTROL = "deep_every leaves nothing out of the steps at which a control network works."


@dataclass(frozen=True)
class Guess:
    """What a call of the denoiser takes: what its pass reads, whether guidance works, and how much
    of the UNet is computed.
    """

    reads: str = GUIDED
    guided: bool = True
    depth: str = WHOLE

    def passes(self, texts: int) -> float:
        """Passes of the UNet for one picture, where so many texts guide a run."""
        return (1 if self.reads == WORDS else texts) * self.share

    @property
    def share(self) -> float:
        """What a pass takes, in shares of a whole one."""
        return SHALLOW_SHARE if self.depth == SHALLOW else 1


@dataclass(frozen=True)
class GuidanceSteps:
    """The guesses of one run, call by call. `texts` is how many guide it: where there is one, or
    more than two, which AND joins, each pass reads all of them. `words` tells those of a call from
    those of another.
    """

    sampler: str
    steps: int
    texts: int
    start: float = 0.0
    end: float = 1.0
    every: int = 1
    deep: int = 1
    controls: Sequence[Control] = ()
    words: Callable[[int], Hashable] = lambda _: 0

    @classmethod
    def of(
        cls, request: Resolved, steps: int, texts: int,
        words: Callable[[int], Hashable] = lambda _: 0,
    ) -> GuidanceSteps:  # fmt: skip
        """Those of a request, in a run of so many steps."""
        return cls(
            request.sampler, steps, texts, request.cfg_start, request.cfg_end, request.cfg_every,
            request.deep_every, request.controls, words,
        )  # fmt: skip

    def at(self, call: int) -> Guess:
        """The guess of a call, counted from 0."""
        return self.at_step(min(step_of(self.sampler, call), self.steps - 1))

    def at_step(self, step: int) -> Guess:
        """The guess of the calls in a step."""
        guess = self._read_at(step)
        return replace(guess, depth=self._depths[step]) if self.deep > 1 else guess

    def _read_at(self, step: int) -> Guess:
        """The guess, were the UNet whole at each step."""
        inside = in_share(self.start, self.end, step, self.steps)
        if self.texts != 2:
            return Guess(guided=inside or self.texts == 1)
        if not inside:
            return Guess(WORDS, guided=False)
        if self.every == 1:
            return Guess()
        return Guess(WORDS if (step - self._first) % self.every else APART)

    @property
    def calls(self) -> int:
        """The calls of the denoiser in a run: no fewer than that, for plms has one more."""
        return self.steps * PASSES.get(self.sampler, 1) + 1

    @cached_property
    def _depths(self) -> tuple[str, ...]:
        """How much of the UNet each step computes."""
        return depths(
            self.deep,
            [
                StepTexts(
                    self._read_at(step).reads != WORDS,
                    [self.words(call) for call in calls_of(self.sampler, step)],
                    self._controlled(step),
                )
                for step in range(self.steps)
            ],
        )

    def _controlled(self, step: int) -> bool:
        """Whether a control network works at a step."""
        return bool(working(self.controls, step, self.steps))

    @cached_property
    def _first(self) -> int:
        """The first step with guidance."""
        return next(s for s in range(self.steps) if in_share(self.start, self.end, s, self.steps))

    @cached_property
    def guesses(self) -> tuple[Guess, ...]:
        """The different ones of the run, in the order in which they come."""
        return tuple(dict.fromkeys(map(self.at, range(self.calls))))

    @property
    def passes(self) -> float:
        """Passes of the UNet that a step takes for one picture, on average over the run."""
        total = sum(self.at_step(step).passes(self.texts) for step in range(self.steps))
        return PASSES.get(self.sampler, 1) * total / max(self.steps, 1)

    @property
    def notes(self) -> list[str]:
        """Words on shortcuts that do something else here than they say."""
        return [note for note in (self._on_guidance(), self._on_deep()) if note]

    def _on_deep(self) -> str:
        """Words where `deep_every` leaves less out than it says; "" otherwise."""
        if self.deep == 1 or not self.steps:
            return ""
        controlled = sum(map(self._controlled, range(self.steps)))
        if SHALLOW in self._depths:
            return _UNDER_CONTROL if controlled else ""
        why = "the run is too short, or its words change at each step"
        if controlled:
            why = "control networks work, and at those the whole UNet is computed"
        return f"deep_every={self.deep} leaves nothing out of any step: {why}."

    def _on_guidance(self) -> str:
        """Words on shortcuts that do something else here than they say; "" for none."""
        if (self.start, self.end, self.every) == (0.0, 1.0, 1) or not self.steps:
            return ""
        if self.texts == 1:
            return "cfg_start, cfg_end and cfg_every have no effect where nothing guides."
        if not any(guess.guided for guess in self.guesses):
            return (
                f"No step has guidance: they are 0, 1/{self.steps}, 2/{self.steps} and so on of "
                f"the run, and none is between {self.start:g} and {self.end:g}."
            )
        if self.texts > 2:
            return (
                "cfg_start, cfg_end and cfg_every save no time with AND: all prompts are read at "
                "each step."
            )
        return ""
