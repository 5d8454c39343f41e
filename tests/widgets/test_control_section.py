"""The section "Control": nets of a library, pictures given, sent and drawn, and their hints."""

import asyncio
import threading
from dataclasses import replace

import pytest
from helpers import hostile_checkpoints as hostile
from helpers.fakes import Model, make, until
from helpers.folder_of_a_user import kohya
from helpers.listed_library import listed_library
from helpers.pictures import colour
from helpers.widget_hands import called, find, in_sight, press, read
from PIL import Image, ImageDraw

from sdnb import hints, images
from sdnb.images import canvas, followed
from sdnb.jobs.executor import Inline
from sdnb.library import Library, known
from sdnb.library.model_library import ModelLibrary
from sdnb.request import Request
from sdnb.request.control import Control
from sdnb.widgets.control import hint_view, nets_on_offer
from sdnb.widgets.details import settings
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.masks.sketch_pad import SketchPad, is_drawing
from sdnb.widgets.masks.strokes import Brush
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio
from sdnb.widgets.upscale import UpscalePanel

T2I = {"body.0.in_conv.weight": (8, 4, 1, 1), "adapter.conv_in.weight": (8, 192, 3, 3)}
CROSS = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FILES = {
    "models/ControlNet/control_canny.safetensors": {CROSS: (320, 768)},
    "models/ControlNet/v2/sd2-depth.safetensors": {CROSS: (320, 1024)},
    "models/ControlNet/t2i_sketch.safetensors": T2I,
    "models/ControlNet/ip.safetensors": {"ip_adapter.1.to_k_ip.weight": (8, 8)},
    "models/Lora/fog.safetensors": kohya(),
    "models/Lora/sd.safetensors": {
        CROSS.replace("control_model", "model.diffusion_model"): (320, 768)
    },
}
DRAWN = Control("t2i_sketch", colour(size=(8, 8)), 0.75, 0.1, 0.6, prepare="scribble")
EDGES = Control(
    "control_canny", colour((9, 90, 9), (16, 8)), prepare="canny", values=(50, 150), mode="prompt",
    fit="crop", sha256="0b" * 32,
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return listed_library(tmp_path_factory.mktemp("webui"), FILES)


@pytest.fixture(autouse=True)
def _no_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "library.json")


@pytest.fixture
def one(library):
    return Panel(Model(library=library), "txt2img", executor=Inline(make))


def section(panel):
    return panel.form.control.fold


def title(panel):
    return section(panel).children[0].description


def opened(panel):
    section(panel).unfolded = True
    return section(panel)


def cards(panel):
    opened(panel)
    return panel.form.control._cards


def lines(card):
    return {b.description.split(" · ")[0]: b for b in card._net._lines.children}


def square():
    drawing = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(drawing).rectangle((12, 12, 50, 50), outline="black", width=2)
    return drawing


# -- a value -------------------------------------------------------------------------------------


def test_it_is_folded_and_empty_until_it_is_opened_or_a_control_comes(one):
    assert title(one) == "Control"
    assert len(list(in_sight(section(one)))) == 2  # itself and its button
    assert one.request == Request()
    opened(one)
    assert one.request == Request()
    assert one.generate() is not None  # an empty card asks for nothing
    one.request = Request(controls=[DRAWN, replace(EDGES, net="nets/control_canny.pth")])
    assert title(one) == "Control: t2i_sketch 0.75 (0.1 to 0.6), control_canny.pth 1"
    fresh = Panel(one.model, "img2img", executor=Inline(make))
    fresh.request = Request(controls=[DRAWN])
    assert section(fresh).unfolded
    section(fresh).unfolded = False
    fresh.form.change(seed=7)
    assert not section(fresh).unfolded


@pytest.mark.parametrize("kind", ["all", "inpaint"])
def test_it_gives_what_is_assigned_whether_or_not_it_was_opened(kind):
    one = Panel(Model(), kind, executor=Inline(make))
    many = Request(controls=[DRAWN, EDGES, DRAWN, replace(DRAWN, scale=9.99)])
    mask = Request(controls=[replace(DRAWN, prepare="inpaint", mask=Image.new("L", (8, 8), 255))])
    for request in (many, mask, Request(controls=[EDGES]), Request()):
        one.request = request
        assert one.request == request
        assert len(cards(one)) == max(1, len(request.controls))


def test_what_is_moved_is_in_the_request_and_what_is_typed_stays(one):
    one.request = Request(controls=[EDGES])
    for label, typed in (
        ("Scale", 0.7312),
        ("Start", 0.25),
        ("End", 0.5),
        ("High", 99.5),
    ):
        find(section(one), label).value = typed
        assert find(section(one), label).value == typed
    find(section(one), "Mode").label = "control matters more"
    find(section(one), "Fitted by").value = "fill"
    wanted = replace(EDGES, scale=0.7312, start=0.25, end=0.5, values=(50, 99.5), mode="control")
    assert one.request.controls == (replace(wanted, fit="fill"),)
    one.form.control._cards[0]._sliders["scale"].track.value = 30  # by hand: steps of a twentieth
    assert one.request.controls[0].scale == 1.5


@pytest.mark.parametrize(
    ("label", "typed", "words"),
    [
        ("Scale", 11, "Control: Scale: 11 is not a number from 0 to 10"),
        ("Start", 0.9, "Control: start=0.9 is behind end=0.6"),
        ("Net", "nothere", "Control: 'nothere' is no net: the library has no control network of"),
        ("Net", "", "Control: it has no net yet: choose one, or remove this control"),
        ("Net", "lllyasviel/canny", "lllyasviel/canny may be on the Hugging Face hub: click its"),
    ],
)
def test_what_is_refused_stays_as_typed_with_its_reason(one, label, typed, words):
    one.request = Request(controls=[DRAWN])
    find(section(one), label).value = typed
    assert one.generate() is None
    assert words in read(one)
    assert find(section(one), label).value == typed
    one.request = Request(controls=[DRAWN])
    assert one.generate() is not None


def test_up_to_three_are_added_and_each_is_removed(one):
    one.request = Request(controls=[DRAWN])
    press(opened(one), "Add another")
    assert one.generate() is not None  # the second asks for nothing
    press(opened(one), "Add another")
    assert not called(section(one), "Add another")
    cards(one)[1]._picture._box.take(images.picture(square()))
    assert title(one).endswith(", 1 control not finished")
    assert one.generate() is None
    assert "Control 2: it has no net yet: choose one" in read(one)
    press(cards(one)[1], "Remove this control")
    assert one.request.controls == (DRAWN,)
    press(cards(one)[0], "Remove this control")
    assert (one.request, title(one)) == (Request(), "Control")
    press(cards(one)[0], "Remove this control")
    assert len(cards(one)) == 1


def test_a_control_without_a_picture_follows_the_one_that_one_starts_from(library):
    one = Panel(Model(library=library), "img2img", executor=Inline(make))
    find(cards(one)[0], "Net").value = "control_canny"
    assert "it follows the one that img2img, inpaint and upscale start" in read(section(one))
    one.form.change(image=images.picture(square()))
    assert one.request.controls == (Control("control_canny", prepare="canny"),)
    assert one.generate() is not None
    words = Panel(one.model, "txt2img", executor=Inline(make))
    words.request = Request(controls=[Control("control_canny")])
    assert words.generate() is None
    assert "or draw it there." in read(words)


def test_in_inpaint_it_fills_the_mask_that_is_painted_there(library):
    one = Panel(Model(library=library), "inpaint", executor=Inline(make))
    find(cards(one)[0], "Net").value = "control_canny"
    find(cards(one)[0], "Prepare").value = "inpaint"
    assert "it takes the one that is inpainted, and fills its mask" in read(section(one))
    hole = Image.new("L", (64, 64))
    hole.paste(255, (8, 16, 40, 48))
    one.form.change(image=images.picture(square()), mask=images.mask(hole))
    assert one.generate() is not None
    made = one.result.request
    assert made.controls == (Control("control_canny", prepare="inpaint"),)
    (given,) = followed.with_pictures(made, canvas.fit(made)[0])
    assert given.mask_at(64, 64).tobytes() == hole.tobytes()
    cards(one)[0]._picture._box.take(images.picture(square()))
    assert "Its mask is not painted here: it fills that of inpaint" in read(section(one))
    find(cards(one)[0], "Prepare").value = "tile"
    assert "Its mask" not in read(section(one))


def test_upscaled_from_words_it_follows_the_picture_of_the_first_pass(library):
    """It works in the second pass alone; one with a picture of its own works in both."""
    one = UpscalePanel(Model(library=library), executor=Inline(make))
    tile = Control("control_canny", prepare="tile")
    one.request = Request("a castle", controls=[tile, DRAWN], seed=3, width=128, height=128)
    assert one.asked().controls == (tile, DRAWN)
    one._edited()
    assert "strength 0.75 (0 only enlarges); control_canny follows the picture of 1" in read(one)
    assert "t2i_sketch follows" not in read(one)
    until(lambda: "of memory (plan fake)" in read(one._plan))  # of both nets
    assert one.generate() is not None
    first, last = (result.request for result in one.results)
    assert (first.controls, first.image) == ((DRAWN,), None)
    assert last.controls == (tile, DRAWN)
    assert last.image == images.picture(one.results[0].image)
    assert one.request.controls == (tile, DRAWN)
    one.request = Request(controls=[tile], width=1600, height=1600)
    until(lambda: "not fit: take 1024" in read(one._plan))
    one.form.change(image=images.picture(square()))
    one._edited()
    assert "the picture of 1" not in read(one)
    one.generate()
    assert one.result.request.controls == (tile,)


# -- nets ----------------------------------------------------------------------------------------


def test_the_librarys_nets_are_searched_and_those_that_cannot_be_used_say_why(one):
    card = cards(one)[0]
    assert list(lines(card)) == ["control_canny", "t2i_sketch", "ip", "v2/sd2-depth"]
    assert lines(card)["control_canny"].description == "control_canny · ControlNet · SD 1.x"
    assert [name for name, line in lines(card).items() if line.disabled] == ["ip", "v2/sd2-depth"]
    assert "it is an IP-Adapter" in lines(card)["ip"].description
    assert "its text is 1024 wide" in lines(card)["v2/sd2-depth"].description
    typed = find(card, "Net")
    typed.value = "sk"
    assert list(lines(card)) == ["t2i_sketch"]
    lines(card)["t2i_sketch"].click()
    typed.value = "ske"  # typed before the click; a page that is busy sends it after that
    assert find(card, "Net").value == "t2i_sketch"
    assert not lines(card)
    find(card, "Net").value = "control_canny"
    assert card._given["net"] == "control_canny"
    find(card, "Net").value = "t2i_sketch"
    find(card, "All nets").value = True
    assert lines(card)["t2i_sketch"].icon == "check"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sd2-depth", "it is for Stable Diffusion 2.x"), ("ip", "it is an IP-Adapter"),
        ("control_cany", "did you mean 'control_canny'?"), ("{}/fog.safetensors", "it is a LoRA"),
        ("/nowhere/x.pth", "has no control network of this name"),
        ("{}/sd.safetensors", "it is no control network: it is a UNet alone"),
        ("a\0b", "has no control network of this name"),
    ],
)  # fmt: skip
def test_a_net_that_came_and_cannot_be_used_says_why_in_its_card(one, library, name, words):
    name = name.format(library.files("lora")[0].path.parent)
    one.request = Request(controls=[replace(DRAWN, net=name)])
    assert words in read(section(one))
    assert one.request.controls[0].net == name


def test_a_hub_id_is_taken_by_a_click_alone(one):
    card = cards(one)[0]
    find(card, "Net").value = "lllyasviel/sd-controlnet-canny"
    assert card._given["net"] is None
    lines(card)["lllyasviel/sd-controlnet-canny"].click()
    assert card._given["net"] == "lllyasviel/sd-controlnet-canny"
    assert "from the Hugging Face hub" in read(card)
    ids = {name: nets_on_offer.is_hub_id(name) for name in ("a/b", "a/net-v1.1", "a/b.pth", "a")}
    assert [name for name, known in ids.items() if known] == ["a/b", "a/net-v1.1"]


def test_without_a_library_it_says_what_can_be_done():
    one = Panel(Model(), "txt2img", executor=Inline(make))
    assert "write the path of a control network or its id" in read(opened(one))
    assert not called(section(one), "All nets")


def test_another_models_library_is_shown(one):
    opened(one)
    one.serve(Model())
    assert "The model has no library of files yet" in read(section(one))


def test_a_models_own_nets_come_first_and_keep_their_names(library, tmp_path):
    for name in ("t2i_sketch", "tile"):
        hostile.headed(tmp_path / f"{name}.safetensors", *hostile.laid_out(T2I))
    model = Model(library=ModelLibrary(Library(tmp_path), library))
    other = next(file for file in library.files("control") if file.name == "t2i_sketch")
    nets = nets_on_offer.NetsOnOffer(model)
    assert nets.usable == ["t2i_sketch", "tile", "control_canny", str(other.path)]
    assert str(tmp_path) in nets.about("t2i_sketch").title
    assert str(other.path) in nets.about(str(other.path)).title
    alone = nets_on_offer.NetsOnOffer(Model(library=ModelLibrary(Library(tmp_path), None)))
    assert alone.usable == ["t2i_sketch", "tile"]
    assert "without a library of files. In the studio" in alone.about("t2i_skech").why_not
    assert "did you mean 't2i_sketch'? No file has this path" in alone.about("t2i_skech").why_not
    unlisted = Model(library=ModelLibrary(Library(tmp_path), Library(library.folders[0])))
    early = nets_on_offer.NetsOnOffer(unlisted)  # while a thread looks through the user's
    assert (early.usable, early.is_listed) == (["t2i_sketch", "tile"], False)


# -- preparations and hints ----------------------------------------------------------------------


def test_what_the_net_wants_is_taken_until_somebody_chooses_and_then_offered(one):
    card = cards(one)[0]
    find(card, "Net").value = "control_canny"
    assert find(card, "Prepare").value == "canny"
    find(card, "Net").value = "t2i_sketch"
    assert find(card, "Prepare").value == "scribble"
    find(card, "Prepare").value = "blur"
    assert "The net was trained on scribble." in read(card)
    press(card, "Take scribble")
    assert find(card, "Prepare").value == "scribble"
    assert not called(card, "Take scribble")
    assert [value for _, value in card._prepare.options] == [None, *hints.PREPARATIONS]


def test_the_hint_beside_the_picture_is_the_one_that_a_net_reads(one):
    control = replace(DRAWN, image=images.picture(square()))
    one.request = Request(controls=[control], width=64, height=64)
    shown = cards(one)[0]._picture._hint
    expected = control.hint_at(64, 64)
    assert images.open(images.picture(shown._image.value)).size == (64, 64)
    found = images.pixels(shown._image.value).convert("L").point(lambda v: 255 * (v > 127))
    assert found.tobytes() == expected.convert("L").tobytes()
    assert "dark lines on a light ground" not in read(shown)  # who drew it knows


def test_above_the_result_it_says_what_holds_it(one):
    control = replace(DRAWN, image=images.picture(square()))
    one.request = Request(controls=[control, replace(control, net="/nets/canny.safetensors")])
    assert f"held to a picture by {control.net}, canny" in one._plan.value
    one.request = Request(controls=[replace(control, scale=0)])
    assert "held" not in one._plan.value


def test_of_hints_that_are_asked_for_while_one_is_made_the_newest_is_shown(monkeypatch):
    gate, asked = threading.Semaphore(0), []

    def slow(control, size):
        gate.acquire(timeout=60)
        asked.append(control.prepare)
        return control.hint_at(*size), (str(control.prepare),)

    monkeypatch.setattr(hint_view, "_made", slow)

    async def page():
        view = hint_view.HintView()
        for name in ("tile", "blur", "invert"):
            view.show(replace(DRAWN, prepare=name), (8, 8))  # comes back at once
        assert asked == []
        for _ in range(2):
            gate.release()
        await asyncio.to_thread(until, lambda: "invert" in view._words.value)

    asyncio.run(page())
    assert asked == ["tile", "invert"]


def test_a_damaged_hint_says_so_at_its_place(one, monkeypatch):
    monkeypatch.setattr(Control, "hint_at", lambda *_: (_ for _ in ()).throw(ImportError("no cv2")))
    one.request = Request(controls=[replace(DRAWN, scale=0.3)])
    assert "no cv2" in read(cards(one)[0])


# -- drawing -------------------------------------------------------------------------------------


def draw(card, *strokes):
    find(card, "Draw").value = True
    for stroke in strokes:
        card._picture._pad.draw(stroke)
    return card._picture._pad


LINE = Brush(((100, 100), (400, 300)), 9)


def test_lines_that_are_drawn_are_the_picture(one):
    one.form.change(width=64, height=96)
    card = cards(one)[0]
    find(card, "Net").value = "t2i_sketch"
    pad = draw(card, LINE)
    (control,) = one.request.controls
    picture = images.open(control.image)
    assert picture.size == (341, 512)  # finer than what is made, in its proportions
    assert picture.tobytes() == pad.picture.tobytes()
    assert min(picture.getcolors())[1] == (0, 0, 0)
    assert control.prepare == "scribble"
    for change, left in ((pad.undo, None), (pad.redo, control.image), (pad.clear, None)):
        change()
        assert one.request.controls[0].image == left


def test_a_drawing_is_gone_on_with_and_a_photograph_stays_until_a_line_is_drawn(one):
    photo = images.picture(Image.linear_gradient("L").convert("RGB"))
    for before, kept in ((images.picture(square()), True), (photo, False)):
        one.request = Request(controls=[replace(DRAWN, image=before)])
        pad = draw(cards(one)[0])
        assert one.request.controls[0].image == before
        assert pad.is_empty != kept
        pad.draw(Brush(((5, 5), (30, 5)), 3))
        now = images.open(one.request.controls[0].image).convert("L")
        assert (now.getpixel((12, 30)) == 0) == kept
        assert now.getpixel((20, 5)) == 0
        one.request = one.request  # sets the same: somebody may be drawing
        assert find(cards(one)[0], "Draw").value


def test_a_sheet_has_fewer_tools_and_its_keys_do_no_harm():
    pad = SketchPad((64, 64), 304)
    assert list(pad._toolbar.tools) == ["brush", "eraser", "pan"]
    for key in ("r", "l", "i", "m", "e"):
        pad._gestures.key(key, False, False, False)
    assert pad.tool == "eraser"
    pad.begin((512, 512), (64, 64))
    assert pad.brush == 12  # one and a half pixels of what is made
    assert is_drawing(square())
    assert not is_drawing(Image.new("RGB", (8, 8)))
    assert not is_drawing(colour(size=(8, 8)))


# -- what comes and goes -------------------------------------------------------------------------


def test_a_picture_is_sent_to_a_control_from_the_result_and_the_gallery(one):
    one.request = Request("a cat", controls=[DRAWN], seed=1)
    one.generate()
    assert one.result.request.controls == (DRAWN,)
    press(one.view, "to Control")
    assert cards(one)[1]._given["image"] == images.picture(one.result.image)
    one.gallery.choose(one.gallery.pictures[0])
    press(one.gallery, "to Control")
    press(one.gallery, "to Control")
    assert "There are 3 controls already" in read(one.gallery)
    assert len(cards(one)) == 3


def test_in_the_studio_it_goes_to_the_tab_in_sight(library, tmp_path):
    studio = Studio(Model(library=library), folder=tmp_path, executor=Inline(make))
    studio.show("img2img")
    studio.gallery.put(GalleryPicture(studio.panels["txt2img"].generate().result))
    studio.gallery.choose(studio.gallery.pictures[0])
    press(studio.gallery, "to Control")
    assert studio.panel.kind == "img2img"
    assert cards(studio.panel)[0].has_picture
    assert "in the tab img2img now" in read(studio.gallery)


@pytest.mark.parametrize("tab", ["txt2img", "img2img", "upscale"])
def test_controls_come_along_with_what_is_sent(library, tmp_path, tab):
    studio = Studio(Model(library=library), folder=tmp_path, executor=Inline(make))
    studio.request = Request("a cat", controls=[DRAWN], steps=2)
    picture = GalleryPicture(studio.panel.generate().result)
    studio.panel.request = Request()
    studio.send(picture, tab)
    (control,) = studio.panel.request.controls
    assert replace(control, sha256=None) == DRAWN
    assert "t2i_sketch 0.75 (0.1 to 0.6)" in settings(picture.request)


def test_a_grids_nets_are_offered_and_one_that_is_not_there_is_refused(library, tmp_path):
    studio = Studio(Model(library=library), folder=tmp_path, executor=Inline(make))
    studio.request = Request("a cat", controls=[DRAWN])
    kind, values = studio.grid._axes[0]
    kind.value = "control_net"
    assert values.options == ("control_canny, t2i_sketch", "control_canny", "t2i_sketch")
    values.value = "control_canny, t2i_skech"
    assert studio.grid.run() is None
    assert "did you mean 't2i_sketch'?" in read(studio.grid)
