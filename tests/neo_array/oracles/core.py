"""What every op's result should be: one row per op, in plain NumPy and Python's `math`, in float64.

Each oracle takes the op's arguments as NumPy arrays and numbers, and its options by keyword. None calls the function
that the NumPy kernel calls, where there is another way to say the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Oracle = Callable[..., Any]


def each(f: Callable[..., object], kind: str = "f8") -> Oracle:
    """Apply a function of Python numbers to every element, with broadcasting."""

    def apply(*args: Any) -> Any:
        arrays = np.broadcast_arrays(*args)
        columns = zip(*(a.reshape(-1).tolist() for a in arrays), strict=True)
        return np.array([f(*values) for values in columns], dtype=kind).reshape(arrays[0].shape)

    return apply


def along(f: Callable[[Any], Any]) -> Oracle:
    """Apply a function of a vector along an axis."""
    return lambda x, *, axis: np.apply_along_axis(f, axis, x)


# --- Reductions: move the reduced axes to the end, then one Python call per row ---
def rows(f: Callable[[list[Any]], object], kind: str = "f8") -> Oracle:
    """Reduce with a Python function of a list."""

    def reduce(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
        kept = [i for i in range(x.ndim) if i not in axis]
        shape = [x.shape[i] for i in kept]
        table = x.transpose(kept + list(axis)).reshape(math.prod(shape), -1)
        out = np.array([f(row.tolist()) for row in table], dtype=kind).reshape(shape)
        return np.expand_dims(out, axis) if keepdims else out

    return reduce


def first_maximum(x: Any, *, axis: int | None, keepdims: bool) -> Any:
    def index(v: Any) -> int:
        return max(range(len(v)), key=lambda i: (v[i], -i))

    if axis is None:
        return np.array(index(x.reshape(-1))).reshape((1,) * x.ndim if keepdims else ())
    out = np.apply_along_axis(index, axis, x)
    return np.expand_dims(out, axis) if keepdims else out


def log_sum_exp(values: list[float]) -> float:
    high = max(values)
    return high + math.log(math.fsum(math.exp(v - high) for v in values))


def softmax(v: Any) -> Any:
    powers = [math.exp(e - max(v)) for e in v.tolist()]
    return np.array(powers) / math.fsum(powers)


def log_softmax(v: Any) -> Any:
    return v - log_sum_exp(v.tolist())


# --- Indexing: element by element ---
def paste(x: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape)
    where = np.arange(math.prod(shape)).reshape(shape)[index]
    for position, value in zip(where.reshape(-1), x.reshape(-1), strict=True):
        out.reshape(-1)[position] = value
    return out


def pick(x: Any, indices: Any, *, axis: int) -> Any:
    out = np.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    for place in np.ndindex(indices.shape):
        out[(slice(None),) * axis + place] = x[(slice(None),) * axis + (int(indices[place]),)]
    return out


def pile(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + indices.ndim :]))
    for place in np.ndindex(indices.shape):
        out[(slice(None),) * axis + (int(indices[place]),)] += x[(slice(None),) * axis + place]
    return out


def pick_along(x: Any, indices: Any, *, axis: int) -> Any:
    out = np.empty(indices.shape)
    for place in np.ndindex(indices.shape):
        out[place] = x[(*place[:axis], int(indices[place]), *place[axis + 1 :])]
    return out


def pile_along(x: Any, indices: Any, *, axis: int, size: int) -> Any:
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]))
    for place in np.ndindex(indices.shape):
        out[(*place[:axis], int(indices[place]), *place[axis + 1 :])] += x[place]
    return out


# --- Products and randomness ---
def matmul(a: Any, b: Any) -> Any:
    left, right = (a[None, :] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    out = np.einsum("...ik,...kj->...ij", left, right)
    out = out[..., 0] if b.ndim == 1 else out
    return out if a.ndim > 1 else out[..., 0] if b.ndim == 1 else out[..., 0, :]


def generator(key: Any, purpose: int = 0, data: int = 0) -> np.random.Generator:
    # not plain lists: NumPy makes float64 of integers on both sides of 2**63
    words = np.array([int(word) % 2**64 for word in key], np.uint64)
    return np.random.Generator(np.random.Philox(key=words, counter=np.array([0, 0, data, purpose], np.uint64)))


def derive(key: Any, *, purpose: int, count: int, data: int) -> Any:
    words = generator(key, purpose, data).bit_generator.random_raw(2 * count)
    return np.array([int(w) - 2**64 * (int(w) >= 2**63) for w in words], np.int64).reshape(count, 2)


def draw(key: Any, *, distribution: str, shape: tuple[int, ...], dtype: Any) -> Any:
    rng = generator(key)
    return rng.random(shape, dtype) if distribution == "uniform" else rng.standard_normal(shape, dtype)


def no_change(x: Any) -> Any:
    return x


ORACLES: dict[str, Oracle] = {
    # --- Arithmetic ---
    "alias": no_change,
    "stop_gradient": no_change,
    "add": each(lambda a, b: math.fsum((a, b))),
    "subtract": each(lambda a, b: math.fsum((a, -b))),
    "multiply": each(lambda a, b: a * b),
    "divide": each(lambda a, b: a / b),
    "power": each(math.pow),
    "square": each(lambda a: a * a),
    "negative": each(lambda a: 0 - a),
    "abs": each(math.fabs),
    "sign": each(lambda a: (a > 0) - (a < 0)),
    "maximum": each(lambda a, b: a if a > b else b),
    "minimum": each(lambda a, b: a if a < b else b),
    "where": each(lambda c, a, b: a if c else b),
    # --- Exponentials and trigonometry ---
    "exp": each(math.exp),
    "expm1": each(math.expm1),
    "log": each(math.log),
    "log1p": each(math.log1p),
    "sqrt": each(math.sqrt),
    "sin": each(math.sin),
    "cos": each(math.cos),
    "tanh": each(math.tanh),
    # --- Comparison and logic ---
    "equal": each(lambda a, b: a == b, "?"),
    "not_equal": each(lambda a, b: a != b, "?"),
    "less": each(lambda a, b: a < b, "?"),
    "less_equal": each(lambda a, b: a <= b, "?"),
    "greater": each(lambda a, b: a > b, "?"),
    "greater_equal": each(lambda a, b: a >= b, "?"),
    "logical_and": each(lambda a, b: bool(a) and bool(b), "?"),
    "logical_or": each(lambda a, b: bool(a) or bool(b), "?"),
    "logical_not": each(lambda a: not a, "?"),
    "bitwise_and": lambda a, b: each(lambda p, q: int(p) & int(q), "i8")(a, b).astype(np.result_type(a, b)),
    "bitwise_or": lambda a, b: each(lambda p, q: int(p) | int(q), "i8")(a, b).astype(np.result_type(a, b)),
    "bitwise_xor": lambda a, b: each(lambda p, q: int(p) ^ int(q), "i8")(a, b).astype(np.result_type(a, b)),
    "bitwise_invert": lambda a: ~a if a.dtype.kind == "b" else -1 - a,
    "isnan": each(math.isnan, "?"),
    "isinf": each(math.isinf, "?"),
    "isfinite": each(math.isfinite, "?"),
    # --- Shapes, dtypes, places ---
    "cast": lambda x, *, dtype: each(int if dtype.kind in "iu" else float, dtype.str)(x),
    "to_device": lambda x, *, device: x,
    "fill": lambda *, shape, value, dtype, device: np.array([value] * math.prod(shape), dtype).reshape(shape),
    "view": lambda x, *, shape: np.array(list(x.flat)).reshape(shape),
    "transpose": lambda x, *, axes: np.einsum(x, list(axes_of(axes)), list(range(x.ndim))),
    "matrix_transpose": lambda x: np.einsum("...ij->...ji", x),
    "expand": lambda x, *, shape: x + np.zeros(shape),
    "join": lambda *xs, axis: np.block([np.moveaxis(x, axis, -1) for x in xs]).swapaxes(axis, -1),
    # --- Reductions ---
    "reduce_sum": rows(math.fsum),
    "reduce_max": rows(max),
    "reduce_min": rows(min),
    "reduce_all": rows(all, "?"),
    "reduce_any": rows(any, "?"),
    "reduce_argmax": first_maximum,
    "reduce_argmin": lambda x, *, axis, keepdims: first_maximum(-1.0 * x, axis=axis, keepdims=keepdims),
    "reduce_logsumexp": rows(log_sum_exp),
    "normalized_exp": along(softmax),
    "log_normalized": along(log_softmax),
    # --- Indexing and products ---
    "cut": lambda x, *, index: x[index],
    "paste": paste,
    "pick": pick,
    "pile": pile,
    "pick_along": pick_along,
    "pile_along": pile_along,
    "matmul": matmul,
    # --- Updates ---
    "add_scaled": lambda a, b, *, scale: a + scale * b,
    "add_product": lambda a, b, c: a + b * c,
    "moving_average": lambda a, b, *, decay, weight: decay * a + weight * b,
    "lerp": lambda a, b, *, weight: (1 - weight) * a + weight * b,
    "average_square": lambda a, b, *, decay, weight: decay * a + weight * b**2,
    "divide_by_root": lambda a, b, *, root, offset: a / (root * np.power(b, 0.5) + offset),
    # --- Random numbers ---
    "derive": derive,
    "draw": draw,
    "draw_integers": lambda key, *, low, high, shape: generator(key).integers(low, high, shape),
    "draw_permutation": lambda key, *, n: generator(key).permutation(n),
}


def axes_of(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the inverse of a permutation: what einsum wants."""
    return tuple(axes.index(i) for i in range(len(axes)))
