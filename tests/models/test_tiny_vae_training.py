"""What a tiny VAE is trained on, and that its folder gives back what was written."""

from dataclasses import replace

import torch

from sdnb.engine.networks.config import TINY_VAE
from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.models.training import train_tiny_vae
from sdnb.models.training.tiny_pairs import changed


def test_a_third_of_the_latents_are_changed():
    torch.manual_seed(0)
    latents = torch.randn(2000, 4, 2, 2)
    same = (changed(latents) == latents).flatten(1).all(1).float().mean()
    assert 0.6 < same < 0.7


def test_a_written_folder_is_read_again(tmp_path):
    config = replace(TINY_VAE, channels=(8,) * 4)
    written, found = TinyVAE(config), TinyVAE(config)
    train_tiny_vae.begin(written)
    train_tiny_vae.write(written, tmp_path)
    train_tiny_vae.read(found, tmp_path)
    for name, weight in written.state_dict().items():
        assert torch.equal(found.state_dict()[name], weight.half().float()), name
