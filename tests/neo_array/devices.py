"""The devices that tests run on. Where torch is absent, its half is skipped and says so."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import neo_array as na

HAS_TORCH = find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")

DEVICES = ["numpy", pytest.param("torch:cpu", marks=needs_torch)]
every_device = pytest.mark.parametrize("device", DEVICES)


def pointer(x: na.Array) -> int:
    """Return the address of the first element, without exporting the array."""
    raw = x._raw
    address: int = raw.ctypes.data if x.device.backend == "numpy" else raw.data_ptr()
    return address
