"""The tiled VAE equals the whole one: group norms see the whole map, and no seam is anywhere."""

import pytest
import torch
from oracles import diffusers_models as oracle

from sdnb.engine.networks.config import VAEConfig
from sdnb.engine.networks.row_bands import Bands, MapStorage
from sdnb.engine.networks.vae import VAE
from sdnb.engine.planning.footprint import Workload, vae_peak

TINY = VAEConfig(channels=(16, 32, 64, 64), groups=8)


@pytest.fixture(scope="module")
def vae():
    with torch.device("meta"):
        model = VAE(TINY)
    model.load_state_dict(oracle.random_weights(model, 3), assign=True)
    return model.eval()


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def homes():
    """On the device, and in memory that stands apart from it."""
    yield MapStorage(lambda shape, dtype: torch.full(shape, torch.nan, dtype=dtype))
    yield MapStorage(lambda shape, dtype: torch.full(shape, torch.nan, dtype=dtype), on_host=True)


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (24, 7), (33, 40)])
@pytest.mark.parametrize("side", [8, 40])
@torch.inference_mode()
@pytest.mark.slow
def test_tiles_equal_the_whole_on_every_pixel(vae, size, side):
    """Largest absolute error 1e-4 of pixels in -1..1 (1/255 of them is 7.8e-3)."""
    latent = random(1, 4, *size)
    pixels = random(1, 3, 8 * size[0], 8 * size[1]).clamp(-1, 1)
    whole, coded = vae.decode(latent), vae.encode(pixels)
    assert whole.std() > 0.1
    for home in homes():
        bands = [*vae.decode_tiled(latent, Bands(side), home)]
        assert len(bands) > 1 or side == 40
        assert (torch.cat(bands, dim=2) - whole).abs().max() <= 1e-4
        assert (vae.encode_tiled(pixels, Bands(side), home) - coded).abs().max() <= 1e-4


@pytest.mark.slow
def test_encoding_in_tiles_holds_one_map_of_each_level_at_a_time():
    """Rehearsed bytes for 512x512 in fp16: the largest map, `[1, 128, 512, 512]`, takes 67 MB; what
    is beside it is bands. A second reference to it costs 18 MB more, through the next level.
    """
    work = Workload(512, 512, 1, 2, pictured=True)
    assert vae_peak(VAEConfig(), torch.float16, work, 256, "device") < 190e6
