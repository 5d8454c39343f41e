"""Grids as pictures: every pixel in its place, labels that can be read, and the frame's numbers."""

import math
from io import BytesIO

import numpy as np
import pytest
from helpers import grids
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageFont
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import sdnb
from sdnb.grid import layout, lettering, sheet
from sdnb.jobs.executor import Inline

pytestmark = pytest.mark.slow


def filled(base=grids.BASE, make=grids.make, **varied):
    grid = sdnb.sweep(base, **varied)
    return grid.run(grids.model(), executor=Inline(make), progress=False)


def rendered(figure, **options):
    """What a notebook's backend makes of it."""
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def occurrences(page, picture):
    """Where a picture stands on a page, pixel for pixel: by its first row, then whole."""
    h, w, _ = picture.shape
    windows = np.lib.stride_tricks.sliding_window_view(page[: -h + 1 or None, :, 0], w, axis=1)
    found = np.argwhere((windows == picture[0, :, 0]).all(axis=-1))
    return [(x, y) for y, x in found if np.array_equal(page[y : y + h, x : x + w], picture)]


@pytest.mark.parametrize("notebook", [{}, {"bbox_inches": "tight"}])
@pytest.mark.parametrize("varied", [
    {"steps": [1, 2, 4]},
    {"steps": [1, 2, 4], "cfg": [2, 7.5]},
    {"sampler": ["ddim", "heun"], "seed": [1, 2, 3], "cfg": [2, 4]},
])  # fmt: skip
def test_pictures_stand_on_whole_pixels(varied, notebook):
    """First axis across, second down, third in blocks, and no pixel is another one."""
    grid = filled(**varied)
    page = rendered(grid.show(), **notebook)
    places = {}
    for cell in grid.cells:
        (place,) = occurrences(page, np.asarray(grid.pictures.made[cell.key].image))
        places[cell.index] = place
    for index, (x, y) in places.items():
        for axis, direction in enumerate(((1, 0), (0, 1), (0, 1))[: len(grid.axes)]):
            after = (*index[:axis], index[axis] + 1, *index[axis + 1 :])
            if after in places:
                right, down = places[after][0] - x, places[after][1] - y
                assert (right > 0, down > 0) == (direction == (1, 0), direction == (0, 1))


def test_a_figure_shows_itself_where_pyplot_was_never_used():
    grid = filled(steps=[1, 2])
    for figure in (grid.show(), grid.curve("steps", "contrast")):
        rendered(figure)  # the first time settles where labels and axes are
        shown = Image.open(BytesIO(figure._repr_png_())).convert("RGB")
        assert np.array_equal(np.asarray(shown), rendered(figure, dpi=figure.dpi))


@pytest.mark.slow
def test_large_grids_are_made_smaller_once_and_well():
    """Eight columns of 256 pixels: each picture is Pillow's Lanczos of it, on whole pixels."""
    base = grids.BASE.but(width=256, height=128)
    grid = filled(base, seed=range(8), steps=[1, 2])
    page = rendered(grid.show())
    assert page.shape[1] <= 1400
    size = (layout_width(grid), layout_width(grid) // 2)
    assert size[0] >= 96
    for cell in grid.cells:
        image = grid.pictures.made[cell.key].image.resize(size, Image.Resampling.LANCZOS)
        assert len(occurrences(page, np.asarray(image))) == 1


def layout_width(grid):
    (first, *_) = grid.show().axes[0].images
    left, right, _, _ = first.get_extent()
    return round(right - left)


@pytest.mark.parametrize(
    ("varied", "width"),
    [
        ({"steps": [10, 20, 40], "cfg": [4, 7.5, 11]}, 256),
        ({"steps": range(10, 18), "seed": range(10)}, 512),
        ({"prompt": [f"a castle of {n} towers " * 12 for n in range(3)], "cfg": [1, 2]}, 128),
        ({"cfg": [1, 2], "prompt": ["x" * 300, "a b", "schön $x$ & <b>"]}, 256),
    ],
)
def test_labels_are_inside_and_do_not_overlap(varied, width):
    """At 3x3 and at 8x10, with prompts that are long: measured in the figure as it is drawn."""
    grid = sdnb.sweep(grids.BASE.but(width=width, height=width), **varied)
    figure = grid.show()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t for t in figure.axes[0].texts if "not" not in t.get_text()]
    assert len(texts) >= sum(grid.shape)  # each line is one
    boxes = [text.get_window_extent(renderer) for text in texts]
    boxes += [patch.get_window_extent(renderer) for patch in figure.axes[0].patches[1:]]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        for other in boxes[:number]:
            apart = (box.x1 <= other.x0 + 1, other.x1 <= box.x0 + 1,
                     box.y1 <= other.y0 + 1, other.y1 <= box.y0 + 1)  # fmt: skip
            assert any(apart), (number, box, other)
    assert min(text.get_fontsize() for text in texts) >= 8


def test_wrapping_loses_no_word_and_ends_long_texts_visibly():
    words = "a castle on a hill, thick fog, oil painting"
    lines = layout.wrapped(words, 120, 12)
    assert " ".join(lines) == words
    assert len(lines) > 2
    assert all(lettering.width(line, 12) <= 120 for line in lines)
    assert "".join(layout.wrapped("x" * 50, 120, 12)) == "x" * 50
    assert layout.wrapped(words * 9, 60, 12)[-1].endswith("…")
    assert layout.wrapped("", 60, 12) == ("",)


def test_cells_that_are_not_made_say_so():
    def make(request):
        if request.steps == 2:
            raise MemoryError("out of memory")
        yield from grids.make(request)

    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    assert lines(grid.show()) == "is not made yet is not made yet steps 1 steps 2"
    with pytest.raises(RuntimeError):
        grid.run(grids.model(), executor=Inline(make), progress=False)
    assert lines(grid.show()) == "failed: out of memory steps 1 steps 2"


def lines(figure):
    """All lines of text of a figure, one after the other."""
    return " ".join(text.get_text() for text in figure.axes[0].texts)


@pytest.mark.parametrize("width", [64, 65, 66, 67])
def test_labels_are_letters_on_whole_pixels(width, tmp_path):
    """Every l is the l that the font has alone, wherever it stands: none between two pixels."""
    base = grids.BASE.but(width=64, height=64)
    grid = filled(base, prompt=["l", "l l", "l l l"], negative=["l", "l l l l"], seed=[1])
    grid.save(tmp_path / "full.png", full=True)
    full = np.asarray(Image.open(tmp_path / "full.png"))
    for page, size in ((full, 14), (rendered(grid.show(width)), 13)):
        face = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size, layout_engine=0)
        mask = face.getmask("l")
        letter = 255 - np.asarray(mask, np.uint8).reshape(mask.size[::-1])
        letter = np.pad(letter, 1, constant_values=255)  # white all around it
        found = occurrences(page, np.repeat(letter[..., None], 3, axis=2))
        assert len(found) == 1 + 2 + 3 + 1 + 4, size


def test_the_full_sheet_has_every_pixel(tmp_path):
    grid = filled(steps=[1, 2], cfg=[2, 4, 8], prompt_sr=("fog", "snow"))
    path = grid.save(tmp_path / "new" / "folder" / "grid.png", full=True)
    page = np.asarray(Image.open(path))
    for cell in grid.cells:
        assert len(occurrences(page, np.asarray(grid.pictures.made[cell.key].image))) == 1
    assert (page == 0).any()  # labels in black
    assert [p.name for p in path.parent.iterdir()] == ["grid.png"]
    grid.save(path)  # writes over it


def test_pictures_of_several_sizes_stand_in_the_middle():
    grid = filled(grids.BASE.but(width=None), width=[64, 128], steps=[1])
    page = rendered(grid.show())
    (small,), (large,) = (occurrences(page, np.asarray(grid.image(width=w))) for w in (64, 128))
    assert small[1] - large[1] == 0  # of one height
    assert large[0] - small[0] == 128 + 6 - 32


def test_a_sheet_that_would_exceed_memory_is_refused(monkeypatch, tmp_path):
    grid = filled(steps=[1, 2])
    free = type(sheet.psutil.virtual_memory())
    little = sheet.psutil.virtual_memory()._replace(available=60_000)
    assert isinstance(little, free)
    monkeypatch.setattr(sheet.psutil, "virtual_memory", lambda: little)
    with pytest.raises(ValueError, match=r"full sheet would be \d+x\d+ pixels .* 0 MB are free"):
        grid.save(tmp_path / "grid.png", full=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "head"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")]
)
def test_formats(tmp_path, kind, head):
    grid = filled(steps=[1, 2])
    assert grid.save(tmp_path / f"grid.{kind}").read_bytes().startswith(head)
    if kind == "svg":
        text = (tmp_path / "grid.svg").read_text()
        assert text.count("<image") == 2  # each picture by itself, whole
        with pytest.raises(ValueError, match=r"saved as .png, .svg or .pdf"):
            grid.save(tmp_path / "grid.jpg")
        with pytest.raises(ValueError, match="no cell of this grid is made"):
            sdnb.sweep(grids.BASE, steps=[1]).save(tmp_path / "empty.png")


def test_the_frame_has_a_row_a_cell(tmp_path):
    grid = sdnb.sweep(grids.BASE, steps=[1, 16, 4], cfg=[2, 7.5])
    assert not grid.frame["done"].any()
    grid.run(grids.model(), executor=Inline(grids.make), progress=False, store=tmp_path)
    frame = grid.frame
    assert frame["steps"].tolist() == [1, 1, 16, 16, 4, 4]
    assert frame["cfg"].tolist() == [2, 7.5] * 3
    assert frame["done"].all()
    assert (frame["seconds"] == 1.5).all()
    assert (frame["steps_per_second"] == 2).all()
    assert (frame["peak"] == 0.25).all()
    for row, cell in zip(frame.itertuples(), grid.cells, strict=True):
        made = grid.pictures.made[cell.key]
        assert row.path == str(made.path)
        picture = np.asarray(made.image)
        grey = np.asarray(made.image.convert("F")) / 255  # Pillow's own luminance
        assert row.brightness == pytest.approx(grey.mean(), abs=1e-3)
        assert row.contrast == pytest.approx(grey.std(), abs=1e-3)
        truth = np.asarray(grid.image(steps=16, cfg=cell.value("cfg")))
        if cell.value("steps") == 16:
            assert (row.psnr, row.ssim) == (math.inf, 1)
        else:
            assert row.psnr == pytest.approx(peak_signal_noise_ratio(truth, picture))
            assert row.ssim == pytest.approx(structural_similarity(truth, picture, channel_axis=2))
    assert (frame["ssim"].iloc[:2].to_numpy() < frame["ssim"].iloc[4:].to_numpy()).all()


def test_sharpness_is_the_mean_change_from_pixel_to_pixel():
    from sdnb.grid.frame import measures

    flat = np.full((8, 8, 3), 51, np.uint8)
    assert measures(flat) == pytest.approx({"brightness": 0.2, "contrast": 0, "sharpness": 0})
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 255
    assert measures(stripes) == pytest.approx(
        {"brightness": 0.5, "contrast": 0.5, "sharpness": 0.5}
    )


def test_distances_wait_for_the_cell_of_most_steps():
    def make(request):
        if request.steps == 4:
            raise MemoryError
        yield from grids.make(request)

    with pytest.raises(RuntimeError, match="MemoryError"):
        filled(make=make, steps=[1, 2, 4])
    grid = sdnb.sweep(grids.BASE, steps=[1, 2, 4])
    grid.select(steps=[1, 2]).run(grids.model(), executor=Inline(grids.make), progress=False)
    assert grid.frame["ssim"].isna().all()
    assert grid.done == 2
    assert grid.select(steps=[1, 2]).frame["ssim"].notna().all()  # 2 is the most there
    assert "ssim" not in filled(cfg=[1, 2]).frame


def test_a_curve_is_a_line_for_each_of_the_others():
    grid = filled(steps=[1, 2, 4, 16], cfg=[2, 7.5])
    figure = grid.curve("steps", "ssim", enough=0.9)
    (plot,) = figure.axes
    *lines, level = plot.lines
    assert [line.get_label() for line in lines] == ["cfg 2", "cfg 7.5"]
    for line, cfg in zip(lines, (2, 7.5), strict=True):
        part = grid.frame[grid.frame["cfg"] == cfg]
        assert line.get_xdata().tolist() == [1, 2, 4, 16]
        assert line.get_ydata().tolist() == part["ssim"].tolist()
    assert level.get_ydata() == [0.9, 0.9]
    assert rendered(figure).std() > 0
    names = grid.curve("cfg", "seconds").axes[0]
    assert len(names.lines) == 4
    words = filled(sampler=["ddim", "heun"]).curve("sampler", "contrast").axes[0]
    assert [t.get_text() for t in words.get_xticklabels()] == ["ddim", "heun"]


def test_a_curve_of_what_is_not_there_lists_what_is():
    grid = filled(cfg=[2, 4])
    with pytest.raises(ValueError, match="x='steps' is no axis of this grid; cfg are"):
        grid.curve()
    with pytest.raises(ValueError, match=r"y='ssim' is no number .*seconds, .* an axis of steps\)"):
        grid.curve("cfg")


def test_a_grid_says_what_it_is():
    grid = sdnb.sweep(grids.BASE, steps=[1, 2], weight=("fog", [1, 2, 3]))
    assert repr(grid).startswith(
        "Grid(2 steps × 3 weight of “fog”, 0 of 6 cells made, Request(prompt="
    )
