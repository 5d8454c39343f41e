"""Each family's weights against LyCORIS and PEFT, with random numbers, to 1e-6 of the largest."""

from __future__ import annotations

import pytest
import torch
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from safetensors.torch import save_file
from torch import Tensor, nn

from sdnb.engine.adapters import families, merge, module_names
from sdnb.engine.checkpoint import CheckpointError, LazyTensor
from sdnb.engine.checkpoint.tensors import read_tensors

LAYERS = {
    "linear": lambda: nn.Linear(24, 40),
    "square": lambda: nn.Linear(24, 24),
    "3x3": lambda: nn.Conv2d(24, 40, 3, padding=1),
    "1x1": lambda: nn.Conv2d(24, 24, 1),
}
OUT, IN = (
    {"weight_decompose": True, "wd_on_out": True},
    {"weight_decompose": True, "wd_on_out": False},
)
KINDS = {
    "LoRA": (LoConModule, {}),
    "LoCon with mid": (LoConModule, {"use_tucker": True}),
    "DoRA of outputs": (LoConModule, OUT),
    "DoRA of inputs": (LoConModule, IN),
    "LoHa": (LohaModule, {}),
    "LoHa with mid": (LohaModule, {"use_tucker": True}),
    "LoHa, DoRA of inputs": (LohaModule, IN),
    "LoKr": (LokrModule, {"factor": 2}),
    "LoKr, both factored": (LokrModule, {"factor": 4, "decompose_both": True, "lora_dim": 2}),
    "LoKr with mid": (LokrModule, {"factor": 2, "use_tucker": True}),
    "LoKr, whole": (LokrModule, {"factor": 2, "full_matrix": True}),
    "LoKr, DoRA of outputs": (LokrModule, {"factor": 2, **OUT}),
}  # fmt: skip


def lazily(tensors: dict[str, Tensor], path) -> dict[str, LazyTensor]:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return read_tensors(path, [])[0]


def summed(weight: Tensor, *additions: merge.Addition, path) -> Tensor:
    """The weight with deltas, each at its strength, as a model gets it."""
    (original,) = lazily({"w": weight}, path).values()
    target = torch.empty_like(weight)
    merge.write_sum(original, additions, target, torch.float32)
    return target


def effective(module: nn.Module, weight: Tensor, bias: Tensor) -> Tensor:
    """The weight by which a LyCORIS module computes: what it makes of unit inputs."""
    if weight.ndim == 2:
        return (module(torch.eye(weight.shape[1])) - bias).T
    size = weight.shape[-1]
    points = torch.zeros(weight.shape[1], weight.shape[1], size, size)
    points[:, :, size // 2, size // 2] = torch.eye(weight.shape[1])
    return (module(points) - bias[:, None, None]).transpose(0, 1).flip(2, 3)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_family_is_what_lycoris_makes_of_it(kind, layer, tmp_path):
    torch.manual_seed(0)
    make, options = KINDS[kind]
    inner = LAYERS[layer]()
    module = make("x", inner, **{"multiplier": 1.0, "lora_dim": 4, "alpha": 2.0, **options}).eval()
    for name, parameter in module.named_parameters():
        if "org" not in name and "dora" not in name:
            parameter.normal_(0, 0.3)
    stored = {name: t for name, t in module.state_dict().items() if "org" not in name}
    parts = module_names.by_module(
        {f"x.{name}": t for name, t in lazily(stored, tmp_path / "a.safetensors").items()}
    )[0]["x"]
    assert len(parts) == len(stored)
    delta = families.deltas(parts, tuple(inner.weight.shape), None)["weight"]
    found = summed(inner.weight, (delta, 1.0), path=tmp_path / "w")
    truth = effective(module, inner.weight, inner.bias)
    assert (found - truth).abs().max() <= 1e-6 * truth.abs().max()
    assert (truth - inner.weight).abs().max() > 0.01
    half = summed(inner.weight, (delta, 0.5), path=tmp_path / "w")
    expected = inner.weight + 0.5 * (truth - inner.weight)  # A1111's and InvokeAI's, also for DoRA
    assert (half - expected).abs().max() <= 1e-6 * truth.abs().max()


@pytest.mark.parametrize("dora", [False, True])
@torch.no_grad()
def test_a_peft_file_is_what_peft_merges(dora, tmp_path, monkeypatch):
    """Some rows at a time, too; and in parts, since each starts from the weight as it was."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    torch.manual_seed(0)
    inner = nn.ModuleDict({name: make() for name, make in LAYERS.items()})
    before = {name: layer.weight.clone() for name, layer in inner.items()}
    # PEFT writes no alpha into a file: where it is the rank, none is needed.
    model = get_peft_model(
        inner, LoraConfig(r=4, lora_alpha=4, use_dora=dora, target_modules=[*LAYERS])
    )
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.normal_(0, 0.3)
    stored = {name: t.clone() for name, t in get_peft_model_state_dict(model).items()}
    modules, strange = module_names.by_module(lazily(stored, tmp_path / "a.safetensors"))
    merged = model.merge_and_unload()
    assert not strange
    for name, weight in before.items():
        parts = modules[f"base_model.model.{name}"]
        delta = families.deltas(parts, tuple(weight.shape), None)["weight"]
        truth, most = merged[name].weight, 1e-6 * merged[name].weight.abs().max()
        for at_once in (1 << 20, 3 * weight[0].numel()):
            monkeypatch.setattr(merge, "_AT_ONCE", at_once)
            for shares in ((1.0,), (0.25, 0.75)):
                found = summed(weight, *((delta, s) for s in shares), path=tmp_path / "w")
                assert (found - truth).abs().max() <= most, name


@torch.no_grad()
def test_full_differences_norms_and_biases(tmp_path):
    diff, bias, norm = torch.randn(6, 4, 3, 3), torch.randn(6), torch.randn(6)
    parts = lazily({"diff": diff, "diff_b": bias, "w_norm": norm}, tmp_path / "a")
    of_layer = {name: parts[name] for name in ("diff", "diff_b")}
    found = families.deltas(of_layer, (6, 4, 3, 3), None)
    assert torch.equal(found["weight"].make(diff), diff)
    assert torch.equal(found["bias"].make(bias), bias)
    found = families.deltas({"w_norm": parts["w_norm"], "b_norm": parts["diff_b"]}, (6,), None)
    assert torch.equal(found["weight"].make(norm), norm)
    assert torch.equal(found["bias"].make(norm), bias)


@torch.no_grad()
def test_ranks_alphas_and_shapes_are_each_modules_own(tmp_path):
    up, down = torch.randn(6, 3), torch.randn(3, 4)
    stored = {"up": up[..., None, None], "down": down, "alpha": torch.tensor(2, dtype=torch.int32)}
    parts = lazily(stored, tmp_path / "a")
    for shape in ((6, 4), (6, 4, 1, 1)):  # 2-D factors for a convolution, and the reverse
        found = families.deltas(parts, shape, None)["weight"].make(up).view(6, 4)
        assert (found - 2 / 3 * up @ down).abs().max() <= 1e-6
    without = {name: parts[name] for name in ("up", "down")}
    for alpha, scale in ((None, 1), (1.5, 0.5), (0.0, 0)):
        found = families.deltas(without, (6, 4), alpha)["weight"].make(up)
        assert (found - scale * up @ down).abs().max() <= 1e-6
    first = families.deltas(without, (6, 4), None, dyn=2)["weight"].make(up)
    assert (first - up[:, :2] @ down[:2]).abs().max() <= 1e-6


@torch.no_grad()
def test_a_sum_is_made_in_float32_and_rounded_once(tmp_path):
    """In half precision, five additions in turn are 1 % of the delta off."""
    torch.manual_seed(0)
    weight = torch.randn(3000, 64).half()  # more rows than are in work at once
    terms, additions = weight.double(), []
    for n in range(5):
        up, down = 0.01 * torch.randn(3000, 2), torch.randn(2, 64)
        parts = lazily({"up": up, "down": down}, tmp_path / f"{n}")
        additions.append((families.deltas(parts, (3000, 64), None)["weight"], 0.1 * n - 0.2))
        terms = terms + (0.1 * n - 0.2) * (up.double() @ down.double())
    (original,) = lazily({"w": weight}, tmp_path / "w").values()
    target = torch.empty_like(weight)
    merge.write_sum(original, additions, target, torch.float16)
    wrong = (target != terms.half()).float().mean()  # halves that float32 rounds to the other side
    assert wrong < 0.001
    wide = torch.empty(3000, 64)  # a part that computes in float32 beside a card in half precision
    merge.write_sum(original, additions, wide, torch.float16)
    assert torch.equal(wide, target.float())


@torch.no_grad()
def test_an_inpainting_models_first_layer_takes_four_channels(tmp_path):
    parts = lazily({"up": torch.randn(8, 2), "down": torch.randn(2, 4, 3, 3)}, tmp_path / "a")
    inner = families.deltas(parts, (8, 4, 3, 3), None)["weight"]
    found = families.padded(inner, (8, 4, 3, 3), (8, 9, 3, 3)).make(torch.randn(8, 9, 3, 3))
    assert torch.equal(found[:, :4], inner.make(found))
    assert not found[:, 4:].any()


@pytest.mark.parametrize(
    ("parts", "shape", "words"),
    [
        ({"up": (6, 2), "down": (2, 5)}, (6, 4), "its down is [2, 5], which does not fit"),
        ({"up": (6, 3), "down": (2, 4)}, (6, 4), "its up has the rank 3, its down 2"),
        ({"up": (6, 0), "down": (0, 4)}, (6, 4), "its up is [6, 0]"),
        ({"up": (6, 2)}, (6, 4), "its down is missing"),
        ({"down": ()}, (6, 4), "its up is missing"),
        ({"up": (6, 2), "down": (2, 4), "mid": (2, 2, 3, 3)}, (6, 4), "no convolution"),
        ({"up": (6, 2), "down": (2, 4), "dora_scale": (5, 1)}, (6, 4), "dora_scale is [5, 1]"),
        ({"up": (6, 2), "down": (2, 4), "alpha": (2,)}, (6, 4), "alpha has the shape [2]"),
        ({"hada_w1_a": (6, 2), "hada_w1_b": (2, 4)}, (6, 4), "hada_w2_a is missing"),
        ({"lokr_w1": (4, 2), "lokr_w2": (2, 2)}, (6, 4), "4 x 2 do not divide [6, 4]"),
        ({"lokr_w1": (2, 2), "lokr_w2": (2, 2)}, (6, 4), "lokr_w2 is [2, 2]"),
        ({"diff": (4, 6)}, (6, 5), "its diff is [4, 6]"),
        ({"alpha": ()}, (6, 4), "it has alpha and no more"),
        ({"oft_blocks": (2, 3, 3)}, (6, 4), "it is OFT or BOFT, which sdnb does not run"),
        ({"on_input": ()}, (6, 4), "it is IA3"),
        ({"a1.weight": (6, 2)}, (6, 4), "it is GLoRA"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_named(parts, shape, words, tmp_path):
    stored = {name: torch.ones(size) for name, size in parts.items()}
    with pytest.raises(CheckpointError) as caught:
        families.deltas(lazily(stored, tmp_path / "a"), shape, None)
    assert words in str(caught.value)


def test_an_alpha_that_is_no_number_is_refused(tmp_path):
    stored = {"up": torch.ones(6, 2), "down": torch.ones(2, 4), "alpha": torch.tensor(torch.nan)}
    with pytest.raises(CheckpointError, match="its alpha is nan"):
        families.deltas(lazily(stored, tmp_path / "a"), (6, 4), None)
