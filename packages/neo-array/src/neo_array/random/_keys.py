"""Keys: what all randomness comes from, how more of them are derived, and a check that none is used twice.

A key is two 64-bit words, kept as an int64 Array of shape (2,) on the host. They key NumPy's Philox-4x64 counter
generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). Deriving keys uses counters of their
own, so that children never share numbers with their parent.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, SupportsIndex, TypeAlias

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array
from neo_array._batching import batch_by_loop
from neo_array._described import first, nothing_runs, without_values
from neo_array._device import Device
from neo_array._errors import DTypeError, KeyReuseError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.creation import asarray

Key: TypeAlias = Array
_HOST: Final = Device("numpy")
SAMPLE, SPLIT, FOLD = range(3)  # the counter's highest word says what the numbers are for
KEYS_ARE_INTEGERS: Final = "its input is a random key, and keys are integers"
_Use: TypeAlias = tuple[int, int, int, int]
_uses: ContextVar[set[_Use] | None] = ContextVar("neo_array_random_uses", default=None)


def philox(key: Any, purpose: int, data: int = 0) -> np.random.Philox:
    """Return the generator of a raw key for one purpose."""
    words = key.view(np.uint64)
    uses = _uses.get()
    if uses is not None:
        _note_use(uses, int(words[0]), int(words[1]), purpose, data)
    return np.random.Philox(key=words, counter=np.array([0, 0, data, purpose], np.uint64))


# --- Reuse ---
@contextmanager
def debug_key_reuse() -> Iterator[None]:
    """Raise inside this block when a key is used for a second time: two draws from one key are no two draws.

    Drawing and splitting use a key up. `fold_in` does not, but folding the same number in twice does.

    Raises:
        KeyReuseError: at the second use.

    Example:
        >>> import neo_array as na
        >>> with na.random.debug_key_reuse():
        ...     k1, k2 = na.random.split(na.random.key(0))
        ...     x, y = na.random.normal(k1), na.random.normal(k2)
    """
    token = _uses.set(set())
    try:
        yield
    finally:
        _uses.reset(token)


def _note_use(uses: set[_Use], first: int, second: int, purpose: int, data: int) -> None:
    use = (first, second, purpose if purpose == FOLD else SAMPLE, data if purpose == FOLD else 0)
    if use in uses:
        what = f"folding {data} into it" if purpose == FOLD else "drawing from it or splitting it"
        raise KeyReuseError(
            f"random: the key [{first}, {second}] was used already, and this is the second time, by {what}; "
            "write k1, k2 = na.random.split(key), and use each once"
        )
    uses.add(use)


# --- Keys ---
def key(seed: int, /) -> Key:
    """Turn a seed, any Python integer of up to 128 bits (with its sign), into a key."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DTypeError(f"random.key: seed must be an int, got {type(seed).__name__}")
    if not -(2**127) <= seed < 2**127:
        raise ShapeError(f"random.key: seed must lie in [-2**127, 2**127), got {seed}")
    words = [int(seed) & (2**64 - 1), int(seed) >> 64 & (2**64 - 1)]
    return asarray(np.array(words, np.uint64).view(np.int64), device=_HOST)


@primitive(discrete=KEYS_ARE_INTEGERS)
def derive(key: Array, /, *, purpose: int, count: int, data: int) -> Array:
    """Draw new keys from a key."""
    return bind(derive, key, purpose=purpose, count=count, data=data)


@derive.kernel("numpy")
def _(key: Any, *, purpose: int, count: int, data: int) -> Any:
    return philox(key, purpose, data).random_raw(2 * count).view(np.int64).reshape(count, 2)


def split(key: Key, n: int = 2, /) -> Array:
    """Derive n independent keys, as an array of shape (n, 2): unpack it, `k1, k2 = na.random.split(key)`.

    Do not use the key itself afterwards.
    """
    count = as_integer("split", "n", n)
    if count < 0:
        raise ShapeError(f"random.split: n must not be negative, got {n}")
    return bind(derive, checked(key), purpose=SPLIT, count=count, data=0)


def fold_in(key: Key, data: int, /) -> Key:
    """Derive the key number `data` (a step, a layer, a rank) of a key."""
    number = as_integer("fold_in", "data", data)
    if not 0 <= number < 2**64:
        raise ShapeError(f"random.fold_in: data must lie in [0, 2**64), got {data}")
    return bind(derive, checked(key), purpose=FOLD, count=1, data=number)[0]


def as_integer(op: str, name: str, value: object) -> int:
    """Return an integer argument as an int."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise DTypeError(f"random.{op}: {name} must be an integer, got {value!r}")
    return operator.index(value)


def checked(key: Key) -> Key:
    """Return a key on the host; refuse what is none."""
    if type(key) is not Array or key.shape != (2,) or key.dtype != _dtypes.int64:
        got = f"shape {key.shape}, dtype {key.dtype}" if type(key) is Array else type(key).__name__
        raise DTypeError(f"random: needs one key (int64, shape (2,)), got {got}; make one with na.random.key(seed)")
    return without_values(key.to(_HOST)) if nothing_runs() else key.to(_HOST)


derive.batch(batch_by_loop(derive))


# --- Shapes ---
derive.shape(lambda key, *, purpose, count, data: (count, 2), dtype=first)


# --- Samples ---
@derive.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for purpose, count, data in [(SPLIT, 3, 0), (FOLD, 1, 2**63)]:
        yield sample(rng.integers(0, 2**62, size=2), purpose=purpose, count=count, data=data)
