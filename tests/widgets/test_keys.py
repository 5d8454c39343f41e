"""What a panel and a gallery do with the keys that a page reports, without a page."""

import html
import re

import ipywidgets as widgets
import pytest
from helpers.fakes import Model, gated, make
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, called, press, read, status

from sdnb.jobs.executor import Worker
from sdnb.request import Request, Settings
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_keys import GalleryKeys
from sdnb.widgets.gallery.thumbnails import PAGE
from sdnb.widgets.keys import GenerateKeys
from sdnb.widgets.panel import Panel

COUNT = 40  # pictures of the gallery


def report(keys, **message):
    """As a browser does."""
    keys._ear._handle_custom_msg(message, [])


def told(keys, *values):
    """What a page says is in the boxes, by their ids."""
    return [[box.model_id, value] for box, value in zip(keys._ear.boxes, values, strict=True)]


# -- Generate -----------------------------------------------------------------------------------


@pytest.fixture
def page():
    """Boxes, what was in them when Generate was called, and the keys."""
    words, number, seed = widgets.Textarea("old"), widgets.FloatText(7.5), widgets.Text("1")
    seen = []
    boxes = [widgets.VBox([words, widgets.Button()]), widgets.HBox([number]), seed]
    keys = GenerateKeys(boxes, lambda: seen.append((words.value, number.value, seed.value)))
    return words, number, seed, seen, keys


def test_what_the_page_has_is_taken_before_the_picture_is_made(page):
    *_, seen, keys = page
    report(keys, values=told(keys, "a fox", 7.3, "12345678901234567890"))
    report(keys, values=told(keys, "a fox", None, ""))  # None: what is typed is no number
    assert seen == [("a fox", 7.3, "12345678901234567890"), ("a fox", 7.3, "")]


def test_a_box_that_follows_another_is_not_set_back(page):
    """The page has not heard yet of what one box changed in the other."""
    words, number, _, seen, keys = page
    words.observe(lambda _: setattr(number, "value", 3.0), "value")
    report(keys, values=told(keys, "a fox", 7.5, "1"))
    assert seen == [("a fox", 3.0, "1")]


def test_what_has_not_changed_is_not_set(page):
    words, _, _, seen, keys = page
    heard = []
    words.observe(heard.append, "value")
    report(keys, values=told(keys, "old", 7.5, "1"))
    assert heard == []
    assert len(seen) == 1


def test_lists_sliders_and_switches_bring_what_was_chosen():
    seen = []
    words, track = widgets.Dropdown(options=[("one", 1), ("two", 2)]), widgets.IntSlider(3)
    switch = widgets.Checkbox(False)
    keys = GenerateKeys(
        [words, track, switch], lambda: seen.append((words.value, track.value, switch.value))
    )
    report(keys, values=told(keys, "two", 7, True))
    words.options = [("zero", 0), ("one", 1), ("two", 2)]
    words.value = 1
    report(keys, values=told(keys, "two", 7, False))  # by its line, which has moved
    report(keys, values=told(keys, "ten", 7, False))  # which is gone
    assert seen == [(2, 7, True), (2, 7, False), (2, 7, False)]


def test_boxes_that_come_later_bring_what_is_in_them_too(page):
    words, number, _, seen, keys = page
    before = told(keys, "a fox", 7.5, "1")
    later = widgets.FloatText(1.0)
    keys._parts[1].children = [number, later]
    keys.look_again()
    assert later in keys._ear.boxes
    report(keys, values=before)  # of a page that has not heard of it
    report(keys, values=[[later.model_id, 0.85]])
    assert (words.value, later.value, len(seen)) == ("a fox", 0.85, 2)


def test_ctrl_enter_in_a_panel_is_generate():
    panel = Panel(Model(), "txt2img", executor=Worker(gated()[1]))
    keys = next(part for part in panel.children if isinstance(part, GenerateKeys))
    boxes = keys._ear.boxes
    assert len(boxes) >= 7  # both texts, width, height, steps, CFG, seed, ...
    report(keys, values=[[boxes[0].model_id, "a boat"]])
    assert panel.request.prompt == "a boat"
    assert panel.running
    panel.stop()


# -- the gallery --------------------------------------------------------------------------------


@pytest.fixture
def gallery(tmp_path):
    """Pictures of seeds 39 to 0, over a page, and a list of the names of what gets the focus."""
    found = Gallery(tmp_path / "out", opened=False)
    for seed in range(COUNT):
        *_, last = make(Request("a <b>cat</b>", seed=seed).resolved(Settings(64, 64, 1)))
        found.add(last.result)
    found.focused = []
    keys(found).focus = lambda widget: found.focused.append(widget.description)
    return found


def keys(gallery):
    return next(part for part in gallery.children if isinstance(part, GalleryKeys))


def press_key(gallery, key, place=None, **more):
    """A key in the page as it was told of last, with the focus on the thumbnail at this place."""
    numbers = keys(gallery)._ear.pictures
    report(keys(gallery), key=key, number=None if place is None else numbers[place], **more)


def seeds(gallery):
    return [picture.request.seed for picture in gallery.pictures]


def comes(gallery, seed):
    *_, last = make(Request("a new one", seed=seed).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)


def test_arrows_open_the_next_one_only_where_one_is_open(gallery):
    press_key(gallery, "move", 2, step=1)
    assert gallery.chosen is None
    gallery.choose(gallery.pictures[3])
    press_key(gallery, "move", 3, step=1)
    assert gallery.chosen is gallery.pictures[4]


def test_the_focus_that_the_page_has_moved_is_left_where_it_is(gallery):
    """Else it would come back from where the next key has taken it meanwhile."""
    press_key(gallery, "move", 2, step=1, focused=True)
    gallery.choose(gallery.pictures[3])
    press_key(gallery, "move", 3, step=1, focused=True)
    assert gallery.chosen is gallery.pictures[4]
    assert gallery.focused == []
    press_key(gallery, "move", PAGE - 1, step=1, focused=False)  # on the next page
    assert len(gallery.focused) == 1


def test_arrows_go_on_to_the_next_page_and_no_further(gallery):
    press_key(gallery, "move", PAGE - 1, step=1)
    assert "page 2 of 2" in read(gallery)
    press_key(gallery, "move", len(gallery.pictures) - PAGE - 1, step=1)  # there is none
    assert "page 2 of 2" in read(gallery)
    press_key(gallery, "move", 0, step=-1)
    assert "page 1 of 2" in read(gallery)
    press_key(gallery, "move", 0, step=-1)
    turned = gallery.pictures[PAGE], gallery.pictures[PAGE - 1]
    assert gallery.focused == [f"{picture.words}" for picture in turned]


def test_home_and_end_go_to_the_newest_and_the_oldest_picture(gallery):
    press_key(gallery, "End")
    assert "page 2 of 2" in read(gallery)
    assert gallery.focused[-1].endswith("seed 0")
    assert gallery.chosen is None
    gallery.choose(gallery.pictures[4])
    press_key(gallery, "Home")
    assert gallery.chosen is gallery.pictures[0]
    assert "page 1 of 2" in read(gallery)


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("key", ["Delete", "s", "move"])
def test_a_key_means_its_picture_after_a_new_one_has_come(gallery, key, opened):
    """Else the keys would act on the one that came into its place."""
    wanted = gallery.pictures[4]
    if opened:
        gallery.choose(wanted)
    number = keys(gallery)._ear.pictures[4]
    comes(gallery, 100)  # the page has not heard of it
    report(keys(gallery), key=key, number=number, step=1, focused=True)
    if key == "Delete":
        assert f"seed {wanted.request.seed}”?" in read(gallery)
        comes(gallery, 101)
        press(gallery, "Delete 1")
        assert wanted not in gallery.pictures
        assert len(gallery.pictures) == COUNT + 1
        assert gallery.focused[-1].endswith(f"seed {wanted.request.seed - 1}")
    elif key == "s":
        assert [p for p in gallery.pictures if p.saved] == [wanted]
    else:
        assert gallery.chosen is (gallery.pictures[6] if opened else None)


def test_after_a_no_the_focus_is_on_the_picture_asked_about(gallery):
    press_key(gallery, "Delete", 3)
    comes(gallery, 100)
    press(gallery, "No")
    assert gallery.focused[-1] == gallery.pictures[4].words


def test_the_page_knows_which_pictures_it_shows(gallery):
    """By these numbers its focus goes with a picture that a new one moves on."""
    before = list(keys(gallery)._ear.pictures)
    assert len(set(before)) == PAGE
    comes(gallery, 100)
    after = list(keys(gallery)._ear.pictures)
    assert after[1:] == before[:-1]
    assert after[0] not in before
    press(gallery, "older")
    assert keys(gallery)._ear.pictures[0] == before[-1]


def picked(gallery):
    """The places of those that the page marks as picked."""
    slots = [slot for slot in gallery._thumbs.slots if slot.layout.display != "none"]
    return [i for i, slot in enumerate(slots) if "sdnb-picked" in slot._dom_classes]


def test_several_are_picked_and_saved_kept_and_deleted_together(gallery):
    press_key(gallery, "pick", 2)
    press_key(gallery, "pick up to", 5)
    press_key(gallery, "pick", 4)  # no longer
    assert picked(gallery) == [2, 3, 5]
    assert "3 pictures picked" in read(gallery)
    assert gallery.chosen is None
    wanted = [gallery.pictures[i] for i in (2, 3, 5)]
    press_key(gallery, "s", 0)
    assert [p for p in gallery.pictures if p.saved] == wanted
    comes(gallery, 100)
    assert picked(gallery) == [3, 4, 6]  # they go with their pictures
    press(gallery, "Keep")
    assert [p for p in gallery.pictures if p.kept] == wanted
    press_key(gallery, "Delete", 0)
    assert "Delete the pictures that are picked?" in read(gallery)
    press(gallery, "No")
    assert picked(gallery) == [3, 4, 6]
    press_key(gallery, "Delete", 0)
    press(gallery, "Delete 3")
    assert not set(wanted) & set(gallery.pictures)
    assert len(gallery.pictures) == COUNT - 2
    assert picked(gallery) == []
    assert "picked" not in read(gallery)


def test_escape_picks_none_before_it_closes_the_open_picture(gallery):
    gallery.choose(gallery.pictures[1])
    press_key(gallery, "pick", 4)  # what is open is one of them, and closes
    assert picked(gallery) == [1, 4]
    assert gallery.chosen is None
    gallery.choose(gallery.pictures[1])
    press_key(gallery, "Escape", 4)
    assert (picked(gallery), gallery.chosen) == ([], gallery.pictures[1])
    press_key(gallery, "Escape", 4)
    assert gallery.chosen is None


def test_two_that_are_picked_are_compared(gallery):
    newer, older = gallery.pictures[1], gallery.pictures[4]
    press_key(gallery, "pick", 4)
    press_key(gallery, "pick", 1)
    press(gallery, "Compare")
    assert (picked(gallery), gallery.chosen) == ([1, 4], newer)
    shown = html.unescape(gallery._opened_picture.view.value)
    sides = re.findall(r'alt="(left|right): ([^"]*)"', shown)
    assert sides == [("left", older.words), ("right", newer.words)]
    press(gallery, "Stop comparing")
    press_key(gallery, "pick", 0)  # one more, and what was open stays one of them
    assert picked(gallery) == [0, 1, 4]
    assert not called(gallery, "Compare")


def test_what_is_searched_for_is_picked_and_no_other(gallery):
    press_key(gallery, "pick", 0)
    press_key(gallery, "pick", 3)
    gallery.find("nothing has this word")
    assert "picked" not in read(gallery)
    gallery.find()
    assert picked(gallery) == []


def test_s_and_delete_act_on_the_open_picture_wherever_the_focus_is(gallery):
    gallery.choose(gallery.pictures[5])
    press_key(gallery, "s", 2)
    assert [i for i, p in enumerate(gallery.pictures) if p.saved] == [5]
    press_key(gallery, "Delete", 2)
    press(gallery, "Delete 1")
    assert COUNT - 6 not in seeds(gallery)


def test_s_saves_the_one_with_the_focus_else_the_open_one(gallery):
    press_key(gallery, "s", None)  # none is open
    assert not gallery.folder.exists()
    press_key(gallery, "s", 2)
    gallery.choose(gallery.pictures[5])
    press_key(gallery, "S", None)
    assert [i for i, p in enumerate(gallery.pictures) if p.saved] == [2, 5]
    assert f"Saved as {gallery.pictures[5].saved}" in status(gallery)


def test_an_error_while_saving_is_shown(gallery):
    gallery.folder.write_text("a file in its place")
    press_key(gallery, "s", 0)
    assert "out" in alert(gallery)


def test_delete_asks_for_the_picture_by_its_words(gallery):
    press_key(gallery, "Delete", 1)
    assert "Delete “a <b>cat</b>, seed 38”?" in read(gallery)
    assert gallery.focused == ["Delete 1"]
    press(gallery, "No")
    assert len(gallery.pictures) == COUNT
    assert gallery.focused[-1].endswith("seed 38")
    press_key(gallery, "Delete", 1)
    press(gallery, "Delete 1")
    assert 38 not in seeds(gallery)
    assert gallery.focused[-1].endswith("seed 37")  # the next one is in its place


def test_after_the_last_one_is_deleted_the_focus_is_on_the_one_before(gallery):
    gallery.delete(*gallery.pictures[2:])
    press_key(gallery, "Delete", 1)
    press(gallery, "Delete 1")
    assert gallery.focused[-1].endswith("seed 39")
    press_key(gallery, "Delete", 0)
    press(gallery, "Delete 1")
    assert gallery.pictures == []


def test_escape_closes_and_leaves_a_question_unanswered(gallery):
    gallery.choose(gallery.pictures[4])
    press_key(gallery, "Delete", None)
    press_key(gallery, "Escape", None)
    assert gallery.chosen is None
    assert "Delete “" not in read(gallery)
    assert gallery.focused[-1].endswith("seed 35")
    assert len(gallery.pictures) == COUNT
    press(gallery, "Delete all but kept")  # by mouse, while none is open
    assert "There is no undo" in [button.tooltip for button in called(gallery, "Delete 40")]
    press_key(gallery, "Escape", None)
    assert not called(gallery, "Delete 40")


def test_when_the_open_one_is_deleted_the_next_one_opens(gallery):
    gallery.choose(gallery.pictures[38])
    for seed in (0, 2):  # the last but one, then the last
        press(gallery, "Delete")
        press(gallery, "Delete 1")
        assert gallery.chosen.request.seed == seed
    gallery.delete(*gallery.pictures[:3], gallery.chosen)
    assert gallery.chosen is None


def test_a_key_after_a_picture_is_gone_does_nothing(gallery):
    gallery.delete(*gallery.pictures)
    for key in ("move", "Home", "Delete", "s", "Escape"):
        report(keys(gallery), key=key, number=3, step=1)
    gallery.take(encoded(colour()), "a.png")
    press_key(gallery, "move", 0, step=7)
    assert gallery.focused == []
