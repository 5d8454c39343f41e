"""What the kernel draws reaches the browser at once: an extension of the Jupyter server.

The kernel answers each mouse move with two small messages, that it is busy and the ink. By TCP's
default (Nagle's algorithm) the server holds the second back until the browser has acknowledged the
first: up to 40 ms later, or with its next move.

A server that has sdnb installed beside it loads this by itself (`configs/jupyter/sdnb.json`); it
is turned off by `jupyter server extension disable sdnb.undelayed`. Voila alone loads no extensions:

    voila studio.ipynb --Voila.kernel_websocket_connection_class=sdnb.undelayed.Connection
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

_SETTING = "kernel_websocket_connection_class"  # looked up anew for each connection


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection of a browser with a kernel, without that wait."""

    def connect(self) -> Any:
        """Begin; the socket is open by now."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "sdnb.undelayed"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Exchange the server's connections for these; not a gateway's, or what somebody chose."""
    settings = server.web_app.settings
    if settings.get(_SETTING) is ZMQChannelsWebsocketConnection:
        settings[_SETTING] = Connection
        server.log.info("sdnb: messages of kernels are sent without delay (TCP_NODELAY)")
