"""The server's extension that sends each message at once; in a real server: `widgets/`."""

import json
import logging
from types import SimpleNamespace

import pytest
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

from sdnb import assets, undelayed

SETTING = "kernel_websocket_connection_class"


def loaded(kind):
    """What the connections of a server are, if they were `kind` before the extension."""
    app = SimpleNamespace(settings={SETTING: kind})
    server = SimpleNamespace(web_app=app, log=logging.getLogger("server"))
    undelayed._load_jupyter_server_extension(server)
    return app.settings[SETTING]


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


@pytest.mark.parametrize("kind", [GatewayWebSocketConnection, Chosen, None])
def test_a_connection_of_another_kind_stays(kind):
    assert loaded(kind) is kind


def test_the_server_is_told_of_an_extension_that_is_one():
    told = json.loads((assets.configs() / "jupyter" / "sdnb.json").read_text("utf-8"))
    (name,) = [name for name, on in told["ServerApp"]["jpserver_extensions"].items() if on]
    manager = ExtensionManager()
    assert manager.add_extension(name, enabled=True)
    (point,) = manager.extensions[name].extension_points.values()
    assert point.module is undelayed
