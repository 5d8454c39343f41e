"""Between kernel and browser nothing waits and nothing is too large: an extension of the Jupyter
server.

The kernel answers each mouse move with two small messages, that it is busy and the ink. By TCP's
default (Nagle's algorithm) the server holds the second back until the browser has acknowledged the
first: up to 40 ms later, or with its next move.

A picture that is uploaded is one message to the kernel. By Tornado's default a message of more than
10 MiB ends the connection, without a word to either side.

A server that has sdnb installed beside it loads this by itself (`configs/jupyter/sdnb.json`);
`jupyter server extension disable sdnb.cli.connection` turns it off. Voila alone loads none:

    voila studio.ipynb --Voila.kernel_websocket_connection_class=sdnb.cli.connection.Connection
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

_CONNECTION_CLASS = "kernel_websocket_connection_class"  # looked up anew for each connection
_MAX_MESSAGE_SIZE = "websocket_max_message_size"  # as well, when it is accepted
_MAX_MESSAGE_BYTES = (
    2**30
)  # bytes: more than the largest picture that sdnb takes, not compressed at all


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection of a browser with a kernel, without that wait and that end."""

    def prepare(self) -> Any:
        """Begin; the socket is not accepted yet."""
        _allow_large_messages(self.websocket_handler.settings)
        return super().prepare()  # type: ignore[no-untyped-call]

    def connect(self) -> Any:
        """Go on; the socket is open by now."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


def _allow_large_messages(settings: dict[str, Any]) -> None:
    """For messages of the browser; what somebody chose stays."""
    settings.setdefault(_MAX_MESSAGE_SIZE, _MAX_MESSAGE_BYTES)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "sdnb.cli.connection"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Exchange the server's connections for these; not a gateway's, or what somebody chose."""
    settings = server.web_app.settings
    _allow_large_messages(settings)  # also for connections of another kind
    if settings.get(_CONNECTION_CLASS) is ZMQChannelsWebsocketConnection:
        settings[_CONNECTION_CLASS] = Connection
        server.log.info("sdnb: messages of kernels are sent without delay (TCP_NODELAY)")
