"""The section "Add-ons": rows of LoRAs, tags in the prompt, the library's list, embeddings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import hostile_checkpoints as hostile
from helpers.fakes import Model, make, until
from helpers.folder_of_a_user import kohya
from helpers.listed_library import listed_library
from helpers.widget_hands import called, find, in_sight, press, read
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnb.jobs.executor import Inline
from sdnb.library import Library, LibraryFile, known
from sdnb.library.model_library import brought_by, joined
from sdnb.request import SYNTAXES, Request, lora, prompt
from sdnb.request.lora import Lora
from sdnb.widgets.addons import finding, prompt_tags
from sdnb.widgets.model_list import models_of
from sdnb.widgets.panel import Panel

FILES = {
    "models/Lora/pixelart.safetensors": kohya(),
    "models/Lora/styles/fog.safetensors": kohya(rank=8),
    "models/Lora/a/twin.safetensors": kohya(rank=2),
    "models/Lora/b/twin.safetensors": kohya(rank=3),
    "models/Lora/second.safetensors": kohya(1024),
    "models/Lora/xl.safetensors": kohya(2048),
    "embeddings/easynegative.safetensors": {"emb_params": (8, 768)},
    "embeddings/of-two.safetensors": {"emb_params": (2, 1024)},
}


def embedding(name, count):
    return SimpleNamespace(name=name, vectors=np.ones((count, 768)), sha256="0" * 64)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return listed_library(tmp_path_factory.mktemp("webui"), FILES)


@pytest.fixture(autouse=True)
def _no_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "library.json")


@pytest.fixture
def one(library):
    model = Model(library=library, embeddings={"easynegative": embedding("easynegative", 8)})
    return Panel(model, "txt2img", executor=Inline(make))


def title(panel):
    return panel.form.addons.children[0].description


def opened(panel):
    panel.form.addons.unfolded = True
    return panel.form.addons


def lines(panel):
    """The list's lines in sight."""
    return {b.description.split(" · ")[0]: b for b in opened(panel)._list._lines.children}


def search(panel, words, kind=""):
    opened(panel)._list._kind.value = kind
    find(panel, "Search").value = words
    return list(lines(panel))


def rows(panel):
    return opened(panel)._loras.widget.children


# -- the rows ------------------------------------------------------------------------------------


def test_it_is_folded_and_empty_until_something_of_it_is_used(one):
    assert title(one) == "Add-ons"
    assert not one.form.addons.unfolded
    assert len(list(in_sight(one.form.addons))) == 2  # itself and its button
    one.request = Request("a cat, easynegative <lora:pixelart:0.5>", loras=[Lora("fog", 0.8)])
    assert title(one) == "Add-ons: 2 LoRAs, 1 embedding"
    assert one.form.addons.unfolded
    assert "embedding easynegative: 8 vectors" in read(one)
    one.form.addons.unfolded = False
    one.form.change(seed=7)  # as "Use its seed" does
    assert not one.form.addons.unfolded
    one.request = Request()
    assert title(one) == "Add-ons"


def test_a_row_holds_what_is_assigned_and_gives_what_is_typed(one):
    loras = (Lora("fog", 0.8, 0.5, "INS", "0a" * 32), Lora("pixelart", 12.34), Lora("fog"))
    one.request = Request(loras=loras)
    assert one.request.loras == loras
    boxes = [row._strength for row in rows(one)]
    assert [box.box.value for box in boxes] == [0.8, 12.34, 1.0]
    boxes[1].box.value = 3.14159
    boxes[0].track.value = 7  # by hand: steps of a twentieth
    assert one.request.loras[0] == Lora("fog", 0.35, 0.5, "INS", "0a" * 32)
    assert one.request.loras[1:] == (Lora("pixelart", 3.14159), Lora("fog"))
    assert rows(one)[0]._strength is boxes[0]  # which a hand still holds


def test_a_row_that_is_switched_off_keeps_its_number(one):
    one.request = Request("a cat", loras=[Lora("fog", 0.35), Lora("pixelart")])
    find(one, "fog").value = False
    assert one.request.loras == (Lora("pixelart"),)
    assert title(one) == "Add-ons: 1 LoRA"
    one.form.change(steps=3)
    one.request = Request("a dog", loras=[Lora("pixelart", 0.5)])  # as a picture that is sent
    find(one, "fog").value = True
    assert one.request.loras == (Lora("pixelart", 0.5), Lora("fog", 0.35))
    press(one, "Remove fog")
    assert one.request.loras == (Lora("pixelart", 0.5),)
    assert not called(one, "fog")


def test_strengths_apart_and_block_weights(one):
    one.request = Request(loras=[Lora("fog", 0.8)])
    find(one, "More of fog").value = True
    text = find(one, "Text encoder")
    assert text.value == 0.8
    text.value = 0.25
    assert one.request.loras == (Lora("fog", 0.8, 0.25),)
    find(one, "Block weights").value = "OUTD"
    assert one.request.loras == (Lora("fog", 0.8, 0.25, "OUTD"),)
    assert "block weights OUTD" in read(one)
    press(one, "Text encoder: as the UNet")
    find(one, "Block weights").value = ""
    assert one.request.loras == (Lora("fog", 0.8),)


@pytest.mark.parametrize(
    ("label", "typed", "wrong"),
    [
        ("Strength of fog", 1e9, "Strength of fog: 1000000000 is not a number from"),
        ("Text encoder", -2e6, "Text encoder: -2000000 is not a number from"),
        ("Block weights", "1,2,3", "fog: blocks has 3 numbers; expected 17 or 26"),
        ("Block weights", "<b>", "fog: blocks='<b>' is not 17 or 26 numbers"),
    ],
)
def test_what_is_refused_stays_as_it_was_typed_and_keeps_generate_from_running(
    one, label, typed, wrong
):
    one.request = Request("a cat", loras=[Lora("fog", 0.8)])
    find(one, "More of fog").value = True
    find(one, label).value = typed
    assert one.generate() is None
    assert wrong in read(one)
    one.form.change(steps=3)
    assert find(one, label).value == typed
    assert one.form.request.loras == (Lora("fog", 0.8),)
    find(one, "fog").value = False
    assert one.generate() is not None


def test_what_comes_to_be_known_of_a_file_leaves_what_a_person_types(one):
    one.request = Request("a cat", loras=[Lora("fog", 0.8)])
    find(one, "More of fog").value = True
    find(one, "Text encoder").value = -2e6
    find(one, "Block weights").value = "1,2,3"
    assert finding_facts(one, ("in pixels",)) == ["in pixels"]
    assert find(one, "Text encoder").value == -2e6
    assert find(one, "Block weights").value == "1,2,3"
    one.form.addons._take_files()  # the library was looked through meanwhile
    assert find(one, "Text encoder").value == -2e6
    assert one.generate() is None


def test_what_keeps_a_lora_from_running_is_said_in_its_row(one):
    loras = ("fogg", "twin", "second", "xl", "styles/fog", "b/twin", "/nowhere/fog.safetensors")
    one.request = Request(loras=loras)
    said = [read(row) for row in rows(one)]
    assert "did you mean 'fog'?" in said[0]
    assert "means 2 files" in said[1]
    assert "it is for Stable Diffusion 2.x: its text is 1024 wide, and this model's 768" in said[2]
    assert "it is made for Stable Diffusion XL" in said[3]
    assert said[4] == said[5] == ""
    assert "has no LoRA of this name" in said[6]
    bare = Panel(Model(), "txt2img", executor=Inline(make))
    bare.request = Request(loras=("fog", "x" * 300 + ".pt", "~nobody/a.pt", "a\0.pt"))
    assert all("without a library of files" in read(row) for row in rows(bare))
    assert all("into “or path” and press Load" in read(row) for row in rows(bare))


def test_a_file_that_is_gone_since_is_said(tmp_path):
    for name in ("models/Lora/fog.safetensors", "models/Lora/mist.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        hostile.headed(tmp_path / name, *hostile.laid_out(kohya()))
    one = Panel(Model(library=Library(tmp_path)), "txt2img", executor=Inline(make))
    until(lambda: "mist" in lines(one))  # a thread looks through the folder
    (tmp_path / "models/Lora/fog.safetensors").unlink()
    one.request = Request(loras=("fog", "mist"))
    assert "its file is gone" in read(rows(one)[0])
    until(lambda: "sha256" in rows(one)[1]._on.tooltip)
    assert one.model.library.find("lora", "mist").sha256[:12] in rows(one)[1]._on.tooltip
    one.generate()  # then it looks again
    until(lambda: "fog" not in lines(one))
    until(lambda: "has no LoRA of this name" in read(rows(one)[0]))


# -- the prompt ----------------------------------------------------------------------------------


def test_a_tags_row_writes_the_number_in_the_prompt_and_takes_the_tag_out(one):
    one.request = Request("a cat, <lora:pixelart:0.5>, in fog <lyco:fog>")
    pixelart = rows(one)[0]
    assert "in the prompt" in read(pixelart)
    pixelart._strength.track.value = 14
    assert one.request.prompt == "a cat, <lora:pixelart:0.7>, in fog <lyco:fog>"
    assert find(one, "Prompt").value == one.request.prompt
    find(one, "fog").value = False
    assert one.request == Request("a cat, <lora:pixelart:0.7>, in fog")
    assert title(one) == "Add-ons: 1 LoRA"
    press(one, "Take pixelart out of the prompt")
    find(one, "fog").value = True
    assert one.request == Request("a cat, in fog", loras=[Lora("fog")])


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("<lora:x>", "<lora:x:0.3>"),
        ("<lora:x:1>", "<lora:x:0.3>"),
        ("<lora:a/x:.5:1:4>", "<lora:a/x:.5:0.3:4>"),
        ("<lora:x:te=1>", "<lora:x:te=1:unet=0.3>"),
        ("<lora:x:unet=1:te=0.5>", "<lora:x:unet=0.3:te=0.5>"),
        ("<lyco:x:0.5:lbw=INS>", "<lyco:x:0.3:lbw=INS>"),
        ("<lora:x:0.5:INS>", "<lora:x:0.3:INS>"),
    ],
)
def test_only_the_strength_of_a_tag_is_rewritten(tag, wanted):
    text = f"a (cat:1.2) {tag} fog"
    written = prompt_tags.rewritten(text, prompt_tags.placed(text)[0], 0.3)
    assert written == f"a (cat:1.2) {wanted} fog"
    (before,), (after,) = lora.split_tags(text)[1], lora.split_tags(written)[1]
    assert after.unet == 0.3
    assert (after.name, after.blocks, after.dyn) == (before.name, before.blocks, before.dyn)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a, <lora:x>, b", "a, b"), ("a, b, <lora:x>", "a, b"), ("<lora:x>, a", "a"),
        ("a <lora:x> b", "a b"), ("a<lora:x>b", "ab"), ("<lora:x>", ""), ("a\n<lora:x> b", "a\nb"),
        ("a <lora:x>\nb", "a\nb"),
    ],
)  # fmt: skip
def test_a_tag_goes_with_its_comma(text, wanted):
    assert prompt_tags.without(text, prompt_tags.placed(text)[0]) == wanted


@given(st.text(max_size=20), st.text("ab :()[]\\1.", min_size=1, max_size=8).filter(str.strip))
@settings(max_examples=25)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_words_are_put_into_a_prompt_once_and_as_text(syntax, text, words):
    longer = prompt_tags.with_words(text, words, syntax)
    assert prompt_tags.with_words(longer, words, syntax) == longer
    if longer != text and "\\" not in words and not text.strip():
        assert [part.weight for part in prompt.parse(longer, syntax)] == [1.0]


def test_trigger_words_are_buttons_that_put_them_into_the_prompt_once(one):
    one.request = Request("a cat", loras=["fog"])
    facts = finding_facts(one, ("in pixels", "retro (80s)", *"abcdefg"))
    assert facts == ["in pixels", "retro (80s)", "a", "b", "c"]  # the others are unfolded
    press(one, "in pixels")
    press(one, "in pixels")
    find(one, "Syntax").value = "a1111"
    press(one, "retro (80s)")
    assert one.request.prompt == r"a cat, in pixels, retro \(80s\)"
    find(one, "More of fog").value = True
    assert len(rows(one)[0]._words.children) == 9


def finding_facts(panel, words):
    """Give the first row's file these trigger words."""
    addons = opened(panel)
    until(lambda: "sha256" in rows(panel)[0]._on.tooltip)  # a thread reads the file
    key, facts = next(iter(addons._known.items()))
    addons._known[key] = type(facts)(facts.title, words, facts.why_not)
    addons._loras.refresh()
    return [button.description for button in rows(panel)[0]._words.children]


# -- the list ------------------------------------------------------------------------------------


def test_the_library_is_searched_and_what_does_not_fit_is_grey_and_says_why(one):
    assert search(one, "") == [
        "a/twin", "b/twin", "easynegative", "pixelart", "styles/fog", "of-two", "second", "xl"
    ]  # fmt: skip
    grey = [name for name, button in lines(one).items() if button.disabled]
    assert sorted(grey) == ["of-two", "second", "xl"]
    assert "not for this model: it is made for Stable Diffusion XL" in lines(one)["xl"].description
    assert search(one, "STYLES") == ["styles/fog"]
    assert search(one, "fog styles", "embedding") == []
    assert "none of them matches" in read(one)
    assert search(one, "", "embedding") == ["easynegative", "of-two"]
    assert search(one, "twin") == ["a/twin", "b/twin"]


def test_a_click_adds_a_lora_by_a_name_that_means_it_and_another_takes_it_away(one):
    search(one, "")
    for name in ("pixelart", "b/twin", "styles/fog"):
        lines(one)[name].click()
    assert one.request.loras == (Lora("pixelart"), Lora("b/twin"), Lora("fog"))
    assert lines(one)["b/twin"].icon == "check" != lines(one)["a/twin"].icon
    lines(one)["styles/fog"].click()
    assert one.request.loras == (Lora("pixelart"), Lora("b/twin"))
    one.request = Request("a cat <lora:pixelart:0.5>")
    lines(one)["pixelart"].click()
    assert one.request == Request("a cat")


def test_what_is_chosen_stands_above_the_list(one):
    """A line stays under the mouse all the same: `test_addons_page.py`."""
    lines(one)["pixelart"].click()
    shown = list(in_sight(opened(one)))
    assert shown.index(one.form.controls["loras"].widget.children[0]) < shown.index(
        find(one, "Search")
    )


@pytest.mark.parametrize("place", ["prompt", "negative"])
def test_a_click_on_an_embedding_puts_its_name_where_it_is_wanted(one, place):
    one.request = Request("a cat")
    opened(one)._list._place.value = place
    lines(one)["easynegative"].click()
    lines(one)["easynegative"].click()
    wanted = "a cat, easynegative" if place == "prompt" else "easynegative"
    assert getattr(one.request, place) == wanted
    assert title(one) == "Add-ons: 1 embedding"
    assert lines(one)["easynegative"].icon == "check"
    one.request = Request(syntax="comfy")
    lines(one)["easynegative"].click()
    assert getattr(one.request, place) == "embedding:easynegative"
    assert title(one) == "Add-ons: 1 embedding, syntax ComfyUI"
    one.form.change(clip_skip=2, syntax="blocks")
    assert title(one) == "Add-ons: 1 embedding, clip skip 2"


def test_of_thousands_fifty_are_shown_and_the_rest_counted():
    where = Path("/models/Lora")
    files = [
        LibraryFile(where / f"{n}.safetensors", "lora", f"l{n}", "", where, "sd1", 768, 4, (), "")
        for n in range(3000)
    ]
    library = SimpleNamespace(files=lambda *_: files, listed=True)
    library.given = library
    one = Panel(Model(library=library), "txt2img", executor=Inline(make))
    assert len(lines(one)) == 50
    assert "and 2,950 more" in read(one)
    assert search(one, "l2999") == ["l2999"]
    assert [item.file.name for item in finding.found(finding.items(library, 768), "l17")][:2] == [
        "l17", "l170"
    ]  # fmt: skip


@pytest.mark.parametrize(("base", "width", "refused"), [
    ("sd1", 256, True), ("sd1", 768, False), ("sd2", 768, True), ("", 256, False),
])  # fmt: skip
def test_a_lora_that_reads_no_text_is_judged_by_what_it_is_for(base, width, refused):
    path = Path("/models/Lora/a.safetensors")
    file = LibraryFile(path, "lora", "a", "", path.parent, base, 0, 4, (), "")
    assert bool(finding.why_not(file, width)) == refused


def test_without_a_library_it_says_how_to_give_one():
    one = Panel(Model(), "txt2img", executor=Inline(make))
    opened(one)
    assert "sdnb.load(library=" in read(one)
    assert not called(one, "Search")


def test_another_model_brings_its_own_library(one):
    search(one, "")
    one.serve(Model())
    assert "sdnb.load(library=" in read(one)
    one.serve(Model(library=one.form.addons._library or Library()))
    until(lambda: "no LoRA and no embedding is there" in read(one))


@pytest.fixture
def brought(tmp_path):
    """A model that brings a LoRA and an embedding along; nobody gave a library."""
    for name, shapes in (("lora/crayon", kohya()), ("embeddings/soft", {"emb_params": (1, 768)})):
        path = tmp_path / "model" / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        hostile.headed(path, *hostile.laid_out(shapes))
    own = brought_by([tmp_path / "model"])
    return Model(library=joined(own, None), embeddings={"soft": embedding("soft", 1)})


def test_what_a_model_brings_is_listed_and_how_to_give_a_library(brought):
    one = Panel(brought, "txt2img", executor=Inline(make))
    assert list(lines(one)) == ["crayon", "soft"]
    assert "The model brings these along. For files of your own: in the studio" in read(one)
    lines(one)["crayon"].click()
    lines(one)["soft"].click()
    assert one.request.loras == (Lora("crayon"),)
    assert one.request.prompt == "soft"
    assert title(one) == "Add-ons: 1 LoRA, 1 embedding"
    assert not read(rows(one)[0])
    assert search(one, "fog") == []
    assert "2 files: none of them matches." in read(one)
    one.request = Request("a cat <lora:crayn:1>", loras=["fog"])
    assert "without a library of files. In the studio" in read(rows(one)[0])
    said = read(one.form._tags)
    assert "the model brings no LoRA of this name; did you mean 'crayon'? No file has" in said


def test_it_is_listed_before_a_library(brought, library):
    brought.library = joined(brought.library.brought, library)
    one = Panel(brought, "txt2img", executor=Inline(make))
    assert list(lines(one))[:3] == ["crayon", "soft", "a/twin"]
    assert len(lines(one)) == 2 + len(FILES)
    assert "brings these along" not in read(one)


# -- what is wrong, said where one looks ---------------------------------------------------------


def test_a_tag_whose_lora_cannot_be_used_is_said_below_the_prompt_and_taken_out(one):
    one.request = Request("a cat, <lora:nothere>, <lora:xl:0.5>, in fog <lora:pixelart:0.5>")
    said = read(one.form._tags)
    assert "<lora:nothere>: the library has no LoRA of this name" in said
    assert "<lora:xl:0.5>: it is made for Stable Diffusion XL" in said
    assert title(one) == "Add-ons: 3 LoRAs, 2 cannot be used"
    for _ in range(2):
        called(one.form._tags, "Take it out")[0].click()
    assert one.request.prompt == "a cat, in fog <lora:pixelart:0.5>"
    assert not read(one.form._tags)
    assert title(one) == "Add-ons: 1 LoRA"


def test_the_similar_name_is_put_into_the_tag_by_a_button(one):
    one.request = Request("a cat, <lora:pixelrt:0.5:unet=0.7>, <lora:nothere>")
    assert "did you mean 'pixelart'?" in read(one.form._tags)
    assert len(called(one.form._tags, "Take it out")) == 2
    press(one.form._tags, "Put pixelart")
    assert one.request.prompt == "a cat, <lora:pixelart:0.5:unet=0.7>, <lora:nothere>"
    assert "pixelart" not in read(one.form._tags)
    assert not called(one.form._tags, "Put pixelart")  # the line of the other tag has none


@pytest.mark.slow
def test_one_file_under_two_names_is_said_at_once(one):
    one.request = Request("in fog <lora:styles/fog:0.8>", loras=[Lora("fog", 1.4), "pixelart"])
    wanted = "one file, used 2 times (fog, styles/fog): its strengths add up to 2.2"
    assert [wanted in read(row) for row in rows(one)] == [True, False, True]
    assert wanted in read(one.form._tags)
    find(one, "fog").value = False
    assert not any("one file" in read(row) for row in rows(one))


def test_a_damaged_lora_is_in_the_list_with_its_reason_and_not_among_the_models(tmp_path):
    for name in ("models/Lora/fog.safetensors", "models/Lora/half.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        hostile.headed(tmp_path / name, *hostile.laid_out(kohya()))
    (tmp_path / "models/Lora/half.safetensors").write_bytes(
        (tmp_path / "models/Lora/fog.safetensors").read_bytes()[:-9]
    )
    library = Library(tmp_path)
    one = Panel(Model(library=library), "txt2img", executor=Inline(make))
    until(lambda: "half" in lines(one))
    assert lines(one)["half"].disabled
    assert "cannot be used: it is truncated" in lines(one)["half"].description
    one.request = Request("a cat <lora:half:1>")
    assert "it is truncated" in read(one.form._tags)
    assert models_of(library) == []


def test_a_lora_for_few_steps_shows_what_it_brings_and_what_is_typed_stays(tmp_path):
    path = tmp_path / "lcm-lora.safetensors"
    hostile.headed(path, *hostile.laid_out(kohya()))
    library = Library(tmp_path)
    library.refresh()
    panel = Panel(Model(library=library), "txt2img", executor=Inline(make))
    controls = panel.form.controls
    before = controls["steps"]._number.value, controls["sampler"].widget.label
    for loras in (["lcm-lora"], [str(path)]):
        panel.request = Request("a cat", loras=loras, seed=1)
        assert controls["steps"]._number.value == 4
        assert controls["cfg"]._reset.tooltip == "CFG: the LoRA's own"
        assert controls["sampler"].widget.label == "lcm (the LoRA's own)"
        assert controls["schedule"].widget.label == "lcm (the LoRA's own)"
        assert "brought what was left open: steps 4, cfg 1" in read(panel)
    panel.form.change(steps=6, sampler="euler")
    assert panel.request == Request("a cat", loras=loras, seed=1, steps=6, sampler="euler")
    job = panel.generate()
    done = job.result.request
    assert (done.steps, done.cfg, done.sampler, done.schedule) == (6, 1, "euler", "lcm")
    one_step = path.rename(tmp_path / "Hyper-SD15-1step-lora.safetensors")
    panel.request = Request("a cat", loras=[str(one_step)])
    assert (controls["eta"]._number.value, controls["eta"]._reset.tooltip) == (
        1, "Eta: the LoRA's own",
    )  # fmt: skip
    panel.form.change(steps=4)
    assert (controls["eta"]._number.value, controls["eta"]._reset.tooltip) == (
        0.3, "Eta: the sampler's own",
    )  # fmt: skip
    panel.request = Request("a cat")
    assert (controls["steps"]._number.value, controls["sampler"].widget.label) == before
    assert "brought" not in read(panel)
