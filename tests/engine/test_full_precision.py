"""What torch computes float32 in: exact while a run goes on, then as the process had it."""

import threading

import pytest
import torch
from torch import backends

import sdnb
from sdnb.engine.full_precision import current, full_precision, in_full_precision

CPU = torch.device("cpu")
PLACES = ()  # before torch 2.9 there are the old names alone
if hasattr(backends.cudnn, "conv"):
    PLACES = backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.matmul, backends.mkldnn.conv


def settings():
    """Of convolutions on a card, products on a card, products and convolutions on a CPU."""
    if PLACES:
        return [place.fp32_precision for place in PLACES]
    return [torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32]


def is_exact():
    return not {"tf32", "bf16", "high", "medium", True} & set(settings())


def old_names(precision):
    backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision(precision)


def new_names(precision):
    for place in PLACES[:3]:
        place.fp32_precision = precision


@pytest.fixture
def put_back():
    before = [place.fp32_precision for place in PLACES]
    yield
    if PLACES:
        backends.fp32_precision = backends.cudnn.fp32_precision = "none"
    old_names("highest")
    for place, precision in zip(PLACES, before, strict=True):
        place.fp32_precision = precision


@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize(
    ("names", "precision"),
    [(old_names, "highest"), (old_names, "high"), (old_names, "medium"), (new_names, "tf32")],
)
def test_inside_a_run_float32_is_exact_and_afterwards_as_before(names, precision):
    names(precision)
    before = settings()
    assert not is_exact()  # convolutions, at the least
    first = full_precision()
    first.__enter__()
    assert is_exact()
    entered, end = threading.Event(), threading.Event()

    def other_run():
        with full_precision():
            entered.set()
            end.wait(30)

    thread = threading.Thread(target=other_run)
    thread.start()
    assert entered.wait(30)
    first.__exit__(None, None, None)
    assert is_exact()  # the other one goes on
    end.set()
    thread.join(30)
    assert settings() == before


@pytest.mark.usefixtures("put_back")
def test_a_setting_for_all_is_overruled_inside_and_in_force_afterwards():
    old_names("medium")
    backends.cudnn.fp32_precision = "tf32"  # both kinds of names at once
    before = settings()
    with full_precision():
        assert is_exact()
    assert settings() == before
    for place in (*PLACES, backends.cudnn):
        place.fp32_precision = "none"
    backends.fp32_precision = "tf32"
    with full_precision():
        assert is_exact()
    assert set(settings()) == {"tf32"}
    backends.fp32_precision = "ieee"  # the run left nothing behind that would overrule it
    assert set(settings()) == {"ieee"}


@pytest.mark.usefixtures("put_back")
def test_between_two_steps_the_settings_are_the_process_s_own():
    old_names("high")
    before, seen = settings(), []

    def three_steps():
        for i in range(3):
            seen.append(is_exact())
            yield i
        seen.append(is_exact())
        return "end"

    def outer():
        seen.append((yield from in_full_precision(three_steps(), CPU)))

    for _ in outer():
        assert settings() == before
    assert seen == [True] * 4 + ["end"]
    assert settings() == before
    left = in_full_precision(three_steps(), CPU)
    next(left)
    assert settings() == before  # left half-way, and not yet collected
    torch.set_float32_matmul_precision("highest")  # what is set meanwhile stays
    left.close()
    assert torch.get_float32_matmul_precision() == "highest"

    def fails():
        yield 0
        raise KeyboardInterrupt

    before = settings()
    with pytest.raises(KeyboardInterrupt):
        list(in_full_precision(fails(), CPU))
    assert settings() == before


@pytest.mark.picture
def test_every_step_and_the_decoder_are_exact(model):
    seen, before = [], settings()
    networks = (model.unet, model.vae.decoder)
    hooks = [n.register_forward_pre_hook(lambda *_: seen.append(is_exact())) for n in networks]
    request = sdnb.Request("a cat", width=64, height=64, steps=2, seed=1)
    try:
        list(sdnb.run(model, request))
        steps = sdnb.run(model, request)
        next(steps), next(steps)
        assert settings() == before
        steps.close()  # half-way
    finally:
        for hook in hooks:
            hook.remove()
    assert len(seen) >= 3
    assert all(seen)
    assert settings() == before


def test_the_card_of_a_run_is_the_current_one_while_a_step_computes_and_no_longer(monkeypatch):
    """Triton starts a kernel on the current card, wherever its tensors lie."""
    now = ["cuda:0"]

    class Device:
        def __init__(self, device):
            self.device = str(device)

        def __enter__(self):
            now.append(self.device)

        def __exit__(self, *_):
            now.pop()

    monkeypatch.setattr(torch.cuda, "device", Device)

    def two_steps():
        yield now[-1]
        yield now[-1]

    for seen in in_full_precision(two_steps(), torch.device("cuda:1")):
        assert (seen, now) == ("cuda:1", ["cuda:0"])
    with current(CPU):
        assert now == ["cuda:0"]
