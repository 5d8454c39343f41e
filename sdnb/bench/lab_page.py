"""JupyterLab as `sdnb lab` starts it, in headless Chromium: for tests and `sdnb bench widgets`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

# CI runs as root, where a sandbox is not possible.
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# No dialog and no news covers the page.
_NOTIFICATION = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
NOTEBOOK = """
    const app = window.jupyterapp;
    const panel = [...app.shell.widgets('main')].find(w => w.context && w.context.path === PATH);
"""

# True when ipywidgets has asked the kernel for its widgets, as it does where a notebook is opened.
_RESTORED = """
    const kind = 'application/vnd.jupyter.widget-view+json';
    const manager = await panel.content.rendermime.createRenderer(kind)._manager.promise;
    return manager.restoredStatus || 'ipywidgets asks the kernel for its widgets';
"""


def chromium() -> str | None:
    """The system's Chromium; None for the one that `playwright install chromium` brings."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Lab:
    """`sdnb lab --no-browser` on a folder of its own, without the user's settings."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url, self.token = f"http://127.0.0.1:{port}", secrets.token_hex(16)
        self.folder, private = folder / "notebooks", folder / "jupyter"
        settings = private / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        text = json.dumps(_NOTIFICATION)
        (settings / "notification.jupyterlab-settings").write_text(text, encoding="utf-8")
        places = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "XDG_CONFIG_HOME": "user",
        }
        self._log = folder / "server.log"
        command = [
            *(sys.executable, "-m", "sdnb", "lab", "--no-browser"),
            *("--dir", str(self.folder), "--ip", "127.0.0.1", "--port", str(port)),
            *("--", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}"),
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=os.environ | {name: str(private / place) for name, place in places.items()},
            )  # fmt: skip
        try:
            self._wait(seconds=240)
        except BaseException:
            self.stop()
            raise

    def log(self) -> str:
        """The server's output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def write(self, name: str, *cells: str) -> str:
        """A notebook of these cells; its name, which must be new: two notebooks of one name share a
        kernel.
        """
        import nbformat  # takes two seconds

        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        with (self.folder / name).open("x", encoding="utf-8") as file:
            nbformat.write(notebook, file)
        return name

    def stop(self) -> None:
        """Kill the server and its kernels; a regular end would take a second a kernel."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for kernel in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    kernel.kill()
        self._process.kill()
        self._process.wait()

    def kernels(self) -> set[str]:
        """The ids of the kernels that run."""
        return {kernel["id"] for kernel in json.loads(self._ask("api/kernels"))}

    def end_kernels(self, keep: set[str]) -> None:
        """End the kernels of all notebooks but these: each has a model, some 0.6 GB."""
        for kernel in self.kernels() - keep:
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                self._ask(f"api/kernels/{kernel}", "DELETE")

    def _ask(self, path: str, method: str = "GET") -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bytes(answer.read())

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._ask("api/status")
                return
            time.sleep(0.2)
        raise RuntimeError(f"sdnb lab did not come up:\n{self.log()}")


class Notebook:
    """A notebook in a page, opened at `address` (default: the notebook in JupyterLab)."""

    def __init__(self, page: Any, lab: Lab, name: str, address: str | None = None) -> None:
        self.page, self.name = page, name
        self._open(lab, address)
        self._ready()

    def _open(self, lab: Lab, address: str | None) -> None:
        if address is None:  # in a fresh workspace, so that no layout is restored
            address = f"lab/workspaces/{secrets.token_hex(4)}/tree/{self.name}"
        self.page.goto(f"{lab.url}/{address}?token={lab.token}")

    def _ready(self) -> None:
        """Wait until the notebook is open and its kernel answers."""
        self.page.wait_for_function("() => window.jupyterapp !== undefined", timeout=240_000)
        self.until(
            "if (!panel) return 'not open'; await panel.context.ready;"
            "const kernel = panel.sessionContext.session?.kernel;"
            "if (kernel?.connectionStatus !== 'connected') return 'no kernel';"
            "return kernel.status === 'idle' || kernel.status",
            240,
        )
        # Models that ipywidgets asks the kernel for meet those that a cell makes in that moment.
        # One that is busy for 4 s is asked for each of a thousand widgets by itself.
        self.until(_RESTORED, 480)
        self.js("app.shell.activateById(panel.id)")
        # Errors of threads and callbacks reach no cell: record all that the kernel sends.
        self.js(
            "window.heard = [];"
            "panel.sessionContext.iopubMessage.connect((_, m) => {"
            "  const error = m.header.msg_type === 'error';"
            "  if (error) window.heard.push(m.content.traceback.join('\\n'));"
            "  if (m.content.name === 'stderr') window.heard.push(m.content.text); });"
        )

    def js(self, body: str) -> Any:
        """Run JavaScript that sees `app` and the notebook's `panel`."""
        return self.page.evaluate(
            f"async () => {{ const PATH = {json.dumps(self.name)}; {NOTEBOOK} {body} }}"
        )

    def until(self, body: str, seconds: float = 120) -> None:
        """Wait until the JavaScript returns true; any other value is the reason of the wait."""
        last = None
        for _ in self.looks(seconds):
            last = self.js(body)
            if last is True:
                return
        raise TimeoutError(f"{self.name} after {seconds} s: {last}")

    def looks(self, seconds: float) -> Iterator[None]:
        """Comes back again and again for so long, after longer and longer pauses, at most 1 s: to
        look costs the page, the server and the kernel what they need for their work.
        """
        start, passed = time.monotonic(), 0.0
        while passed < seconds:
            yield
            self.page.wait_for_timeout(min(1000, 100 + 100 * passed))
            passed = time.monotonic() - start

    def run_all(self, seconds: float = 300) -> None:
        """Run every cell and wait for the last."""
        # Only the command's promise is reliable: a kernel with subshells is 'idle' during a cell.
        self.js(
            "window.ran = 'running'; app.commands.execute('notebook:run-all-cells')"
            ".then(() => { window.ran = true }, error => { window.ran = String(error) });"
        )
        self.until("return window.ran", seconds)
        self.until("return panel.sessionContext.session.kernel.status === 'idle'", 240)

    def kernel(self, expression: str) -> Any:
        """The value of a Python expression in the kernel, through JSON, once the kernel is free."""
        code = f"import json as _json; print(_json.dumps({expression}))"
        ask = (
            "let text = ''; const future = panel.sessionContext.session.kernel.requestExecute("
            f"{{code: {json.dumps(code)}, store_history: false}});"
            "future.onIOPub = m => { text += m.content.text ?? m.content.evalue ?? '' };"
            "await future.done; return text"
        )
        # After a cell's error a kernel takes nothing for a moment, and answers nothing: ask again.
        for _ in self.looks(60):
            if text := self.js(ask):
                return json.loads(text)
        raise TimeoutError(f"{self.name}: the kernel does not answer {expression}")
