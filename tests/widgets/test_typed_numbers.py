"""No control changes a number that was typed, assigned or sent; only dragging rounds."""

from dataclasses import fields
from decimal import Decimal

import pytest
from helpers.any_request import PICTURES, requests
from helpers.browser_parts import box, parts, shown, typed
from helpers.fakes import Model, make
from helpers.pictures import colour
from helpers.widget_hands import alert, find, press, read
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sdnb import images
from sdnb.jobs.executor import Inline
from sdnb.request import RANGES, Request, Settings
from sdnb.widgets.form.fields import FIELDS
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.panel import Panel
from sdnb.widgets.slider import Slider
from sdnb.widgets.studio import TABS, Studio
from sdnb.widgets.upscale import UpscalePanel

pytestmark = pytest.mark.slow

MODEL = Settings(64, 96, 12, 4.5, "dpmpp_2m", "karras")
SLIDERS = [field for field in FIELDS if field.kind in ("slider", "counter")]
NUMBERS = [field for field in FIELDS if field.name in RANGES and field.kind != "seed"]
PHOTO = images.picture(colour(size=(64, 80)))
LABEL = {field.name: field.label for field in NUMBERS} | {"padding": "Pixels around it"}
TOLD = [name for name in LABEL if name != "feather"]  # whose box is in the form itself
slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def panel(kind="all"):
    made = UpscalePanel if kind == "upscale" else Panel
    more = {} if kind == "upscale" else {"kind": kind}
    return made(Model(settings=MODEL), executor=Inline(make), **more)


@pytest.fixture
def one():
    return panel()


@pytest.fixture
def studio(tmp_path):
    return Studio(Model(settings=MODEL), executor=Inline(make), folder=tmp_path)


# -- assigned ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=("all", "txt2img", "img2img", "inpaint", "upscale"))
def kept(request):
    """A panel of each kind, for all examples."""
    return panel(request.param)


@pytest.mark.slow
@slow
@given(request_=requests())
def test_what_is_assigned_is_read_when_a_browser_has_shown_it(kept, request_):
    kept.request = request_
    shown(kept)
    assert kept.request == request_
    for name in TOLD:
        value = getattr(request_, name)
        if value is not None:
            assert box(kept.form.controls[name].widget, LABEL[name]).value == value


@pytest.mark.slow
def test_what_is_assigned_to_a_studio_is_read_in_every_tab(studio):
    @slow
    @given(request_=requests(), name=st.sampled_from(TABS[:4]))  # a sketch has its own picture
    def check(request_, name):
        studio.show(name)
        studio.request = request_
        shown(studio)
        assert studio.request == request_

    check()


def test_a_browser_that_shows_a_number_between_two_steps_leaves_it(one):
    asked = Request(cfg=7.3, eta=0.33, strength=0.63, feather=2.5, image=PICTURES[1],
                    mask=PICTURES[1])  # fmt: skip
    one.request = asked
    shown(one)
    assert one.request == asked


# -- typed ---------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-10, 10000).map(str),
    st.decimals(-10, 600, places=3).map(str),
    st.floats(-1e20, 1e20, allow_nan=False).map(repr),
)
FORM = panel()


@pytest.mark.slow
@pytest.mark.parametrize("name", TOLD)
@slow
@given(words=numbers)
def test_a_typed_number_is_the_requests_or_it_stays_and_is_refused(name, words):
    before = Request(image=PICTURES[1], mask=PICTURES[1], padding=4)
    FORM.request = before
    part = box(FORM.form.controls[name].widget, LABEL[name])
    assume(part.value != float(words))  # a browser tells of no number that is there already
    typed(part, words)
    shown(FORM)
    exact = Decimal(float(words))
    low, high = (Decimal(min(bound, 10**300)) for bound in RANGES[name])
    whole = name in (
        "width", "height", "steps", "count", "padding", "clip_skip", "cfg_every", "deep_every",
    )  # fmt: skip
    multiple = 8 if name in ("width", "height") else 1
    right = low <= exact <= high and (not whole or exact % multiple == 0)
    assert part.value == float(words)
    if right:
        assert FORM.request == before.but(**{name: int(exact) if whole else float(words)})
        return
    assert FORM.form.request == before
    with pytest.raises(
        ValueError, match=f"^{LABEL[name]}: .* is not a .*; the nearest is "
    ) as said:
        _ = FORM.request
    nearest = float(str(said.value).rsplit(" ", 1)[1])
    before.but(**{name: int(nearest) if whole else nearest})  # is taken
    assert FORM.generate() is None
    assert LABEL[name] in FORM.progress.problem


def test_what_is_refused_stays_whatever_else_is_changed(one):
    typed(find(one, "Steps"), "5000")
    typed(find(one, "Width"), "75")
    find(one, "Prompt").value = "a cat"
    find(one, "Sampler").value = "euler_a"
    one.form.change(prompt="a dog", image=PHOTO)
    one.serve(Model(settings=Settings(128, 128, 7, 2)), Inline(make))
    press(one, "Exchange")
    assert [find(one, label).value for label in ("Steps", "Width")] == [5000, 75]
    said = read(one)
    assert "Steps: 5000 is not a whole number from 1 to 1000; the nearest is 1000" in said
    assert "Width: 75 is not a multiple of 8 from 64 to 8192; the nearest is 72" in said
    assert one.generate() is None
    press(one, "Take 72")
    typed(find(one, "Steps"), "6")
    assert (one.request.steps, one.request.width) == (6, 72)
    assert one.generate() is not None
    assert "sdnb-wrong" not in find(one, "Steps")._dom_classes


def test_what_is_refused_gives_way_to_what_is_assigned_or_left_open(one):
    typed(find(one, "Steps"), "0")
    assert "Steps: the model's own" in [part.description for part in parts(one)
                                        if hasattr(part, "icon")]  # fmt: skip
    one.form.controls["steps"]._reset.click()
    assert (one.request, find(one, "Steps").value) == (Request(), 12)
    typed(find(one, "Steps"), "0")
    one.request = Request()
    assert (one.request, find(one, "Steps").value) == (Request(), 12)


def test_padding_that_is_refused_counts_only_where_it_is_in_force(one):
    one.request = Request(image=PICTURES[1], mask=PICTURES[1], padding=5)
    typed(box(one, LABEL["padding"]), "5.5")
    with pytest.raises(ValueError, match=r"Pixels around it: 5\.5 is not a whole number from 0"):
        one.form.check()
    one.form.controls["padding"]._box.value = False
    assert one.request.padding is None


# -- dragged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", SLIDERS, ids=[field.name for field in SLIDERS])
def test_dragging_rounds_to_steps(field):
    form = panel().form
    slider = form.controls[field.name]._number
    form.request = Request(image=PICTURES[1], mask=PICTURES[1])
    step = Decimal(str(field.step))
    assert [slider.track.min * step, slider.track.max * step] == [
        Decimal(str(end)) for end in field.reach
    ]
    for place in range(slider.track.max, slider.track.min - 1, -1):
        slider.track.set_state({"value": place})
        assert getattr(form.request, field.name) == float(place * step)
        assert slider.box.value == float(place * step)


def test_a_large_number_does_not_ruin_the_slider(one):
    slider = one.form.controls["cfg"]._number
    ends = slider.track.min, slider.track.max
    for number, place in ((1e308, 40), (300, 40), (0, 2), (7.3, 15), (7.2, 14)):
        one.form.change(cfg=number)
        shown(one)
        assert (slider.track.min, slider.track.max) == ends
        assert (slider.track.value, one.request.cfg) == (place, number)


def test_a_slider_may_be_told_of_another_reach():
    slider = Slider("Brush", 40, (1, 128), reach=(1, 128))
    slider.span(1, 20)
    assert (slider.value, slider.track.value, slider.track.max) == (40, 20, 20)
    slider.span(1, 300)
    assert (slider.value, slider.track.value) == (40, 40)


# -- the mask editor -----------------------------------------------------------------------------


def test_the_brush_and_the_feather_stay_as_they_are_typed():
    editor = MaskEditor(colour(size=(256, 256)))
    shown(editor)
    assert editor.brush == round(256 / 12)
    for label, name in (("Brush", "brush"), ("Feather", "feather")):
        typed(box(editor, label), "12.3")
        shown(editor)
        assert getattr(editor, name) == 12.3 == box(editor, label).value
        setattr(editor, name, 7.25)
        shown(editor)
        assert getattr(editor, name) == 7.25 == box(editor, label).value
        typed(box(editor, label), "5000")
        editor.invert = not editor.invert
        assert (getattr(editor, name), box(editor, label).value) == (7.25, 5000)
    assert "Brush: 5000 is not a number from 1 to 128" in read(editor)
    assert editor.wrong.startswith("Feather: 5000 is not a number from 0 to 512")


def test_a_feather_that_is_refused_is_not_made():
    one = panel("inpaint")
    one.request = Request(image=PHOTO, mask=PHOTO, feather=3.3)
    typed(find(one.form.controls["mask"].widget, "Feather"), "-1")
    assert one.generate() is None
    assert "Feather: -1" in alert(one)
    typed(find(one.form.controls["mask"].widget, "Feather"), "1.7")
    assert one.request.feather == 1.7
    typed(find(one.form.controls["mask"].widget, "Feather"), "-1")
    asked = Request(image=PHOTO, mask=PHOTO, feather=1.7)
    one.request = asked
    assert one.request == asked


# -- elsewhere -----------------------------------------------------------------------------------


def test_upscale_keeps_a_typed_size_when_the_picture_is_exchanged():
    one = panel("upscale")
    png = images.picture(colour(size=(48, 80)))
    one.form.controls["image"].take(png)
    assert (one.request.width, one.request.height) == (160, 96)
    typed(find(one, "Width"), "200")
    one.form.controls["image"].take(images.picture(colour(size=(40, 40))))
    assert (one.request.width, one.request.height) == (200, 96)
    press(one, "× 2")
    one.form.controls["image"].take(png)
    assert (one.request.width, one.request.height) == (160, 96)


def test_a_grids_values_are_there_again_with_their_axis(studio):
    across, values = studio.grid._axes[0]
    values.value = "3, 5.5"
    for name in ("cfg", "", "steps"):
        across.value = name
    assert values.value == "3, 5.5"


def test_whose_number_is_shown_is_said(one):
    schedule, eta = one.form.controls["schedule"], one.form.controls["eta"]
    assert schedule.widget.label == "karras (the model's own)"
    assert eta._reset.tooltip == "Eta: the sampler's own"
    one.form.change(sampler="euler_a")
    assert schedule.widget.label == "karras (the sampler's own)"
    one.form.change(sampler="ddim")
    assert schedule.widget.label == "uniform (the sampler's own)"
    width = one.form.controls["width"]
    assert width._reset.tooltip == "Width: the model's own"
    one.form.change(image=PHOTO)
    assert width._reset.tooltip == "Width: the picture's own"
    one.form.change(mask=PHOTO, padding=4)
    assert width._reset.tooltip == "Width: the model's own"


def test_every_number_of_a_request_is_tried_here():
    kinds = {item.name for item in fields(Request) if "int" in item.type or "float" in item.type}
    assert {field.name for field in NUMBERS} | {"seed"} == kinds
