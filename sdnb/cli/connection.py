"""An extension of the Jupyter server: messages without delay, and up to 128 MiB from the browser.

The kernel answers each mouse move with two small messages: its status and the ink. TCP by default
(Nagle's algorithm) makes the server hold the second one until the browser has acknowledged the
first, up to 40 ms later or with its next move.

An uploaded picture is one message to the kernel. Tornado by default closes the connection, without
an error on either side, when a message exceeds 10 MiB. For kernels, and for nothing else of that
server, it is 128 MiB here, which the server holds in memory for each message on its way. The
server's own setting `websocket_max_message_size` goes before it.

A server loads this by itself if sdnb is installed beside it (`configs/jupyter/sdnb.json`);
`jupyter server extension disable sdnb.cli.connection` turns it off. Voila alone loads none:

    voila studio.ipynb --Voila.kernel_websocket_connection_class=sdnb.cli.connection.Connection
"""

from __future__ import annotations

import uuid
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.websocket import WebSocketHandler

from sdnb.assets import TOO_LARGE

_CONNECTION_CLASS = "kernel_websocket_connection_class"  # read for each new connection
_MAX_MESSAGE_SIZE = "websocket_max_message_size"  # read when a connection is accepted
_MAX_KERNEL_MESSAGE_SIZE = "sdnb_kernel_message_size"  # ours, beside it in the server's settings
_MAX_MESSAGE_BYTES = 2**27  # more than any picture of a camera
_TORNADOS_BOUND = 10 * 2**20
_TOO_BIG = 1009  # of a WebSocket's close (RFC 6455, 7.4.1)


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's connection between browser and kernel, without that delay and that limit."""

    def prepare(self) -> Any:
        """Called before the socket is accepted."""
        _make_room(self.websocket_handler.settings)
        return super().prepare()  # type: ignore[no-untyped-call]

    def connect(self) -> Any:
        """Called when the socket is open."""
        self.websocket_handler.set_nodelay(True)
        self._hear_of_too_large()
        return super().connect()

    def _hear_of_too_large(self) -> None:
        """Tell the kernel when a message is beyond the bound: Tornado closes the socket, and nobody
        hears why.
        """
        protocol = getattr(self.websocket_handler, "ws_connection", None)
        if protocol is None:
            return
        close = protocol.close

        def closing(code: int | None = None, reason: str | None = None) -> None:
            if code == _TOO_BIG:
                self._tell_kernel()
            close(code, reason)

        protocol.close = closing

    def _tell_kernel(self) -> None:
        shell = self.channels.get("shell")
        if shell is not None:
            data = {"most": self.websocket_handler.max_message_size}
            content = {"comm_id": uuid.uuid4().hex, "target_name": TOO_LARGE, "data": data}
            self.session.send(shell, "comm_open", content)


def _make_room(settings: dict[str, Any]) -> None:
    """Let the kernels' sockets of this server take larger messages. Tornado asks the socket's
    handler for its bound, and by default that is one setting for terminals and all else too.
    """
    settings.setdefault(_MAX_KERNEL_MESSAGE_SIZE, _MAX_MESSAGE_BYTES)
    KernelWebsocketHandler.max_message_size = property(_bound)  # type: ignore[assignment,method-assign]


def _bound(handler: WebSocketHandler) -> int:
    settings = handler.settings
    usual: int = settings.get(_MAX_MESSAGE_SIZE, _TORNADOS_BOUND)
    ours: int = settings.get(_MAX_KERNEL_MESSAGE_SIZE, usual)
    return usual if _MAX_MESSAGE_SIZE in settings else ours


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "sdnb.cli.connection"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Use `Connection`, unless a gateway or the user has set another class."""
    settings = server.web_app.settings
    _make_room(settings)  # also if another class stays
    if settings.get(_CONNECTION_CLASS) is ZMQChannelsWebsocketConnection:
        settings[_CONNECTION_CLASS] = Connection
        server.log.info("sdnb: messages of kernels are sent without delay (TCP_NODELAY)")
