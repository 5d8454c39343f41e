"""Voila as `sdnb app` runs it: a kernel and its model end with the page that they were made for.

When a page is left or loaded again, Voila's JavaScript asks the server to end its kernel, and sends
the cookie `_xsrf` as its proof that a page of this server asks: pages of other origins cannot read
that cookie. Voila itself never sets it, so that the server refuses (403) and the kernel stays. Here
the page comes with the cookie, and every check stays in force.
"""

from __future__ import annotations

from typing import Any

from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

# A kernel whose page is gone without a word, as after a browser's crash, ends after a while without
# a message of it. One with a page never ends, and neither does one that runs: each step sends one.
_CULLING = {"cull_idle_timeout": 600, "cull_interval": 60}  # seconds


class AppPage(TornadoVoilaHandler):  # type: ignore[misc]
    """The page, with the cookie by which it may end its kernel."""

    async def get(self, path: str | None = None) -> None:
        """Answer with the page, or with the way to the login."""
        self.xsrf_token  # noqa: B018 - asking for it sets the cookie, where there is none
        await super().get(path)


class AppServer(Voila):  # type: ignore[misc]
    """Voila with that page; a flag for `MappingKernelManager` goes before what is set here."""

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the flags."""
        super().initialize(argv)
        for name, seconds in _CULLING.items():
            self.config.MappingKernelManager.setdefault(name, seconds)

    def init_handlers(self) -> list[Any]:
        """What answers at which address."""
        return [
            (where, AppPage if handler is TornadoVoilaHandler else handler, *more)
            for where, handler, *more in super().init_handlers()
        ]
