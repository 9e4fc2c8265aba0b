"""Install the primitives as Array's operators.

Most are the generated bind functions themselves: Python calls them directly, with nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from neo_array import _bind
from neo_array._array import Array
from neo_array.ops import arithmetic, comparison, linalg

_SCALARS: Final = (bool, int, float, complex)


def _swapped(bind: Callable[[Any, Any], Array]) -> Callable[[Array, Any], Array]:
    return lambda self, other: bind(other, self)


def _comparison(bind: Callable[[Any, Any], Array]) -> Callable[[Array, Any], Any]:
    """Let Python fall back to identity for things that no array compares with: `x == None` is False."""
    return lambda self, other: bind(self, other) if type(other) in (Array, *_SCALARS) else NotImplemented


def _no_setitem(self: Array, index: object, value: object) -> NoReturn:
    raise TypeError("Array: is immutable, got x[i] = v; write x = x.at[i].set(v)")


_OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "__add__": arithmetic.add.bind,
    "__radd__": arithmetic.add.bind,
    "__sub__": arithmetic.subtract.bind,
    "__rsub__": _swapped(arithmetic.subtract.bind),
    "__mul__": arithmetic.multiply.bind,
    "__rmul__": arithmetic.multiply.bind,
    "__truediv__": arithmetic.divide.bind,
    "__rtruediv__": _swapped(arithmetic.divide.bind),
    "__pow__": arithmetic.power.bind,
    "__rpow__": _swapped(arithmetic.power.bind),
    "__neg__": arithmetic.negative.bind,
    "__pos__": arithmetic.positive,
    "__abs__": arithmetic.abs.bind,
    "__matmul__": linalg.matmul.__wrapped__,
    "__invert__": comparison.logical_not.bind,
    "__and__": comparison.logical_and.bind,
    "__or__": comparison.logical_or.bind,
    "__lt__": comparison.less.bind,
    "__le__": comparison.less_equal.bind,
    "__gt__": comparison.greater.bind,
    "__ge__": comparison.greater_equal.bind,
    "__eq__": _comparison(comparison.equal.bind),
    "__ne__": _comparison(comparison.not_equal.bind),
    "__setitem__": _no_setitem,
}

for _name, _function in _OPERATORS.items():
    setattr(Array, _name, _function)
_bind.install(arithmetic.add.bind)
