"""A grid's folder that somebody else filled: what is not this grid's is not taken, and said."""

import json
import os

import pytest
from helpers import grids
from test_grid_store import Counted, assert_whole, run, sweep

from sdnb import images
from sdnb.grid.store import Store


def rows(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_bytes().splitlines()]


def rewrite(folder, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text, "utf-8")


def asked_again(folder, **varied):
    """The steps of the cells that a run makes anew."""
    executor = Counted()
    grid = run(sweep(**(varied or {"steps": [1, 2]})), folder, executor)
    assert_whole(grid, folder)
    return [request.steps for request in executor.asked]


def test_a_row_whose_picture_holds_another_request_is_not_taken(tmp_path):
    run(sweep(steps=[1, 2]), tmp_path)
    one, two = rows(tmp_path)
    rewrite(tmp_path, [{**one, "file": two["file"], "sha256": two["sha256"]}, two])
    assert asked_again(tmp_path) == [1]


@pytest.mark.parametrize("changes", [{"fingerprint": "e" * 64}, {"model": "another"}])
def test_a_row_that_names_another_model_than_its_picture_is_not_taken(tmp_path, changes):
    run(sweep(steps=[1, 2]), tmp_path)
    one, two = rows(tmp_path)
    rewrite(tmp_path, [{**one, **changes}, two])
    assert asked_again(tmp_path) == [1]


def test_a_picture_without_a_request_is_not_taken(tmp_path):
    grid = run(sweep(steps=[1, 2]), tmp_path)
    one, two = rows(tmp_path)
    path = tmp_path / one["file"]
    grid.pictures.made[grid.cells[0].key].image.save(path)
    rewrite(tmp_path, [{**one, "sha256": images.sha256(path.read_bytes())}, two])
    assert asked_again(tmp_path) == [1]


def test_a_picture_behind_a_link_or_a_pipe_is_not_taken(tmp_path):
    folder, aside = tmp_path / "store", tmp_path / "aside"
    run(sweep(steps=[1, 2]), folder)
    one, two = (folder / row["file"] for row in rows(folder))
    one.rename(aside)
    one.symlink_to(aside)
    two.unlink()
    os.mkfifo(two)
    whole = aside.read_bytes()
    assert asked_again(folder) == [1, 2]
    assert aside.read_bytes() == whole


@pytest.mark.parametrize("name", ["rows.jsonl", "grid.json"])
@pytest.mark.parametrize("there", [True, False])
def test_a_log_behind_a_link_is_refused_and_nothing_written_through_it(tmp_path, name, there):
    folder, aside = tmp_path / "store", tmp_path / "aside"
    run(sweep(steps=[1]), folder)
    (folder / name).rename(aside) if there else (folder / name).unlink()
    (folder / name).symlink_to(aside)
    before = aside.read_bytes() if there else None
    with pytest.raises(ValueError, match=rf"{name}' is a link or no ordinary file"):
        run(sweep(steps=[1, 2]), folder)
    assert (aside.read_bytes() if aside.exists() else None) == before


def test_a_lost_input_is_put_back(tmp_path):
    picture = images.picture(grids.picture(grids.BASE.but(steps=1)))
    run(sweep(image=[picture]), tmp_path)
    (kept,) = (tmp_path / "inputs").iterdir()
    kept.unlink()
    executor = Counted()
    assert run(sweep(image=[picture]), tmp_path, executor).done == 1
    assert executor.asked == []
    assert kept.read_bytes() == picture


LINES = [
    b"[" * 100_000,
    b"null",
    b"[]",
    b'{"key": [], "file": {}, "sha256": 1}',
    b"\xff\xfe",
    b'{"seconds": 1' + b"0" * 5000 + b"}",
]
CHANGES = [
    {"file": "x" * 5000 + ".png"},
    {"file": "a\0b.png"},
    {"file": "\ud800.png"},
    {"file": ".."},
    {"file": ""},
    {"file": "/etc/passwd"},
    {"file": 3},
    {"seconds": 10**300},
    {"seconds": float("inf")},
    {"seconds": "1"},
    {"steps": True},
    {"notes": "abc"},
    {"notes": [1]},
    {"notes": None},
    {"model": None},
]


def test_lines_that_are_no_rows_are_left_out(tmp_path):
    run(sweep(steps=[1, 2]), tmp_path)
    one, two = rows(tmp_path)
    lines = [json.dumps({**one, **change}).encode() for change in CHANGES] + LINES
    for name in one:
        lines.append(json.dumps({k: v for k, v in one.items() if k != name}).encode())
    lines.remove(json.dumps({k: v for k, v in one.items() if k != "cell"}).encode())
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join([*lines, json.dumps(two).encode(), b""]))
    assert asked_again(tmp_path) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format": 1, "base": 3, "axes": []}',
        '{"format": 1, "base": {}, "axes": 3}',
        '{"format": 1, "base": {}, "axes": [{}]}',
        '{"format": 1, "base": {}, "axes": ["steps"]}',
        '{"format": 1, "base": {"seed": 1' + "0" * 5000 + '}, "axes": []}',
        "\0",
    ],
)
def test_a_description_that_is_none_is_said_in_a_line(tmp_path, text):
    run(sweep(steps=[1]), tmp_path)
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(ValueError, match=r"grid.json' is damaged \(\w+: .*begin again") as caught:
        run(sweep(steps=[1]), tmp_path)
    assert len(str(caught.value)) < 600


def test_other_settings_without_end_are_said_in_a_few_lines(tmp_path):
    run(sweep(steps=[1]), tmp_path)
    base = {f"field {'x' * 900} {n}": [[n] * 9] * 9 for n in range(999)}
    axes = [{"name": "steps", "of": ""}]
    (tmp_path / "grid.json").write_text(json.dumps({"format": 1, "base": base, "axes": axes}))
    with pytest.raises(ValueError, match="made by other settings") as caught:
        run(sweep(steps=[1]), tmp_path)
    assert len(str(caught.value)) < 6000
    axes = [{"name": "x" * 999, "of": "y" * 999}] * 999
    (tmp_path / "grid.json").write_text(json.dumps({"format": 1, "base": {}, "axes": axes}))
    with pytest.raises(ValueError, match="made by other settings: axes xxx") as caught:
        run(sweep(steps=[1]), tmp_path)
    assert len(str(caught.value)) < 1000


def test_a_log_of_gigabytes_is_not_read(tmp_path):
    grid = run(sweep(steps=[1]), tmp_path)
    os.truncate(tmp_path / "rows.jsonl", 2**32)  # a hole, which takes no room
    with pytest.raises(ValueError, match=r"rows\.jsonl' has 4,294,967,296 bytes"):
        Store(tmp_path, grid.base, grid.axes).finished(grid.cells)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_said_in_a_line(name):
    with pytest.raises((OSError, ValueError), match=r"^store='[a/]") as caught:
        run(sweep(steps=[1]), name)
    assert len(str(caught.value)) < 200


def test_lines_of_nothing_and_names_without_end_cost_little(tmp_path):
    """A cell's picture is looked for under eight names, and empty rows are not parsed."""
    run(sweep(steps=[1, 2]), tmp_path)
    one, two = rows(tmp_path)
    others = [{**one, "file": f"{n}.png"} for n in range(7)]
    rewrite(tmp_path, [*others, one, two])
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b"{}\n" * 100_000)
    assert asked_again(tmp_path) == []
    rewrite(tmp_path, [*others, {**one, "file": "7.png"}, one, two])
    assert asked_again(tmp_path) == [1]
