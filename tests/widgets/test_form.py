"""The table of fields, the controls, and the form: what is read is what was written."""

from dataclasses import fields

import pytest
from helpers.any_request import requests
from helpers.fakes import tokenizer
from helpers.pictures import colour, encoded
from helpers.widget_hands import in_sight, press
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sdnb import images
from sdnb.request import RANGES, Request, Settings
from sdnb.widgets.form.fields import FIELDS
from sdnb.widgets.form.form import Form

MODEL = Settings(64, 96, 12, 4.5, "dpmpp_2m", "karras")


@pytest.fixture
def form():
    return Form(MODEL, tokenizer())


def control(form, name):
    return form.controls[name]


def move(form, name, value):
    """As a person would: through the widget."""
    inner = control(form, name)
    for attribute in ("_box", "_number", "_text", "widget"):
        if hasattr(inner, attribute):
            part = getattr(inner, attribute)
            getattr(part, "box", part).value = value
            return
    raise AssertionError(name)


def test_the_table_covers_every_field_of_a_request():
    assert [field.name for field in FIELDS] == [
        field.name for group in ("words", "main", "more", "picture", "mask")
        for field in FIELDS if field.group == group
    ]  # fmt: skip
    names = {f.name for f in fields(Request)} - {
        "digests",
        "template",
        "negative_template",
    }  # these come with a request
    assert sorted(field.name for field in FIELDS) == sorted(names)
    for field in FIELDS:
        assert field.help.endswith((".", "0.5")), field.name
        if field.kind in ("slider", "counter"):
            low, high = RANGES[field.name]
            assert low <= field.reach[0] < field.reach[1] <= high


def test_a_new_form_asks_for_nothing(form):
    assert form.request == Request()


form_for_all = Form(MODEL)  # hypothesis: one form goes through all requests, one after the other


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests())
@pytest.mark.slow
def test_what_is_written_is_read(request_):
    form_for_all.request = request_
    assert form_for_all.request == request_
    assert form_for_all.request.image is request_.image or request_.image is None


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("prompt", "a cat", "a cat"), ("negative", "dogs", "dogs"), ("width", 72, 72),
        ("height", 80, 80), ("steps", 30, 30), ("cfg", 7.5, 7.5),
        ("sampler", "heun", "heun"), ("schedule", "trailing", "trailing"), ("eta", 0.5, 0.5),
        ("seed", " 9223372036854775806 ", 2**63 - 2), ("count", 3, 3), ("strength", 0.5, 0.5),
        ("feather", 4.0, 4.0), ("content", "noise", "noise"),
        ("padding", True, 32),
    ],
)  # fmt: skip
def test_a_moved_control_is_in_the_request_and_nothing_else_changes(form, name, value, wanted):
    move(form, name, value)
    assert form.request == Request().but(**{name: wanted})


@pytest.mark.parametrize("words", ["seven", "-2", "1.5", str(2**63 - 1)])
def test_a_seed_that_is_none_stays_as_it_was_typed_and_is_refused(form, words):
    move(form, "seed", "7")
    move(form, "seed", words)
    assert control(form, "seed")._text.value == words
    assert "whole number from 0 to" in control(form, "seed")._message.value
    with pytest.raises(ValueError, match=f"Seed: '{words}' is not a whole number from 0 to"):
        form.check()
    assert form.request.seed == 7
    move(form, "seed", "-1")  # AUTOMATIC1111's word for another one each time
    assert form.request.seed is None
    assert control(form, "seed")._text.value == control(form, "seed").wrong == ""


def test_dice_lock_and_free(form):
    seed = control(form, "seed")
    assert seed._lock.disabled
    seed._dice.click()
    drawn = form.request.seed
    assert 0 <= drawn < 2**32
    form.seed.made_with(2**60 + 1)
    seed._lock.click()
    assert form.request.seed == 2**60 + 1
    seed._free.click()
    assert form.request.seed is None


def test_an_open_field_shows_the_models_own_and_can_be_opened_again(form):
    steps = control(form, "steps")
    assert steps._number.value == 12
    assert "sdnb-open" in steps._number._dom_classes
    move(form, "steps", 30)
    assert "sdnb-open" not in steps._number._dom_classes
    steps._reset.click()
    assert form.request.steps is None
    assert steps._number.value == 12
    assert control(form, "sampler").widget.label == "dpmpp_2m (the model's own)"


def test_a_list_keeps_saying_what_the_models_own_is_and_is_not_sent_again(form):
    """New options of a list undo what is chosen in the page meanwhile."""
    sampler, told = control(form, "sampler").widget, []
    sampler.observe(told.append, "_options_labels")
    move(form, "sampler", "heun")
    move(form, "sampler", "lms")
    assert sampler.options[0] == ("dpmpp_2m (the model's own)", None)
    assert told == []
    form.serve(Settings(64, 64, sampler="euler"), tokenizer())
    assert sampler.options[0] == ("euler (the model's own)", None)
    assert sampler.label == "lms"


def test_what_the_sampler_has_no_use_for_is_not_shown(form):
    eta = control(form, "eta").widget.layout
    assert eta.display == "none"
    move(form, "sampler", "euler_a")
    assert eta.display == ""
    move(form, "sampler", "heun")
    assert eta.display == "none"
    form.change(eta=0.5)  # given: it stays in sight, and is refused when it runs
    assert eta.display == ""


def test_a_sampler_chosen_by_hand_brings_its_own_as_in_but(form):
    finished = Request(seed=1, sampler="ddim").resolved(MODEL)
    form.request = finished
    assert form.request == finished
    for name in ("euler_a", "dpmpp_2m", "lcm", None, "ddim"):
        wanted = form.request.but(sampler=name)
        move(form, "sampler", name)
        assert form.request == wanted
        assert (form.request.eta, form.request.schedule) == (None, None)
    move(form, "eta", 0.5)
    move(form, "sampler", "euler_a")
    assert form.request.eta == 0.5


def test_a_picture_brings_its_size_and_its_settings_into_sight(form):
    strength = control(form, "strength").widget.layout
    assert strength.display == "none"
    form.change(image=images.picture(colour(size=(80, 128))))
    assert strength.display == ""
    assert control(form, "width")._number.value == 128
    assert control(form, "height")._number.value == 80
    assert form.request.width is None
    form.change(image=None)
    assert control(form, "width")._number.value == 64


def test_a_strength_too_small_for_the_schedule_is_still_to_be_moved(form):
    form.change(
        image=images.picture(colour(size=(80, 128))), schedule="lcm", strength=0.1, steps=60
    )
    with pytest.raises(ValueError, match=r"the schedule 'lcm' has 50 levels, and strength 0\.1"):
        form.request.resolved(MODEL)
    assert control(form, "strength").widget.layout.display == ""
    assert control(form, "width")._number.value == 128


def test_the_size_is_spoken_of(form):
    said = form._size.about
    assert "the model's own size" in said.value
    form.change(width=512, height=512)
    assert "512 × 512, 43 times the model's own pixels" in said.value
    assert "upscale" in said.value


def test_width_and_height_change_places(form):
    form._swapped()
    assert (form.request.width, form.request.height) == (96, 64)


def test_only_a_persons_change_is_told():
    told = []
    form = Form(MODEL, changed=lambda: told.append(1))
    form.request = Request("a cat", steps=7, seed=3, sampler="heun", padding=4)
    assert told == []
    move(form, "prompt", "a dog")
    assert told == [1]


def test_what_is_no_request_is_refused(form):
    with pytest.raises(TypeError, match=r"no sdnb\.Request"):
        form.request = "a cat"
    with pytest.raises(TypeError, match="no field 'stepz'"):
        form.change(stepz=3)


def test_the_mask_stays_while_another_picture_is_chosen(form):
    one, two = (images.picture(colour(seed, (64, 64))) for seed in (1, 2))
    mask = images.mask(colour(3, (64, 64)).convert("L"))
    form.request = Request(image=one, mask=mask)
    form.controls["image"]._take(None)
    assert form.request == Request()
    form.controls["image"].take(two)
    assert form.request.mask == mask


def test_a_mask_goes_with_a_picture_of_another_size():
    form = Form(MODEL, kind="inpaint")
    one, other = (images.picture(colour(1, size)) for size in ((64, 64), (96, 64)))
    mask = images.mask(colour(3, (64, 64)).convert("L"))
    form.request = Request(image=one, mask=mask)
    form.controls["image"].take(other)
    assert form.request.mask is None
    editor = form.controls["mask"].editor
    assert editor.mask.getbbox() is None
    assert "cleared" in editor._status.value
    form.request = Request(image=one, mask=mask)  # both at once: the mask is the new one's
    assert form.request.mask == mask


@given(st.text(max_size=30))
@settings(max_examples=30)
def test_any_words_can_be_typed(words):
    move(form_for_all, "prompt", words)
    assert form_for_all.request.prompt == words


@pytest.mark.parametrize("kind", ["txt2img", "img2img", "upscale"])
def test_what_a_panel_has_no_place_for_is_seen_when_a_request_brings_it(kind):
    form = Form(MODEL, kind=kind)
    assert form._guests.layout.display == "none"
    png, mask = images.picture(colour(size=(64, 64))), colour(size=(64, 64)).convert("L")
    form.request = Request(image=png, mask=images.mask(mask))
    assert form._guests.layout.display == ""
    form.request = Request()
    assert form._guests.layout.display == "none"


def test_a_seeds_complaint_goes_with_the_next_seed(form):
    move(form, "seed", "abc")
    assert control(form, "seed")._message.layout.display == ""
    move(form, "seed", "7")
    assert control(form, "seed")._message.layout.display == "none"
    form.check()


def test_the_upscale_tab_does_not_advise_to_upscale():
    for kind, advised in (("txt2img", True), ("upscale", False)):
        made = Form(MODEL, kind=kind)
        made.change(width=MODEL.width * 2, height=MODEL.height * 2)
        assert ("then upscale it" in made._size.about.value) is advised


def test_tags_are_no_words_of_the_prompt_for_its_inspector(form):
    form.request = Request("a cat <lora:fur:0.8>", "<lora:x:1>")
    assert form._inspectors["prompt"].value == ""
    assert "in the prompt, not in the negative one" in form._inspectors["negative"].value


def test_a_mask_that_came_inverted_is_shown_as_what_it_repaints_and_turned_by_one_button(form):
    """There is no second switch beside the toolbar's, so nothing is inverted twice."""
    left = Image.new("L", (64, 64))
    left.paste(255, (0, 0, 32, 64))
    right = ImageOps.invert(left)
    picture = images.picture(encoded(colour(size=(64, 64))))
    asked = Request(image=picture, mask=images.mask(left), invert=True)
    form.request = asked
    assert form.request == asked  # as it came
    editor = form.controls["mask"].editor
    assert editor.mask.tobytes() == right.tobytes()
    assert len([part for part in in_sight(form) if "nver" in getattr(part, "description", "")]) == 1
    press(form, "Invert")
    assert not form.request.invert
    assert images.open(form.request.mask).tobytes() == left.tobytes()
    press(form, "Undo")
    assert images.open(form.request.mask).tobytes() == right.tobytes()  # what `asked` repaints
    form.request = asked
    press(form, "Clear")  # "keep everything" keeps everything
    assert form.request.mask is None
    form.request = asked
    form.change(invert=False)
    assert editor.mask.tobytes() == left.tobytes()
