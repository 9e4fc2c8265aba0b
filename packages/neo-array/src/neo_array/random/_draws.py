"""The ops that draw: standard distributions, on the host, without parameters. All others are made of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import batch_by_loop
from neo_array._described import chosen, integers
from neo_array._device import DeviceLike, as_device
from neo_array._dtypes import DType, as_dtype
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.random._keys import KEYS_ARE_INTEGERS, SAMPLE, Key, as_integer, checked, philox

Size: TypeAlias = "int | tuple[int, ...] | None"
Parameter: TypeAlias = "Array | float"
_DRAWS: Final[dict[str, Callable[..., Any]]] = {
    "normal": lambda rng, shape, dtype: rng.standard_normal(shape, dtype=dtype),
    "uniform": lambda rng, shape, dtype: rng.random(shape, dtype=dtype),
    "exponential": lambda rng, shape, dtype: rng.standard_exponential(shape, dtype=dtype, method="inv"),
}


@primitive(discrete=KEYS_ARE_INTEGERS)
def draw(key: Array, /, *, distribution: str, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw floats from a standard distribution; "uniform" is that on [0, 1)."""
    return bind(draw, key, distribution=distribution, shape=shape, dtype=dtype)


@draw.kernel("numpy")
def _(key: Any, *, distribution: str, shape: tuple[int, ...], dtype: DType) -> Any:
    native = dtype if dtype.name in ("float32", "float64") else np.dtype("float32")
    rng = np.random.Generator(philox(key, SAMPLE))
    return np.asarray(_DRAWS[distribution](rng, shape, native)).astype(dtype, copy=False)


@primitive(discrete=KEYS_ARE_INTEGERS)
def draw_integers(key: Array, /, *, low: int, high: int, shape: tuple[int, ...]) -> Array:
    """Draw integers in [low, high)."""
    return bind(draw_integers, key, low=low, high=high, shape=shape)


@draw_integers.kernel("numpy")
def _(key: Any, *, low: int, high: int, shape: tuple[int, ...]) -> Any:
    return np.asarray(np.random.Generator(philox(key, SAMPLE)).integers(low, high, shape))


@primitive(discrete=KEYS_ARE_INTEGERS)
def draw_permutation(key: Array, /, *, n: int) -> Array:
    """Draw an order of 0, ..., n - 1."""
    return bind(draw_permutation, key, n=n)


@draw_permutation.kernel("numpy")
def _(key: Any, *, n: int) -> Any:
    return np.random.Generator(philox(key, SAMPLE)).permutation(n)


@primitive(discrete="it counts events")
def draw_poisson(key: Array, rate: Array, /) -> Array:
    """Draw int64 numbers of events, one for each rate."""
    return bind(draw_poisson, key, rate)


@draw_poisson.kernel("numpy")
def _(key: Any, rate: Any) -> Any:
    return np.asarray(np.random.Generator(philox(key, SAMPLE)).poisson(rate))


for _op in (draw, draw_integers, draw_permutation, draw_poisson):
    _op.batch(batch_by_loop(_op))


# --- Arguments ---
def sizes(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape as a tuple of ints."""
    chosen = tuple(as_integer("draw", "each size", n) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
    if any(n < 0 for n in chosen):
        raise ShapeError(f"random: sizes must not be negative, got {chosen}")
    return chosen


def shape_for(name: str, shape: Size, *parameters: Parameter) -> tuple[int, ...]:
    """Return the shape of a draw: by default, the one to which its parameters broadcast."""
    shapes = [p.shape for p in parameters if isinstance(p, Array)]
    try:
        least = np.broadcast_shapes(*shapes)
        chosen = least if shape is None else sizes(shape)
        fits = np.broadcast_shapes(chosen, least) == chosen
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"random.{name}: parameters of shapes {' and '.join(map(str, shapes))} do not broadcast"
            + ("" if shape is None else f" to {sizes(shape)}")
        )
    return chosen


def standard(
    key: Key,
    name: str,
    shape: tuple[int, ...],
    dtype: object | None,
    device: DeviceLike | None,
    *like: Parameter,
    by: Callable[[Array], Array] | None = None,
) -> Array:
    """Draw from a standard distribution, and transform the draw with `by`, in float32 at least.

    dtype and device are by default those of the first Array among `like`.
    """
    first = next((p for p in like if isinstance(p, Array)), None)
    if dtype is None and first is not None and _dtypes.is_inexact(first.dtype):
        dtype = first.dtype
    chosen = _dtypes.float32 if dtype is None else as_dtype(dtype)
    if chosen.kind not in "fV":
        raise DTypeError(f"random.{name}: dtype must be floating, got {chosen}")
    place = as_device(device) if device is not None or first is None else first.device
    wide = _dtypes.float32 if by is not None and chosen.itemsize == 2 else chosen
    drawn = asarray(bind(draw, checked(key), distribution=name, shape=shape, dtype=wide), device=place)
    return drawn if by is None else astype(by(drawn), chosen)


# --- Shapes ---
draw.shape(lambda key, *, distribution, shape, dtype: shape, dtype=chosen)
draw_integers.shape(lambda key, *, low, high, shape: shape, dtype=integers)
draw_permutation.shape(lambda key, *, n: (n,), dtype=integers)
draw_poisson.shape(lambda key, rate: rate, dtype=integers)


# --- Samples ---
@draw.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for distribution in _DRAWS:
        for dtype in (_dtypes.float32, _dtypes.float64):
            yield sample(rng.integers(0, 2**62, size=2), distribution=distribution, shape=(3, 5), dtype=dtype)


@draw_integers.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 2**62, size=2), low=-3, high=5, shape=(3, 5))


@draw_permutation.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 2**62, size=2), n=7)


@draw_poisson.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 2**62, size=2), rng.uniform(0.5, 40, size=(3, 5)))
    yield sample(rng.integers(0, 2**62, size=2), np.float64(math.pi), wrt=())
