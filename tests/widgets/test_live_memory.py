"""Two hundred live pictures leave nothing behind in the kernel: no widget, thread or picture."""

import gc
import itertools
import threading
from collections import Counter

import ipywidgets
import pytest
from helpers.fakes import Model, make, until
from PIL import Image

from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Job, Worker
from sdnb.request import Request, Resolved
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.masks.strokes import Brush
from sdnb.widgets.panel import Panel
from sdnb.widgets.sketch import sketch_panel
from sdnb.widgets.sketch.sketch_panel import Sketch

HELD = (Image.Image, Result, GalleryPicture, Job, Progress, Request, Resolved, memoryview)


def held():
    """How many widgets, threads, and of each kind of thing that a picture brings are alive."""
    gc.collect()
    # Not `isinstance`, which asks the object: another test's may be a proxy of one that is gone.
    kinds = Counter(kind.__name__ for each in gc.get_objects() for kind in HELD
                    if issubclass(type(each), kind))  # fmt: skip
    widgets = len(ipywidgets.widgets.widget._instances)
    return Counter(kinds, threads=threading.active_count(), widgets=widgets)


def panel():
    one = Panel(Model(), "txt2img", executor=Worker(make))
    one.request = Request("a cat", seed=7)
    one.live = True
    return one, lambda n: one.form.controls["cfg"]._take(2.0 + n % 30 / 2)


def sketch():
    one = Sketch(Model(), executor=Worker(make))
    one.form.change(prompt="a cat")
    for x in range(10, 50, 10):
        one.canvas.draw(Brush(((x, 10), (x, 50)), 4, colour=(0, 0, 0)))
    acts = one.canvas.undo, one.canvas.redo, *[one.another] * 8
    return one, lambda n: acts[n % len(acts)]()


@pytest.mark.slow
@pytest.mark.parametrize("build", [panel, sketch])
def test_two_hundred_live_pictures_leave_nothing_behind(build, monkeypatch):
    monkeypatch.setattr(sketch_panel, "net_for_lines", lambda _: "sketch")
    monkeypatch.setattr(sketch_panel, "_LEAST", 64)  # a small sheet, which is drawn sooner
    one, change = build()
    seen = []

    def follow(numbers):
        for n in numbers:
            change(n)
            until(lambda: not one.running)
            seen.append(hash(one.result.request))

    rounds = []
    for first in range(0, 200, 40):
        follow(range(first, first + 40))
        rounds.append(held())
    # What leaks grows in each round; what is made once, when it is first needed, in one.
    grown = {
        name: [after[name] - before[name] for before, after in itertools.pairwise(rounds)]
        for name in rounds[-1]
    }
    assert {name: more for name, more in grown.items() if min(more) > 0} == {}
    assert len(seen) == 200
    assert all(a != b for a, b in itertools.pairwise(seen))  # a new picture each time
    assert one.gallery.pictures == one.results == []
    one.close()
