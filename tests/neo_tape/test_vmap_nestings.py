"""vmap, reverse and forward mode inside one another, in every order to depth 4, against JAX in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from tests.neo_tape.jax_float64 import jax_in_float64

F: TypeAlias = Callable[[Any], Any]
NESTINGS: Final = [kinds for depth in (1, 2, 3, 4) for kinds in itertools.product(("rev", "fwd", "map"), repeat=depth)]
AXES: Final = ((0, 0), (-1, 0), (0, -1), (-1, -1))  # where the n-th vmap takes its examples from, and puts them


@pytest.fixture(scope="module")
def oracle() -> Iterator[Any]:
    with jax_in_float64() as jax:
        yield jax


def base(xp: Any, y: Any) -> Any:
    return xp.sin(y) * xp.sum(y * y) + y


def nested(lib: Any, xp: Any, kinds: tuple[str, ...]) -> F:
    """Return transforms of transforms of `base`, the first one innermost; each keeps the shape of its argument.

    Each inner function closes over the outer argument, which is a constant to its own transform and to no other.
    """
    f: F = lambda y: base(xp, y)
    for number, kind in enumerate(kinds):
        f = {"rev": reverse, "fwd": forward, "map": mapped, "trace": traced}[kind](lib, xp, f, AXES[number])
    return f


def reverse(lib: Any, xp: Any, f: F, axes: tuple[int, int]) -> F:
    return lambda x: lib.vjp(lambda y: f(y) * xp.cos(x), x)[1](xp.sin(x) + 1.0)[0]


def forward(lib: Any, xp: Any, f: F, axes: tuple[int, int]) -> F:
    return lambda x: lib.jvp(lambda y: f(y) * xp.cos(x), (x,), (xp.sin(x) + 1.0,))[1]


def mapped(lib: Any, xp: Any, f: F, axes: tuple[int, int]) -> F:
    at, to = axes

    def apply(x: Any) -> Any:
        scale = xp.sin(xp.sum(x))
        return lib.vmap(lambda y, w: f(y) * scale + w, (at, None), to)(x, xp.sum(xp.cos(x)))

    return apply


def traced(lib: Any, xp: Any, f: F, axes: tuple[int, int]) -> F:
    """Run what was traced on other values; to JAX, which evaluates at once, the same as f."""
    return (lambda x: lib.trace(f)(0.5 * x + 0.1).eval(x)) if lib is nt else f


def argument(kinds: tuple[str, ...]) -> Any:
    rng = np.random.default_rng(len(kinds))
    return rng.normal(size=(2,) * (1 + kinds.count("map")))  # as many axes of one size as are mapped, and one


@pytest.mark.parametrize("kinds", NESTINGS, ids="-".join)
def test_nesting_agrees_with_jax(kinds: tuple[str, ...], oracle: Any) -> None:
    x = argument(kinds)
    got = nested(nt, na, kinds)(na.asarray(x)).numpy()
    expected = np.asarray(nested(oracle, oracle.numpy, kinds)(oracle.numpy.asarray(x)))
    assert got.shape == expected.shape == x.shape
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_nesting_gives_the_same_on_torch(depth: int) -> None:
    pytest.importorskip("torch")
    for kinds in NESTINGS:
        if len(kinds) == depth:
            x = argument(kinds)
            expected = nested(nt, na, kinds)(na.asarray(x)).numpy()
            with na.use_device("torch:cpu"):
                got = nested(nt, na, kinds)(na.asarray(x, device="torch:cpu"))
            assert str(got.device) == "torch:cpu"
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
