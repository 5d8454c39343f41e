"""`sdnb library`: what is in the folders of a user, as sdnb understands it."""

from __future__ import annotations

from collections.abc import Sequence

from sdnb.assets import user_path
from sdnb.cli.parser import InputError, Parser, input_stage
from sdnb.library.recognition import KINDS
from sdnb.request import checks


def main(argv: Sequence[str]) -> int:
    """Print one line for each file; returns the exit code."""
    parser = Parser(
        prog="sdnb library",
        description="Lists checkpoints, LoRAs, embeddings, VAEs and control networks by the names "
        "that prompts and flags take, with what each is for, and why one is not used.",
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=user_path,
        metavar="FOLDER",
        help="of AUTOMATIC1111, ComfyUI or InvokeAI, or any other (what SDNB_LIBRARY names)",
    )
    parser.add_argument("--kind", metavar="NAME", help=f"only these: {', '.join(KINDS)}")
    args = parser.parse(argv)
    with input_stage():
        if args.kind is not None:
            checks.choice("--kind", args.kind, KINDS)
        from sdnb.library import opened

        library = opened(args.folders or None)
        if library is None:
            raise InputError("library: give a folder, or name some in SDNB_LIBRARY")
        for file in library.files(args.kind):
            print(file)
    return 0
