"""Kernels that are copies of one process, which has imported already what each of them would.

JupyterLab's kernelspec starts `stand_in`, which asks that process for a copy and then stands for
it: an interrupt is passed on, and each ends when the other does. Nothing but imports happens before
a copy is made, so it is a kernel that has run no code.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def offered(folder):
    """Write the kernel "python3" into a folder for JUPYTER_PATH, and serve it meanwhile."""
    from ipykernel.kernelspec import get_kernel_dict  # the stand-in needs no second of imports

    address = str(folder / "s")  # of a socket: it must be short
    place = folder / "kernels/python3"
    place.mkdir(parents=True)
    argv = [sys.executable, "-I", "-S", __file__, address, "{connection_file}"]
    spec = get_kernel_dict() | {"argv": argv}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        process = subprocess.Popen(
            [sys.executable, __file__, str(server.fileno())],
            pass_fds=[server.fileno()], stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def stand_in(address, file):
    """What Jupyter starts, watches, interrupts and kills in the place of a kernel."""
    with socket.socket(socket.AF_UNIX) as kernel:
        kernel.connect(address)
        asked = {"file": file, "folder": str(Path.cwd()), "environ": dict(os.environ)}
        socket.send_fds(kernel, [json.dumps(asked).encode()], [0, 1, 2])
        signal.signal(signal.SIGINT, lambda *_: kernel.send(b"i"))
        kernel.recv(1)  # nothing comes: the kernel has ended


def copies(server):
    """Import what takes long, and make a copy whenever one is asked for; returns in each."""
    import omegaconf  # noqa: F401
    import tokenizers  # noqa: F401
    import torch  # noqa: F401
    from ipykernel import kernelapp, zmqshell  # noqa: F401
    from PIL import Image  # noqa: F401

    # These look for their kernel when they are imported, and there is none yet.
    for name in ("ipywidgets", "tqdm.auto"):
        if name in sys.modules:
            raise RuntimeError(f"{name} is imported before there is a kernel")
    gc.freeze()  # a million objects, which every collection of each kernel would look through
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a copy is its stand-in
    while not select.select([server, sys.stdin], [], [])[0].count(sys.stdin):
        asked, _ = server.accept()
        words, descriptors, *_ = socket.recv_fds(asked, 2**20, 3)
        if os.fork() == 0:
            server.close()
            return asked, json.loads(words), descriptors
        for descriptor in (*descriptors, asked.detach()):
            os.close(descriptor)
    sys.exit()  # the tests are gone


def become_a_kernel(asked, wanted, descriptors):
    """The copy, as if Jupyter had started it."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for here, descriptor in enumerate(descriptors):
        os.dup2(descriptor, here)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(wanted["environ"])
    os.chdir(wanted["folder"])

    def obey():
        while asked.recv(1):
            os.killpg(0, signal.SIGINT)
        os._exit(1)

    threading.Thread(target=obey, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    # The parent is not the server, which ends its kernels by their stand-ins.
    IPKernelApp.launch_instance(["-f", wanted["file"], "--IPKernelApp.parent_handle=1"])
    atexit._run_exitfuncs()
    os._exit(0)  # to take two thousand modules apart takes half a second


if __name__ == "__main__":
    del sys.path[0]  # this folder, where a kernel would find our helpers
    if len(sys.argv) == 2:
        become_a_kernel(*copies(socket.socket(fileno=int(sys.argv[1]))))
    else:
        stand_in(*sys.argv[1:])
