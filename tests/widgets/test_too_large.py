"""An upload beyond the server's bound: its part tells the kernel, and the widgets say so."""

import sys
from types import SimpleNamespace

import ipywidgets as widgets
import pytest
from helpers.fakes import Model
from helpers.mask_hand import uploaded
from helpers.widget_hands import alert, find, read
from PIL import Image

from sdnb import images
from sdnb.cli.connection import Connection
from sdnb.jobs.executor import Inline
from sdnb.widgets import too_large
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.panel import Panel


class Socket:
    """Tornado's side of a socket: it closes when a message is beyond the bound."""

    def __init__(self):
        self.closed = []

    def close(self, code=None, reason=None):
        self.closed.append((code, reason))


@pytest.mark.parametrize(("code", "told"), [(1009, 1), (1000, 0), (None, 0)])
def test_the_server_tells_the_kernel_why_the_socket_closes(code, told):
    sent, socket = [], Socket()
    handler = SimpleNamespace(ws_connection=socket, max_message_size=2**27)
    made = SimpleNamespace(
        websocket_handler=handler, channels={"shell": "a stream"},
        session=SimpleNamespace(send=lambda *message: sent.append(message)),
    )  # fmt: skip
    made._tell_kernel = lambda: Connection._tell_kernel(made)
    Connection._hear_of_too_large(made)
    socket.close(code, "words")
    assert socket.closed == [(code, "words")]
    assert len(sent) == told
    for stream, kind, content in sent:
        assert (stream, kind) == ("a stream", "comm_open")
        assert content["target_name"] == "sdnb.too_large"
        assert content["data"] == {"most": 2**27}


@pytest.mark.slow
def test_the_boxes_say_so_and_their_buttons_are_new():
    """The browser's part of the old one waits for ever for an answer."""
    one = Panel(Model(), "img2img", executor=Inline(lambda _: iter(())))
    before = find(one, "Picture…"), find(one, "Add a picture…")
    too_large._told(None, {"content": {"data": {"most": 2**27}}})
    assert "more than the 128 MiB" in alert(one)
    assert "did not arrive" in read(one.gallery)
    after = find(one, "Picture…"), find(one, "Add a picture…")
    assert all(isinstance(button, widgets.FileUpload) for button in after)
    assert not set(before) & set(after)


def test_the_mask_editor_says_so_and_takes_the_next():
    editor = MaskEditor(Image.new("RGB", (64, 64)))
    before = find(editor, "Import a mask")
    too_large._told(None, {"content": {"data": {"most": 2**27}}})
    assert "more than the 128 MiB" in read(editor)
    now = find(editor, "Import a mask")
    assert now is not before
    now.value = uploaded(images.mask(Image.new("L", (64, 64), 255)))
    assert editor.mask.getextrema() == (255, 255)


def test_without_a_canvas_the_button_that_is_left_takes_the_next(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipycanvas", None)
    monkeypatch.delitem(sys.modules, "sdnb.widgets.masks.surface", raising=False)
    editor = MaskEditor(Image.new("RGB", (64, 64)))
    before = find(editor._fallback, "Import a mask")
    too_large._told(None, {"content": {"data": {"most": 2**27}}})
    now = find(editor._fallback, "Import a mask")
    assert now is not before
    now.value = uploaded(images.mask(Image.new("L", (64, 64), 255)))
    assert editor.mask.getextrema() == (255, 255)


def test_who_is_gone_is_not_told():
    class Listener:
        def say(self, words):
            raise AssertionError(words)

    listener = Listener()
    too_large.hear(listener.say)
    del listener
    too_large._told(None, {"content": {"data": {"most": 2**27}}})
