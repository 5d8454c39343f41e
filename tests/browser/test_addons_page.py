"""A folder of AUTOMATIC1111 in the studio: a LoRA found, added, moved, used, and read back."""

import json

import pytest
import torch
from helpers import folder_of_a_user, tiny_loras
from helpers.notebook_page import SHOTS, Notebook
from playwright.sync_api import expect
from safetensors.torch import save_file

pytestmark = pytest.mark.browser

STUDIO = """
import sdnb
model = sdnb.load(library={folder!r})
studio = sdnb.studio(model, folder="made")
studio
"""
FRESH = "panel = sdnb.Panel(model, 'txt2img', autosave=False)\npanel"
WORDS = {"ss_output_name": "glow-v2", "ss_tag_frequency": json.dumps({"10": {"in glow": 9}})}


@pytest.fixture(scope="module")
def webui(tmp_path_factory):
    """Files of every kind, and two that fit the embedded model, whose text is 256 wide."""
    folder = folder_of_a_user.build(tmp_path_factory.mktemp("webui"))
    where = folder / "models/Lora/styles/glow.safetensors"
    tiny_loras.save(where, tiny_loras.for_text(256, 4), **WORDS)
    soft = {"emb_params": torch.full((3, 256), 0.01)}
    save_file(soft, folder / "embeddings/soft.safetensors")
    return folder


class Hands:
    """A person's hands in a part of the page."""

    def __init__(self, notebook, place):
        self.notebook, self.page, self.place = notebook, notebook.page, place

    def button(self, words, kind="button"):
        return self.place.locator(f"{kind}:has-text('{words}') >> visible=true").first

    def box(self, label):
        return self.place.get_by_label(label, exact=True).locator("visible=true").first

    def drag(self, share):
        """Drag the slider of the only row to a share of its length."""
        track = self.place.locator(".sdnb-lora .noUi-base >> visible=true")
        track.scroll_into_view_if_needed()
        place, handle = map(self.notebook.place, (track, track.locator(".noUi-touch-area")))
        y = handle["y"] + handle["height"] / 2
        self.page.mouse.move(handle["x"] + handle["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(place["x"] + place["width"] * share, y, steps=10)
        self.page.mouse.up()


def test_a_lora_from_the_list_to_the_picture_and_back_from_its_file(page, lab, webui):
    cells = STUDIO.format(folder=str(webui)), FRESH
    notebook = Notebook(page, lab, lab.write("addons.ipynb", *cells))
    notebook.run_all()
    first, fresh = (Hands(notebook, page.locator(".jp-Cell").nth(n)) for n in (0, 1))
    chosen_and_moved(first, notebook)
    words_and_embedding(first, notebook)
    expect(first.button("Add-ons")).to_contain_text("Add-ons: 1 LoRA, 1 embedding")
    notebook.screenshot(SHOTS / "addons.png")

    first.box("Strength of glow").fill("0.73")  # no step of the slider, and no Tab after it
    page.keyboard.press("Control+Enter")
    notebook.becomes("studio.result is not None")
    notebook.kernel("globals().update(made=studio.result.request)")
    made = notebook.kernel("[made.loras[0].unet, made.prompt, len(studio.result.loras)]")
    assert made == [0.73, "a red apple, in glow", 1]

    with page.expect_file_chooser() as chooser:
        fresh.button("Add a picture").click()
    saved = notebook.kernel("str(studio.gallery.pictures[0].saved.resolve())")
    chooser.value.set_files(saved)
    fresh.place.locator("button.sdnb-thumb").first.click()
    fresh.button("the panel").click()
    notebook.becomes("panel.request == made")
    expect(fresh.box("Strength of glow")).to_have_value("0.73")
    expect(fresh.button("Add-ons")).to_contain_text("Add-ons: 1 LoRA, 1 embedding")
    expect(fresh.button("in glow", "button.sdnb-word")).to_be_visible()
    notebook.screenshot(SHOTS / "addons-back.png")
    assert notebook.complaints() == []


def chosen_and_moved(hands, notebook):
    """The LoRA is found by its folder and name, added by a click, and moved by the mouse. What
    comes of a click is in sight, also on a low screen.
    """
    hands.page.set_viewport_size({"width": 1000, "height": 560})
    notebook.kernel("studio.panel.form.change(steps=2, seed=7) and None")
    hands.button("Add-ons").click()
    flux = hands.button("not for this model: it is made for Flux")
    flux.wait_for()
    expect(hands.button("blueprint")).to_be_in_viewport()  # the model's own come first
    expect(hands.button("flux")).to_be_disabled()
    hands.box("Search").press_sequentially("styles glow")
    line = hands.button("styles/glow · rank 4 · in glow")
    outer = "panel.content.node.querySelector('.jp-WindowedPanel-outer')"
    notebook.js(f"{outer}.scrollTop -= 150")  # with room for a row that comes, which is shown
    notebook.settle()
    before = notebook.place(line)
    line.click()
    hands.place.locator(".sdnb-lora >> visible=true").wait_for()
    hands.page.wait_for_timeout(500)
    after = notebook.place(line)
    assert abs(after["y"] - before["y"]) <= 1  # under the mouse, though a row came above it
    expect(hands.box("Strength of glow")).to_be_in_viewport()
    hands.page.set_viewport_size({"width": 1200, "height": 900})
    notebook.becomes("studio.request.loras == (sdnb.Lora('glow', 1.0),)")
    hands.drag(0.8)  # from -1 to 2
    notebook.becomes("studio.request.loras[0].unet == 1.4")
    expect(hands.box("Strength of glow")).to_have_value("1.4")


def words_and_embedding(hands, notebook):
    """Its trigger word goes into the prompt, an embedding's name into the negative one."""
    hands.box("Prompt").fill("a red apple")
    hands.box("Prompt").press("Tab")
    hands.button("in glow", "button.sdnb-word").click()
    notebook.becomes("studio.request.prompt == 'a red apple, in glow'")
    hands.box("Search").fill("soft")
    hands.box("Embeddings to").select_option("negative")
    hands.button("soft · embedding · 3 vectors").click()
    notebook.becomes("studio.request.negative == 'soft'")
    found = hands.place.get_by_text("embedding soft: 3 vectors")
    found.locator("visible=true").first.wait_for()
