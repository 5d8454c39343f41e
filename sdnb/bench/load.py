"""`sdnb bench load`: time and memory to load an SD 1.4-sized checkpoint, beside diffusers.

Random fp32 weights of SD 1.4's names and shapes (4.3 GB) are written as `.ckpt`, which sdnb loads,
and as `.safetensors`, which diffusers' `from_single_file` loads: in turn, three times each in a
fresh process. The median counts. A file is read before each run, so that no run waits for the disk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

RUNS = 3
# What torch calls each, and the bytes a weight.
PRECISIONS = {"half": ("float16", 2), "bf16": ("bfloat16", 2), "full": ("float32", 4)}
MODELS = ("sd-random.ckpt", "sd-random.safetensors")
_PREFIXES = {
    "unet": "model.diffusion_model",
    "vae": "first_stage_model",
    "text": "cond_stage_model.transformer.text_model",
}


def bench_load(
    out: Path, precision: str = "half", say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Write checkpoints into `out` (8.6 GB, removed at the end), measure, print, return the data:
    each side's seconds to load, without and with the imports, its peak in GB, and the ratios.

    Raises ValueError for an unknown precision, OSError when the disk is too small.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; known are {', '.join(PRECISIONS)}")
    from sdnb.engine.networks.config import ModelConfig

    out.mkdir(parents=True, exist_ok=True)
    folder = out / "bench-load"
    try:
        say("writing random weights of SD 1.4's shapes, as .ckpt and as .safetensors ...")
        count = write_models(folder, ModelConfig())
        data = _measure(folder, precision, count, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(table(data))
    return data


def _measure(
    folder: Path, precision: str, count: int, say: Callable[[str], object]
) -> dict[str, Any]:
    ckpt, safetensors = (folder / name for name in MODELS)
    runners = {"sdnb": (_SDNB, ckpt)}
    if find_spec("diffusers") is None:
        nothing = "diffusers is not installed, so there is nothing to compare with"
        say(f"{nothing}: pip install 'sdnb[bench]'")
    else:
        runners["diffusers"] = (_DIFFUSERS, safetensors)
    dtype, size = PRECISIONS[precision]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in runners}
    for n in range(RUNS):
        for name, (code, path) in runners.items():
            warm(path)
            runs[name].append(_child(code, path, folder / "config", dtype))
            say(f"  {name}, run {n + 1} of {RUNS}: {runs[name][-1]['load']:.2f} s")
    weights = count * size / 1e9
    data: dict[str, Any] = {"precision": precision, "weights_gb": weights, "runs": runs}
    for name, side in runs.items():
        data[name] = {key: statistics.median(run[key] for run in side) for key in side[0]}
    data["limit_gb"] = 1.25 * weights + 0.6
    if "diffusers" in data:
        data["ratio"] = {key: data["sdnb"][key] / data["diffusers"][key] for key in data["sdnb"]}
    return data


def table(data: dict[str, Any]) -> str:
    """The medians, one line each, with the ratios."""
    keys = ("load", "cpu", "total", "peak_gb")
    rows = [["", "load, s", "processor, s", "with imports, s", "peak resident, GB"]]
    names = [name for name in ("sdnb", "diffusers", "ratio") if name in data]
    rows += [[name, *(f"{data[name][key]:.2f}" for key in keys)] for name in names]
    lines = ["".join(cell.ljust(19) for cell in row).rstrip() for row in rows]
    lines.append(
        f"weights at {data['precision']}: {data['weights_gb']:.2f} GB; "
        f"aim for the peak: 1.25 x that + 0.6 = {data['limit_gb']:.2f} GB"
    )
    return "\n".join(lines)


# -- each in its own process -------------------------------------------------------------------
_SDNB = """
import torch
from sdnb.engine.checkpoint import assign_weights, read
from sdnb.engine.networks import text
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
before, imported = time.process_time(), time.perf_counter()
checkpoint = read(path)
with torch.device("meta"):
    parts = {"unet": UNet(checkpoint.config.unet), "vae": VAE(checkpoint.config.vae)}
parts["text"] = text.build(checkpoint.config.text)
for name, module in parts.items():
    weights = getattr(checkpoint, name)
    assign_weights(module, weights, dtype=getattr(torch, dtype), device="cpu", what=name)
"""
_DIFFUSERS = """
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
before, imported = time.process_time(), time.perf_counter()
pipe = StableDiffusionPipeline.from_single_file(
    path, config=config, torch_dtype=getattr(torch, dtype), local_files_only=True
)
"""


def _child(code: str, path: Path, config: Path, dtype: str) -> dict[str, float]:
    script = (
        "import json, sys, time\nstart = time.perf_counter()\npath, config, dtype = sys.argv[1:]\n"
        f"{code}\n"
        "end, cpu = time.perf_counter(), time.process_time() - before\n"
        "from sdnb.bench.resident import peak\n"
        'data = {"load": end - imported, "cpu": cpu, "total": end - start}\n'
        'data["peak_gb"] = peak() / 1e9\n'
        'print("\\n" + json.dumps(data))'
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(config), dtype], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"loading {path.name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def warm(path: Path) -> None:
    """Read a file, so that it is in the system's cache."""
    buffer = bytearray(1 << 24)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


# -- the random checkpoint ---------------------------------------------------------------------
def write_models(folder: Path, config: Any) -> int:
    """Write both files and diffusers' configuration; returns the number of weights."""
    import torch
    from safetensors import safe_open

    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(shapes(config))
    ckpt, safetensors = (folder / name for name in MODELS)
    count = _write_safetensors(safetensors, tensors)
    with safe_open(safetensors, framework="pt") as file:  # a memory map, read tensor by tensor
        torch.save({"state_dict": {name: file.get_tensor(name) for name in tensors}}, ckpt)
    write_config(folder / "config", config)
    return count


def shapes(config: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor in a CompVis checkpoint."""
    from sdnb.engine.checkpoint import export

    for part, prefix in _PREFIXES.items():
        for row in export.rows(config, part):
            yield f"{prefix}.{row.compvis}", row.shape


def _write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    import numpy as np

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": (at, at + 4 * prod(shape))}
        at += 4 * prod(shape)
    if shutil.disk_usage(path.parent).free < 2.1 * at:
        raise OSError(f"the benchmark needs {2.1 * at / 1e9:.1f} GB of disk in {path.parent}")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0)
    # Each tensor is a run of this pool from a random place on.
    pool = random.normal(0, 0.02, 1 << 24).astype("<f4").tobytes()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            left = 4 * prod(shape)
            start = 4 * int(random.integers(1 << 24))
            while left:
                piece = pool[start : start + left]
                file.write(piece)
                left, start = left - len(piece), 0
    return at // 4


def write_config(folder: Path, config: Any) -> None:
    """Write what diffusers would fetch from the hub: each `config.json`, and the tokenizer."""
    import sdnb.engine.networks
    from sdnb.engine.checkpoint import export

    export.write_configs(config, folder, "DDIMScheduler")
    tokenizer = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    words = folder / "tokenizer"
    words.mkdir(parents=True, exist_ok=True)
    (words / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2), "utf-8")
    clip = Path(sdnb.engine.networks.__file__).parent / "clip" / "tokenizer.json"
    shutil.copy(clip, words / "tokenizer.json")
