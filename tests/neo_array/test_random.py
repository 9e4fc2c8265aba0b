"""Keys and draws: reproducible everywhere, never the same twice, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
from neo_array import Array
from neo_array import random as nr
from tests.neo_array.devices import every_device, needs_torch

MASK = 2**64 - 1


def philox(key: tuple[int, int], counter: list[int]) -> list[int]:
    """Return one block of Philox-4x64-10, straight from the paper (Salmon et al., 2011)."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (second >> 64) ^ c1 ^ k0, second & MASK, (first >> 64) ^ c3 ^ k1, first & MASK
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def words(key: Array) -> list[int]:
    """Return a key's words, or the words of several keys, as unsigned integers."""
    return [int(w) & MASK for w in key.numpy().reshape(-1)]


def rows(keys: Array) -> set[tuple[int, ...]]:
    return {tuple(row) for row in keys.numpy().tolist()}


# --- Keys ---
def test_a_key_is_two_words_of_its_seed() -> None:
    k = nr.key(5 + (7 << 64))
    assert (k.shape, k.dtype, str(k.device)) == ((2,), na.int64, "numpy")
    assert words(k) == [5, 7]
    assert words(nr.key(-1)) == [MASK, MASK]
    seed: Any = np.int32(3)
    assert words(nr.key(seed)) == [3, 0]


def test_derived_keys_are_philoxs() -> None:
    seed = 0x0123456789ABCDEF_FEDCBA9876543210
    key = (seed & MASK, seed >> 64)
    # NumPy's generator counts up before its first block; the highest word says what the numbers are for
    assert words(nr.split(nr.key(seed), 4)) == philox(key, [1, 0, 0, 1]) + philox(key, [2, 0, 0, 1])
    for data in (0, 1, 2**40, 2**64 - 1):
        assert words(nr.fold_in(nr.key(seed), data)) == philox(key, [1, 0, data, 2])[:2]


def test_the_oracle_gives_the_papers_vector() -> None:
    """The first of the known answers that come with Random123."""
    assert [f"{w:016x}" for w in philox((0, 0), [0, 0, 0, 0])] == [
        *("16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b")
    ]


def test_folding_in_large_numbers_gives_distinct_keys() -> None:
    large = [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]
    assert len(rows(na.stack([nr.fold_in(nr.key(0), n) for n in large]))) == len(large)


def test_keys_unpack() -> None:
    a, b = nr.split(nr.key(0))
    c, d, e = nr.split(nr.key(0), 3)
    assert {k.shape for k in (a, b, c, d, e)} == {(2,)}
    assert nr.split(nr.key(0), 0).shape == (0, 2)
    np.testing.assert_array_equal(nr.normal(a, (3,)).numpy(), nr.normal(nr.split(nr.key(0))[0], (3,)).numpy())


def test_seeds_are_distinct_up_to_128_bits_of_either_sign() -> None:
    near = [offset + delta for offset in (0, 2**31, 2**32, 2**63, 2**64, 2**96) for delta in range(-50, 51)]
    seeds = {s for n in near for s in (n, -n)} | {2**127 - 1, -(2**127)}
    assert len(rows(na.stack([nr.key(s) for s in seeds]))) == len(seeds)
    firsts = {float(nr.normal(nr.key(s), dtype=na.float64)) for s in seeds}
    assert len(firsts) == len(seeds)


def test_splits_never_collide() -> None:
    parent = nr.key(0)
    children = nr.split(parent, 10_000)
    grandchildren = [nr.split(k, 2) for k in children[:2000]]
    folded = na.stack([nr.fold_in(parent, i) for i in range(2000)])
    everything = na.concat([children, *grandchildren, folded, parent.reshape((1, 2))])
    assert len(rows(everything)) == everything.shape[0]
    assert len(set(words(everything))) == 2 * everything.shape[0] - (0 in words(parent)) * 1


def test_no_number_drawn_from_a_key_is_a_word_of_its_children() -> None:
    parent = nr.key(12)
    drawn = set(nr.randint(parent, (20_000,), -(2**63), 2**63 - 1).numpy().tolist())
    derived = [*nr.split(parent, 5000).numpy().reshape(-1).tolist()]
    derived += [w for i in range(1000) for w in nr.fold_in(parent, i).numpy().tolist()]
    assert not drawn & set(derived)


# --- Draws ---
DRAWS: dict[str, Callable[..., Array]] = {
    "normal": lambda k, **o: nr.normal(k, (5, 7), **o),
    "normal64": lambda k, **o: nr.normal(k, (5, 7), dtype=na.float64, **o),
    "normal16": lambda k, **o: nr.normal(k, (5, 7), dtype=na.float16, **o),
    "uniform": lambda k, **o: nr.uniform(k, (5, 7), **o),
    "uniform between": lambda k, **o: nr.uniform(k, (5, 7), minval=-0.3, maxval=2.7, **o),
    "uniform64": lambda k, **o: nr.uniform(k, (5, 7), minval=-1.1, maxval=1.3, dtype=na.float64, **o),
    "bernoulli": lambda k, **o: nr.bernoulli(k, 0.3, (5, 7), **o),
    "randint": lambda k, **o: nr.randint(k, (5, 7), -10, 1000, **o),
    "permutation": lambda k, **o: nr.permutation(k, 35, **o),
}
every_draw = pytest.mark.parametrize("name", DRAWS)


@needs_torch
@every_draw
def test_the_same_key_gives_the_same_numbers_on_every_device(name: str) -> None:
    key = nr.key(3)
    here, there = DRAWS[name](key), DRAWS[name](key, device="torch:cpu")
    assert (str(here.device), str(there.device)) == ("numpy", "torch:cpu")
    assert here.dtype == there.dtype
    np.testing.assert_array_equal(there.numpy(), here.numpy())
    moved = DRAWS[name](key.to("torch:cpu"), device="numpy")
    np.testing.assert_array_equal(moved.numpy(), here.numpy())
    with na.use_device("torch:cpu"):
        implicit = DRAWS[name](nr.key(3))
    assert str(implicit.device) == "torch:cpu"
    np.testing.assert_array_equal(implicit.numpy(), here.numpy())


@every_draw
def test_another_key_gives_other_numbers_and_the_same_key_the_same(name: str) -> None:
    key = nr.key(3)
    first = DRAWS[name](key).numpy()
    np.testing.assert_array_equal(DRAWS[name](nr.key(3)).numpy(), first)
    for other in (nr.key(4), *nr.split(key), nr.fold_in(key, 0)):
        assert not np.array_equal(DRAWS[name](other).numpy(), first)


@every_draw
def test_numpys_global_generator_is_neither_read_nor_changed(name: str) -> None:
    np.random.seed(0)
    first = DRAWS[name](nr.key(0)).numpy()
    assert np.random.random() == np.random.RandomState(0).random()
    np.testing.assert_array_equal(DRAWS[name](nr.key(0)).numpy(), first)


@every_device
def test_shapes_and_dtypes(device: str) -> None:
    k = nr.key(0)
    assert nr.normal(k, device=device).shape == nr.uniform(k, (), device=device).shape == ()
    assert nr.normal(k, 3, device=device).shape == (3,)
    assert nr.normal(k, (0, 2), device=device).shape == (0, 2)
    for dtype in ("float16", "float32", "float64"):
        assert nr.normal(k, (2,), dtype=dtype, device=device).dtype == np.dtype(dtype)
    assert nr.bernoulli(k, 0.5, (2,), device=device).dtype == np.dtype("bool")
    assert nr.randint(k, (2,), 0, 5, device=device).dtype == nr.permutation(k, 4, device=device).dtype == na.int64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1000.0, 1001.0), (-1.0, 1.0), (-3.0, -2.0)])
def test_uniform_never_reaches_its_upper_end(low: float, high: float, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    drawn = nr.uniform(nr.key(0), (300_000,), minval=low, maxval=high, dtype=dtype).numpy().astype(np.float64)
    assert drawn.min() >= low
    assert drawn.max() < high


def test_extreme_arguments() -> None:
    k = nr.key(0)
    assert not nr.bernoulli(k, 0.0, (1000,)).numpy().any()
    assert nr.bernoulli(k, 1.0, (1000,)).numpy().all()
    assert set(nr.randint(k, (100,), 7, 8).numpy().tolist()) == {7}
    wide = nr.randint(k, (100,), -(2**63), 2**63).numpy()
    assert wide.min() < 0 < wide.max()
    assert nr.permutation(k, 0).shape == (0,)
    assert sorted(nr.permutation(k, 1000).numpy().tolist()) == list(range(1000))
    assert nr.uniform(k, (3,), minval=2.0, maxval=2.0).numpy().tolist() == [2, 2, 2]


# --- Wrong uses ---
def key() -> Array:
    return nr.key(0)


def anything(x: object) -> Any:
    return x


WRONG: list[tuple[type[Exception], str, Callable[[], object]]] = [
    (na.DTypeError, "seed must be an int, got float", lambda: nr.key(anything(1.0))),
    (na.DTypeError, "seed must be an int, got bool", lambda: nr.key(True)),
    (na.DTypeError, "seed must be an int, got NoneType", lambda: nr.key(anything(None))),
    (na.NeoError, "seed", lambda: nr.key(2**128)),
    (na.NeoError, "seed", lambda: nr.key(-(2**200))),
    (na.DTypeError, r"one key.*got int; make one with na\.random\.key", lambda: nr.normal(anything(0), (3,))),
    (na.DTypeError, r"one key.*got shape \(2, 2\)", lambda: nr.normal(nr.split(key()), (3,))),
    (na.DTypeError, "one key.*dtype float32", lambda: nr.uniform(na.zeros(2), (3,))),
    (na.DTypeError, "one key.*got ndarray", lambda: nr.split(anything(np.zeros(2, np.int64)))),
    (na.DTypeError, "normal: dtype must be floating, got int64", lambda: nr.normal(key(), (3,), dtype=na.int64)),
    (na.DTypeError, "must be floating, got complex64", lambda: nr.uniform(key(), (3,), dtype=na.complex64)),
    (na.ShapeError, "must not be negative", lambda: nr.normal(key(), (-1,))),
    (na.ShapeError, "must not be negative", lambda: nr.normal(key(), -1)),
    (na.DTypeError, "size", lambda: nr.normal(key(), (2, anything(1.5)))),
    (na.NeoError, r"split.*-1", lambda: nr.split(key(), -1)),
    (na.DTypeError, "split", lambda: nr.split(key(), anything(2.0))),
    (na.ShapeError, "fold_in: data", lambda: nr.fold_in(key(), -1)),
    (na.ShapeError, "fold_in: data", lambda: nr.fold_in(key(), 2**64)),
    (na.DTypeError, "fold_in: data", lambda: nr.fold_in(key(), anything(1.5))),
    (na.ShapeError, r"randint: needs low < high.*got 5 and 5", lambda: nr.randint(key(), (3,), 5, 5)),
    (na.DTypeError, "randint", lambda: nr.randint(key(), (3,), anything(0.0), 5)),
    (na.NeoError, "randint", lambda: nr.randint(key(), (3,), 0, 2**64)),
    (na.ShapeError, "bernoulli: p must", lambda: nr.bernoulli(key(), 1.5, (3,))),
    (na.NeoError, "bernoulli: p must", lambda: nr.bernoulli(key(), anything((3,)))),
    (na.ShapeError, "needs minval <= maxval", lambda: nr.uniform(key(), (3,), minval=2.0, maxval=1.0)),
    (na.ShapeError, "permutation: n must not be negative", lambda: nr.permutation(key(), -1)),
    (na.DTypeError, "permutation", lambda: nr.permutation(key(), anything(2.0))),
]


@pytest.mark.parametrize(("error", "message", "attempt"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_a_wrong_use_is_explained(error: type[Exception], message: str, attempt: Callable[[], object]) -> None:
    with pytest.raises(error, match=message):
        attempt()


def test_draws_are_constants_to_a_derivative() -> None:
    import neo_tape as nt

    def f(x: Array) -> Array:
        return (x * nr.normal(nr.key(0), (3,))).sum()

    noise: npt.NDArray[Any] = nr.normal(nr.key(0), (3,)).numpy()
    np.testing.assert_array_equal(nt.grad(f)(na.ones(3)).numpy(), noise)


def test_pairs_of_purposes_share_no_block() -> None:
    """The counters of draws, splits and folds differ in their highest word, so that no two ever meet."""
    k = (1, 2)
    blocks = [tuple(philox(k, [n, 0, d, purpose])) for n, d, purpose in itertools.product((1, 2), (0, 1, 2), (0, 1, 2))]
    assert len(set(blocks)) == len(blocks)
