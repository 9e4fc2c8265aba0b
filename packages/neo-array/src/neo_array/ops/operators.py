"""Install the primitives as Array's operators.

Most are the generated bind functions themselves: Python calls them directly, with nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

import numpy as np

from neo_array import _bind, backends
from neo_array._array import Array
from neo_array._primitive import REGISTRY

_SCALARS: Final = (bool, int, float, complex)
_DIRECT: Final = {
    "__add__": "add",
    "__radd__": "add",
    "__sub__": "subtract",
    "__mul__": "multiply",
    "__rmul__": "multiply",
    "__truediv__": "divide",
    "__floordiv__": "floor_divide",
    "__mod__": "remainder",
    "__pow__": "power",
    "__neg__": "negative",
    "__abs__": "abs",
    "__invert__": "bitwise_invert",
    "__and__": "bitwise_and",
    "__rand__": "bitwise_and",
    "__or__": "bitwise_or",
    "__ror__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__rxor__": "bitwise_xor",
    "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
    "__lt__": "less",
    "__le__": "less_equal",
    "__gt__": "greater",
    "__ge__": "greater_equal",
}
_SWAPPED: Final = {
    "__rsub__": "subtract",
    "__rtruediv__": "divide",
    "__rfloordiv__": "floor_divide",
    "__rmod__": "remainder",
    "__rpow__": "power",
    "__rlshift__": "bitwise_left_shift",
    "__rrshift__": "bitwise_right_shift",
}
_EQUALITY: Final = {"__eq__": "equal", "__ne__": "not_equal"}


def _direct(method: str, name: str) -> Callable[..., Array]:
    """Put the generated function in its place at the first use: to generate all would slow the import."""

    def first(*operands: Any) -> Array:
        function = REGISTRY[name].method
        setattr(Array, method, function)
        out: Array = function(*operands)
        return out

    return first


def _swapped(name: str) -> Callable[[Array, Any], Array]:
    op = REGISTRY[name]
    return lambda self, other: op.bind(other, self)


def _equality(name: str) -> Callable[[Array, Any], Any]:
    """Let Python fall back to identity for things that no array compares with: `x == None` is False.

    What looks like an array is no such thing: the op says that it has to be wrapped.
    """
    op = REGISTRY[name]

    def compare(self: Array, other: Any) -> Any:
        comparable = type(other) in (Array, *_SCALARS) or isinstance(other, np.generic | list | tuple)
        return op.bind(self, other) if comparable or backends.is_raw(other) else NotImplemented

    return compare


def _positive(self: Array) -> Array:
    return self


def _no_setitem(self: Array, index: object, value: object) -> NoReturn:
    raise TypeError("Array: is immutable, got x[i] = v; write x = x.at[i].set(v)")


def _install() -> None:
    functions: dict[str, Callable[..., Any]] = {
        **{method: _direct(method, name) for method, name in _DIRECT.items()},
        **{method: _swapped(name) for method, name in _SWAPPED.items()},
        **{method: _equality(name) for method, name in _EQUALITY.items()},
        "__matmul__": REGISTRY["matmul"].__wrapped__,
        "__rmatmul__": _swapped("matmul"),
        "__pos__": _positive,
        "__setitem__": _no_setitem,
    }
    for method, function in functions.items():
        setattr(Array, method, function)
    _bind.install(REGISTRY["add"].bind)


_install()
