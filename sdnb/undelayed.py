"""What the kernel draws reaches the browser at once: for the server of `sdnb lab`.

The kernel answers each mouse move with two small messages, that it is busy and the ink. By TCP's
default (Nagle's algorithm) the server holds the second back until the browser has acknowledged the
first: up to 40 ms later, or with its next move. A JupyterLab started otherwise does the same with

    jupyter lab --ServerApp.kernel_websocket_connection_class=sdnb.undelayed.Connection
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection of a browser with a kernel, without that wait."""

    def connect(self) -> Any:
        """Begin; the socket is open by now."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
