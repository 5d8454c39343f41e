"""What is dropped, dragged from a gallery or refused, as the page's part tells it."""

import numpy as np
import pytest
from helpers.browser_parts import parts
from helpers.fakes import Model, make
from helpers.pictures import colour, encoded, result
from helpers.widget_hands import alert, beside, called, press, read, thumbs

from sdnb import images
from sdnb.jobs.executor import Inline
from sdnb.widgets.drops import TAKES, Drops, dragged
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.masks.strokes import Brush, Rectangle
from sdnb.widgets.panel import Panel
from sdnb.widgets.sketch import sketch_panel
from sdnb.widgets.sketch.sketch_panel import Sketch

LINE = Brush(((100, 100), (300, 300)), 12, colour=(0, 0, 0))


def taker(widget):
    """The button that takes what is dropped on a widget, as `drops.js` finds it."""
    found = [
        part for part in parts(widget)
        if any(name == f"sdnb-file-{part.model_id}" for name in getattr(part, "_dom_classes", ()))
    ]  # fmt: skip
    return found[0]


def told(widget, **message):
    """A message of the page's part to this widget."""
    widget._handle_custom_msg(message, [])


def drops(widget):
    """The name under which the page drags pictures out of this widget, and its part there."""
    (found,) = (part for part in widget.children if isinstance(part, Drops))
    return found._hand.name, found._hand


def drag(widget, place, onto):
    name, hand = drops(widget)
    told(hand, dragged=place)
    told(taker(onto), dropped=name)


@pytest.fixture
def folder(place):
    for seed in (1, 2, 3):
        images.save(result("a fox", seed=seed), place / "outputs")
    return place / "outputs"


def test_a_picture_of_a_gallery_comes_whole_and_with_its_settings(folder):
    gallery, panel = Gallery(folder), Panel(Model(), "img2img", executor=Inline(make))
    wanted = gallery.pictures[1]
    drag(gallery, 1, panel)
    png = panel.request.image
    assert np.array_equal(images.open(png), wanted.image)
    assert "it carries its settings" in beside(panel, "Picture…")
    press(panel, "Use its settings")
    assert panel.request.prompt == "a fox"
    assert (panel.request.seed, panel.request.image) == (wanted.request.seed, png)


def test_the_open_picture_and_a_result_are_dragged_too(folder):
    gallery, panel = Gallery(folder), Panel(Model(), "img2img", executor=Inline(make))
    gallery.choose(gallery.pictures[2])
    drag(gallery, None, panel)
    assert np.array_equal(images.open(panel.request.image), gallery.pictures[2].image)
    panel.form.change(width=64, height=64)
    panel.generate()
    drag(panel, None, gallery)
    assert np.array_equal(gallery.pictures[0].image, panel.result.image)


def test_it_is_the_picture_that_one_began_to_drag(folder):
    """Though others came before it meanwhile."""
    gallery, panel = Gallery(folder), Panel(Model(), "img2img", executor=Inline(make))
    wanted, (name, hand) = gallery.pictures[0], drops(gallery)
    told(hand, dragged=0)
    gallery.take(encoded(colour(9, (16, 16))), "new.png")
    told(taker(panel), dropped=name)
    assert np.array_equal(images.open(panel.request.image), wanted.image)
    assert dragged(name) is wanted


def test_a_picture_that_cannot_be_had_says_why(folder):
    gallery, panel = Gallery(folder), Panel(Model(), "img2img", executor=Inline(make))
    told(taker(panel), dropped="of another kernel")
    assert "another page or notebook: save it there" in alert(panel)
    name, hand = drops(gallery)
    told(hand, dragged=0)
    gallery.pictures[0].saved.write_bytes(b"")
    told(taker(panel), dropped=name)
    assert "it is empty" in alert(panel)
    assert panel.request.image is None


def test_what_is_no_picture_is_said_where_it_was_dropped(folder):
    gallery, panel = Gallery(folder), Panel(Model(), "img2img", executor=Inline(make))
    for widget in (gallery, panel):
        told(taker(widget), refused="notes.txt is no <picture>.")
        assert "notes.txt is no <picture>." in alert(widget)
    panel.form.change(image=images.picture(colour(size=(64, 64))))
    assert "notes.txt" not in read(panel)


def test_each_place_takes_and_a_mask_is_no_place(place):
    """The mask editor's own button imports a mask: what is dropped there is the start picture."""
    panel = Panel(Model(), "inpaint", executor=Inline(make))
    panel.start_from(images.picture(colour(size=(64, 64))))
    places = [part for part in parts(panel) if TAKES in getattr(part, "_dom_classes", ())]
    assert panel.form.controls["image"].widget in places
    assert panel.form.controls["mask"].widget in places
    mask = panel.form.controls["mask"].widget
    with pytest.raises(IndexError):
        taker(mask)
    assert taker(panel) in list(parts(panel.form.controls["image"].widget))


def test_a_picture_that_is_dropped_on_a_sketch_is_traced_and_the_drawing_stays(folder, net):
    gallery, sketch = Gallery(folder), Sketch(Model(), executor=Inline(make))
    sketch.canvas.draw(LINE)
    drawn, made = sketch.drawing.tobytes(), sketch.result
    drag(gallery, 0, sketch)
    assert np.array_equal(sketch.canvas.trace, gallery.pictures[0].image)
    assert sketch.canvas.tracing.unfolded  # what one does with it is in sight
    assert sketch.drawing.tobytes() == drawn
    assert sketch.result is made
    assert len(sketch.gallery.pictures) == 0
    told(taker(sketch), refused="notes.txt is no <picture>.")
    assert "notes.txt is no <picture>." in alert(sketch)
    assert sketch.canvas.trace is not None
    press(sketch, "Draw it in")
    assert sketch.result.request.image is not None
    sketch.canvas.undo()
    assert sketch.drawing.tobytes() == drawn


def test_a_sheet_is_a_place_of_its_own_beside_the_gallery(net):
    sketch = Sketch(Model(), executor=Inline(make))
    places = [part for part in parts(sketch) if TAKES in getattr(part, "_dom_classes", ())]
    assert places[0] is sketch.canvas  # the first in sight, to which all comes that is dropped
    assert taker(sketch) in list(parts(sketch.canvas))


@pytest.fixture
def net(monkeypatch):
    """The fake model has a network for lines."""
    monkeypatch.setattr(sketch_panel, "net_for_lines", lambda _: "sketch")


@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
def test_a_mask_editor_alone_takes_a_picture_and_gives_the_one_before_back(folder, size):
    gallery, editor = Gallery(folder), MaskEditor(colour(5, (32, 32)))
    gallery.take(encoded(colour(9, size)), "new.png")
    editor.draw(Rectangle((4, 4), (12, 12)))
    editor.feather = 3.0
    before = editor.image.tobytes(), editor.mask.tobytes(), editor.feather
    heard = []
    editor.on_change(lambda one: heard.append(one.image.size))
    drag(gallery, 0, editor)
    assert np.array_equal(editor.image, gallery.pictures[0].image)
    assert set(heard) == {size[::-1]}  # width and height
    stays = size == (32, 32)
    assert (editor.mask.getbbox() is not None) is stays
    assert ("the mask was cleared" in read(editor)) is not stays
    press(editor, "Take that back")
    assert (editor.image.tobytes(), editor.mask.tobytes(), editor.feather) == before
    assert not called(editor, "Take that back")


def test_who_has_painted_on_the_new_picture_is_offered_the_old_one_no_more(folder):
    gallery, editor = Gallery(folder), MaskEditor(colour(5, (32, 32)))
    drag(gallery, 0, editor)
    assert called(editor, "Take that back")
    editor.draw(Rectangle((4, 4), (12, 12)))
    assert not called(editor, "Take that back")


def test_a_mask_editor_says_what_is_no_picture_and_keeps_its_own():
    editor = MaskEditor(colour(5, (32, 32)))
    before = editor.image.tobytes()
    told(taker(editor), refused="notes.txt is no <picture>.")
    assert "notes.txt is no <picture>." in read(editor)
    editor._dropped.take(b"no picture", "broken.png")
    assert "broken.png: " in read(editor)
    assert editor.image.tobytes() == before


def test_a_gallery_takes_several_at_once(place):
    gallery = Gallery()
    button = taker(gallery)
    assert button.multiple
    files = [
        {"name": f"{n}.png", "content": encoded(colour(int(n))), "type": "", "size": 1,
         "last_modified": 0} for n in "01"
    ]  # fmt: skip
    for file in files:
        file["content"] = memoryview(file["content"])
    button._notify_trait("value", (), tuple(files))
    assert [picture.file[0] for picture in gallery.pictures] == ["1.png", "0.png"]
    assert len(thumbs(gallery)) == 2
    for file, name in zip(files, ("notes.txt", "<b>x</b>.png"), strict=True):
        file |= {"name": name, "content": memoryview(b"words")}
    button._notify_trait("value", (), tuple(files))
    assert "notes.txt: " in alert(gallery)
    assert "; <b>x</b>.png: " in alert(gallery)
    assert len(gallery.pictures) == 2
