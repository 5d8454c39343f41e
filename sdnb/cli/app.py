"""`sdnb app`: the studio as a page of its own, for who wants no notebook.

Voila shows a notebook without its code. The notebook is written to a temporary folder;
pictures are saved where the command was called. Each visitor has a kernel and a model of their own,
which end when the page is left or loaded again; then the controls come back as they were left.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import socket
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from sdnb.assets import user_path
from sdnb.cli.options import plan_or_gb
from sdnb.cli.parser import InputError, Parser, input_stage
from sdnb.request import memory_plan

_CONNECTION = "sdnb.cli.connection.Connection"  # ink without delay, and pictures above 10 MiB
_HERE = ("localhost", "127.0.0.1", "::1")  # addresses that nobody else reaches
_ALL = ("0.0.0.0", "::")
_CELL = """import os

import sdnb

os.chdir({place!r})
studio = sdnb.studio(sdnb.load({model!r}, {more}), folder={folder!r})
studio.be_page({keeps!r})
studio
"""
# A page that is loaded again has another kernel, and the words of the last one. Not where others
# come, too: they would see them. Who saves to another folder does something else there.
_KEEPS = "sdnb app"
_PATIENCE = 600  # seconds, with a computer that has much to do
_UNSEEN = "<style>.jp-MarkdownCell { display: none; }</style>"


def main(argv: Sequence[str]) -> int:
    """Run the command until it is interrupted; returns the exit code."""
    parser = Parser(
        prog="sdnb app",
        description="Opens the studio as a page in the browser. Ctrl+C ends it.",
        epilog="What stands after -- goes to voila as it is.",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument("--port", type=int, default=8866, help="of the page (%(default)s)")
    parser.add_argument(
        "--ip", default="localhost",
        help="address to listen on (%(default)s); others need the key that is printed with it",
    )  # fmt: skip
    parser.add_argument(
        "--outdir", type=user_path, default=Path("outputs"), metavar="DIR",
        help="where pictures are saved, and shown from (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--model", "--ckpt", dest="model", metavar="PATH",
        help=".ckpt, .safetensors, a diffusers folder, a hub id, a name in the library (the "
        "built-in model)",
    )  # fmt: skip
    parser.add_argument(
        "--library", type=user_path, action="append", metavar="FOLDER",
        help="where models, LoRAs and embeddings are found by name: a folder of AUTOMATIC1111, "
        "ComfyUI or InvokeAI, or any other; may be given several times (what SDNB_LIBRARY names)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=plan_or_gb, default="auto", metavar="PLAN",
        help="where the model stays: a plan's name, or a number of GB (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="%(default)s")
    argv = list(argv)
    split = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse(argv[:split])
    _check(args, parser)
    with tempfile.TemporaryDirectory(prefix="sdnb-app-") as folder:
        notebook = Path(folder) / "sdnb.ipynb"
        notebook.write_text(json.dumps(page(args)), encoding="utf-8")
        _serve(args, notebook, argv[split + 1 :])
    return 0


def page(args: Namespace) -> dict[str, object]:
    """The notebook that is shown: a studio, as the flags ask for it, behind what the page needs."""
    from sdnb.widgets import leaving  # only where a page is served

    library = args.library and [str(folder.absolute()) for folder in args.library]
    more = f"memory={args.memory!r}" + (f", library={library!r}" if library else "")
    place = {"place": str(Path.cwd()), "folder": str(args.outdir)}
    keeps = f"{_KEEPS} {args.outdir}" if args.ip in _HERE else ""
    source = _CELL.format(model=args.model, more=more, keeps=keeps, **place)
    head = {
        "cell_type": "markdown", "id": "head", "metadata": {},
        "source": f"{_UNSEEN}\n\n{leaving.html()}",
    }  # fmt: skip
    cell: dict[str, object] = {
        "cell_type": "code", "execution_count": None, "id": "studio", "metadata": {},
        "outputs": [], "source": source,
    }  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": [head, cell], "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def _check(args: Namespace, parser: Parser) -> None:
    """Say what is wrong before a page is there. Raises InputError."""
    if importlib.util.find_spec("voila") is None:
        raise InputError('app: it needs voila, which is not installed: pip install "sdnb[voila]"')
    if not 0 < args.port < 65536:
        parser.error(f"--port {args.port} is not a port; 1 to 65535 are")
    with input_stage():
        memory_plan.plan(args.memory)
        if args.model or args.library:
            from sdnb.library import opened
            from sdnb.widgets.engine_door import read_checkpoint

            library = opened(args.library or None)
            if args.model:
                read_checkpoint(args.model, library)
    try:
        with socket.create_server((args.ip, args.port)):
            pass
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise InputError(
            f"app: --port {args.port} at {args.ip} cannot be had ({why}); give another one"
        ) from None


def _serve(args: Namespace, notebook: Path, more: Sequence[str]) -> None:
    """Serve the page in this process, until it is interrupted."""
    from sdnb.cli.app_server import AppServer

    # Whoever reaches a kernel can do anything here: others need the key in the address.
    token = "" if args.ip in _HERE else secrets.token_urlsafe(24)
    app = AppServer.instance()
    app.initialize(
        [
            str(notebook),
            f"--Voila.ip={args.ip}",
            f"--Voila.port={args.port}",
            "--Voila.port_retries=0",
            f"--Voila.open_browser={not args.no_browser}",
            f"--Voila.token={token}",
            f"--Voila.kernel_websocket_connection_class={_CONNECTION}",
            f"--VoilaConfiguration.theme={args.theme}",
            "--VoilaConfiguration.show_tracebacks=True",  # else an error is shown without its words
            # A studio is a thousand messages. Where they take longer than 4 s after the cell's end,
            # voila would go on without its output, and the page would stay empty.
            f"--VoilaExecutor.iopub_timeout={_PATIENCE}",
            f"--VoilaExecutor.startup_timeout={_PATIENCE}",
            "--Voila.log_level=ERROR",
            *more,
        ]
    )
    key = f"?token={token}" if token else ""
    print(f"The studio is at http://{host(args.ip)}:{args.port}/{key} (Ctrl+C ends it)", flush=True)
    app.start()


def host(ip: str) -> str:
    """What stands in an address that is listened on: of "all", this machine's name, by which others
    reach it.
    """
    if ip in _ALL:
        return socket.gethostname()
    return f"[{ip}]" if ":" in ip else ip
