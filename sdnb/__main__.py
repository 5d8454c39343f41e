"""The command line: `sdnb COMMAND ...`, also `python -m sdnb COMMAND ...`.

Exit codes: 0 done, 1 the run failed, 2 wrong usage or bad input, 130 interrupted. An error is one
line on stderr; `SDNB_DEBUG=1` in the environment adds the traceback. Torch is imported only when a
model is loaded, so help and wrong flags are answered at once.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import sdnb
from sdnb.cli.parser import InputError
from sdnb.request import checks

# Each command: module:function, which takes the arguments and returns the exit code; its help.
COMMANDS = {
    "lab": ("sdnb.cli.lab:main", "copy the notebooks to a folder and open JupyterLab there"),
    "app": ("sdnb.cli.app:main", "open the studio as a page in the browser"),
    "txt2img": ("sdnb.cli.pictures:txt2img", "make pictures from a prompt"),
    "img2img": ("sdnb.cli.pictures:img2img", "make pictures from a picture; --mask inpaints"),
    "library": ("sdnb.cli.listing:main", "list models, LoRAs and control networks of a folder"),
    "bench": ("sdnb.bench:main", "measure loading and speed on this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of the process's arguments. Returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print "?" where the console cannot show a letter
            stream.reconfigure(errors="replace")
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)
    except InputError as error:
        return _failed(error, 2)
    except Exception as error:  # noqa: BLE001 - any other error is one line, too
        return _failed(error, 1)


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"sdnb {sdnb.__version__}")
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        hint = checks.nearest(name, COMMANDS)
        raise InputError(f"unknown command {name!r}{hint}; see sdnb --help")
    module, function = COMMANDS[name][0].split(":")
    code: int = getattr(import_module(module), function)(rest)
    return code


def _overview() -> str:
    rows = (f"  {name:10}{what}" for name, (_, what) in COMMANDS.items())
    return "\n".join(
        (
            "usage: sdnb COMMAND [flags]    (sdnb COMMAND --help lists its flags)",
            "",
            "Low-memory Stable Diffusion in a notebook.",
            "",
            *rows,
        )
    )


def _failed(error: BaseException | str, code: int) -> int:
    if isinstance(error, BaseException) and os.environ.get("SDNB_DEBUG"):
        traceback.print_exception(error)
    words = " ".join(str(error).split())  # in one line
    if isinstance(error, Exception) and code == 1:
        words = f"{type(error).__name__}: {words}" if words else type(error).__name__
    print(f"sdnb: {words}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
