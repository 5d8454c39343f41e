"""Hostile files: each is read or refused within 10 s, 1 GB and a few lines, whatever it says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib

import pytest
from helpers.pictures import chunk, raw_png
from PIL import Image

pytestmark = pytest.mark.process

# Reads a file from its first argument under the limits, and prints what comes of it.
CHILD = """
import resource, sys
from sdnb import images
from PIL import Image
Image.init()
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, taken + 2**30))
spent = resource.getrusage(resource.RUSAGE_SELF)
limit = int(spent.ru_utime + spent.ru_stime) + 11
resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
for door in (images.inspect, images.picture, images.mask):
    try:
        print("read", len(repr(door(sys.argv[1]))))
    except ValueError as error:
        print("refused", len(str(error)), str(error)[:300].encode("unicode_escape").decode())
"""
VALUES = "a\nSteps: 20, Sampler: Euler, "


def png(*chunks, size=1, rows=b"\0\0\0"):
    return raw_png(size, size, 8, 2, [rows] * size, b"".join(chunks))


def parameters(text):
    return png(chunk(b"iTXt", b"parameters\0\0\0\0\0" + text.encode()))


def animation(frames):
    one = chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4) + zlib.compress(bytes(25)))
    data = raw_png(
        8, 8, 8, 2, [bytes(24)] * 8, chunk(b"acTL", frames.to_bytes(4, "big") + bytes(4))
    )
    end = data.index(b"IEND") - 4
    return data[:end] + one * frames + data[end:]


def bomb(name, before, times):
    return png(chunk(name, before + zlib.compress(bytes(200_000_000))) * times)


def jpeg(before=b"", scans=0):
    """A progressive JPEG with bytes before its tables, and its last scan so many times more."""
    file = io.BytesIO()
    Image.new("RGB", (2048, 2048)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:2] + before + data[2:-2] + last * scans + b"\xff\xd9"


def about(**values):
    text = {"model": {"name": "a", "fingerprint": ""}, "notes": [], "request": {}, "seconds": 1}
    return png(chunk(b"tEXt", b"sdnb\0" + json.dumps(text | {"version": "1"} | values).encode()))


def sparse(head, size):
    def write(path):
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)

    return write


FILES = {
    "JPEG of 100,000 scans": lambda: jpeg(scans=100_000),
    "JPEG that ends in one of many scans": lambda: jpeg(scans=100_000)[:-40],
    "JPEG of 130 MB of EXIF": lambda: jpeg((b"\xff\xe1\xff\xffExif\0\0" + bytes(65527)) * 2000),
    "JPEG of 20 MB between two markers": lambda: jpeg(b"\xff" * 20_000_000),
    "JPEG of small segments": lambda: jpeg(b"\xff\xd9" + b"\xff\xfe\0\2" * 4_000_000),
    "lists": lambda: png(chunk(b"tEXt", b'sdnb\0{"model":[' + b"[]," * 20_000_000 + b"[]]}")),
    "lists of a graph": lambda: png(
        chunk(b"tEXt", b'prompt\0{"":[' + b"[]," * 20_000_000 + b"0]}")
    ),
    "seconds of 400 digits": lambda: about(seconds=10**400),
    "seconds of 100,000 letters": lambda: about(seconds="x" * 100_000),
    "private chunk of 2 GB": lambda: sparse(png()[:33] + b"\x7f\xff\xff\xffabCd", 3 << 30),
    "GIF of 6 GB": lambda: sparse(b"GIF89a\x40\0\x40\0\0\0\0,\0\0\0\0\x40\0\x40\0\0\2", 6 << 30),
    "mask of the largest size": lambda: raw_png(8192, 8192, 8, 6, [bytes(4 * 8192)] * 8192),
    "commas": lambda: parameters(VALUES + "," * 10_000_000 + "a: b"),
    "braces": lambda: parameters(VALUES + "a: {" * 2_500_000),
    "quotes": lambda: parameters(VALUES + 'a: "' * 2_500_000),
    "lines": lambda: parameters(VALUES + "\n" * 10_000_000),
    "steps": lambda: parameters(VALUES + "Steps: 1," * 1_000_000),
    "digits": lambda: parameters(VALUES + "Seed: " + "9" * 1_000_000),
    "deep": lambda: parameters('{"seed": 1, "steps": ' + "[" * 1_000_000),
    "frames": lambda: animation(20_000),
    "chunks": lambda: png(chunk(b"abCd", b"") * 500_000),
    "packed texts": lambda: bomb(b"zTXt", b"parameters\0\0", 20),
    "packed texts in UTF-8": lambda: bomb(b"iTXt", b"a\0\1\0\0\0", 20),
    "another header": lambda: png(chunk(b"IHDR", b"\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0")),
    "a chunk that claims 4 GB": lambda: png()[:33] + b"\xff\xff\xff\xfftEXtparameters\0",
    "too many pixels": lambda: raw_png(2**31 - 1, 2**31 - 1, 16, 6, [b""]),
    "pixels of a bomb": lambda: raw_png(1, 1, 8, 2, [bytes(200_000_000)]),
    "a name that moves the cursor": lambda: png(chunk(b"tEXt", b"\x1b[2J\x07\0" + b"x" * 100)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_read_or_refused_within_bounds(name, tmp_path):
    path = tmp_path / "hostile.png"
    made = FILES[name]()
    if callable(made):
        made(path)
    else:
        path.write_bytes(made)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert not done.stderr
    for line in done.stdout.splitlines():
        kind, length, *_ = line.split()
        assert kind == "read" or int(length) < 500, line
    assert len(done.stdout.splitlines()) == 3
    assert "\x1b" not in done.stdout
