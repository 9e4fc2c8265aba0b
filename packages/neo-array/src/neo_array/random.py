"""Random numbers from explicit keys: the same key gives the same numbers, on every backend. Nothing is hidden.

A key is two 64-bit words, kept as an int64 Array of shape (2,) on the host. Numbers come from NumPy's Philox-4x64
counter generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) keyed by it, and then move to
the device asked for. Deriving keys uses counters of their own, so that children never share numbers with their
parent.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import batch_by_loop
from neo_array._device import Device, DeviceLike, as_device
from neo_array._dtypes import DType, as_dtype
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import minimum
from neo_array.ops.creation import asarray

Key: TypeAlias = Array
_HOST: Final = Device("numpy")
_SAMPLE, _SPLIT, _FOLD = range(3)  # the counter's highest word says what the numbers are for
_WHY: Final = "its input is a random key, and keys are integers"


def _philox(key: Any, purpose: int, data: int = 0) -> np.random.Philox:
    return np.random.Philox(key=key.view(np.uint64), counter=np.array([0, 0, data, purpose], np.uint64))


# --- Keys ---
def key(seed: int, /) -> Key:
    """Turn a seed, any Python integer of up to 128 bits (with its sign), into a key."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"random.key: seed must be an int, got {type(seed).__name__}")
    if not -(2**127) <= seed < 2**127:
        raise ShapeError(f"random.key: seed must lie in [-2**127, 2**127), got {seed}")
    words = [int(seed) & (2**64 - 1), int(seed) >> 64 & (2**64 - 1)]
    return asarray(np.array(words, np.uint64).view(np.int64), device=_HOST)


@primitive(discrete=_WHY)
def derive(key: Array, /, *, purpose: int, count: int, data: int) -> Array:
    """Draw new keys from a key."""
    return bind(derive, key, purpose=purpose, count=count, data=data)


@derive.kernel("numpy")
def _(key: Any, *, purpose: int, count: int, data: int) -> Any:
    return _philox(key, purpose, data).random_raw(2 * count).view(np.int64).reshape(count, 2)


def split(key: Key, n: int = 2, /) -> Array:
    """Derive n independent keys, as an array of shape (n, 2): unpack it, `k1, k2 = na.random.split(key)`.

    Do not use the key itself afterwards.
    """
    count = _integer("split", "n", n)
    if count < 0:
        raise ShapeError(f"random.split: n must not be negative, got {n}")
    return bind(derive, _checked(key), purpose=_SPLIT, count=count, data=0)


def fold_in(key: Key, data: int, /) -> Key:
    """Derive the key number `data` (a step, a layer, a rank) of a key."""
    number = _integer("fold_in", "data", data)
    if not 0 <= number < 2**64:
        raise ShapeError(f"random.fold_in: data must lie in [0, 2**64), got {data}")
    return bind(derive, _checked(key), purpose=_FOLD, count=1, data=number)[0]


def _integer(op: str, name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise DTypeError(f"random.{op}: {name} must be an integer, got {value!r}")
    return operator.index(value)


def _checked(key: Key) -> Key:
    if type(key) is not Array or key.shape != (2,) or key.dtype != _dtypes.int64:
        got = f"shape {key.shape}, dtype {key.dtype}" if type(key) is Array else type(key).__name__
        raise DTypeError(f"random: needs one key (int64, shape (2,)), got {got}; make one with na.random.key(seed)")
    return key.to(_HOST)


# --- Draws ---
_DRAWS: Final[dict[str, Callable[..., Any]]] = {
    "normal": lambda rng, shape, dtype: rng.standard_normal(shape, dtype=dtype),
    "uniform": lambda rng, shape, dtype: rng.random(shape, dtype=dtype),
}


@primitive(discrete=_WHY)
def draw(key: Array, /, *, distribution: str, shape: tuple[int, ...], dtype: DType) -> Array:
    """Draw floats in [0, 1) or from the standard normal distribution."""
    return bind(draw, key, distribution=distribution, shape=shape, dtype=dtype)


@draw.kernel("numpy")
def _(key: Any, *, distribution: str, shape: tuple[int, ...], dtype: DType) -> Any:
    native = dtype if dtype.name in ("float32", "float64") else np.dtype("float32")
    rng = np.random.Generator(_philox(key, _SAMPLE))
    return np.asarray(_DRAWS[distribution](rng, shape, native)).astype(dtype, copy=False)


@primitive(discrete=_WHY)
def draw_integers(key: Array, /, *, low: int, high: int, shape: tuple[int, ...]) -> Array:
    """Draw integers in [low, high)."""
    return bind(draw_integers, key, low=low, high=high, shape=shape)


@draw_integers.kernel("numpy")
def _(key: Any, *, low: int, high: int, shape: tuple[int, ...]) -> Any:
    return np.asarray(np.random.Generator(_philox(key, _SAMPLE)).integers(low, high, shape))


@primitive(discrete=_WHY)
def draw_permutation(key: Array, /, *, n: int) -> Array:
    """Draw an order of 0, ..., n - 1."""
    return bind(draw_permutation, key, n=n)


@draw_permutation.kernel("numpy")
def _(key: Any, *, n: int) -> Any:
    return np.random.Generator(_philox(key, _SAMPLE)).permutation(n)


for _op in (derive, draw, draw_integers, draw_permutation):
    _op.batch(batch_by_loop(_op))


def _draw(key: Key, name: str, shape: int | tuple[int, ...], dtype: object | None, device: DeviceLike | None) -> Array:
    chosen = _dtypes.float32 if dtype is None else as_dtype(dtype)
    if chosen.kind not in "fV":
        raise DTypeError(f"random.{name}: dtype must be floating, got {chosen}")
    drawn = bind(draw, _checked(key), distribution=name, shape=_shape(shape), dtype=chosen)
    return asarray(drawn, device=as_device(device))


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(_integer("draw", "each size", n) for n in shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"random: sizes must not be negative, got {sizes}")
    return sizes


def normal(
    key: Key, shape: int | tuple[int, ...] = (), /, *, dtype: object | None = None, device: DeviceLike | None = None
) -> Array:
    """Draw from the standard normal distribution."""
    return _draw(key, "normal", shape, dtype, device)


def uniform(
    key: Key,
    shape: int | tuple[int, ...] = (),
    /,
    *,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: object | None = None,
    device: DeviceLike | None = None,
) -> Array:
    """Draw uniformly from [minval, maxval)."""
    if not minval <= maxval:
        raise ShapeError(f"random.uniform: needs minval <= maxval, got {minval} and {maxval}")
    unit = _draw(key, "uniform", shape, dtype, device)
    exact = unit.dtype in (_dtypes.float32, _dtypes.float64)
    if (minval, maxval) == (0.0, 1.0) and exact:
        return unit
    scaled = unit * (maxval - minval) + minval
    # rounding may reach maxval: limit it to the number below
    below = np.nextafter(unit.dtype.type(maxval), unit.dtype.type(minval))
    return minimum(scaled, float(below)) if minval < maxval else scaled


def bernoulli(
    key: Key, p: float = 0.5, shape: int | tuple[int, ...] = (), /, *, device: DeviceLike | None = None
) -> Array:
    """Draw booleans that are true with probability p."""
    if type(p) not in (int, float) or not 0 <= p <= 1:
        raise ShapeError(f"random.bernoulli: p must be a number in [0, 1], got {p!r}; the shape comes after it")
    return uniform(key, shape, device=device) < p


def randint(
    key: Key, shape: int | tuple[int, ...], low: int, high: int, /, *, device: DeviceLike | None = None
) -> Array:
    """Draw int64 integers uniformly from [low, high)."""
    first, last = _integer("randint", "low", low), _integer("randint", "high", high)
    if not -(2**63) <= first < last <= 2**63:
        raise ShapeError(f"random.randint: needs low < high within int64, got {low} and {high}")
    return asarray(
        bind(draw_integers, _checked(key), low=first, high=last, shape=_shape(shape)), device=as_device(device)
    )


def permutation(key: Key, n: int, /, *, device: DeviceLike | None = None) -> Array:
    """Draw an order of 0, ..., n - 1 as int64."""
    count = _integer("permutation", "n", n)
    if count < 0:
        raise ShapeError(f"random.permutation: n must not be negative, got {n}")
    return asarray(bind(draw_permutation, _checked(key), n=count), device=as_device(device))


# --- Samples ---
@derive.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for purpose, count, data in [(_SPLIT, 3, 0), (_FOLD, 1, 2**63)]:
        yield sample(rng.integers(0, 2**62, size=2), purpose=purpose, count=count, data=data)


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
