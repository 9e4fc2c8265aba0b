"""The NumPy backend's own machinery: quiet kernels, and the proof that nobody else holds a buffer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar

import numpy as np
import pytest

import neo_array as na
from neo_array import backends
from neo_array.backends.numpy import quiet, sole_owner
from tests.neo_array.devices import every_device


def divide(x: float) -> float:
    return float(np.float64(x) / np.float64(0))


def fail() -> float:
    raise LookupError("mine")


def test_quiet_silences_numpy_and_nothing_else() -> None:
    with np.errstate(all="raise"):
        assert quiet(divide)(1.0) == np.inf
        with pytest.raises(FloatingPointError):
            divide(1.0)
    with pytest.raises(LookupError, match="mine"):
        quiet(fail)()


def test_quiet_functions_may_call_each_other() -> None:
    inner = quiet(divide)
    with np.errstate(all="raise"):
        assert quiet(lambda x: inner(x) + inner(x))(1.0) == np.inf
        assert quiet(quiet(divide))(1.0) == np.inf


def test_a_quiet_function_that_failed_can_be_called_again() -> None:
    for _ in range(2):
        with pytest.raises(LookupError):
            quiet(fail)()
    assert quiet(divide)(1.0) == np.inf


def test_quiet_works_in_every_thread_at_once() -> None:
    found: list[float] = []
    meet = threading.Barrier(8)

    def work() -> None:
        meet.wait()
        with np.errstate(all="raise"):
            found.extend(quiet(divide)(1.0) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [np.inf] * 800


def test_kernels_leave_the_callers_context_variables_alone() -> None:
    seen: ContextVar[int] = ContextVar("seen", default=0)
    token = seen.set(7)
    na.exp(na.ones(2))
    assert seen.get() == 7
    seen.reset(token)


@every_device
def test_sole_owner_counts_references_and_views(device: str) -> None:
    """An Array's raw array has two references here: the Array's own, and the name in this function."""
    x = na.zeros((4, 4), device=device) + 1
    raw = x._raw
    backend = backends.of(raw)
    assert backend.sole_owner(raw, 2)
    holders: list[Callable[[], object]] = [
        lambda: raw,
        lambda: raw[0],
        lambda: raw.T,
        lambda: raw.reshape(16),
        lambda: raw[::2, 1:],
    ]
    # the lambdas hold the name itself in a cell, which is no reference of its own
    for hold in holders:
        held = hold()
        assert not backend.sole_owner(raw, 2)
        assert held is not None
        del held
        assert backend.sole_owner(raw, 2)


def test_sole_owner_refuses_memory_that_numpy_did_not_allocate() -> None:
    borrowed = np.frombuffer(bytearray(16), np.float64)
    assert not sole_owner(borrowed, sys.getrefcount(borrowed))
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    assert not sole_owner(fixed, sys.getrefcount(fixed))
