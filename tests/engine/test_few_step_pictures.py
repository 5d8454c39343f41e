"""Whole pictures by LoRAs for few steps against diffusers' pipeline and schedulers, fp32.

The LoRA is found by its name and brings its sampler, schedule, steps and cfg. Both sides draw the
same noise. Tolerance: 1/255 on 99.9 % of the pixels.
"""

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, TCDScheduler
from helpers import tiny_loras
from oracles import tiny_pipeline

import sdnb

pytestmark = pytest.mark.picture

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIZE = 64


@pytest.mark.parametrize(
    ("family", "scheduler", "steps", "asked", "given"),
    [
        ("lcm", LCMScheduler, 4, {}, {}),
        ("lcm", LCMScheduler, 6, {"steps": 6, "cfg": 1.7}, {"guidance_scale": 1.7}),
        ("tcd", TCDScheduler, 4, {}, {"eta": 0.3}),
    ],
)
def test_a_picture_of_few_steps_equals_diffusers(
    family, scheduler, steps, asked, given, tmp_path
):  # fmt: skip
    pipe = tiny_pipeline.build()
    pipe.save_pretrained(tmp_path / "model")
    (folder := tmp_path / "loras").mkdir()
    name = f"{family}-lora-sd15"
    tiny_loras.save(folder / f"{name}.safetensors", tiny_loras.kohya(pipe))
    model = sdnb.load(tmp_path / "model", "cpu", "full", library=folder)
    request = sdnb.Request(
        "a castle", width=SIZE, height=SIZE, seed=5, loras=[sdnb.Lora(name)], **asked
    )
    result = sdnb.generate(model, request, progress=False)
    assert (result.request.sampler, result.request.schedule) == (family, "lcm")
    assert result.request.steps == steps
    pipe.load_lora_weights(str(folder), weight_name=f"{name}.safetensors")
    pipe.scheduler = scheduler(**NOISE)
    pipe.set_progress_bar_config(disable=True)
    truth = pipe(
        "a castle", num_inference_steps=steps, height=SIZE, width=SIZE, output_type="np",
        generator=torch.Generator().manual_seed(5), **{"guidance_scale": 1.0, **given},
    ).images[0]  # fmt: skip
    truth = np.round(truth * 255)
    assert truth.std() > 5
    apart = np.abs(np.asarray(result.image, dtype=float) - truth).max(axis=-1)
    assert (apart <= 1).mean() >= 0.999, f"largest difference {apart.max()}"
