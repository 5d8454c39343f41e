"""What holds for every test."""

import os

# Waiting threads soon give their core back: the tests run beside kernels and a browser.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Of several processes of tests (`pytest -n 2`) each has its share of the cores, and so has what it
# starts: threads of two that want all of them wait for each other at every step.
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _processes > 1:
    share = max(1, (os.cpu_count() or 1) // _processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))

# Files that take minutes begin first, so that none is left alone with the end.
_LONG = ("test_notebooks_page.py", "test_panel_page.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else 9)
