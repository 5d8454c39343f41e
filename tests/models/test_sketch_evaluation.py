"""Judging how far pictures follow a drawing: the distance, the goals, and a small run."""

import json

import numpy as np
import pytest
from PIL import Image
from test_evaluation import write_catalog

import sdnb
from sdnb.models import evaluate, evaluate_sketch


def test_the_distance_is_that_to_the_nearest_edge():
    """Of a drawn line to the edge of a square beside it, to a pixel: an edge has two sides."""
    drawing = np.zeros((128, 128), np.uint8)
    drawing[40:80, 20] = 255
    for away in (0, 12, 30):
        picture = np.zeros((128, 128, 3), np.uint8)
        picture[30:90, 20 + away : 100] = 255
        assert abs(evaluate_sketch.distance(drawing, picture) - away) <= 1


def test_of_a_filled_shape_its_outline_counts():
    drawing = np.zeros((128, 128), np.uint8)
    drawing[30:90, 30:90] = 255
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[30:90, 30:90] = 200
    assert evaluate_sketch.distance(drawing, picture) <= 1


@pytest.mark.parametrize(
    ("distance", "found", "met"),
    [
        ((6.0, 3.0), (1.0, 0.9), [True, True]),
        ((6.0, 3.1), (1.0, 1.0), [False, True]),
        ((6.0, 2.0), (1.0, 0.89), [True, False]),
    ],
)
def test_the_goals(distance, found, met):
    figures = {
        name: dict(zip(("without", "with"), both, strict=True))
        for name, both in {"distance": distance, "top5": found}.items()
    }
    assert list(evaluate_sketch.goals(figures).values()) == met


@pytest.mark.slow
def test_a_drawing_is_made_with_it_and_without(tmp_path, monkeypatch):
    """By the built-in model in few steps, which knows neither ball nor box as they are here."""
    monkeypatch.setattr(evaluate, "_VIEWS", 8)
    write_catalog(tmp_path / "data", {"ball": ["flat"], "box": ["flat"]})
    given = ["--data", tmp_path / "data", "--models", "tiny", "tiny-fast"]
    given += [
        "--most",
        2,
        "--steps",
        2,
        "--concepts",
        2,
        "--out",
        tmp_path,
        "--json",
        tmp_path / "figures.json",
    ]
    status = evaluate_sketch.main([str(each) for each in given])
    figures = json.loads((tmp_path / "figures.json").read_text())
    goals = [met for each in figures.values() for met in evaluate_sketch.goals(each).values()]
    assert status == (not all(goals))
    assert [figures[name]["of"] for name in ("tiny", "tiny-fast")] == [2, 2]
    assert figures["tiny"]["distance"] != figures["tiny-fast"]["distance"]
    free, drawn = (
        sdnb.images.inspect(tmp_path / "tiny" / f"000-{way}.png") for way in ("free", "drawn")
    )
    assert (free.request.prompt, free.request.seed) == (drawn.request.prompt, drawn.request.seed)
    assert (len(free.request.controls), len(drawn.request.controls)) == (0, 1)
    with Image.open(tmp_path / "tiny" / "sketches.jpg") as sheet:
        assert sheet.width > 3 * 128
