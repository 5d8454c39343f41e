"""`sdnb app` before there is a page: what it shows, and what is wrong said in one line."""

import argparse
import importlib.util
import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdnb.__main__ import main
from sdnb.cli import app
from sdnb.library import Library


@pytest.fixture
def served(monkeypatch):
    """The notebook that would be served, and what voila would get."""
    seen = []
    monkeypatch.setattr(
        app, "_serve", lambda args, path, more: seen.append((path.read_text("utf-8"), args, more))
    )
    return seen


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(*argv):
    return main(["app", "--ip", "127.0.0.1", "--port", str(free_port()), *argv])


def test_the_page_is_a_studio_as_the_flags_ask_for_it(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's mine").mkdir()
    flags = "--library", "it's mine", "--memory", "2.5", "--outdir", "pictures"
    assert run(*flags, "--", "--x") == 0
    import nbformat  # takes a second and a half

    ((text, _, more),) = served
    notebook = nbformat.reads(text, 4)
    nbformat.validate(notebook)
    assert more == ["--x"]
    asked, places = {}, []
    shown = SimpleNamespace(be_page=places.append)
    stand_in = SimpleNamespace(
        load=lambda path, **how: asked.update(how, path=path) or "the model",
        studio=lambda model, **how: asked.update(how, model=model) or shown,
    )
    monkeypatch.setitem(sys.modules, "sdnb", stand_in)
    monkeypatch.chdir("/")
    exec(notebook.cells[-1].source, {})  # as the kernel does
    assert places == ["sdnb app pictures"]
    assert Path.cwd() == tmp_path
    assert asked.pop("model") == "the model"
    library = [str(tmp_path / "it's mine")]
    assert asked == {"path": None, "memory": 2.5, "library": library, "folder": "pictures"}
    assert Library(*library).files() == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--memory", "3gb"], "memory='3gb'"),
        (["--library", "nowhere"], "'nowhere' is no folder"),
        (["--model", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--port", "0"], "--port 0 is not a port"),
        (["--prot", "1"], "unknown flag --prot"),
        (["--theme", "blue"], "blue"),
    ],
)
def test_what_is_wrong_is_one_line(argv, words, served, capsys):
    assert run(*argv) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert served == []


def test_a_port_that_is_taken_is_said(served, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["app", "--ip", "127.0.0.1", "--port", str(port)]) == 2
    assert f"--port {port} at 127.0.0.1 cannot be had (Address already in use)" in (
        capsys.readouterr().err
    )


def test_without_voila_it_says_how_to_get_it(served, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert run() == 2
    assert capsys.readouterr().err == (
        'sdnb: app: it needs voila, which is not installed: pip install "sdnb[voila]"\n'
    )


def test_the_notebook_is_plain_json():
    page = app.page(args_for("localhost"))
    assert json.loads(json.dumps(page)) == page
    compile(page["cells"][-1]["source"], "cell", "exec")


@pytest.mark.parametrize(("ip", "keeps"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_words_are_kept_for_the_next_page_where_nobody_else_comes(ip, keeps):
    *_, cell = app.page(args_for(ip))["cells"]
    assert ("be_page('sdnb app " in cell["source"]) == keeps
    assert ("be_page('')" in cell["source"]) != keeps


def args_for(ip):
    return argparse.Namespace(model="a\"b'c", library=None, memory="auto", outdir=Path("o"), ip=ip)


@pytest.fixture
def given(monkeypatch):
    """The flags that voila gets, which is not started."""
    flags = []
    voila = SimpleNamespace(initialize=flags.extend, start=lambda: None)
    module = SimpleNamespace(AppServer=SimpleNamespace(instance=lambda: voila))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "it is there")
    monkeypatch.setitem(sys.modules, "sdnb.cli.app_server", module)
    return flags


def test_voila_waits_for_a_kernel_and_its_output_however_busy_the_computer_is(given):
    """Else a page stays empty: of a studio's thousand messages some are on their way for long."""
    from traitlets.config.loader import KeyValueConfigLoader
    from voila.execute import VoilaExecutor

    assert run() == 0
    flags = [flag for flag in given if flag.startswith("--")]
    executor = VoilaExecutor({}, config=KeyValueConfigLoader(flags).load_config())
    assert (executor.iopub_timeout, executor.startup_timeout) == (600, 600)


@pytest.mark.parametrize(
    ("ip", "asks"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)]
)
def test_who_comes_from_elsewhere_needs_the_key_that_is_printed(ip, asks, given, capsys):
    assert main(["app", "--ip", ip, "--port", str(free_port())]) == 0
    (key,) = (flag.partition("=")[2] for flag in given if flag.startswith("--Voila.token="))
    assert bool(key) == asks
    assert (f"/?token={key} " in capsys.readouterr().out) == asks
    assert len(key) in (0, 32)


@pytest.mark.parametrize(
    ("ip", "address"),
    [("localhost", "localhost"), ("10.0.0.7", "10.0.0.7"), ("::1", "[::1]"),
     ("0.0.0.0", socket.gethostname()), ("::", socket.gethostname())],
)  # fmt: skip
def test_the_address_is_one_that_others_can_open(ip, address):
    assert app.host(ip) == address
