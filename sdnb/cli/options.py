"""The flags of `sdnb txt2img` and `sdnb img2img`: those of the original scripts, and our own.

Command lines of the original scripts still run. A flag of theirs that has no effect here is
accepted, with a note. Any other unknown flag is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sdnb.assets import user_path
from sdnb.cli import control_flag
from sdnb.cli.parser import TEXT, Parser
from sdnb.hints import PREPARATIONS
from sdnb.request import CONTENTS, FITS, SAMPLERS, SCHEDULES, SYNTAXES
from sdnb.request.control import FITS as CONTROL_FITS
from sdnb.request.control import MODES

# Flags of the original scripts without effect: (number of values, why).
WITHOUT_EFFECT = {
    "--turbo": (0, "--memory decides what stays on the GPU"),
    "--small_batch": (0, "--memory decides what stays on the GPU"),
    "--unet_bs": (1, "--memory decides what stays on the GPU"),
    "--skip_grid": (0, "no grid is written"),
    "--n_rows": (1, "no grid is written"),
    "--C": (1, "the checkpoint says how many channels a latent has"),
    "--f": (1, "a latent is 8 times smaller than its picture"),
}
# The flag of each field of a request: an error of the field names the flag.
FLAG_OF = {
    "prompt": "--prompt", "negative": "--nprompt", "width": "--W", "height": "--H",
    "steps": "--ddim_steps", "cfg": "--scale", "sampler": "--sampler", "schedule": "--schedule",
    "eta": "--ddim_eta", "cfg_rescale": "--cfg-rescale",
    "cfg_start": "--cfg-start", "cfg_end": "--cfg-end", "cfg_every": "--cfg-every",
    "deep_every": "--deep-every", "token_merging": "--token-merging",
    "seed": "--seed", "count": "--n_samples",
    "image": "--init-img", "strength": "--strength", "mask": "--mask", "feather": "--feather",
    "content": "--masked-content", "padding": "--only-masked", "fit": "--fit",
    "syntax": "--syntax", "clip_skip": "--clip-skip", "controls": "--control",
}  # fmt: skip


class _WithoutEffect(argparse.Action):
    """Accepts the flag and adds a note to the namespace."""

    def __call__(self, _: Any, namespace: Any, _values: Any, option_string: Any = None) -> None:
        why = WITHOUT_EFFECT[option_string][1]
        namespace.notes = [*namespace.notes, f"{option_string} has no effect: {why}"]


def parse(command: str, description: str, argv: Sequence[str]) -> argparse.Namespace:
    """Parse the flags of `sdnb COMMAND`; `notes` are lines for the user. Raises InputError."""
    parser = Parser(prog=f"sdnb {command}", description=description)
    parser.set_defaults(notes=[], image=None, mask=None, invert=False, feather=0.0, strength=0.75)
    parser.set_defaults(content="original", padding=None, fit="stretch")
    _add_request_flags(parser)
    if command == "img2img":
        _add_picture_flags(parser)
    _add_control_flags(parser, command)
    _add_model_flags(parser)
    _add_output_flags(parser, f"outputs/{command}-samples")
    _add_flags_without_effect(parser)
    args = parser.parse(argv)
    _check_together(parser, args)
    return args


def _adders(parser: Parser, title: str) -> tuple[Callable[..., Any], ...]:
    """Three functions that add a flag to a new group: any one, of a whole number, of a number."""
    add = parser.add_argument_group(title).add_argument
    return add, partial(add, type=int, metavar="N"), partial(add, type=float, metavar="X")


def _add_request_flags(parser: Parser) -> None:
    add, whole, number = _adders(parser, "what to make (left out: what suits the model)")
    add(
        "--prompt",
        metavar=TEXT,
        help='what the picture shows; "a cat:2 in fog:1" weighs blocks, "<lora:pixelart:0.8>" '
        "takes a LoRA of the library",
    )
    add(
        "--nprompt",
        "--negative",
        dest="negative",
        metavar=TEXT,
        default="",
        help="what it should not show",
    )
    add(
        "--syntax",
        metavar="NAME",
        default="blocks",
        help=f"how prompts are read: {', '.join(SYNTAXES)} (%(default)s)",
    )
    whole("--clip-skip", dest="clip_skip", help="layers of the text encoder, 1 is the last")
    add("--from-file", type=user_path, metavar="FILE", help="one prompt a line")
    whole("--W", "--width", dest="width", help="width in pixels, a multiple of 8")
    whole("--H", "--height", dest="height", help="height in pixels, a multiple of 8")
    whole("--n_samples", "--count", dest="count", default=1, help="pictures at once (%(default)s)")
    whole("--n_iter", default=1, help="how often to do it (%(default)s)")
    whole("--seed", help="picture i is the picture of seed + i")
    add("--fixed_code", action="store_true", help="start every prompt and turn from the same seed")
    whole("--ddim_steps", "--steps", dest="steps", help="steps of the sampler")
    number("--scale", "--cfg", dest="cfg", help="how literally to take the prompt")
    number(
        "--cfg-rescale",
        default=0.0,
        help="how far guidance's contrast is brought back, 0 to 1 (%(default)s)",
    )
    number("--cfg-start", default=0.0, help="guidance begins at this share of the steps")
    number("--cfg-end", default=1.0, help="guidance ends there: then a step is quicker")
    whole(
        "--cfg-every",
        default=1,
        help="make the guess without the prompt at every Nth step alone (%(default)s)",
    )
    whole(
        "--deep-every",
        default=1,
        help="compute the UNet's deep blocks at every Nth step alone (%(default)s)",
    )
    number(
        "--token-merging",
        default=0.0,
        help="the share of alike tokens that self-attention merges: 0 none, 0.5 half",
    )
    add("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    add("--plms", action="store_true", help="the same as --sampler plms")
    add("--schedule", metavar="NAME", help=", ".join(SCHEDULES))
    number("--ddim_eta", "--eta", dest="eta", help="fresh noise a step: 0 none, 1 ancestral")


def _add_picture_flags(parser: Parser) -> None:
    add, whole, number = _adders(parser, "the picture to start from")
    add("--init-img", "--init_img", dest="image", required=True, metavar="FILE", help="the picture")
    add(
        "--fit",
        metavar="NAME",
        help=f"how a picture of other proportions comes to --W x --H: {', '.join(FITS)} "
        "(%(default)s); crop keeps its middle, fill paints new borders, fit makes one side of "
        "the result smaller",
    )
    number("--strength", help="0 keeps the picture, 1 ignores it (%(default)s)")
    add("--mask", metavar="FILE", help="white is repainted, black is kept")
    add(
        "--invert-mask",
        dest="invert",
        action="store_true",
        help="black is repainted, white is kept",
    )
    number("--feather", help="soften the mask's edge by so many pixels")
    add(
        "--masked-content",
        dest="content",
        metavar="NAME",
        help=f"what the masked part starts from: {', '.join(CONTENTS)} (%(default)s)",
    )
    whole(
        "--only-masked",
        dest="padding",
        help="generate only the masked part, at --W x --H, with N pixels around it",
    )


def _add_control_flags(parser: Parser, command: str) -> None:
    add, *_ = _adders(parser, "pictures that control networks hold it to")
    follows = " (left out: --init-img)" if command == "img2img" else ""
    add(
        "--control",
        action="append",
        dest="controls",
        metavar="NET,image=FILE,...",
        help=f"a ControlNet or T2I-Adapter, by name in the library, path or hub id, and what it "
        f"follows: {control_flag.EXAMPLE.removeprefix('--control ')}; may be given several times. "
        f"image=FILE{follows}; prepare=NAME makes the hint: {', '.join(PREPARATIONS)}; values=N,N "
        "are its numbers; scale=0 to 10, start=0 and end=1 are shares of the steps; "
        f"mode={'|'.join(MODES)}; fit={'|'.join(CONTROL_FITS)}; mask=FILE; sha256=DIGEST",
    )
    add(
        "--save-hints",
        action="store_true",
        help="write what the networks read, too, into the folder hints of --outdir",
    )


def _add_model_flags(parser: Parser) -> None:
    add = parser.add_argument_group("the model").add_argument
    add(
        "--ckpt",
        "--model",
        dest="ckpt",
        metavar="PATH",
        help=".ckpt, .safetensors, a diffusers folder, a hub id, a name in the library "
        "(the built-in model, tiny)",
    )
    add("--vae", metavar="PATH", help="another autoencoder, also a tiny one (TAESD)")
    add(
        "--tiny-vae",
        metavar="PATH",
        help="a tiny autoencoder beside it, for pictures that the full one has no memory for",
    )
    add(
        "--library",
        type=user_path,
        action="append",
        metavar="FOLDER",
        help="where models, LoRAs and embeddings are found by name: a folder of AUTOMATIC1111, "
        "ComfyUI or InvokeAI, or any other; may be given several times (what SDNB_LIBRARY names)",
    )
    add("--config", metavar="YAML", help="overrides what the weights' shapes say")
    add("--prediction", metavar="NAME", help="eps, v, v_ztsnr (what the model's files say)")
    add(
        "--memory",
        type=plan_or_gb,
        metavar="PLAN",
        help="where the model stays: a plan's name, or a number of GB (auto)",
    )
    add(
        "--precision",
        default="auto",
        choices=("auto", "full", "half", "bf16", "autocast"),
        help="of the arithmetic; autocast is the original's word for auto (%(default)s)",
    )
    add("--device", metavar="NAME", help="cpu, or cuda (chosen by itself)")


def plan_or_gb(text: str) -> str | float:
    """The name of a plan, or a number of GB."""
    try:
        return float(text)
    except ValueError:
        return text


def _add_output_flags(parser: Parser, folder: str) -> None:
    add = parser.add_argument_group("where to").add_argument
    add("--outdir", type=user_path, metavar="DIR", default=Path(folder), help="%(default)s")
    add("--format", default="png", choices=("png",), help="the one that keeps all settings")
    add("--skip_save", action="store_true", help="write nothing, for measuring")


def _add_flags_without_effect(parser: Parser) -> None:
    hidden = argparse.SUPPRESS
    for flag, (values, _) in WITHOUT_EFFECT.items():
        parser.add_argument(
            flag, nargs=values, action=_WithoutEffect, dest="notes", default=hidden, help=hidden
        )


def _check_together(parser: Parser, args: argparse.Namespace) -> None:
    """Check flags that depend on one another, and merge those that mean the same."""
    if args.plms:
        if args.sampler not in (None, "plms"):
            parser.error(f"--plms and --sampler {args.sampler} name two samplers; give one")
        args.sampler = "plms"
    if (args.prompt is None) == (args.from_file is None):
        parser.error(
            "--prompt or --from-file is needed" + ("" if args.prompt is None else ", not both")
        )
    if args.n_iter < 1:
        parser.error(f"--n_iter {args.n_iter} is not 1 or more")
    if args.mask is None and (args.invert or args.feather or args.padding is not None):
        parser.error("--invert-mask, --feather and --only-masked change a --mask; there is none")
    if args.save_hints and not args.controls:
        parser.error(
            f"--save-hints writes those of --control; there is none: {control_flag.EXAMPLE}"
        )
    if args.device == "cpu":
        if args.memory not in (None, "cpu"):
            parser.error(f"--device cpu and --memory {args.memory} contradict each other; give one")
        args.memory = "cpu"
    elif args.device:
        why = "a GPU is used where there is one (CUDA_VISIBLE_DEVICES chooses among several)"
        args.notes = [*args.notes, f"--device {args.device} has no effect: {why}"]
    args.memory = args.memory or "auto"
    args.precision = "auto" if args.precision == "autocast" else args.precision
