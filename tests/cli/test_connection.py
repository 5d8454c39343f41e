"""The server's extension: messages go at once and may be large. In a real server: `widgets/`."""

import asyncio
import json
import logging
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from jupyter_server_terminals.handlers import TermSocket
from tornado.httputil import HTTPServerRequest, RequestStartLine
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from sdnb import assets
from sdnb.cli import connection

SETTING = "kernel_websocket_connection_class"


def started(**settings):
    """A server's application with these settings, and the extension."""
    app = Application(**settings)
    server = SimpleNamespace(web_app=app, log=logging.getLogger("server"))
    connection._load_jupyter_server_extension(server)
    return app


def loaded(kind):
    """What the connections of a server are, if they were `kind` before the extension."""
    return started(**{SETTING: kind}).settings[SETTING]


def handler(app, kind=KernelWebsocketHandler):
    """What answers a browser that wants to speak to a kernel, or to something else."""
    line = RequestStartLine("GET", "/", "HTTP/1.0")
    more = {"term_manager": Mock(), "name": "1"} if kind is TermSocket else {}
    return kind(app, HTTPServerRequest(start_line=line, connection=Mock()), **more)


def test_the_connection_holds_nothing_back(monkeypatch):
    told = []

    class Handler(KernelWebsocketHandler):
        def __init__(self):
            pass  # of no request

        def set_nodelay(self, value):
            told.append(value)

    kind = loaded(ZMQChannelsWebsocketConnection)
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda _: told.append("begun"))
    kind(parent=None, websocket_handler=Handler()).connect()
    assert told == [True, "begun"]


class Chosen(ZMQChannelsWebsocketConnection):
    """Somebody's own."""


def test_a_picture_of_many_megabytes_is_one_message():
    """Tornado's own bound is 10 MiB."""
    assert handler(Application()).max_message_size == 10 * 2**20
    assert handler(started()).max_message_size == 128 * 2**20
    assert handler(Application()).max_message_size == 10 * 2**20  # another server of this process
    chosen = started(websocket_max_message_size=5)
    assert handler(chosen).max_message_size == 5


def test_the_room_is_for_kernels_alone():
    assert handler(started(), TermSocket).max_message_size == 10 * 2**20
    assert handler(started(), WebSocketHandler).max_message_size == 10 * 2**20


def test_voila_has_the_room_by_the_connection_alone(monkeypatch):
    """Voila loads no extension, but is told of the class."""
    told = []

    async def prepare(self):
        told.append(self.websocket_handler.max_message_size)

    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "prepare", prepare)
    made = connection.Connection(parent=None, websocket_handler=handler(Application()))
    asyncio.run(made.prepare())
    assert told == [2**27]


@pytest.mark.parametrize("kind", [GatewayWebSocketConnection, Chosen, None])
def test_a_connection_of_another_kind_stays(kind):
    assert loaded(kind) is kind


def test_the_server_is_told_of_an_extension_that_is_one():
    told = json.loads((assets.configs() / "jupyter" / "sdnb.json").read_text("utf-8"))
    (name,) = [name for name, on in told["ServerApp"]["jpserver_extensions"].items() if on]
    manager = ExtensionManager()
    assert manager.add_extension(name, enabled=True)
    (point,) = manager.extensions[name].extension_points.values()
    assert point.module is connection
