"""Testing an op by its samples: build the Arrays of a call on any device, run it, and single out what to differentiate.

A sample says what to call an op with, in NumPy arrays of float64. The same samples then serve every dtype and device:

    for s in samples(matmul):
        f, inputs = differentiable(matmul, s, device="torch:cpu")
        neo_tape.check_grads(f, inputs)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._device import DeviceLike
from neo_array._dtypes import DType
from neo_array._primitive import Primitive, Sample
from neo_array.ops.creation import asarray

Op: TypeAlias = Primitive[..., Any]


def samples(op: Op, /, *, seed: int = 0) -> list[Sample]:
    """Return the op's samples, drawn from a NumPy generator with this seed.

    Raises:
        LookupError: if the op has none.
    """
    if op.sample_source is None:
        raise LookupError(f"{op.__name__}: has no samples; give it some with @{op.__name__}.samples")
    return list(op.sample_source(np.random.default_rng(seed)))


def arguments(s: Sample, /, *, device: DeviceLike = "numpy", dtype: DType = _dtypes.float64) -> tuple[Any, ...]:
    """Return a sample's arguments as Arrays on `device`: floating ones of `dtype`, complex ones of its complex dtype.

    Python numbers stay as they are.
    """
    kinds = {"f": dtype, "c": _dtypes.complex128 if dtype == _dtypes.float64 else _dtypes.complex64}

    def build(value: Any) -> Any:
        if not isinstance(value, np.ndarray | np.generic):
            return value
        array = np.asarray(value)
        return asarray(array.astype(kinds.get(array.dtype.kind, array.dtype)), device=device)

    return tuple(build(value) for value in s.args)


def run(op: Op, s: Sample, /, *, device: DeviceLike = "numpy", dtype: DType = _dtypes.float64) -> Any:
    """Call the op as the sample says."""
    return op(*arguments(s, device=device, dtype=dtype), **s.options)


def differentiated(op: Op, s: Sample, /) -> tuple[int, ...]:
    """Return the positions of what to differentiate: `wrt`, or all floating and complex arrays; none if discrete."""
    if op.discrete:
        return ()
    if s.wrt is not None:
        return s.wrt
    return tuple(i for i, a in enumerate(s.args) if isinstance(a, np.ndarray | np.generic) and a.dtype.kind in "fc")


def differentiable(
    op: Op, s: Sample, /, *, device: DeviceLike = "numpy", dtype: DType = _dtypes.float64
) -> tuple[Callable[..., Any], tuple[Array, ...]]:
    """Return the call as a function of its differentiated arguments alone, and those arguments."""
    everything = arguments(s, device=device, dtype=dtype)
    positions = differentiated(op, s)

    def f(*inputs: Array) -> Any:
        filled = list(everything)
        for i, value in zip(positions, inputs, strict=True):
            filled[i] = value
        return op(*filled, **s.options)

    return f, tuple(everything[i] for i in positions)
