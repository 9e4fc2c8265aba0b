"""Random numbers from explicit keys: the same key gives the same numbers, on every backend. Nothing is hidden.

A key is two 64-bit words, kept as an int64 Array of shape (2,) on the host. Numbers come from NumPy's Philox-4x64
counter generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) keyed by it, and then move to
the device asked for. Deriving keys uses counters of their own, so that children never share numbers with their
parent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._device import Device, DeviceLike
from neo_array._dtypes import DType, as_dtype
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import COMES_WITH_VMAP, bind, primitive
from neo_array.ops.creation import asarray

Key: TypeAlias = Array
_HOST: Final = Device("numpy")
_SAMPLE, _SPLIT, _FOLD = range(3)  # the counter's highest word says what the numbers are for
_WHY: Final = "its input is a random key, and keys are integers"


def _philox(key: Any, purpose: int, data: int = 0) -> np.random.Philox:
    return np.random.Philox(key=key.view(np.uint64), counter=[0, 0, data, purpose])


# --- Keys ---
def key(seed: int, /) -> Key:
    """Turn a seed, any Python integer of up to 128 bits, into a key."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"random.key: seed must be an int, got {type(seed).__name__}")
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
    return bind(derive, _checked(key), purpose=_SPLIT, count=n, data=0)


def fold_in(key: Key, data: int, /) -> Key:
    """Derive the key number `data` (a step, a layer, a rank) of a key."""
    if data < 0:
        raise ShapeError(f"random.fold_in: data must not be negative, got {data}")
    return bind(derive, _checked(key), purpose=_FOLD, count=1, data=int(data))[0]


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
    _op.batch(missing=COMES_WITH_VMAP)


def _draw(key: Key, name: str, shape: int | tuple[int, ...], dtype: object | None, device: DeviceLike | None) -> Array:
    chosen = _dtypes.float32 if dtype is None else as_dtype(dtype)
    if chosen.kind not in "fV":
        raise DTypeError(f"random.{name}: dtype must be floating, got {chosen}")
    drawn = bind(draw, _checked(key), distribution=name, shape=_shape(shape), dtype=chosen)
    return asarray(drawn, device=_place(device))


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _place(device: DeviceLike | None) -> Device:
    from neo_array._device import as_device

    return as_device(device)


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
    unit = _draw(key, "uniform", shape, dtype, device)
    return unit if (minval, maxval) == (0.0, 1.0) else unit * (maxval - minval) + minval


def bernoulli(
    key: Key, p: float = 0.5, shape: int | tuple[int, ...] = (), /, *, device: DeviceLike | None = None
) -> Array:
    """Draw booleans that are true with probability p."""
    return uniform(key, shape, device=device) < p


def randint(
    key: Key, shape: int | tuple[int, ...], low: int, high: int, /, *, device: DeviceLike | None = None
) -> Array:
    """Draw int64 integers uniformly from [low, high)."""
    if high <= low:
        raise ShapeError(f"random.randint: needs low < high, got {low} and {high}")
    return asarray(bind(draw_integers, _checked(key), low=low, high=high, shape=_shape(shape)), device=_place(device))


def permutation(key: Key, n: int, /, *, device: DeviceLike | None = None) -> Array:
    """Draw an order of 0, ..., n - 1 as int64."""
    return asarray(bind(draw_permutation, _checked(key), n=n), device=_place(device))
