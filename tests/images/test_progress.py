"""The bar passes everything on and shows the truth."""

import contextlib
import io

import pytest
import tqdm.auto
import tqdm.notebook

from sdnb.images import result as progress
from sdnb.images.result import Progress


def steps(total, fail_at=None):
    for step in range(total + 1):
        if step == fail_at:
            raise KeyboardInterrupt
        yield Progress(step, total, 0.1 * step)


def shown(monkeypatch, total, fail_at=None):
    out = io.StringIO()
    monkeypatch.setattr(
        progress, "tqdm", lambda **given: tqdm.std.tqdm(file=out, mininterval=0, **given)
    )
    seen = []
    try:
        seen.extend(progress.bar(steps(total, fail_at)))
    except KeyboardInterrupt:
        seen.append("stopped")
    return seen, out.getvalue().split("\r")


def test_it_is_there_before_the_first_step_and_goes_when_it_is_full(monkeypatch):
    seen, lines = shown(monkeypatch, 4)
    assert [at.step for at in seen] == [0, 1, 2, 3, 4]
    assert "0/4" in lines[1]
    assert "4/4" in "".join(lines)
    assert lines[-1].strip() == ""


def test_it_stays_where_it_was_when_the_run_stops(monkeypatch):
    seen, lines = shown(monkeypatch, 4, fail_at=3)
    assert seen[-1] == "stopped"
    assert "2/4" in lines[-1]


@pytest.mark.parametrize(("fail_at", "display"), [(None, "none"), (2, "inline-flex")])
def test_in_a_notebook_a_full_bar_is_hidden_and_not_closed(monkeypatch, fail_at, display):
    made = []

    def meter(**given):
        made.append(tqdm.notebook.tqdm(display=False, **given))
        return made[-1]

    monkeypatch.setattr(progress, "tqdm", meter)
    with contextlib.suppress(KeyboardInterrupt):
        list(progress.bar(steps(3, fail_at)))
    assert made[0].container.layout.display == display
    assert made[0].container.comm is not None


def test_nothing_is_shown_where_nothing_is_to_do(monkeypatch):
    _, lines = shown(monkeypatch, 0)
    assert lines == [""]
