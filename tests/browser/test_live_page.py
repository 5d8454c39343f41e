"""Live in JupyterLab, by mouse and keyboard: a control is moved, and the picture follows."""

import pytest
from helpers.notebook_page import SHOTS, Notebook
from test_panel_page import Page

pytestmark = pytest.mark.browser

# The limit is the test's own: how quick a picture is, is not what is tested here.
PANELS = """
import sdnb, sdnb.request.quick_enough as quick
quick.LIMIT = 1e9
small = dict(width=64, height=64, steps=2, cfg=1.0)
model = sdnb.load()
panel = sdnb.Panel(model, "txt2img", autosave=True)
panel.request = sdnb.Request("a red apple on a blue background", **small)
panel
"""
OTHER = """
pear = sdnb.txt2img(model, "a green pear", seed=1, progress=False, **small)
other = sdnb.Panel(model, "img2img")
start = sdnb.images.picture(pear.image)
other.request = sdnb.Request("a green pear", image=start, strength=0.9, **small)
other
"""
WAIT = "import time\nlong = globals().get('long', 0)\ntime.sleep(long)"
INTERRUPT = "[data-command='notebook:interrupt-kernel'] >> visible=true"


class Live(Page):
    """A notebook with two panels, and what a person does with the first, or with `at(1)`."""

    def __init__(self, page, lab):
        self.notebook = Notebook(page, lab, lab.write("live.ipynb", PANELS, OTHER, WAIT))
        self.notebook.run_all()
        self.page = page
        self.place = self.at(0)

    def at(self, number):
        return self.page.locator(".jp-OutputArea-output:has(.sdnb-top)").nth(number)

    def switch(self, place=None):
        self.button("Live", place).click()

    def button(self, words, place=None):
        return (place or self.place).locator(f"button:text-is('{words}') >> visible=true")

    def handle(self, label, place=None):
        """The middle of a slider's handle on the page, and its track's."""
        slider = (place or self.place).locator(
            f".sdnb-slider:has(> .widget-text > label:text-is('{label}'))"
        )
        slider.scroll_into_view_if_needed()
        handle, track = (
            self.notebook.place(slider.locator(part)) for part in (".noUi-touch-area", ".noUi-base")
        )
        return handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2, track["width"]

    def drag(self, label, share, steps=20, place=None):
        """Drag a slider by this share of its length, and let go."""
        x, y, width = self.handle(label, place)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for step in range(1, steps + 1):
            self.page.mouse.move(x + width * share * step / steps, y)
            self.page.wait_for_timeout(30)
        self.page.mouse.up()

    def pictures(self, place=None):
        """The addresses of the live images, the finished one and what lies over it."""
        images = (place or self.place).locator(".sdnb-live > img")
        return images.evaluate_all("all => all.map(each => each.src)")

    def settled(self, name="panel"):
        """Wait until nothing is made, and the picture is that of the controls."""
        self.until(f"not {name}.running and {name}.result is not None")
        fields = ("cfg", "steps", "prompt", "seed", "strength")
        same = [f"{name}.result.request.{f} == {name}.request.{f}" for f in fields]
        self.until(f"all([{', '.join(same)}])")

    def shot(self, name, width=1400, height=900):
        self.page.set_viewport_size({"width": width, "height": height})
        self.place.scroll_into_view_if_needed()
        self.page.wait_for_timeout(600)
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / name)


def test_a_picture_follows_the_controls(page, lab):
    one = Live(page, lab)
    one.switch()
    one.settled()
    one.place.get_by_text("a picture.").wait_for()
    the_slider_is_dragged(one)
    words_are_typed(one)
    what_is_slow_is_refused(one)
    the_picture_is_kept(one)
    two_are_live(one)
    the_page_is_loaded_again(one)
    it_is_stopped(one)
    assert one.notebook.complaints() == []
    it_goes_on_while_a_cell_is_interrupted(one)


def the_slider_is_dragged(one):
    """One picture is always in sight; nothing is queued, and nothing left behind.

    While an image gets its next pixels it is not `complete`, and the last ones stay: an image that
    has none has no height.
    """
    watch = """node => { window.blank = 0; window.seen = new Set();
      const look = () => { if (!window.watching) return;
        const still = node.querySelector('.sdnb-live > img');
        const there = still && still.checkVisibility() && still.offsetHeight >= 64;
        if (!there) window.blank += 1; else window.seen.add(still.src);
        requestAnimationFrame(look); };
      window.watching = true; look(); }"""
    before = one.kernel("panel.request.cfg")
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    threads = "__import__('threading').active_count()"
    one.drag("CFG", 0.1)
    one.settled()
    made, alive = one.kernel(f"[{count}, {threads}]")
    one.place.evaluate(watch)
    one.drag("CFG", 0.6, steps=60)
    one.settled()
    assert one.kernel("panel.request.cfg") > before + 5
    assert one.page.evaluate("() => { window.watching = false; return window.blank }") == 0
    assert len(one.page.evaluate("() => [...window.seen]")) > 1
    assert one.kernel(f"[{count}, {threads} <= {alive}]") == [made, True]
    assert one.kernel("[len(panel.results), len(panel.gallery.pictures)]") == [0, 0]
    one.shot("live-1400.png")
    one.shot("live-1000.png", 1000, 700)
    one.page.set_viewport_size({"width": 1200, "height": 900})


def words_are_typed(one):
    box = one.place.get_by_label("Prompt", exact=True)
    box.fill("")
    box.press_sequentially("an owl at night", delay=20)
    one.settled()
    assert one.kernel("panel.result.request.prompt") == "an owl at night"
    # A letter of several keys: what is in the box before is not asked for.
    ime = "(box, type) => box.dispatchEvent(new CompositionEvent(type, { bubbles: true }))"
    box.evaluate(ime, "compositionstart")
    one.until("panel._live._composing")
    box.press_sequentially("s ", delay=20)
    one.until("panel.request.prompt == 'an owl at nights '")
    assert one.kernel("[panel.result.request.prompt, panel.running]") == ["an owl at night", False]
    box.evaluate(ime, "compositionend")
    one.settled()
    steps = one.place.get_by_label("Steps", exact=True)
    steps.fill("3")
    steps.press("Tab")
    one.settled()
    assert one.kernel("panel.result.request.steps") == 3


def what_is_slow_is_refused(one):
    one.kernel("setattr(quick, 'LIMIT', 0.001)")
    live = one.place.locator(".sdnb-live")
    picture = one.notebook.place(live)
    one.drag("CFG", -0.1, steps=3)
    words = one.place.get_by_text("live takes 0.001 s")
    words.wait_for()
    assert 0 < picture["y"] - one.notebook.place(words)["y"] < 100  # just above the picture
    assert one.notebook.place(live) == picture  # the words move nothing
    one.until("[panel.live, panel.running]", [True, False])
    one.shot("live-refused.png")
    one.kernel("setattr(quick, 'LIMIT', 1e9)")
    one.drag("CFG", 0.05, steps=3)
    one.settled()
    one.place.get_by_text("live takes 0.001 s").wait_for(state="hidden")


def the_picture_is_kept(one):
    one.button("Keep").click()
    one.until(
        "[p.saved is not None and p.saved.exists() for p in panel.gallery.pictures] == [True]"
    )
    one.button("Kept").wait_for()


def two_are_live(one):
    other = one.at(1)
    one.switch(other)
    one.settled("other")
    one.drag("Strength", -0.3, place=other)
    one.drag("CFG", -0.2)
    one.settled("other")
    one.settled()
    one.switch(other)
    one.until("not other.live")
    other.get_by_text("The last picture of live.").wait_for()


def the_page_is_loaded_again(one):
    """In the middle of a picture, and of a letter."""
    x, y, width = one.handle("CFG")
    one.page.mouse.move(x, y)
    one.page.mouse.down()
    one.page.mouse.move(x + width * 0.2, y, steps=5)
    one.kernel("panel._live.compose(True)")
    one.notebook.reload()
    one.place.locator(".sdnb-live > img").first.wait_for()
    one.until("not panel._live._composing")
    assert one.kernel("panel.live")
    one.drag("CFG", 0.1)
    one.settled()
    image = one.place.locator(".sdnb-live > img").first
    one.notebook.sees(lambda: image.evaluate("image => image.naturalWidth"), 64)


def it_is_stopped(one):
    """By its button, and by the interrupt while no cell runs."""
    stop = one.button("Stop")
    one.kernel("panel._live._lock_seed(new=True)")
    steps = one.place.get_by_label("Steps", exact=True)
    steps.fill("900")
    steps.press("Tab")
    one.until("panel.running")
    stop.click()
    one.until("not panel.running and not panel.live")
    assert one.kernel("panel.result.request.steps") == 3
    one.switch()
    one.until("panel.running")
    one.page.locator(INTERRUPT).first.click()
    one.until("not panel.running and not panel.live")
    steps.fill("3")
    steps.press("Tab")
    one.switch()
    one.settled()


def it_goes_on_while_a_cell_is_interrupted(one):
    one.kernel("globals().update(long=60)")
    one.notebook.js("panel.content.activeCellIndex = 2; panel.content.mode = 'command'")
    one.page.locator(".jp-Cell").nth(2).locator(".jp-InputPrompt").click()
    one.page.keyboard.press("Control+Enter")
    one.notebook.until("return panel.sessionContext.session.kernel.status === 'busy'")
    one.page.wait_for_timeout(1000)  # it sleeps by now
    one.page.locator(INTERRUPT).first.click()
    one.page.get_by_text("KeyboardInterrupt").first.wait_for()
    assert one.kernel("panel.live")
    one.drag("CFG", 0.05, steps=3)
    one.settled()
