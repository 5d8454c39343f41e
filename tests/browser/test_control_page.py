"""The section "Control" in the studio, by mouse: a net, a sketch, its hint, pictures held to it."""

import pytest
import torch
from helpers.notebook_page import SHOTS, Notebook
from playwright.sync_api import expect
from safetensors.torch import save_file

from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig

pytestmark = pytest.mark.browser

STUDIO = """
import sdnb
model = sdnb.load(library={folder!r})
studio = sdnb.studio(model, folder="held")
studio.request = sdnb.Request("a red apple", steps=2, seed=7, width=64, height=64)
studio
"""
# How many pixels of what a net fills and of what was painted are white, and whether the net works.
HOLES = """
from sdnb.images import canvas, followed

def holes(result):
    request = result.request
    given, = followed.with_pictures(request, canvas.fit(request)[0])
    painted = sdnb.images.open(request.mask).convert("L").resize((64, 64))
    white = [sum(v > 127 for v in each.tobytes()) for each in (given.mask_at(64, 64), painted)]
    plain = sdnb.generate(model, request.but(controls=()), progress=False)
    return [*white, plain.image.tobytes() != result.image.tobytes()]
"""
# How many pixels of the hint are light, as the browser shows them.
LIGHT = """image => {
  if (!image.complete || !image.naturalWidth) return 0;
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 0 && value > 127).length;
}"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """A folder with an adapter of random weights that fits the built-in model."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    adapter = T2IAdapter(T2IAdapterConfig((96, 128, 160, 96)))
    save_file(adapter.state_dict(), folder / "t2i_sketch.safetensors")
    return folder


class Hands:
    """A person's hands in the section."""

    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page

    def button(self, words, kind="button"):
        return self.page.locator(f"{kind}:has-text('{words}') >> visible=true").first

    def box(self, label):
        return self.page.get_by_label(label, exact=True).locator("visible=true").first

    def drag(self, part, *points):
        """Drag over a part of the page through points, in shares of its sides."""
        part.scroll_into_view_if_needed()
        box = self.notebook.place(part)
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()


def test_a_sketch_is_drawn_and_holds_the_picture(page, lab, nets):
    notebook = Notebook(page, lab, lab.write("control.ipynb", STUDIO.format(folder=str(nets))))
    notebook.run_all()
    hands = Hands(notebook)
    hands.button("Control", "button.sdnb-fold").click()
    hands.box("Net").press_sequentially("ske")
    hands.button("t2i_sketch · T2I-Adapter").click()
    drawn(hands, notebook)

    page.keyboard.press("Control+Enter")
    notebook.becomes("studio.result is not None")
    notebook.kernel("globals().update(first=studio.result)")
    assert notebook.kernel("first.request.controls[0].image == studio.request.controls[0].image")
    track = page.locator(".sdnb-control .noUi-base >> visible=true").nth(1)  # the brush's is first
    hands.drag(track, (0.5, 0.5), (0.75, 0.5))
    notebook.becomes("studio.request.controls[0].scale == 1.5")
    expect(hands.box("Scale")).to_have_value("1.5")
    hands.button("Generate").click()
    notebook.becomes("studio.result is not first")
    assert notebook.kernel("studio.result.image.tobytes() != first.image.tobytes()")
    notebook.screenshot(SHOTS / "control.png")

    hands.button("to Control").click()
    second = page.locator(".sdnb-control >> visible=true").nth(1)
    second.locator(".sdnb-hint img >> visible=true").wait_for()
    sent = "studio.panel.form.control._cards[1]._given['image']"
    notebook.becomes(f"{sent} == sdnb.images.picture(studio.result)")
    second.locator("button[title='Remove this control']").click()
    second.wait_for(state="detached")
    notebook.becomes("len(studio.panel.form.control._cards) == 1")
    assert notebook.kernel("len(studio.request.controls)") == 1
    assert notebook.complaints() == []


def test_in_inpaint_a_net_fills_the_mask_that_is_painted(page, lab, nets):
    source = HOLES + STUDIO.format(folder=str(nets)).replace('"held"', '"filled"')
    notebook = Notebook(page, lab, lab.write("filled.ipynb", source))
    notebook.run_all()
    hands = Hands(notebook)
    hands.button("Generate").click()
    notebook.becomes("studio.result is not None")
    hands.button("to inpaint").click()
    notebook.becomes("studio.panel.kind == 'inpaint'")
    canvas = page.locator(".jp-OutputArea-output canvas >> visible=true").first
    canvas.wait_for()
    notebook.settle()
    hands.drag(canvas, (0.3, 0.3), (0.7, 0.4), (0.5, 0.6))
    notebook.becomes("studio.request.mask is not None")
    fold = "studio.panel.form.control.fold"
    if not notebook.kernel(f"{fold}.unfolded"):  # words and controls come along with a picture
        hands.button("Control", "button.sdnb-fold").click()
    hands.box("Net").press_sequentially("ske")
    hands.button("t2i_sketch · T2I-Adapter").click()
    hands.box("Prepare").select_option(index=8)
    notebook.becomes("[c.prepare for c in studio.request.controls] == ['inpaint']")
    said = page.locator(".sdnb-control >> visible=true").first
    expect(said).to_contain_text("it takes the one that is inpainted, and fills its mask")
    notebook.kernel("studio.panel.form.change(steps=2, strength=1.0, width=64, height=64) or 0")
    hands.button("Generate").click()
    notebook.becomes("bool(studio.result.request.controls)")
    made = "studio.result.request"
    assert notebook.kernel(f"{made}.controls[0].image is {made}.controls[0].mask is None")
    found, painted, changed = notebook.kernel("holes(studio.result)")
    assert painted > 40
    assert found == pytest.approx(painted, abs=painted / 5)
    assert not any("hole" in note for note in notebook.kernel("list(studio.result.notes)"))
    assert changed
    notebook.screenshot(SHOTS / "control-inpaint.png")
    assert notebook.complaints() == []


def drawn(hands, notebook):
    """A square is drawn, a line taken back, and the hint comes by itself."""
    hands.button("Draw", "button.widget-toggle-button").click()
    sheet = hands.page.locator(".sdnb-sketch canvas >> visible=true").first
    sheet.wait_for()
    notebook.settle()
    hands.drag(sheet, (0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2))
    notebook.becomes("any(each.image for each in studio.request.controls)")
    pad = "studio.panel.form.control._cards[0]._picture._pad"
    hands.drag(sheet, (0.3, 0.5), (0.7, 0.5))
    notebook.becomes(f"len({pad}.strokes) == 2")
    hands.page.keyboard.press("Control+z")
    notebook.becomes(f"len({pad}.strokes) == 1")
    control = notebook.kernel(
        "[studio.request.controls[0].net, studio.request.controls[0].prepare]"
    )
    assert control == ["t2i_sketch", "scribble"]
    picture = "sdnb.images.open(studio.request.controls[0].image).convert('L')"
    assert notebook.kernel(f"[{picture}.getpixel((256, y)) for y in (102, 256)]") == [0, 255]
    hint = hands.page.locator(".sdnb-hint img >> visible=true").first
    hint.wait_for()
    wanted = notebook.kernel(
        "sum(studio.request.controls[0].hint_at(64, 64).convert('L').point(lambda v: v > 127)"
        ".tobytes())"
    )
    assert wanted > 60  # around the square, a pixel wide or more
    notebook.sees(lambda: hint.evaluate(LIGHT), pytest.approx(wanted, abs=wanted / 5))  # a JPEG
