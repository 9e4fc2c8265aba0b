"""Give the cores to one thread pool at a time.

NumPy's BLAS and PyTorch each keep a pool of threads that spin for a while after their last job. Alternated in one
process, spinning threads of one steal the cores from the other, so the side that is not being timed gets one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Literal, TypeAlias

from threadpoolctl import ThreadpoolController

Pool: TypeAlias = Literal["blas", "torch"]

_SPIN: Final = 0.05
"""Seconds after which parked threads sleep: OpenBLAS's spin for 2**26 clock ticks (THREAD_TIMEOUT in its sources)."""


def pool_of(backend: str, /) -> Pool:
    """Return the pool of threads that a backend of neo computes with."""
    return "torch" if backend == "torch" else "blas"


class Threads:
    """The thread pools of this process, found once: finding them takes milliseconds."""

    def __init__(self) -> None:
        self._controller = ThreadpoolController()
        self._last: Pool | None = None

    @contextmanager
    def only(self, pool: Pool, /) -> Iterator[None]:
        """Leave `pool` as it is and park the others inside the `with` block, which they enter asleep."""
        with ExitStack() as stack:
            if pool != "blas":
                stack.enter_context(self._controller.limit(limits=1, user_api="blas"))
            if pool != "torch" and "torch" in sys.modules:
                from neo_bench.peers.torch import one_thread

                stack.enter_context(one_thread())
            if self._last not in (None, pool):
                time.sleep(_SPIN)
            self._last = pool
            yield

    def counts(self) -> dict[str, int]:
        """Return the number of threads in each pool, unparked."""
        blas = (info["num_threads"] for info in self._controller.info() if info["user_api"] == "blas")
        counts = {"blas": max(blas, default=1)}
        if "torch" in sys.modules:
            from neo_bench.peers.torch import thread_count

            counts["torch"] = thread_count()
        return counts
