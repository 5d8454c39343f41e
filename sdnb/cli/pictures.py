"""`sdnb txt2img` and `sdnb img2img`: flags become requests, and requests become files."""

from __future__ import annotations

import argparse
import itertools
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import sdnb
from sdnb.cli import options
from sdnb.cli.control_flag import control
from sdnb.cli.parser import InputError, input_stage
from sdnb.request import Request, prompt
from sdnb.request.plain_words import counted


def txt2img(argv: Sequence[str]) -> int:
    """Run `sdnb txt2img`; returns the exit code."""
    return _run(options.parse("txt2img", "Makes pictures from a prompt.", argv))


def img2img(argv: Sequence[str]) -> int:
    """Run `sdnb img2img`; returns the exit code."""
    about = "Makes pictures from a prompt and a picture; with --mask, only where the mask is white."
    return _run(options.parse("img2img", about, argv))


def requests(args: argparse.Namespace) -> list[Request]:
    """The requests of the flags: one for each prompt and repetition, with consecutive seeds.

    Raises InputError that names the flag, and OSError for a file that cannot be read.
    """
    seed = secrets.randbits(32) if args.seed is None else args.seed
    batch: list[Request] = []
    try:
        fields = {name: getattr(args, name) for name in (*options.FLAG_OF, "invert")}
        fields |= {"prompt": "", "seed": seed}
        if args.image is not None:
            fields["image"] = sdnb.images.picture(args.image)
        if args.mask is not None:
            fields["mask"], note = sdnb.images.mask_and_note(args.mask)
            if note:
                _say(f"note: {note}")
        follows = args.image is not None
        fields["controls"] = [control(text, follows=follows) for text in args.controls or ()]
        base = Request(**fields)
        for text in _prompts(args) * args.n_iter:
            # A wrong weight or tag is an error before the model loads.
            prompt.check(text, base.negative, base.syntax, base.steps)
            advance = 0 if args.fixed_code else len(batch) * base.count
            batch.append(base.but(prompt=text, seed=seed + advance))
    except (ValueError, TypeError) as error:
        raise InputError(_with_flag(str(error))) from error
    return batch


def _run(args: argparse.Namespace) -> int:
    for note in args.notes:
        _say(note)
    with input_stage():
        batch = requests(args)
        if not args.skip_save:  # fail now, not after an hour of pictures
            args.outdir.mkdir(parents=True, exist_ok=True)
        from sdnb.images.canvas import exact

        options_of_load = (
            "memory", "precision", "vae", "tiny_vae", "config", "prediction", "library",
        )  # fmt: skip
        model = sdnb.load(args.ckpt, **{name: getattr(args, name) for name in options_of_load})
    for note in model.notes:
        _say(f"note: {note}")
    both_sides_given = args.width is not None and args.height is not None
    for number, request in enumerate(batch):
        with input_stage():
            request, notes = exact(request) if both_sides_given else (request, [])
            result = sdnb.generate(model, request)
        for note in (*notes, *result.notes):
            _say(f"note: {note}")
        if not args.skip_save:
            for path in result.save(args.outdir):
                print(path, flush=True)
        if args.save_hints and number == 0:  # they are the same for all
            _save_hints(result.request, args.outdir / "hints")
        _say(_summary(result.request, result.seconds))
    return 0


def _save_hints(request: Request, folder: Path) -> None:
    from sdnb.images import files  # PIL, which wrong flags do without

    folder.mkdir(parents=True, exist_ok=True)
    for each, hint in zip(request.controls, sdnb.images.hints(request), strict=True):
        stem = files.slug(f"{Path(each.net).stem} {each.prepare or ''}") or "hint"
        names = (f"{stem}{f'-{n}' if n > 1 else ''}.png" for n in itertools.count(1))
        _say(f"hint: {files.write_new(folder, names, sdnb.images.picture(hint))}")


def _prompts(args: argparse.Namespace) -> list[str]:
    if args.from_file is None:
        return [args.prompt]
    try:
        # Not `splitlines`, which also ends a line at U+2028 and other letters inside a prompt.
        lines = re.split(r"\r\n?|\n", args.from_file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"--from-file {args.from_file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"--from-file {args.from_file} is no UTF-8 text (its byte {error.start + 1} is "
            f"0x{error.object[error.start]:02x}); save it as UTF-8"
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise InputError(f"--from-file {args.from_file} holds no prompt; it needs one a line")
    return prompts


def _summary(request: Request, seconds: float) -> str:
    first, count = request.seed, request.count
    seeds = f"seed {first}" if count == 1 else f"seeds {first} to {(first or 0) + count - 1}"
    return f"{counted(count, 'picture')}, {seeds}, {seconds:.1f} s"


def _with_flag(message: str) -> str:
    """An error of a field, with the flag in place of the field's name."""
    match = re.match(r"(\w+)(=| |:)", message)
    if match is None or match[1] not in options.FLAG_OF:
        return message
    joint = " " if match[2] == "=" else match[2]
    rest = message[match.end() :].replace("and None draws one", "and without --seed one is drawn")
    return options.FLAG_OF[match[1]] + joint + rest


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
