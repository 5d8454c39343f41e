"""What a browser does by itself with ipywidgets' parts, for tests without one."""

from __future__ import annotations


def parts(widget):
    """This widget and all widgets inside it, those that are hidden included."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def shown(widget):
    """Show a widget: each slider (noUiSlider) rounds its value to steps from its least, and each
    bounded box cuts it to its bounds; what differs from the kernel's value is sent back.
    """
    for part in parts(widget):
        if part._view_name in ("IntSliderView", "FloatSliderView"):
            inside = min(max(part.value, part.min), part.max)
            steps = round((inside - part.min) / part.step)
            sent = min(part.min + steps * part.step, part.max)
        elif hasattr(part, "min") and part._view_name in ("IntTextView", "FloatTextView"):
            sent = min(max(part.value, part.min), part.max)
        else:
            continue
        if sent != part.value:
            part.set_state({"value": sent})


def box(widget, label):
    """The number box of this label, in sight or not."""
    matches = [
        part for part in parts(widget)
        if part._view_name in ("IntTextView", "FloatTextView") and part.description == label
    ]  # fmt: skip
    assert len(matches) == 1, f"{len(matches)} boxes are called {label!r}"
    return matches[0]


def typed(part, words):
    """Type into a number box and press Tab: the browser sends the number, IEEE 754 as Python's."""
    part.set_state({"value": float(words)})
