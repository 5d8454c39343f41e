"""Whatever a file holds, loading it ends within seconds and a GB, in an error of ours in few lines.

`PYTHONPATH=tests python -m tests.engine.test_hostile_checkpoints` prints the table of what each
input took; with a number behind it, it tries random damage for so many seconds.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata
import zipfile
from pathlib import Path
from random import Random

import pytest
import torch
from helpers import hostile_addons
from helpers import hostile_checkpoints as hostile
from helpers.damaged_checkpoints import KINDS, Damage

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.checkpoint.tensors import lazy
from sdnb.headers.errors import MissingCheckpointError, in_words, listed
from sdnb.headers.safefiles import read_safetensors
from sdnb.headers.torchfiles import read_torch
from sdnb.request.plain_words import MOST_LETTERS, plain

SECONDS = 10  # of the processor
MEMORY = 1 << 30  # bytes beyond what the process had before
FILES = {n: (read, *row) for n, row in hostile.FILES.items()} | hostile_addons.FILES


def outcome(path: Path, opened: hostile_addons.Open = read) -> str | None:
    """The error of a load, or None. Any other error than ours passes on."""
    try:
        opened(path)
    except CheckpointError as raised:
        error = str(raised)
    else:
        return None
    assert len(error) <= MOST_LETTERS
    assert not {unicodedata.category(char) for char in error} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return error


# -- the table ---------------------------------------------------------------------------------
def limited(path: Path, opened: hostile_addons.Open) -> dict:
    """Load in a process of its own, under the limits: what it took, and its error."""
    there, here = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(here, json.dumps(measured(path, opened)).encode())
        finally:
            os._exit(0)
    os.close(here)
    with os.fdopen(there, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(told) if told else {"error": f"killed, status {status}", "ours": False}


def measured(path: Path, opened: hostile_addons.Open) -> dict:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    ours = True
    try:
        error = outcome(path, opened)
    except BaseException as raised:  # noqa: BLE001  (what is raised is what is tested)
        error, ours = f"{type(raised).__name__}: {raised}"[:300], False
    return {
        "error": error,
        "ours": ours,
        "seconds": round(time.process_time() - start, 2),
        "mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10,
    }


def table() -> None:
    """Print one row of JSON for each input."""
    with tempfile.TemporaryDirectory() as folder:
        for n, (name, (opened, write, _)) in enumerate(FILES.items()):
            (own := Path(folder, str(n))).mkdir()
            path = write(own / f"{n}.ckpt")
            facts = {"input": name, "bytes": size_of(path), **limited(path, opened)}
            print(json.dumps(facts | {"ran": (own / "ran").exists()}), flush=True)
            shutil.rmtree(own)


def size_of(path: Path) -> int:
    try:
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    except (OSError, ValueError):  # no path that there can be
        return 0
    return sum(file.stat().st_blocks * 512 for file in files)


@pytest.fixture(scope="module")
def rows() -> dict[str, dict]:
    """What each input of the table took. The processes are forked from one that runs no threads."""
    command = [sys.executable, "-m", "tests.engine.test_hostile_checkpoints"]
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "tests")])
    done = subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {row["input"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.process
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_in_words_within_the_limits(rows, name):
    row, expected = rows[name], FILES[name][-1]
    assert row["ours"], row
    assert not row["ran"]
    if expected is None:
        assert row["error"] is None
    else:
        assert re.search(expected, row["error"]), row["error"]
        assert "more memory than there is" not in row["error"]


# -- random damage -----------------------------------------------------------------------------
def load_damaged(damage: Damage, kind: str, seed: int) -> None:
    """Load one damaged model. Raises AssertionError, with the seed, for an error that is not ours
    and for a load beyond its time.
    """
    start = time.process_time()
    try:
        outcome(getattr(damage, kind)(Random(seed)))
    except Exception as error:
        raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
    assert time.process_time() - start < SECONDS, f"{kind}, seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_gives_our_error_or_a_model(tmp_path, kind):
    damage = Damage(tmp_path)
    for seed in range(100):
        load_damaged(damage, kind, seed)


# -- the kinds, one by one ---------------------------------------------------------------------
class TestMessages:
    def test_control_characters_are_shown_and_not_sent(self):
        error = CheckpointError(f"a{hostile.ESCAPE}b\u202ec\ud800d")
        assert str(error) == r"a\x1b]0;owned\x07\x1b[2J\x00b\u202ec\ud800d"

    def test_letters_of_all_scripts_stay(self):
        assert (
            str(CheckpointError("ein Käse, лиса, 狐\u3000\U0001f98a"))
            == "ein Käse, лиса, 狐\u3000\U0001f98a"
        )

    def test_a_long_one_keeps_its_beginning_and_the_way_out(self):
        text = plain("begin " + "x" * 1_000_000 + " end")
        assert len(text) == MOST_LETTERS
        assert text.startswith("begin ")
        assert text.endswith(" end")
        assert len(plain("\0" * 10**6)) == MOST_LETTERS

    def test_long_names_in_a_list_are_cut_one_by_one(self):
        assert listed(["a" * 1000, "b"]).endswith(", b")
        assert len(listed(["a" * 1000] * 100)) < 1600

    def test_a_missing_file_is_found_by_both_its_classes(self):
        error = MissingCheckpointError("no \x1b file")
        assert str(error) == r"no \x1b file"
        assert isinstance(error, FileNotFoundError)
        assert isinstance(error, CheckpointError)


class TestInWords:
    @pytest.mark.parametrize(
        ("fails", "told"),
        [
            (lambda: float(10**400), "a number in it is too large"),
            (lambda: str(10**5000), "digits"),
            (lambda: {}["a"], "a value in it is not what is expected"),
            (lambda: 1 / 0, "a value in it is not what is expected"),
            (lambda: bytearray(1 << 62), "more memory than there is"),
            (lambda: torch.empty(1 << 60, dtype=torch.uint8), "more memory than there is"),
            (lambda: Path("x" * 5000).stat(), "File name too long"),
        ],
    )
    def test_errors_of_python(self, fails, told):
        expected = f"^the thing cannot be read: .*{told}"
        with pytest.raises(CheckpointError, match=expected), in_words("the thing"):
            fails()

    def test_depth(self):
        def deep() -> None:
            deep()

        with pytest.raises(CheckpointError, match="nested too deeply"), in_words("it"):
            deep()

    def test_ours_and_the_interrupt_pass(self):
        with pytest.raises(CheckpointError, match=r"^as it was$"), in_words("it"):
            raise CheckpointError("as it was")
        with pytest.raises(KeyboardInterrupt), in_words("it"):
            raise KeyboardInterrupt


class TestWhatIsHonestStillLoads:
    """The bounds leave room for what people have."""

    def test_views_of_their_own_elements(self, tmp_path):
        whole = torch.arange(12.0).view(3, 4)
        torch.save({"t": whole.t(), "s": whole[1:], "e": whole[:1].expand(2, 4)}, tmp_path / "a.pt")
        read_back = {n: lazy(stored) for n, stored in read_torch(tmp_path / "a.pt").items()}
        assert torch.equal(read_back["t"].read(), whole.t())
        assert torch.equal(read_back["s"].read(), whole[1:])
        assert torch.equal(read_back["e"].read(), whole[:1].expand(2, 4))

    def test_two_elements_strewn_over_four_gigabytes(self, tmp_path):
        """At an odd place, as torch's old stream has them: not the bytes between are copied."""
        view = hostile.tensor(
            b"K\2\x85", b"J" + struct.pack("<i", 10**9) + b"\x85", count=10**9 + 1
        )
        state = b"}" + hostile.text("a") + view + b"s"
        path = hostile.legacy(tmp_path / "a.ckpt", state, b"]" + hostile.text("0") + b"a")
        start = path.stat().st_size
        with path.open("r+b") as file:
            for at, data in ((0, struct.pack("<Qf", 10**9 + 1, 1.5)), (8 + 4 * 10**9, b"\0\0\0@")):
                file.seek(start + at)
                file.write(data)
        tensor = lazy(read_torch(path)["a"])
        assert tensor.offset % 4
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert tensor.read().tolist() == [1.5, 2.0]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KB

    def test_an_optimisers_states_by_number(self, tmp_path):
        states = {n: {"step": n, "exp_avg": torch.full((2,), float(n))} for n in range(2000)}
        torch.save({"state_dict": {"a": torch.ones(1)}, "optimizer": states}, tmp_path / "a.ckpt")
        root = read_torch(tmp_path / "a.ckpt")
        assert lazy(root["optimizer"][1999]["exp_avg"]).read().tolist() == [1999, 1999]

    def test_a_packed_pickle_and_a_comment_behind_the_zip(self, tmp_path):
        path = hostile.saved(tmp_path / "a.ckpt", hostile.model())
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"a note" * 1000
        assert read(path).config.unet == hostile.SMALL.unet

    def test_zeros_of_no_size_share_a_place(self, tmp_path):
        header = {n: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in "ab"}
        tensors, _ = read_safetensors(hostile.headed(tmp_path / "a.safetensors", header))
        assert {n: t.shape for n, t in tensors.items()} == {"a": (0,), "b": (0,)}


def fuzz(seconds: float) -> None:
    """Try random damage for so long, from seeds that nobody tried; ends at the first fault."""
    with tempfile.TemporaryDirectory() as folder:
        damage, end, seed = Damage(Path(folder)), time.monotonic() + seconds, time.time_ns()
        tried = 0
        while time.monotonic() < end:
            load_damaged(damage, KINDS[tried % len(KINDS)], seed + tried)
            tried += 1
        print(f"{tried:,} damaged models, all refused in words or loaded")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fuzz(float(sys.argv[1]))
    else:
        table()
