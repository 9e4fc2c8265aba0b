"""Turn Ctrl-C and SIGTERM into a request to stop that training honours between two steps.

An exception in the middle of a step would leave parameters whose old buffers are given away and whose new ones never
came.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether someone asked this run to stop; true once they did."""

    def __init__(self) -> None:
        self._received = False
        self._deferring = False

    def __bool__(self) -> bool:
        return self._received

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the block run on when a request arrives: it looks at this object and stops where it can."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def on_signal(self, number: int, frame: FrameType | None, /) -> None:
        """Raise KeyboardInterrupt, or note the request where it is deferred; a second one is never deferred."""
        if self._received or not self._deferring:
            raise KeyboardInterrupt
        self._received = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM inside the block; neither outside the main thread, where Python allows no handlers."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.on_signal) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
