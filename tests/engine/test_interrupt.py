"""A real interrupt of a real run: it ends, in one line, with the exit code of an interrupt."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("interruptible")]


def test_ctrl_c_ends_a_run_in_the_middle(tmp_path):
    command = [sys.executable, "-m", "sdnb", "txt2img", "--prompt", "a cat", "--ddim_steps", "1000"]
    windows = sys.platform == "win32"
    process = subprocess.Popen(
        [*command, "--outdir", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if windows else 0,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seen = b""
    while b"| 2/1000" not in seen:  # two steps are done: it is at work
        piece = os.read(process.stderr.fileno(), 4096)
        assert piece, seen.decode()
        seen += piece
    process.send_signal(signal.CTRL_BREAK_EVENT if windows else signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"Traceback" not in seen + err
    assert out == b""
    assert not list(tmp_path.rglob("*.png"))
