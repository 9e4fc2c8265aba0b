"""Changing the dtype and the device: differentiable moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neo_array import backends
from neo_array._array import Array
from neo_array._batching import batch_leading
from neo_array._bind import need_arrays
from neo_array._described import chosen, first, same
from neo_array._device import Device, DeviceLike
from neo_array._dtypes import DType, as_dtype
from neo_array._primitive import Sample, bind, primitive, sample


@primitive(kind="linear", may_be_discrete=True)
def cast(x: Array, /, *, dtype: DType) -> Array:
    """Convert to a dtype. Complex to real drops the imaginary part; a float to an integer ends the derivative."""
    return bind(cast, x, dtype=dtype)


@cast.kernel("numpy", "torch", "cupy")
def _(x: Any, *, dtype: DType) -> Any:
    return backends.of(x).cast(x, dtype)


@cast.vjp("x")
def _(g: Array, x: DType) -> Array:
    return astype(g, x)


def astype(x: Array, dtype: object, /, *, copy: bool = True, device: DeviceLike | None = None) -> Array:
    """Return x with another dtype, and on another device if one is given.

    It is x itself if nothing changes: values are never written to, so `copy` is moot.
    """
    need_arrays("astype", x)
    target = as_dtype(dtype)
    out = x if x.dtype == target else bind(cast, x, dtype=target)
    return out if device is None else out.to(device)


@primitive(kind="linear")
def to_device(x: Array, /, *, device: Device, source: Device | None = None) -> Array:
    """Copy to another device, of the same or of another backend."""
    return bind(to_device, x, device=device, source=x.device)


@to_device.kernel("numpy", "torch", "cupy")
def _(x: Any, *, device: Device, source: Device) -> Any:
    target = backends.named(device.backend)
    if device.backend == source.backend:
        return target.asarray(x, None, device, True)
    return target.asarray(backends.of(x).to_numpy(x), None, device, True)


@to_device.vjp("x")
def _(g: Array, *, source: Device) -> Array:
    return to_device(g, device=source)


for _op in (cast, to_device):
    _op.batch(batch_leading(_op))


# --- Shapes ---
cast.shape(same, dtype=chosen)
to_device.shape(same, dtype=first)


# --- Samples ---
@cast.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), dtype=np.dtype("float64"))
    yield sample(rng.integers(0, 5, size=(3,)), dtype=np.dtype("float32"))
    yield sample(rng.normal(size=(3,)), dtype=np.dtype("int64"), wrt=())
    yield sample(rng.normal(size=(3,)), dtype=np.dtype("complex128"))
    yield sample(rng.normal(size=(2, 3)) + 1j, dtype=np.dtype("float64"))


@to_device.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.normal(size=(3, 5)), device=Device("numpy"))
