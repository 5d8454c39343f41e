"""`sdnb bench`: sdnb beside diffusers, and grids beside single pictures, in one run, as ratios.

Machines are noisy: compare only medians of runs that alternate, and only within one table.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from sdnb.assets import user_path

# Name -> the function that measures; the flags of a name are the arguments of its function.
_BENCHES = {
    "load": "sdnb.bench.load:bench_load",
    "lora": "sdnb.bench.lora_speed:bench_lora",
    "cpu": "sdnb.bench.cpu:bench_cpu",
    "shortcuts": "sdnb.bench.shortcut_speed:bench_shortcuts",
    "widgets": "sdnb.bench.widgets:bench_widgets",
    "grid": "sdnb.bench.grid_speed:bench_grid",
    "gpu": "sdnb.bench.gpu:bench_gpu",
    "caps": "sdnb.bench.caps:bench_caps",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `sdnb bench NAME`; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    plans = getattr(args, "plans", None) is not None  # of sdnb alone
    compared = args.name in ("load", "lora", "cpu", "gpu", "caps") and not plans
    compared = compared and getattr(args, "fast", None) is None
    compared = compared and not (args.name == "cpu" and args.memory is not None)
    compared = compared and not (args.name == "gpu" and args.live)
    fast = getattr(args, "fast", None) is not None
    if args.name == "cpu" and args.memory is not None and len(args.threads + args.precision) > 2:
        parser.error("--memory is measured with one number of --threads and one --precision")
    if fast and (len(args.threads) > 1 or args.precision != ["full"]):
        parser.error("--fast is measured in full precision, with one number of --threads")
    needed = ["diffusers"] * compared + ["peft"] * (args.name == "lora" and not plans)
    missing = [name for name in needed if find_spec(name) is None]
    if missing:  # said before gigabytes are written for it
        parser.error(f"{missing[0]}, the other side, is not installed: pip install 'sdnb[bench]'")
    options = {flag: value for flag, value in vars(args).items() if flag not in ("name", "json")}
    keep = partial(_write, args)
    if args.name in ("gpu", "caps", "lora"):  # these take long
        options["keep"] = keep
    data = resolve_name(_BENCHES[args.name])(**options)
    if args.json:
        keep(data)
        print(f"written to {args.json}", file=sys.stderr)
    return int(data.get("failed", False))


def _write(args: argparse.Namespace, data: dict[str, Any]) -> None:
    """Write the figures so far, so that a run that is broken off keeps them."""
    if args.json:
        names = ("sdnb", "torch", "diffusers", "transformers")
        about = {
            "bench": args.name,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": platform.platform(),
            "versions": {name: _version(name) for name in names},
        }
        args.json.write_text(json.dumps({**about, **data}, indent=2) + "\n", encoding="utf-8")


def recorded() -> dict[str, Any]:
    """The figures of `sdnb bench gpu --tiers` and `caps` on one NVIDIA H100, dated."""
    return json.loads(Path(__file__).with_name("h100.json").read_text("utf-8"))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sdnb bench", description=__doc__.split("\n", 1)[0])
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    load = names.add_parser("load", help="time and memory to load an SD 1.4-sized checkpoint")
    load.add_argument("--out", type=user_path, default=Path(), help="where 8.6 GB may be written")
    load.add_argument("--precision", choices=("half", "bf16", "full"), default="half")
    lora = names.add_parser("lora", help="time and memory to lay a LoRA over an SD 1.4-sized model")
    lora.add_argument("--out", type=user_path, default=Path(), help="where 2.3 GB may be written")
    lora.add_argument(
        "--plans", nargs="*", metavar="PLAN",
        help="instead: whether LoRAs come and go bit for bit, by these memory plans of a CUDA card "
        "(default: max, 4gb, 2gb, '1gb int8')",
    )  # fmt: skip
    cpu = names.add_parser("cpu", help="time and peak memory of a picture on the CPU")
    random = "SD 1.4's shapes with random weights (writes 2.1 GB)"
    cpu.add_argument("--random", action="store_true", help=random)
    cpu.add_argument("--size", type=int, help="width and height (default: the model's)")
    cpu.add_argument("--rounds", type=int, default=5, help="pictures of each, in turn (default 5)")
    cpu.add_argument("--steps", type=int, default=25)
    cpu.add_argument("--threads", type=int, nargs="+", default=[2], help="one or several numbers")
    cpu.add_argument(
        "--precision", nargs="+", choices=("full", "bf16"), default=["full"],
        help="of all sides; one or both (default full). onnxruntime has no bf16 on a CPU",
    )  # fmt: skip
    instead = cpu.add_mutually_exclusive_group()
    instead.add_argument(
        "--memory", nargs="*", metavar="PLAN",
        help="instead: these memory plans, or numbers of GB, beside all weights in memory: time, "
        "peak, prediction and likeness (default: 1.5, 1.0 and file)",
    )  # fmt: skip
    instead.add_argument(
        "--fast", nargs="?", const="tiny-fast", metavar="MODEL",
        help="instead: the built-in model beside its fast variant, each with its own settings "
        "(tiny-fast, or the folder of another variant)",
    )  # fmt: skip
    cuts = names.add_parser(
        "shortcuts", help="what shortcuts of a request save, and what they cost"
    )
    cuts.add_argument("--ckpt", help="a checkpoint (default: the built-in model)")
    cuts.add_argument("--rounds", type=int, default=5, help="pictures of each, in turn (default 5)")
    cuts.add_argument("--steps", type=int, default=25)
    cuts.add_argument("--memory", default="auto", help="a memory plan (default auto)")
    panels = names.add_parser("widgets", help="what the panel costs, how quickly ink follows")
    panels.add_argument("--rounds", type=int, default=3, help="runs of each, in turn (default 3)")
    panels.add_argument(
        "--steps", type=int, help="of a run (default 25; of a live one as many as a sketch has)"
    )
    panels.add_argument(
        "--live", action="store_true",
        help="instead: draw in JupyterLab, and time until the picture follows, and ink meanwhile",
    )  # fmt: skip
    grid = names.add_parser("grid", help="a grid of 3x4 beside twelve calls of generate")
    which = grid.add_mutually_exclusive_group()
    which.add_argument("--ckpt", help="a checkpoint (default: the built-in model)")
    which.add_argument("--random", action="store_true", help=random)
    grid.add_argument("--size", type=int, help="width and height (default: the model's)")
    grid.add_argument("--steps", type=int, default=20)
    grid.add_argument("--rounds", type=int, default=3, help="of each, in turn (default 3)")
    grid.add_argument("--batch", type=int, default=4, help="cells in one pass (default 4)")
    grid.add_argument("--memory", default="auto", help="a memory plan (default auto)")
    gpu = names.add_parser("gpu", help="time and peak memory of an SD 1.4-sized model on a card")
    gpu.add_argument("--out", type=user_path, default=Path(), help="where 2.1 GB may be written")
    gpu.add_argument(
        "--compile", action="store_true", dest="compiled", help="also torch.compile: minutes more"
    )
    gpu.add_argument("--tiers", action="store_true", help="also every plan against its prediction")
    instead = gpu.add_mutually_exclusive_group()
    instead.add_argument(
        "--control", action="store_true", help="instead: with a ControlNet (writes 2.9 GB)"
    )
    instead.add_argument(
        "--live", action="store_true",
        help="instead: pictures a second that follow a hand, with a LoRA for four steps",
    )  # fmt: skip
    caps = names.add_parser("caps", help="the largest picture under 4, 2 and 1 GiB of a card")
    caps.add_argument("--out", type=user_path, default=Path(), help="where 2.1 GB may be written")
    for command in (load, lora, cpu, cuts, panels, grid, gpu, caps):
        command.add_argument("--json", type=user_path, help="also write the figures to this file")
    return parser
