"""What the reductions and cumulative ops give, one Python call per row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle


def total(values: list[Any]) -> Any:
    """Sum without rounding on the way, complex numbers part by part."""
    if any(isinstance(v, complex) for v in values):
        return complex(math.fsum(v.real for v in values), math.fsum(v.imag for v in values))
    return math.fsum(values)


def log_sum_exp(values: list[float]) -> float:
    high = max(values)
    return high + math.log(math.fsum(math.exp(v - high) for v in values))


def variance(values: list[Any], correction: float) -> float:
    if not values:
        return math.nan
    center = total(values) / len(values)
    return math.fsum(abs(v - center) ** 2 for v in values) / (len(values) - correction)


# --- Reductions: move the reduced axes to the end, then one Python call per row ---
def rows(f: Callable[..., Any], kind: str | None = None) -> Oracle:
    """Reduce with a Python function of a list, which gets further options."""

    def reduce(x: Any, *, axis: tuple[int, ...], keepdims: bool, **options: Any) -> Any:
        kept = [i for i in range(x.ndim) if i not in axis]
        shape = [x.shape[i] for i in kept]
        table = x.transpose(kept + list(axis)).reshape(math.prod(shape), math.prod(x.shape[i] for i in axis))
        out = np.array([f(row.tolist(), **options) for row in table], dtype=kind or x.dtype).reshape(shape)
        return np.expand_dims(out, axis) if keepdims else out

    return reduce


def along(f: Callable[..., Any], kind: str | None = None) -> Oracle:
    """Apply a Python function from lists to lists of their length along an axis; `reverse` turns both around."""

    def apply(x: Any, *, axis: int, reverse: bool = False, **options: Any) -> Any:
        out = np.empty(x.shape, kind or x.dtype)
        for row, result in zip(columns(x, axis), columns(out, axis), strict=True):
            step = -1 if reverse else 1
            result[::step] = f(row[::step].tolist(), **options)
        return out

    return apply


def columns(x: Any, axis: int) -> list[Any]:
    """Return views of all columns along an axis."""
    moved = np.moveaxis(x, axis, -1)
    return [moved[place] for place in np.ndindex(moved.shape[:-1])]


def first_maximum(x: Any, *, axis: int | None, keepdims: bool) -> Any:
    def index(v: Any) -> int:
        return max(range(len(v)), key=lambda i: (v[i], -i))

    if axis is None:
        return np.array(index(x.reshape(-1))).reshape((1,) * x.ndim if keepdims else ())
    out = np.apply_along_axis(index, axis, x)
    return np.expand_dims(out, axis) if keepdims else out


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(v - max(values)) for v in values]
    return [p / math.fsum(powers) for p in powers]


def prefixes(f: Callable[[list[Any]], Any]) -> Callable[[list[Any]], list[Any]]:
    """Apply a function of a list to all beginnings of a list."""
    return lambda values: [f(values[: i + 1]) for i in range(len(values))]


def best(values: list[Any], *, largest: bool) -> int:
    return values.index(max(values) if largest else min(values))


def recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    def solve(pairs: list[tuple[Any, Any]]) -> list[Any]:
        return list(itertools.accumulate(pairs, lambda y, ab: ab[0] * y + ab[1], initial=0))[1:]

    out = np.empty(b.shape, b.dtype)
    step = -1 if reverse else 1
    for c, d, y in zip(columns(a, axis), columns(b, axis), columns(out, axis), strict=True):
        y[::step] = solve(list(zip(c[::step].tolist(), d[::step].tolist(), strict=True)))
    return out


ORACLES: dict[str, Oracle] = {
    "reduce_sum": rows(total),
    "reduce_prod": rows(math.prod),
    "reduce_max": rows(max),
    "reduce_min": rows(min),
    "reduce_all": rows(all, "?"),
    "reduce_any": rows(any, "?"),
    "reduce_count": rows(lambda values: sum(v != 0 for v in values), "i8"),
    "reduce_argmax": first_maximum,
    "reduce_argmin": lambda x, *, axis, keepdims: first_maximum(-1.0 * x, axis=axis, keepdims=keepdims),
    "reduce_var": rows(variance, "f8"),
    "reduce_logsumexp": rows(log_sum_exp),
    "normalized_exp": along(softmax),
    "log_normalized": along(lambda values: [v - log_sum_exp(values) for v in values]),
    "accumulate_sum": along(prefixes(total)),
    "accumulate_prod": along(prefixes(math.prod)),
    "accumulate_logsumexp": along(prefixes(log_sum_exp)),
    "arg_accumulate": along(lambda values, *, largest: prefixes(lambda v: best(v, largest=largest))(values), "i8"),
    "linear_recurrence": recurrence,
}
