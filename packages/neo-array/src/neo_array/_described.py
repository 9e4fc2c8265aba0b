"""Arrays of which only shape, dtype and device are known: ops on them run no kernel, and find what the result is like.

An op's shape rule gives the result's shape. Its dtype is found by running the kernel on arrays of one element, so that
it is the backend's own, and what the kernel refuses is refused here in the same words; or a rule says it, where options
would make the result of so small an array large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import numpy as np

from neo_array import _dtypes, backends
from neo_array._device import Device
from neo_array._dtypes import DType
from neo_array._errors import LevelError, ShapeError
from neo_array._levels import OPEN, Args, Level, Params, Stack, current_stack

if TYPE_CHECKING:
    from neo_array._array import Array
    from neo_array._primitive import Primitive

    Op: TypeAlias = Primitive[..., Any]

Sizes: TypeAlias = tuple[int, ...]
_NOTHING: Final[frozenset[int]] = frozenset()


class Described:
    """Stands in an Array that has no values. Like a batch it has no `dtype`, which keeps it away from kernels."""

    __slots__ = ("_example", "shape")

    def __init__(self, shape: Sizes, example: Any) -> None:
        self.shape = shape
        self._example = example

    def example(self) -> Any:
        """Return a small raw array with this payload's dtype and device."""
        return self._example

    def require(self) -> NoReturn:
        """Refuse to be read."""
        raise LevelError(
            f"eval_shape: this array of shape {self.shape} has no values, since nothing runs; use where(...) in place "
            "of if, or make what depends on values an argument of the function that is no Array"
        )

    item = require

    def __repr__(self) -> str:
        return f"Described(shape={self.shape})"


class Unrun(Level):
    """Open while nothing runs: arrays that are made have no values either."""

    __slots__ = ()
    watched = _NOTHING

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        """Ignore the op: there is nothing to follow."""

    def rescue(self, array: Array, spare: Array) -> bool:
        return False

    def close(self) -> None:
        """Do nothing."""


def nothing_runs() -> bool:
    """Tell whether arrays are only to be described."""
    return bool(OPEN) and any(type(level) is Unrun for level in current_stack().chain)


def describe(shape: Sizes, dtype: DType, device: Device) -> Array:
    """Return an Array without values."""
    from neo_array._array import wrap

    return wrap(Described(shape, backends.named(device.backend).full((), 0, dtype, device)))


def without_values(x: Array) -> Array:
    """Return an Array like x, without values."""
    return describe(x.shape, x.dtype, x.device)


def is_described(x: object) -> bool:
    """Tell whether x is an Array without values."""
    return type(getattr(x, "_raw", None)) is Described


# --- Running an op ---
def shapes_of(op: Op, raws: Sequence[Any], params: Params) -> Any:
    """Return the shape of an op's result; one for each, if there are several.

    Raises:
        ShapeError: if it depends on values.
        ValueError: or any other error, if the shapes do not fit; the op explains it.
    """
    if op.shape_missing is not None:
        raise ShapeError(f"{op.__name__}: eval_shape knows no values, and {op.shape_missing}")
    rule = op.shape_rule or (_broadcast if op.kind == "elementwise" else None)
    assert rule is not None, f"{op.__name__} has no shape rule"
    return rule(*[tuple(r.shape) for r in raws], **params)


def payloads(op: Op, shapes: Any, raws: Sequence[Any], params: Params, run: Callable[[list[Any]], Any]) -> Any:
    """Return what stands for an op's results; `run` runs the op on raw arrays."""
    if op.shape_dtype is None:
        found = run([_small(r) for r in raws])
        made = [Described(s, e) for s, e in zip(*((shapes, found) if op.multi else ((shapes,), (found,))), strict=True)]
        for each in made:  # the rule and the kernel check each other
            assert each.example().shape == _clipped(each.shape), f"{op.__name__}: its shape rule gives {each.shape}"
    else:
        example = _example(op.shape_dtype, raws, params)
        made = [Described(s, example) for s in (shapes if op.multi else (shapes,))]
    return tuple(made) if op.multi else made[0]


def _example(rule: Callable[..., DType], raws: Sequence[Any], params: Params) -> Any:
    """Return a small raw array with the dtype that a rule gives; on the first array's device if no option names one."""
    dtype: DType | None = None
    device: Any = params.get("device")
    if raws:
        backend, like = backends.of(raws[0]), backends.example(raws[0])
        dtype, device = backend.dtype_of(like), device or backend.device_of(like)
    return backends.named(device.backend).full((), 0, rule(dtype, **params), device)


def _clipped(shape: Sizes) -> Sizes:
    return tuple([min(n, 1) for n in shape])


def _small(raw: Any) -> Any:
    """Return a raw array of at most one element, with the number of axes, the dtype and the device of this one."""
    if type(raw) is not Described and raw.shape == ():
        return raw
    backend, like = backends.of(raw), backends.example(raw)
    return backend.full(_clipped(raw.shape), 1, backend.dtype_of(like), backend.device_of(like))


# --- What shape rules are made of ---
def need(condition: bool) -> None:
    """Raise unless shapes fit; the op's own explanation, or its kernel's, is what the user sees."""
    if not condition:
        raise ValueError("the shapes do not fit")


def _broadcast(*shapes: Sizes, **options: Any) -> Sizes:
    return np.broadcast_shapes(*shapes)


def same(x: Sizes, *others: Sizes, **options: Any) -> Sizes:
    """Return the shape of the first array."""
    return x


def reduced(x: Sizes, *, axis: int | Sizes | None, keepdims: bool, **options: Any) -> Sizes:
    """Return the shape without some axes (None: without all), or with these of size 1."""
    axes = range(len(x)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    sizes = [1 if i in axes else n for i, n in enumerate(x)]
    return tuple(n for i, n in enumerate(sizes) if keepdims or i not in axes)


def resized(x: Sizes, axis: int, size: int) -> Sizes:
    """Return the shape with another size of an axis."""
    return (*x[:axis], size, *x[axis:][1:])


def square(x: Sizes, *others: Sizes, **options: Any) -> Sizes:
    """Return the shape of square matrices."""
    need(len(x) >= 2 and x[-1] == x[-2])
    return x


def indexed(x: Sizes, index: Any) -> Sizes:
    """Return the shape of the part that a basic index selects."""
    part: Any = np.broadcast_to(np.zeros((), np.bool_), x)[index]
    return tuple(part.shape)


def picked(before: Sizes, read: Sizes, points: Sizes, behind: Sizes) -> Sizes:
    """Return the shape of what is read at points of some axes, between the others; none can be read of no elements."""
    if 0 in read and 0 not in points:
        raise IndexError("an index is out of range")
    return (*before, *points, *behind)


def multiplied(x1: Sizes, x2: Sizes) -> Sizes:
    """Return the shape of a product of matrices."""
    need(len(x1) > 0 and len(x2) > 0 and x1[-1] == x2[-2 if len(x2) > 1 else 0])
    return (*np.broadcast_shapes(x1[:-2], x2[:-2]), *x1[-2:-1], *(x2[-1:] if len(x2) > 1 else ()))


def fits(x: Sizes, shape: Sizes) -> Sizes:
    """Return the shape that elements are given, as many as there are."""
    need(math.prod(x) == math.prod(shape))
    return shape


# --- dtypes that need no trial ---
def first(dtype: DType, **options: Any) -> DType:
    """Return the dtype of the first array."""
    return dtype


def chosen(of_first: DType | None, *, dtype: DType, **options: Any) -> DType:
    """Return the dtype that is an option."""
    return dtype


def integers(dtype: DType, **options: Any) -> DType:
    """Return the dtype of positions and counts."""
    return _dtypes.int64


def booleans(dtype: DType, **options: Any) -> DType:
    """Return the dtype of truth values."""
    return _dtypes.bool_


def real_part(dtype: DType, **options: Any) -> DType:
    """Return the dtype of the first array's real part."""
    return {_dtypes.complex64: _dtypes.float32, _dtypes.complex128: _dtypes.float64}.get(dtype, dtype)
