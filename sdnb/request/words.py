"""The words of a request: what a seed chooses where its prompts leave a choice."""

from __future__ import annotations

from typing import Any

from sdnb.request.prompt.expanding import expand
from sdnb.request.record import TEMPLATES
from sdnb.request.request import Request, drawn_seed


def settled(request: Request, wildcards: Any = None) -> Request:
    """The request for its first picture alone, with what its seed chooses of the alternatives and
    wildcards in its prompts; these are kept beside them as its templates. The same request where
    there is nothing to choose. An open seed is drawn then.

    `wildcards` as in `prompt.expand`, which says what is raised.
    """
    seed = drawn_seed() if request.seed is None else request.seed
    chosen: dict[str, Any] = {}
    for name, template in TEMPLATES.items():
        text = getattr(request, name)
        if text and not getattr(request, template):
            words = expand(text, seed, wildcards)
            chosen |= {} if words == text else {name: words, template: text}
    return request.but(seed=seed, count=1, **chosen) if chosen else request


def each_settled(request: Request, wildcards: Any = None) -> list[Request]:
    """A request for each picture, as `settled` gives them: the words of picture i are those of
    seed + i. The one request where its words are the same for all.
    """
    first = settled(request, wildcards)
    if first is request or first.seed is None:
        return [request]
    alone = [request.but(seed=first.seed + i, count=1) for i in range(1, request.count)]
    return [first, *(settled(each, wildcards) for each in alone)]
