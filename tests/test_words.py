"""What people read: one of a thing is not called things, and no word is known to us alone."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

import sdnb

MODULES = sorted(
    path for path in Path(sdnb.__file__).parent.rglob("*.py") if "training" not in path.parts
)
THINGS = re.compile(r" (cells|models|pictures|results|threads|workers|steps(?! from))\b")
OURS = re.compile(r"\banew\b|\bthe embedded\b|at the most", re.IGNORECASE)


def texts(path):
    """Each text of a module that is no docstring: its parts, with None for what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield [part.value if isinstance(part, ast.Constant) else part for part in node.values]
        elif isinstance(node, ast.Constant) and id(node) not in docs:
            yield [node.value]


def is_number(part):
    """Whether it is put in as it is: a bound such as {LIMIT:,} is never 1."""
    return isinstance(part, ast.FormattedValue) and part.format_spec is None


@pytest.mark.slow
def test_of_one_thing_no_text_speaks_as_of_several():
    wrong = [
        f"{path.name}: ...{after}"
        for path in MODULES
        for parts in texts(path)
        for before, after in pairwise(parts)
        if is_number(before) and isinstance(after, str) and THINGS.match(after)
    ]
    assert wrong == []


@pytest.mark.slow
def test_no_text_has_words_of_our_own():
    wrong = [
        f"{path.name}: {part}"
        for path in MODULES
        for parts in texts(path)
        for part in parts
        if isinstance(part, str) and OURS.search(part)
    ]
    assert wrong == []
