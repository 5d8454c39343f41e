"""Request: validation, identity, JSON, and what `resolved` decides."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import struct
import subprocess
import sys
import zlib
from dataclasses import FrozenInstanceError, fields
from importlib import import_module

import numpy as np
import pytest
from helpers.any_request import PICTURES, png, requests
from hypothesis import given
from hypothesis import strategies as st

from sdnb.request import (
    CONTENTS,
    DEFAULT_SCHEDULE,
    ETA_SAMPLERS,
    RANGES,
    SAMPLERS,
    SCHEDULES,
    Request,
    Resolved,
    Settings,
    foreign_names,
)
from sdnb.request.choices import PASSES

SETTINGS = Settings()


def header(width: int, height: int) -> bytes:
    """A PNG without pixels, for code that reads only the header."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


@given(requests())
@pytest.mark.slow
def test_json_gives_the_request_back(request_):
    text = request_.to_json()
    assert Request.from_json(text, request_.pictures) == request_
    json.loads(text, parse_constant=pytest.fail)  # plain JSON, readable by anything


def test_the_json_of_a_later_version_is_refused_in_words():
    later = json.dumps({"version": 4, "prompt": "a fox", "controls": []})
    with pytest.raises(ValueError, match="version 4, and this sdnb reads 1 to 3: pip install"):
        Request.from_json(later)
    with pytest.raises(ValueError, match="version 'x'"):
        Request.from_json('{"version": "x"}')


def test_a_resolved_request_equals_the_request_of_the_same_fields():
    done = Request("a fox", seed=1).resolved(SETTINGS)
    again = Request.from_json(done.to_json())
    assert isinstance(done, Resolved)
    assert type(again) is Request
    assert again == done
    assert hash(again) == hash(done)
    assert type(done.but(width=None)) is Request  # which may leave something open again
    assert repr(again) == repr(done)
    assert pickle.loads(pickle.dumps(done)) == done


@given(requests())
@pytest.mark.slow
def test_pickle_hash_and_equality(request_):
    copy = pickle.loads(pickle.dumps(request_))
    assert copy == request_
    assert hash(copy) == hash(request_)
    assert len({copy, request_}) == 1
    assert request_.but() == request_
    assert request_.but(prompt=request_.prompt + "x") != request_


@given(requests())
@pytest.mark.slow
def test_resolved_leaves_nothing_open_and_is_idempotent(request_):
    sized = request_.but(width=request_.width or 64, height=request_.height or 64)
    if sized.eta and (sized.sampler or SETTINGS.sampler) not in ETA_SAMPLERS:
        with pytest.raises(ValueError, match=r"eta=.*draws none"):
            sized.resolved(SETTINGS)
        request_ = sized = sized.but(eta=None)
    schedule = sized.schedule or DEFAULT_SCHEDULE[sized.sampler or SETTINGS.sampler]
    left = 50 if sized.image is None else int(sized.strength * 50)
    if schedule == "lcm" and (sized.steps or SETTINGS.steps) > left:
        if sized.image is None or sized.strength:
            with pytest.raises(ValueError, match="the schedule 'lcm' has 50 levels"):
                sized.resolved(SETTINGS)
        request_ = sized = sized.but(steps=1, strength=1)
    done = sized.resolved(SETTINGS)
    open_fields = [
        item.name
        for item in fields(done)
        if getattr(done, item.name) is None
        and item.name not in ("image", "mask", "padding", "clip_skip")
    ]
    assert open_fields == []
    others = Settings(64, 128, 1, 1.0, "lcm", "lcm")
    assert done.resolved(others) == done
    for item in fields(done):  # what was asked stays what was asked
        asked = getattr(request_, item.name)
        if item.name in ("width", "height") and done.image and done.fit == "fit":
            continue  # the picture fits inside what was asked: `test_sizes.py`
        if asked is not None:
            assert getattr(done, item.name) == asked


@given(st.text())
def test_json_that_is_none_is_a_value_error(text):
    with contextlib.suppress(ValueError, TypeError):
        assert isinstance(Request.from_json(text), Request)


def test_a_request_is_frozen_and_pictures_are_kept_as_bytes():
    request_ = Request("a", image=bytearray(PICTURES[0]), mask=memoryview(PICTURES[1]))
    assert type(request_.image) is bytes
    assert type(request_.mask) is bytes
    with pytest.raises(FrozenInstanceError):
        request_.prompt = "b"


def test_repr_shows_what_differs_and_never_the_bytes_of_a_picture():
    assert repr(Request()) == "Request()"
    assert repr(Request("cat", seed=7)) == "Request(prompt='cat', seed=7)"
    assert repr(Request(image=png(30, 20))) == "Request(image=<PNG 30x20>)"


def test_numbers_of_numpy_become_pythons():
    request_ = Request(
        width=np.int64(512), steps=np.uint8(20), cfg=np.float32(7.5), seed=np.int32(3),
        invert=np.bool_(True), strength=1, prompt=np.str_("cat"),
    )  # fmt: skip
    types = {name: type(getattr(request_, name)) for name in ("width", "steps", "cfg", "seed")}
    assert types == {"width": int, "steps": int, "cfg": float, "seed": int}
    assert (type(request_.strength), type(request_.invert)) == (float, bool)
    assert type(request_.prompt) is str
    assert Request.from_json(request_.to_json()) == request_


def test_minus_zero_is_zero():
    assert str(Request(cfg=-0.0).cfg) == "0.0"


@pytest.mark.parametrize(
    ("field", "value", "kind", "words"),
    [
        ("width", 500, ValueError, ["500", "multiple of 8", "64", "8192", "504"]),
        ("width", 0, ValueError, ["nearest is 64"]),
        ("height", 9000, ValueError, ["9000", "nearest is 8192"]),
        ("height", 10**4000, ValueError, ["height", "nearest is 8192"]),
        ("width", 512.0, TypeError, ["512.0", "float", "write 512"]),
        ("width", "512", TypeError, ["'512'", "str"]),
        ("steps", 0, ValueError, ["steps=0", "1 to 1000"]),
        ("steps", 1001, ValueError, ["nearest is 1000"]),
        ("steps", True, TypeError, ["True", "bool"]),
        ("steps", np.bool_(True), TypeError, ["bool"]),
        ("cfg", -1, ValueError, ["cfg=-1", "0 or more", "nearest is 0"]),
        ("cfg", float("nan"), ValueError, ["nan", "finite"]),
        ("cfg", float("inf"), ValueError, ["inf", "finite"]),
        ("cfg", 10**400, ValueError, ["cfg", "finite"]),
        ("cfg", "7", TypeError, ["'7'", "str"]),
        ("cfg", None, None, []),
        ("eta", 1.5, ValueError, ["1.5", "nearest is 1"]),
        ("eta", True, TypeError, ["bool"]),
        ("seed", -1, ValueError, ["seed=-1", "None draws one"]),
        ("seed", 2**63, ValueError, ["seed", str(2**63 - 2)]),
        ("seed", 2**63 - 1, ValueError, ["seed", str(2**63 - 2)]),
        ("seed", 1.5, TypeError, ["1.5"]),
        ("count", 0, ValueError, ["count=0", "1 to 64"]),
        ("count", 65, ValueError, ["nearest is 64"]),
        ("count", None, TypeError, ["None", "1 to 64"]),
        ("strength", 1.01, ValueError, ["1.01", "nearest is 1"]),
        ("strength", None, TypeError, ["None"]),
        ("feather", 513, ValueError, ["nearest is 512"]),
        ("content", "latent noise", ValueError, ["did you mean 'noise'", *CONTENTS]),
        ("padding", 1.5, TypeError, ["1.5", "0 to 4096"]),
        ("padding", -1, ValueError, ["nearest is 0"]),
        ("clip_skip", -2, ValueError, ["clip_skip=-2", "1 to 48; ComfyUI's -2 is 2 here"]),
        ("clip_skip", 0, ValueError, ["nearest is 1"]),
        ("invert", 1, TypeError, ["True or False"]),
        ("prompt", None, TypeError, ["prompt", "text"]),
        ("prompt", b"cat", TypeError, ["bytes"]),
        ("negative", "a\ud800", ValueError, ["negative", "U+D800", "character 1"]),
        ("sampler", "euler a", ValueError, ["'euler a'", "'euler_a'", *SAMPLERS]),
        ("sampler", "DPM++ 2M", ValueError, ["did you mean 'dpmpp_2m'"]),
        ("sampler", 3, TypeError, ["sampler=3", "ddim"]),
        ("schedule", "karas", ValueError, ["did you mean 'karras'", *SCHEDULES]),
        ("image", "photo.jpg", TypeError, ["photo.jpg", "sdnb.images.picture"]),
        ("image", b"GIF89a", ValueError, ["image", "GIF89a", "sdnb.images.picture"]),
        ("image", b"", ValueError, ["image", "0 bytes"]),
        ("mask", np.zeros((4, 4)), TypeError, ["mask", "ndarray", "sdnb.images.mask"]),
        ("mask", PICTURES[0], ValueError, ["mask", "image="]),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_accepted(field, value, kind, words):
    if kind is None:
        assert getattr(Request(**{field: value}), field) is value
        return
    for make in (lambda: Request(**{field: value}), lambda: Request().but(**{field: value})):
        with pytest.raises(kind) as caught:
            make()
        message = str(caught.value)
        assert field in message
        assert all(word in message for word in words), message
        assert len(message) < 400


def test_the_bounds_are_accepted():
    for name, (low, high) in RANGES.items():
        for bound in (low, high):
            if bound != float("inf"):
                kind = type(getattr(Request(**{name: bound}), name))
                whole = ("width", "height", "steps", "seed", "count", "padding", "clip_skip")
                assert kind is (int if name in (*whole, "cfg_every", "deep_every") else float)


def test_a_seed_leaves_room_for_all_images():
    assert Request(seed=2**63 - 1 - 64, count=64).seed == 2**63 - 65
    with pytest.raises(ValueError, match="largest seed here is 9223372036854775743"):
        Request(seed=2**63 - 64, count=64)


def test_an_unknown_field_lists_the_known_with_the_nearest():
    with pytest.raises(TypeError) as caught:
        Request().but(samplr="ddim")
    message = str(caught.value)
    assert "'samplr'" in message
    assert "did you mean 'sampler'" in message
    assert all(item.name in message for item in fields(Request))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("guidance_scale", "cfg"), ("scale", "cfg"), ("cfg_scale", "cfg"),
        ("num_inference_steps", "steps"), ("ddim_steps", "steps"), ("negative_prompt", "negative"),
        ("n_samples", "count"), ("num_images", "count"), ("num_images_per_prompt", "count"),
        ("denoising_strength", "strength"), ("H", "height"), ("W", "width"), ("init_img", "image"),
        ("mask_image", "mask"), ("ddim_eta", "eta"), ("sampler_name", "sampler"),
    ],
)  # fmt: skip
def test_what_other_programs_call_a_field_is_understood_for_the_hint(theirs, ours):
    with pytest.raises(TypeError, match=f"'{theirs}'; did you mean '{ours}'"):
        Request().but(**{theirs: 1})
    with pytest.raises(ValueError, match=f"did you mean '{ours}'"):
        Request.from_json(f'{{"{theirs}": 1}}')


def test_every_hint_is_a_field():
    hints = set(foreign_names.FIELD_OF.values())
    assert hints <= {item.name for item in fields(Request)}


def test_where_nothing_is_near_nothing_is_suggested():
    with pytest.raises(TypeError, match="no field 'callback'; known are prompt"):
        Request().but(callback=print)


def test_resolving_draws_one_seed_and_keeps_a_given_one():
    seeds = {Request().resolved(SETTINGS).seed for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert Request(seed=0).resolved(SETTINGS).seed == 0


def test_zero_is_a_value_and_not_an_open_field():
    done = Request(cfg=0, eta=0, seed=0, sampler="euler_a").resolved(SETTINGS)
    assert (done.cfg, done.eta, done.seed) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("asked", "sampler", "schedule"),
    [
        ({}, "heun", "exponential"),
        ({"sampler": "heun"}, "heun", "exponential"),
        ({"sampler": "ddim"}, "ddim", "uniform"),
        ({"sampler": "plms"}, "plms", "uniform"),
        ({"sampler": "lcm"}, "lcm", "lcm"),
        ({"sampler": "dpmpp_2m"}, "dpmpp_2m", "karras"),
        ({"sampler": "lcm", "schedule": "karras"}, "lcm", "karras"),
        ({"schedule": "trailing"}, "heun", "trailing"),
    ],
)
def test_the_schedule_follows_the_sampler(asked, sampler, schedule):
    settings = Settings(sampler="heun", schedule="exponential")
    done = Request(**asked).resolved(settings)
    assert (done.sampler, done.schedule) == (sampler, schedule)


@pytest.mark.parametrize(
    ("steps", "strength", "said"),
    [
        (51, None, r"steps is 51; the schedule 'lcm' has 50 levels: take 50 steps or fewer, or"),
        (21, 0.4, r"strength 0\.4 leaves 20 of them: take 20 steps or fewer, a larger strength"),
        (1, 0.01, r"strength 0\.01 leaves 0 of them: a larger strength, or another schedule"),
        (50, None, ""), (29, 0.58, ""), (1, 0.02, ""), (8, 0.0, ""),
    ],
)  # fmt: skip
def test_the_schedule_of_few_steps_has_fifty_levels(steps, strength, said):
    picture = {} if strength is None else {"image": png(64, 64), "strength": strength}
    asked = Request(seed=1, sampler="lcm", steps=steps, **picture)
    with pytest.raises(ValueError, match=said) if said else contextlib.nullcontext():
        assert asked.resolved(SETTINGS).steps == steps


def test_every_sampler_has_its_schedule_and_its_eta():
    assert set(DEFAULT_SCHEDULE) == set(SAMPLERS)
    assert set(DEFAULT_SCHEDULE.values()) <= set(SCHEDULES)
    etas = {name: Request(sampler=name).resolved(SETTINGS).eta for name in SAMPLERS}
    assert etas["ddim"] == etas["heun"] == 0.0
    assert etas["euler_a"] == etas["dpm2_a"] == etas["dpmpp_2m_sde"] == 1.0
    assert etas["tcd"] == 0.3
    running = import_module("sdnb.engine.diffusion.samplers").SAMPLERS
    assert {name: s.eta for name, s in running.items() if s.stochastic} == ETA_SAMPLERS
    assert {n: s.evaluations for n, s in running.items() if s.evaluations > 1} == PASSES


@pytest.mark.parametrize("old", [None, *SAMPLERS])
def test_another_sampler_on_a_finished_request_is_as_if_asked_for_at_first(old):
    finished = Request("a fox", seed=1, sampler=old).resolved(SETTINGS)
    for new in SAMPLERS:
        first = Request("a fox", seed=1, sampler=new).resolved(SETTINGS)
        assert finished.but(sampler=new).resolved(SETTINGS) == first
        assert finished.but(sampler=new).but(sampler=old).resolved(SETTINGS) == finished
    assert finished.but(sampler=finished.sampler) == finished
    assert finished.but(sampler=None).resolved(SETTINGS) == Request("a fox", seed=1).resolved(
        SETTINGS
    )


def test_what_was_chosen_stays_when_the_sampler_changes():
    finished = Request(seed=1).resolved(SETTINGS)  # ddim, uniform, 0
    given = finished.but(sampler="euler_a", eta=0.0, schedule="uniform")
    assert (given.eta, given.schedule) == (0.0, "uniform")
    chosen = finished.but(eta=0.5, schedule="trailing").but(sampler="euler_a")
    assert (chosen.eta, chosen.schedule) == (0.5, "trailing")
    asked = Request(eta=0.0, schedule="uniform").but(sampler="lcm")  # of no sampler: chosen
    assert (asked.eta, asked.schedule) == (0.0, "uniform")
    with pytest.raises(ValueError, match=r"eta=0.5.*heun draws none.*leave eta open"):
        chosen.but(sampler="heun").resolved(SETTINGS)


@pytest.mark.parametrize(
    ("size", "asked", "expected"),
    [
        ((512, 512), {}, (512, 512)),
        ((513, 511), {}, (520, 512)),
        ((64, 8192), {}, (64, 8192)),
        ((57, 8185), {}, (64, 8192)),
        ((1000, 500), {"width": 512}, (512, 256)),
        ((1000, 500), {"height": 512}, (1024, 512)),
        ((300, 400), {"width": 64, "height": 64}, (64, 64)),
    ],
)
def test_the_size_of_a_picture_request_is_the_pictures(size, asked, expected):
    done = Request(image=header(*size), **asked).resolved(SETTINGS)
    assert (done.width, done.height) == expected


@pytest.mark.parametrize(
    ("size", "asked", "words"),
    [
        ((32, 40), {}, ["32x40", "64 and 80"]),
        ((10000, 5000), {}, ["10000x5000", "8192 and 4096"]),
        ((10000, 10), {"width": 512}, ["10000x10", "512x8"]),
    ],
)
def test_a_picture_of_a_size_out_of_range_says_what_to_ask_for(size, asked, words):
    with pytest.raises(ValueError, match="width= and height=") as caught:
        Request(image=header(*size), **asked).resolved(SETTINGS)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["not the JSON of a Request"]),
        ("[1]", ["[1]", "not an object"]),
        ("[" * 100_000, ["not the JSON of a Request"]),
        ('{"samplre": "ddim"}', ["'samplre'", "did you mean 'sampler'"]),
        ('{"image": 3}', ["image=3", "sha256"]),
        ('{"steps": ' + "1" * 5000 + "}", ["not the JSON of a Request"]),
    ],
)
def test_wrong_json_is_named(text, words):
    with pytest.raises(ValueError, match="JSON") as caught:
        Request.from_json(text)
    assert all(word in str(caught.value) for word in words)


def test_a_missing_or_changed_picture_is_named():
    request_ = Request(image=PICTURES[0])
    digest = hashlib.sha256(PICTURES[0]).hexdigest()
    with pytest.raises(ValueError, match=digest):
        Request.from_json(request_.to_json())
    with pytest.raises(ValueError, match="changed"):
        Request.from_json(request_.to_json(), {digest: PICTURES[1]})
    assert request_.pictures == {digest: PICTURES[0]}


@pytest.mark.parametrize("field", ["width", "height", "steps", "cfg", "sampler", "schedule"])
def test_settings_are_validated(field):
    with pytest.raises(ValueError, match=r"eta=0\.5 asks for fresh noise in each step, but euler"):
        Settings(sampler="euler", eta=0.5)
    with pytest.raises((TypeError, ValueError), match=field):
        Settings(**{field: -1})
    with pytest.raises(TypeError, match=field):
        Settings(**{field: None})


@pytest.mark.parametrize("module", ["sdnb.request", "sdnb.request.prompt", "sdnb.images"])
def test_the_room_imports_no_torch_and_no_numpy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
