"""The tiny VAE's part of the evaluation: its decibels, its rows, and a run on small scenes."""

import json
import zipfile
from dataclasses import replace
from io import BytesIO

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from sdnb import assets
from sdnb.engine.checkpoint import export
from sdnb.engine.networks.config import TINY_VAE
from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.models import card_rows, evaluate
from sdnb.models.training import held_out, judges, recipe, train_tiny_vae


class Shrinking(nn.Module):
    """Makes latents of half the size, and pixels of them; both too large by as much as is said."""

    def __init__(self, latents_off=0.0, pixels_off=0.0):
        super().__init__()
        self.off = nn.Parameter(torch.tensor([latents_off, pixels_off]), requires_grad=False)

    def encode(self, pixels):
        assert pixels.dtype == self.off.dtype
        return F.avg_pool2d(pixels, 2) + self.off[0]

    def decode(self, latent):
        assert latent.dtype == self.off.dtype
        return F.interpolate(latent, scale_factor=2.0) + self.off[1]


def test_decibels_are_against_the_full_one_and_clipped():
    """Of a peak of 2: 0.2 away are 20 dB, 0.02 are 40, and 3 more where half the pixels are white:
    that stays white.
    """
    grey, half_white = torch.full((1, 3, 8, 8), 0.25), torch.full((1, 3, 8, 8), 0.25)
    half_white[..., :4] = 1.0
    found = judges.tiny_vae_figures(Shrinking(), Shrinking(0.02, 0.2), [grey, half_white])
    more = 10 * torch.log10(torch.tensor(2.0)).item()  # half of the pixels are right
    for name, least in (("decoder", 20.0), ("encoder", 40.0)):
        for numbers, within in (("", 1e-3), ("_fp16", 0.1)):
            assert found[f"{name}{numbers}_least"] == pytest.approx(least, abs=within)
            assert found[name + numbers] == pytest.approx(least + more / 2, abs=within)
    assert len(found) == 8


FIGURES = {
    "decoder": 32.9, "decoder_least": 25.1, "decoder_fp16": 32.8, "decoder_fp16_least": 25.0,
    "encoder": 35.3, "encoder_least": 30.3, "encoder_fp16": 35.2, "encoder_fp16_least": 30.2,
    "decode_ms": 51.26, "scenes": 64, "megabytes": 1.23, "picture": "256x256, 2 threads",
}  # fmt: skip


def test_the_rows_say_both_halves_both_numbers_time_and_size():
    against = "PSNR of 64 scenes against the full VAE's"
    decoder = "32.90 dB (worst scene 25.10); computed in fp16 32.80 dB (worst scene 25.00)"
    encoder = "35.30 dB (worst scene 30.30); computed in fp16 35.20 dB (worst scene 30.20)"
    lines = card_rows.table({"tiny_vae": FIGURES})[2:]
    assert lines == [
        f"| tiny VAE's decoder, {against} | {decoder} | 30 |",
        f"| tiny VAE's encoder, {against} | {encoder} | 30 |",
        "| its decode, ms (256x256, 2 threads) | 51.3 | 60 |",
        "| its weights in fp16, both halves | 1.23 MB | 3 |",
    ]
    on_card = card_rows.table({"tiny_vae": FIGURES | {"picture": "256x256, NVIDIA H100"}})
    assert on_card[4] == "| its decode, ms (256x256, NVIDIA H100) | 51.3 | |"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A ball, whose second style is held out."""
    folder = tmp_path_factory.mktemp("data")
    ball = {"id": 0, "label": "ball", "styles": ["flat", "noto"], "held_out": ["noto"]}
    (folder / "concepts.json").write_text(json.dumps([ball]))
    for style, color in (("flat", "red"), ("noto", "blue")):
        buffer = BytesIO()
        Image.new("RGBA", (224, 224), color).save(buffer, "WEBP", lossless=True)
        with zipfile.ZipFile(folder / f"sprites_{style}.zip", "w") as pack:
            pack.writestr("0.webp", buffer.getvalue())
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a model of random weights, at 64x64, without a tiny VAE."""
    folder, tokenizer = tmp_path_factory.mktemp("model"), assets.embedded_model() / "tokenizer"
    config = recipe.of(tokenizer, 64)
    parts = {"unet": UNet(config.unet), "vae": VAE(config.vae)}
    for part, module in {**parts, "text": recipe.new_text(config.text)}.items():
        export.write_part(module, config, part, folder)
    recipe.save_rest(config, tokenizer, folder)
    return folder


@pytest.mark.slow
def test_the_one_of_a_model_s_folder_is_judged(model, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(held_out, "SCENES", 2)
    words = ["--data", str(data), "--model", str(model), "--only", "tiny_vae"]
    words += ["--threads", str(torch.get_num_threads()), "--json", str(tmp_path / "f.json")]
    with pytest.raises(ValueError, match="has no tiny VAE beside its own: give one as --tiny-vae"):
        evaluate.main(words)
    tiny = TinyVAE(replace(TINY_VAE, channels=(8,) * 4))
    train_tiny_vae.begin(tiny)
    train_tiny_vae.write(tiny, model / "tiny_vae")
    assert evaluate.main(words) == 1  # it has learnt nothing
    figures = json.loads((tmp_path / "f.json").read_text())["tiny_vae"]
    assert figures.keys() == FIGURES.keys()
    for half in ("decoder", "encoder"):
        assert 0 < figures[f"{half}_least"] <= figures[half] < 30
        assert abs(figures[half] - figures[f"{half}_fp16"]) < 1
    assert figures["scenes"] == 2
    assert figures["megabytes"] == round(2e-6 * sum(p.numel() for p in tiny.parameters()), 2)
    assert figures["picture"].startswith("64x64, ")
    printed = capsys.readouterr().out
    assert "goals missed: tiny_vae.decoder >= 30.0, tiny_vae.encoder >= 30.0" in printed
    assert all(line in printed for line in card_rows.table({"tiny_vae": figures}))
