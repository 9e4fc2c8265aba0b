"""What every op's result should be: one row per op, in plain NumPy and Python's `math`, in float64.

Each oracle takes the op's arguments as NumPy arrays and numbers, and its options by keyword. None calls the function
that the NumPy kernel calls, where there is another way to say the same.
"""

from __future__ import annotations

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
    if distribution == "exponential":
        return rng.standard_exponential(shape, dtype, method="inv")
    return rng.random(shape, dtype) if distribution == "uniform" else rng.standard_normal(shape, dtype)


ORACLES: dict[str, Oracle] = {
    # --- Products ---
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
