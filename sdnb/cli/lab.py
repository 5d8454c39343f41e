"""`sdnb lab`: copies the notebooks to a folder of the user and opens JupyterLab on the first.

A later version refreshes a copy as long as the user has not changed it. A small file beside the
copies holds the sha256 of what was copied.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdnb import assets, images
from sdnb.assets import user_path
from sdnb.cli.parser import Parser, input_stage
from sdnb.images import files

FIRST = "01-txt2img.ipynb"
RECORD = ".sdnb-copied.json"  # {file: sha256 of what was copied}


def main(argv: Sequence[str]) -> int:
    """Run the command; returns JupyterLab's exit code."""
    parser = Parser(
        prog="sdnb lab",
        description="Copies the notebooks to a folder of yours and opens JupyterLab on the first. "
        "A notebook that you have changed is never overwritten.",
        epilog="What stands after -- goes to JupyterLab as it is.",
    )
    parser.add_argument(
        "--dir", type=user_path, default=Path("sdnb-notebooks"), help="the folder (%(default)s)"
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
        for line in copy_notebooks(args.dir):
            print(line)
    _open_lab(args, argv[split + 1 :])
    return 0


def copy_notebooks(folder: Path) -> list[str]:
    """Bring `folder` up to date with the notebooks of this sdnb. Returns lines for the user.

    A file that the user has changed stays as it is; a file that was deleted comes back. Raises
    ValueError where `folder` is sdnb's own folder of notebooks, and OSError where it cannot be
    written.
    """
    source, folder = assets.notebooks(), folder.expanduser()
    if folder.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{folder} holds sdnb's own notebooks; give --dir a folder of yours")
    folder.mkdir(parents=True, exist_ok=True)
    record = _read_record(folder / RECORD)
    lines = []
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        target, data = folder / name, path.read_bytes()
        digest = images.sha256(data)
        present = images.sha256(target.read_bytes()) if target.exists() else None
        if present not in (None, digest, record.get(name)):
            lines.append(
                f"{name}: changed by you, so it stays as it is (delete it for a fresh one)"
            )
            continue
        if present != digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.replace(target, data)
        record[name] = digest
    files.replace(folder / RECORD, json.dumps(record, indent=1, sort_keys=True).encode())
    lines.append(f"The notebooks are in {folder.resolve()}")
    return lines


def _open_lab(args: Namespace, more: Sequence[str]) -> None:
    """Run JupyterLab in this process, on the first notebook of the folder, until it is stopped."""
    from jupyterlab.labapp import LabApp

    arguments = [
        f"--ServerApp.root_dir={args.dir.resolve()}",
        f"--ServerApp.ip={args.ip}",
        f"--ServerApp.port={args.port}",
        f"--ServerApp.open_browser={not args.no_browser}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as in a container
        print("JupyterLab runs as root here; a user's account is safer where there is one.")
        arguments.append("--ServerApp.allow_root=True")
    LabApp.launch_instance([*arguments, *more])


def _files(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and not any(part.startswith((".", "__")) for part in parts):
            yield path


def _read_record(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(digest) for name, digest in record.items()}
    except (FileNotFoundError, ValueError, AttributeError):  # no JSON, or no object of names
        return {}  # so each file that differs counts as changed
