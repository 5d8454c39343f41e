"""`sdnb lab`: copies the notebooks and opens JupyterLab on the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdnb.cli import jupyter
from sdnb.cli.parser import Parser, input_stage


def main(argv: Sequence[str]) -> int:
    """Run the command; returns JupyterLab's exit code."""
    parser = Parser(
        prog="sdnb lab",
        description="Copies the notebooks to a folder of yours and opens JupyterLab on the first. "
        "A notebook that you have changed is never overwritten.",
        epilog="What stands after -- goes to JupyterLab as it is.",
    )
    parser.add_argument(
        "--dir", type=Path, default=Path("sdnb-notebooks"), help="the folder (%(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    parser.add_argument("--port", type=int, default=8888, help="of the server (%(default)s)")
    parser.add_argument("--ip", default="localhost", help="address to listen on (%(default)s)")
    argv = list(argv)
    split = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse(argv[:split])
    if not 0 < args.port < 65536:
        parser.error(f"--port {args.port} is not a port; 1 to 65535 are")
    with input_stage():
        for line in jupyter.copy_notebooks(args.dir):
            print(line)
    return jupyter.open_lab(
        args.dir,
        browser=not args.no_browser,
        port=args.port,
        ip=args.ip,
        more=argv[split + 1 :],
    )
