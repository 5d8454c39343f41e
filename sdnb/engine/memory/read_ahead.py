"""A second thread that reads the weights of what comes next, while the first one computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch


class ReadAhead:
    """One thread for all networks of a model. It is there in `running`, which may be nested, and
    does what it is given in that order.

    In it torch has one thread a call: those that compute are not to wait for a pool of its own.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._depth = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the thread in the block; at its end what it has begun is waited for."""
        self._depth += 1
        try:
            if self._pool is None:
                self._pool = _pool_of_one_thread()
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._pool is not None:
                pool, self._pool = self._pool, None
                pool.shutdown(cancel_futures=True)

    def begin(self, work: Callable[[], None]) -> Future[None]:
        """Have the thread do `work`, after what it was given before. Raises RuntimeError outside
        `running`.
        """
        if self._pool is None:
            raise RuntimeError("weights are read ahead only while their networks are in use")
        return self._pool.submit(work)


def _pool_of_one_thread() -> ThreadPoolExecutor:
    pool, threads = ThreadPoolExecutor(1, "sdnb-reads-ahead"), torch.get_num_threads()
    torch.set_num_threads(1)  # a thread takes this over at its first call of torch
    try:
        pool.submit(torch.get_num_threads).result()
    finally:
        torch.set_num_threads(threads)
    return pool
