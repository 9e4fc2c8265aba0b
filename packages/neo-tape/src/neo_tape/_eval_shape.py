"""`eval_shape`: what a function's results look like, without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

from neo_array import Array, Device, DeviceLike, DType, DTypeError, ShapeError, backends, tree
from neo_array._bind import as_sizes
from neo_array._described import Unrun, describe, without_values
from neo_array._device import as_device
from neo_array._dtypes import as_dtype
from neo_array._levels import current_stack, entered, left, set_stack


@dataclass(frozen=True, init=False, slots=True)
class ShapeDtype:
    """What an Array looks like: `eval_shape` takes and returns it in the place of one.

    dtype is float32 and device the default one unless told otherwise.

    Example:
        >>> ShapeDtype((3, 4), "float64", "numpy")
        ShapeDtype(shape=(3, 4), dtype=dtype('float64'), device=Device(backend='numpy', place=''))
    """

    shape: tuple[int, ...]
    dtype: DType
    device: Device

    def __init__(
        self, shape: int | tuple[int, ...], dtype: object = "float32", device: DeviceLike | None = None
    ) -> None:
        sizes = as_sizes("ShapeDtype", shape)
        if any(n < 0 for n in sizes):
            raise ShapeError(f"ShapeDtype: sizes must not be negative, got {sizes}")
        for name, value in (("shape", sizes), ("dtype", as_dtype(dtype)), ("device", as_device(device))):
            object.__setattr__(self, name, value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size


@overload
def eval_shape(f: Callable[..., Array], /, *args: object, **kwargs: object) -> ShapeDtype: ...
@overload
def eval_shape(f: Callable[..., object], /, *args: object, **kwargs: object) -> Any: ...
def eval_shape(f: Callable[..., object], /, *args: object, **kwargs: object) -> Any:
    """Return what f(*args, **kwargs) would return, with a ShapeDtype in the place of each Array. Nothing is computed.

    f runs on Arrays without values, and no memory of their size is needed: what f makes of them, and what it creates,
    has none either. So it is told at once what a large model gives, or that shapes do not fit, in the same words as
    ever. f may use any transform: `eval_shape(value_and_grad(loss), model, x)`.

    Args:
        f: any function of pytrees to a pytree. Arrays that it closes over are used as they are: what it computes of
            these alone is computed.
        args: its arguments: pytrees of Arrays, of which no value is read, or of ShapeDtypes; all else is passed on.

    Raises:
        LevelError: if f reads a value: by `float(x)`, `if x > 0`, `x.numpy()`.
        ShapeError: if a result's shape depends on values, as that of `nonzero` does.

    Example:
        >>> import neo_array as na
        >>> huge = ShapeDtype((10**6, 10**6), device="numpy")
        >>> eval_shape(lambda x: na.sum(x @ x, axis=0), huge).shape
        (1000000,)
    """
    if not callable(f):
        raise DTypeError(f"eval_shape: needs a function, got {type(f).__name__}; write eval_shape(f, x)")
    leaves, treedef = tree.flatten((args, kwargs))
    level = Unrun()
    outer = current_stack()
    try:
        set_stack(entered(level))
        chosen_args, chosen_kwargs = tree.unflatten(treedef, list(map(_without_values, leaves)))
        result = f(*chosen_args, **chosen_kwargs)
    finally:
        set_stack(outer)
        left(level)
    found, outdef = tree.flatten(result)
    return tree.unflatten(outdef, [ShapeDtype(x.shape, x.dtype, x.device) if type(x) is Array else x for x in found])


def _without_values(x: Any) -> Any:
    if type(x) is ShapeDtype:
        return describe(x.shape, x.dtype, x.device)
    if type(x) is Array:
        backends.of(x._raw)  # raises for one that was donated
        return without_values(x)
    return x
