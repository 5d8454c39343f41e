"""A gallery over a folder: what one looks for is found, and files come and go while it is open."""

import os
import re
from datetime import date, datetime, timedelta

import pytest
from helpers.fakes import make, until
from helpers.pictures import Result, colour, encoded, result
from helpers.widget_hands import alert, called, find, press, read, status, thumbs
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

import sdnb
from sdnb import images
from sdnb.request import Request, Settings
from sdnb.widgets.gallery import file_readers
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.picture_search import PictureSearch

pytestmark = pytest.mark.slow

WORDS = "fox", "Fog", "castle", "STRASSE", "straße", "7", "euler", "tiny", "other", "a-b", "x"
MODELS = "tiny", "Other One", ""
NOON = datetime(2026, 11, 20, 12).astimezone().timestamp()


def saved(folder, prompt="a fox", model="tiny", days=0, **fields):
    """A picture in a file of some days before that noon."""
    made = result(prompt, **fields)
    made = Result(made.images, made.request, model)
    (path,) = images.save(made, folder)
    os.utime(path, (NOON - 86400 * days,) * 2)
    return path


def names(pictures):
    return [picture.name for picture in pictures]


@pytest.fixture
def folder(place):
    folder = place / "outputs"
    saved(folder, "a fox in snow", days=40, seed=11)
    saved(folder, "a castle", "Other One", days=2, seed=22, negative="fog", sampler="heun")
    saved(folder, "two Foxes", "Other One", seed=33)
    return folder


def by_hand(path, words, model, since, until_):
    """The same by reading the whole file, and splitting the words by hand."""
    told = images.inspect(path)
    request, day = told.request, datetime.fromtimestamp(path.stat().st_mtime).astimezone().date()
    size = f"{request.width}x{request.height}"
    about = [
        request.prompt, request.negative, request.sampler, request.schedule, str(request.seed),
        told.model, size, path.name, f"sdnb {told.version}",
    ]  # fmt: skip
    terms = []
    for place, part in enumerate(words.split('"')):
        minus = place % 2 == 1 and words.split('"')[place - 1].endswith("-")
        if place % 2:
            terms.append(("-" if minus else "") + part)
        else:
            parts = part.split()
            terms += parts[:-1] if part.endswith("-") else parts
    for term in terms:
        bare = term.removeprefix("-") if len(term) > 1 else term
        there = any(bare.casefold() in text.casefold() for text in about)
        if bare and there == (bare != term):
            return False
    fits = (since is None or day >= since) and (until_ is None or day <= until_)
    return fits and model in (None, told.model)


@st.composite
def asked(draw):
    term = st.sampled_from([w for w in WORDS if w != "a-b"])
    some = draw(st.lists(st.tuples(term, st.booleans(), st.booleans()), max_size=3))
    words = " ".join(f'{"-" * no}"{w} {w}"' if quoted else "-" * no + w for w, no, quoted in some)
    day = st.none() | st.integers(0, 60).map(lambda days: date(2026, 11, 20) - timedelta(days))
    return words, draw(st.none() | st.sampled_from(MODELS)), draw(day), draw(day)


@how(max_examples=150)
@given(asked())
def test_any_search_finds_what_reading_every_file_finds(tmp_path_factory, search):
    folder, gallery = many(tmp_path_factory)
    words, model, since, until_ = search
    paths = sorted(folder.glob("*.png"), key=lambda path: -path.stat().st_mtime)
    found = gallery.find(words, model=model, since=since, until=until_)
    assert names(found) == [p.name for p in paths if by_hand(p, words, model, since, until_)]
    count = (
        f"{len(found)} of 24 pictures"
        if PictureSearch(words, model, since, until_)
        else "24 pictures"
    )
    assert count in read(gallery)


_made = []


def many(tmp_path_factory):
    """24 pictures of all those words, made once."""
    if not _made:
        folder = tmp_path_factory.mktemp("many")
        for number in range(24):
            at = [WORDS[(number * 5 + k * 3) % len(WORDS)] for k in range(4)]
            more = {"sampler": "euler"} if number % 2 else {}
            prompt = " ".join([*at, *at[:1] * (number % 3)])
            saved(
                folder, prompt, MODELS[number % 3], 2 * number, negative=at[3], seed=number, **more
            )
        _made.extend((folder, Gallery(folder)))
    return _made


def test_a_person_types_and_chooses(folder):
    gallery = Gallery(folder)
    until(lambda: "being read" not in read(gallery))
    find(gallery, "Find").value = "fox"
    assert [slot.tooltip.split(",")[0] for slot in thumbs(gallery)] == [
        "00003-33-two-foxes.png", "00001-11-a-fox-in-snow.png",
    ]  # fmt: skip
    model = find(gallery, "Model")
    assert model.options == ("any model", "Other One (2)", "tiny (1)")
    model.index = 2
    assert "1 of 3 pictures" in read(gallery)
    thumbs(gallery)[0].click()
    assert gallery.chosen.request.seed == 11
    find(gallery, "Find").value = ""
    model.index = 0
    assert len(thumbs(gallery)) == 3
    day = find(gallery, "Day")
    assert day.options[5:] == ("November 2026", "October 2026")
    day.index = 6
    assert [picture.request.seed for picture in gallery.found] == [11]
    find(gallery, "Find").value = "castle"
    assert thumbs(gallery) == []
    assert "0 of 3 pictures" in read(gallery)
    assert not called(gallery, "Save all")
    gallery.find()
    assert (find(gallery, "Find").value, day.index, len(gallery.found)) == ("", 0, 3)


def test_today_is_a_day(place):
    saved(place / "outputs", "old", days=3000)
    images.save(result("new"), place / "outputs")
    gallery = Gallery(place / "outputs")
    for label, found in (("today", 1), ("yesterday", 0), ("the last 7 days", 1), ("any day", 2)):
        day = find(gallery, "Day")
        day.index = day.options.index(label)
        assert len(gallery.found) == found, label


def test_wrong_days_and_words_are_refused(folder):
    gallery = Gallery(folder)
    with pytest.raises(ValueError, match="since='yesterday' is no day"):
        gallery.find(since="yesterday")
    with pytest.raises(TypeError, match="words"):
        gallery.find(7)
    assert names(
        gallery.find(since="2026-11-18", until=datetime(2026, 11, 18, 5).astimezone())
    ) == ["00002-22-a-castle.png"]
    assert find(gallery, "Day").value == "2026-11-18 to 2026-11-18"


def test_new_pictures_are_looked_through_too(folder):
    gallery = Gallery(folder)
    gallery.find("fox")
    *_, last = make(Request("a fox", seed=1).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)
    *_, last = make(Request("a lemon", seed=1).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)
    assert gallery.found[0].words == "a fox, seed 1"
    assert (len(gallery.found), len(gallery.pictures)) == (3, 5)


def test_what_is_done_with_all_is_done_with_what_is_found(folder):
    gallery = Gallery(folder)
    gallery.find("fox")
    gallery.pictures[0].kept = True
    press(gallery, "Delete all but kept")
    assert "all pictures that were found and are not kept" in read(gallery)
    press(gallery, "Delete 1")
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "00002-22-a-castle.png", "00003-33-two-foxes.png",
    ]  # fmt: skip
    gallery.choose(gallery.found[0])
    gallery.delete(gallery.chosen)
    assert gallery.chosen is None  # none is beside it, among those that are found


def test_files_that_come_and_go_are_said(folder):
    gallery = Gallery(folder)
    chosen = gallery.pictures[1]
    gallery.choose(chosen)
    chosen.kept = True
    press(gallery, "Refresh")
    assert status(gallery) == f"Nothing has changed in {gallery.folder}."
    (folder / "00001-11-a-fox-in-snow.png").unlink()
    saved(folder, "between", days=1, seed=44)
    saved(folder, "the newest", days=-1, seed=55)
    os.utime(folder / "00003-33-two-foxes.png", (NOON + 5, NOON + 5))
    press(gallery, "Refresh")
    assert status(gallery) == "2 new pictures, 1 picture changed, 1 is gone."
    assert [picture.request.seed for picture in gallery.pictures] == [55, 33, 44, 22]
    assert gallery.chosen is chosen  # as it was left
    assert chosen in gallery.pictures
    chosen.saved.unlink()
    press(gallery, "Refresh")
    assert status(gallery) == "1 is gone."
    assert gallery.chosen is None


def test_pictures_of_this_session_are_not_there_twice(folder):
    gallery = Gallery(folder, autosave=True)
    *_, last = make(Request("mine", seed=1, count=2).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)
    unsaved = GalleryPicture(last.result)
    gallery.autosave.on = False
    gallery.put(unsaved)
    before = gallery.pictures
    assert gallery.refresh() == ""
    assert gallery.pictures == before
    assert len(before) == 6


def test_a_page_that_is_opened_looks_again(folder):
    gallery = Gallery(folder)
    saved(folder, "new", seed=66)
    gallery.set_trait("_view_count", 1)  # as the browser's part counts
    assert status(gallery) == f"1 new picture in {folder}."
    assert len(gallery.pictures) == 4
    gallery.set_trait("_view_count", 0)
    gallery.set_trait("_view_count", 1)
    assert len(gallery.pictures) == 4


def test_subfolders_are_shown_when_asked_for(folder):
    saved(folder / "txt2img-images" / "2026-11-20", "deep", seed=5, days=1)
    saved(folder / "deleted", "deleted", seed=6)
    saved(folder / "inputs", "an input", seed=7)
    saved(folder / ".hidden", "hidden", seed=8)
    gallery = Gallery(folder)
    assert len(gallery.pictures) == 3
    find(gallery, "Subfolders").value = True
    assert [picture.request.seed for picture in gallery.pictures] == [33, 5, 22, 11]
    assert status(gallery) == "1 new picture."
    gallery.delete(gallery.pictures[1])
    assert (folder / "deleted" / "00001-5-deep.png").exists()
    find(gallery, "Subfolders").value = False
    assert len(gallery.pictures) == 3
    assert len(Gallery(folder, below=True).pictures) == 3
    assert not called(Gallery(folder / "deleted"), "Subfolders")


def test_a_damaged_picture_is_shown_as_such(folder):
    path = folder / "00003-33-two-foxes.png"
    path.write_bytes(path.read_bytes()[:-30])
    (folder / "nothing.png").write_bytes(b"")
    gallery = Gallery(folder)
    until(lambda: all(picture.thumb and picture.glance for picture in gallery.pictures))
    until(lambda: sum("sdnb-damaged" in slot._dom_classes for slot in thumbs(gallery)) == 2)
    tips = {slot.tooltip for slot in thumbs(gallery) if "sdnb-damaged" in slot._dom_classes}
    assert tips == {
        "00003-33-two-foxes.png: it is damaged or cut short; get the file again",
        "nothing.png: it is damaged or cut short; get the file again",
    }
    assert names(gallery.find("foxes")) == [path.name]  # its words were whole
    thumbs(gallery)[0].click()
    assert path.name in alert(gallery)
    gallery.delete(gallery.found[0])
    assert not path.exists()


def test_the_second_look_reads_no_header(folder, monkeypatch):
    gallery = Gallery(folder)
    until(lambda: "being read" not in read(gallery))
    until(lambda: gallery._contents._headers._thread is None)
    monkeypatch.setattr(file_readers, "_started", None)  # the thread that reads them
    monkeypatch.setattr(file_readers.ThumbReader, "ask", lambda *_: None)
    assert len(Gallery(folder).find("fox")) == 2


def test_a_photograph_among_them_is_found_by_its_name(folder):
    (folder / "Holiday.jpg").write_bytes(encoded(colour(size=(16, 16)), "JPEG"))
    gallery = Gallery(folder)
    assert names(gallery.find("holiday")) == ["Holiday.jpg"]
    assert "no model told (1)" in find(gallery, "Model").options
    assert names(gallery.find(model="")) == ["Holiday.jpg"]


def test_without_a_folder_nothing_that_is_there_is_shown(folder):
    assert sdnb.Gallery().pictures == []
    assert len(sdnb.Gallery("outputs").pictures) == 3
    assert re.search("3 pictures", read(sdnb.Gallery("outputs")))
