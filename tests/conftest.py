"""What holds for every test: how many at once, in which order, and the model that they share."""

import gc
import os
import signal

import hypothesis
import pytest

import sdnb
from sdnb.library import known

# The oracles bring a million objects, which stay: to look through them took a tenth of all time.
gc.set_threshold(20_000, 10, 10)
# Waiting threads soon give their core back: the tests run beside kernels and a browser.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
hypothesis.settings.register_profile("sdnb", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("sdnb")
# Of several processes of tests (`pytest -n 2`) each has its share of the cores, and so has what it
# starts: threads of two that want all of them wait for each other at every step.
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _processes > 1:
    share = max(1, (os.cpu_count() or 1) // _processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))


def pytest_xdist_auto_num_workers(config):
    """What `-n auto` means: a process for each core, four at most, to run folders of tests. A test
    of a page keeps more than one core busy by itself, with its kernel and its browser: one process
    more would end no sooner, and each test would take half as long again.

    Files and single tests run in pytest's own process: that starts sooner, and a debugger works.
    """
    if all(".py" in argument for argument in config.args):
        return 0
    return min(4, os.cpu_count() or 1)


def _quick(config):
    """Whether slower tests are left out because nobody said otherwise."""
    return config.option.markexpr in config.getini("addopts")


def pytest_configure(config):
    """A test that is named (`pytest tests/x.py::test_y`) runs, however slow it is."""
    if _quick(config) and all("::" in argument for argument in config.args):
        config.option.markexpr = ""


def pytest_sessionstart(session):
    plugins = session.config.pluginmanager
    terminal = plugins.get_plugin("terminalreporter")
    if terminal is not None:  # not in a process of `-n`, which tells the first one
        plugins.register(_NamedAtOnce(terminal))


class _NamedAtOnce:
    """Names a test when it fails, not after the minutes that all others take."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.terminal.ensure_newline()
            self.terminal.write_line(f"FAILED {report.nodeid} ({report.when})", red=True)


def pytest_report_header(config):
    return "slower tests are left out; all tests: pytest -m ''" if _quick(config) else None


def pytest_collection_finish():
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Tests that take minutes begin first, so that none is left alone with the end. Each process
    has its share of them: at first xdist gives each a part of the list, one after the other.
    """
    files: dict[object, list[pytest.Item]] = {}
    for item in items:
        notebook, browser = map(item.get_closest_marker, ("notebook", "browser"))
        if notebook or browser:  # a file of tests shares a browser, and lessons share nothing
            files.setdefault(item if notebook else item.path, []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(_processes)]
    for file in sorted(files.values(), key=len, reverse=True):
        min(shares, key=_minutes).extend(file)
    slow = {item for share in shares for item in share}
    rest = [item for item in items if item not in slow]
    items[:] = []
    for n, share in enumerate(shares):
        room = (len(rest) + sum(map(len, shares[n:]))) // (_processes - n) - len(share)
        items += [*sorted(share, key=_is_browser), *rest[:room]]
        rest = rest[room:]


def _is_browser(item):
    return item.get_closest_marker("notebook") is None


def _minutes(share):
    """About how long these take: a lesson takes as long as eight tests of a page."""
    return sum(1 if _is_browser(item) else 8 for item in share)


@pytest.fixture(scope="session", autouse=True)
def _no_users_cache(tmp_path_factory):
    """What is remembered of files is the tests' own, and no library is the user's."""
    with pytest.MonkeyPatch.context() as patch:
        kept = tmp_path_factory.mktemp("cache") / "library.json"
        patch.setattr(known, "path", lambda: kept)
        patch.delenv("SDNB_LIBRARY", raising=False)
        yield


@pytest.fixture
def interruptible():
    """An interrupt is heard, here and in what is started; in background jobs it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def model():
    """The embedded model. A test that changes its model, or what it keeps, loads its own."""
    return sdnb.load(memory="cpu", precision="full")
