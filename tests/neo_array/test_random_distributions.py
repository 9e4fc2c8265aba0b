"""Distributions with parameters: they are followed, derivatives reach the parameters, and key reuse is found."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_array import random as nr
from tests.neo_array.devices import every_device

stats: Any = pytest.importorskip("scipy.stats", reason="the oracle is SciPy, which is not installed")
special: Any = pytest.importorskip("scipy.special", reason="the oracle is SciPy, which is not installed")

LEVEL = 1e-3
N = 20_000
every_seed = pytest.mark.parametrize("seed", [0, 1, 2**70])
Values = npt.NDArray[Any]


def follows(values: Values, distribution: Any) -> bool:
    """Kolmogorov and Smirnov's test."""
    return bool(stats.kstest(values.astype(np.float64).reshape(-1), distribution.cdf).pvalue > LEVEL)


# --- Distributions ---
CONTINUOUS: dict[str, tuple[Callable[[Array], Array], Any, Any]] = {
    "normal": (lambda k: nr.normal(k, (N,), loc=2.0, scale=3.0), stats.norm(2, 3), stats.norm(2, 3.15)),
    "exponential": (lambda k: nr.exponential(k, (N,), scale=2.0), stats.expon(0, 2), stats.expon(0, 2.1)),
    "laplace": (lambda k: nr.laplace(k, (N,), loc=-1.0, scale=2.0), stats.laplace(-1, 2), stats.laplace(-1, 2.2)),
    "cauchy": (lambda k: nr.cauchy(k, (N,), loc=1.0, scale=0.5), stats.cauchy(1, 0.5), stats.cauchy(1, 0.56)),
    "gumbel": (lambda k: nr.gumbel(k, (N,), loc=1.0, scale=2.0), stats.gumbel_r(1, 2), stats.gumbel_r(1, 2.2)),
    "logistic": (lambda k: nr.logistic(k, (N,), loc=1.0, scale=2.0), stats.logistic(1, 2), stats.logistic(1, 2.2)),
    "truncated normal": (
        lambda k: nr.truncated_normal(k, -1.0, 2.5, (N,)),
        stats.truncnorm(-1, 2.5),
        stats.truncnorm(-1.1, 2.5),
    ),
    "gamma 0.2": (lambda k: nr.gamma(k, 0.2, (N,)), stats.gamma(0.2), stats.gamma(0.215)),
    "gamma 1": (lambda k: nr.gamma(k, 1.0, (N,), scale=3.0), stats.gamma(1, scale=3), stats.gamma(1, scale=3.2)),
    "gamma 50": (lambda k: nr.gamma(k, 50.0, (N,), dtype=na.float64), stats.gamma(50), stats.gamma(50.6)),
    "beta 0.5 0.5": (lambda k: nr.beta(k, 0.5, 0.5, (N,)), stats.beta(0.5, 0.5), stats.beta(0.53, 0.5)),
    "beta 2 5": (lambda k: nr.beta(k, 2.0, 5.0, (N,)), stats.beta(2, 5), stats.beta(2.1, 5)),
    "dirichlet": (
        lambda k: nr.dirichlet(k, na.asarray([1.0, 2.0, 3.5]), (N,))[:, 1],
        stats.beta(2, 4.5),
        stats.beta(2.1, 4.5),
    ),
    "uniform": (
        lambda k: nr.uniform(k, (N,), minval=na.asarray(-1.0), maxval=na.asarray(2.0)),
        stats.uniform(-1, 3),
        stats.uniform(-1, 3.1),
    ),
}


@every_seed
@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_their_distribution_and_no_near_one(name: str, seed: int) -> None:
    draws, distribution, near = CONTINUOUS[name]
    values = draws(nr.key(seed)).numpy()
    assert follows(values, distribution)
    assert not follows(values, near)


@every_seed
@pytest.mark.parametrize("rate", [0.3, 4.0, 60.0])
def test_poisson(seed: int, rate: float) -> None:
    drawn = nr.poisson(nr.key(seed), rate, (N,)).numpy()
    assert drawn.dtype == np.int64
    last = int(stats.poisson(rate).ppf(1 - 50 / N))
    first = int(stats.poisson(rate).ppf(50 / N))
    observed = np.bincount(np.clip(drawn, first, last) - first, minlength=last - first + 1)
    expected = stats.poisson(rate).pmf(np.arange(first, last + 1))
    expected[0], expected[-1] = stats.poisson(rate).cdf(first), stats.poisson(rate).sf(last - 1)
    assert stats.chisquare(observed, expected * N).pvalue > LEVEL


@every_seed
def test_categorical(seed: int) -> None:
    p = np.array([0.1, 0.0, 0.6, 0.3])
    with np.errstate(divide="ignore"):
        logits = na.asarray(np.log(p) + 5.0)
    drawn = nr.categorical(nr.key(seed), logits, (N,)).numpy()
    observed = np.bincount(drawn, minlength=4)
    assert observed[1] == 0
    assert stats.chisquare(observed[[0, 2, 3]], p[[0, 2, 3]] * N).pvalue > LEVEL


@every_seed
def test_multivariate_normal(seed: int) -> None:
    mean, root = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0, 0], [0.5, 1.5, 0], [-1.0, 0.3, 0.7]])
    drawn = nr.multivariate_normal(nr.key(seed), na.asarray(mean), na.asarray(root @ root.T), (N,)).numpy()
    white = np.linalg.solve(root, (drawn - mean).T)
    assert follows((white**2).sum(axis=0), stats.chi2(3))
    assert all(follows(row, stats.norm) for row in white)


@every_seed
def test_orthogonal_matrices_are_orthogonal_and_uniform(seed: int) -> None:
    q = nr.orthogonal(nr.key(seed), 3, (4000,), dtype=na.float64).numpy()
    np.testing.assert_allclose(q @ q.swapaxes(-1, -2), np.broadcast_to(np.eye(3), q.shape), atol=1e-12)
    # a column of a uniform rotation is uniform on the sphere, whose coordinates are uniform (Archimedes)
    assert follows(q[:, 0, 0], stats.uniform(-1, 2))
    assert follows(q[:, 2, 1], stats.uniform(-1, 2))
    assert stats.binomtest(int((np.linalg.det(q) > 0).sum()), len(q), 0.5).pvalue > LEVEL


# --- Keys ---
def test_splits_of_10_000_keys_are_independent() -> None:
    pairs = na.stack([na.stack([nr.normal(k) for k in nr.split(key)]) for key in nr.split(nr.key(5), 10_000)]).numpy()
    assert follows(pairs, stats.norm)
    assert abs(stats.pearsonr(pairs[:, 0], pairs[:, 1]).statistic) < 4 / 100
    ranks = (stats.norm.cdf(pairs) * 10).astype(int)
    table = np.zeros((10, 10))
    np.add.at(table, (ranks[:, 0], ranks[:, 1]), 1)
    assert stats.chisquare(table.reshape(-1)).pvalue > LEVEL


DRAWS: dict[str, Callable[[Array], Any]] = {
    "normal": lambda k: nr.normal(k, (3,)),
    "randint": lambda k: nr.randint(k, (3,), 0, 5),
    "permutation": lambda k: nr.permutation(k, 3),
    "poisson": lambda k: nr.poisson(k, 3.0),
    "gamma": lambda k: nr.gamma(k, 3.0),
    "beta": lambda k: nr.beta(k, 3.0, 2.0),
    "categorical": lambda k: nr.categorical(k, na.zeros(3)),
    "split": lambda k: nr.split(k, 3),
}


@pytest.mark.parametrize("first", DRAWS)
@pytest.mark.parametrize("second", DRAWS)
def test_reusing_a_key_is_found(first: str, second: str) -> None:
    key = nr.key(3)
    DRAWS[first](key)  # outside, nothing is noted
    with nr.debug_key_reuse():
        DRAWS[first](key)
        with pytest.raises(na.KeyReuseError, match=r"second time.*split"):
            DRAWS[second](nr.key(3))
    DRAWS[second](key)


def test_using_each_key_once_is_no_reuse() -> None:
    with nr.debug_key_reuse():
        key = nr.key(0)
        for step in range(3):
            a, b, c = nr.split(nr.fold_in(key, step), 3)
            for k, draws in zip((a, b, c), ("normal", "gamma", "permutation"), strict=True):
                DRAWS[draws](k)


def test_folding_the_same_number_in_twice_is_found() -> None:
    with nr.debug_key_reuse():
        nr.fold_in(nr.key(0), 7)
        with pytest.raises(na.KeyReuseError, match="folding 7"):
            nr.fold_in(nr.key(0), 7)


def test_key_reuse_is_found_under_vmap() -> None:
    keys = na.stack([nr.key(1), nr.key(2), nr.key(1)])
    with nr.debug_key_reuse(), pytest.raises(na.KeyReuseError):
        nt.vmap(lambda k: nr.normal(k, (2,)))(keys)


def test_another_threads_keys_are_its_own() -> None:
    drawn: list[float] = []

    def draw() -> None:
        drawn.extend(nr.normal(nr.key(0)).item() for _ in range(2))  # type: ignore[misc]  # a real number

    with nr.debug_key_reuse():
        nr.normal(nr.key(0))
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
    assert drawn == [nr.normal(nr.key(0)).item()] * 2


# --- Parameters ---
def _total(draws: Callable[..., Array], loc: Array, scale: Array) -> Array:
    return draws(nr.key(0), loc=loc, scale=scale).sum()


@every_device
def test_location_and_scale_are_reparameterised(device: str) -> None:
    loc = na.asarray([1.0, 2.0, 3.0], dtype=na.float64, device=device)
    scale = na.asarray([[0.5], [2.0]], dtype=na.float64, device=device)
    for draws in (nr.normal, nr.laplace, nr.cauchy, nr.gumbel, nr.logistic):
        out = draws(nr.key(0), loc=loc, scale=scale)
        assert (out.shape, out.dtype, str(out.device)) == ((2, 3), na.float64, device)
        standard = draws(nr.key(0), (2, 3), dtype=na.float64).numpy()
        np.testing.assert_allclose(out.numpy(), loc.numpy() + scale.numpy() * standard, rtol=1e-14)
        by_loc, by_scale = nt.grad(functools.partial(_total, draws), argnums=(0, 1))(loc, scale)
        np.testing.assert_allclose(by_loc.numpy(), 2.0)
        np.testing.assert_allclose(by_scale.numpy(), standard.sum(axis=1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("a", [0.05, 0.7, 1.0, 1.3, 4.0, 30.0, 2000.0])
def test_a_gamma_draws_derivative_is_that_of_the_quantile(a: float) -> None:
    key = nr.key(11)
    parameter = na.full((200,), a, dtype=na.float64)
    draw, tangent = nt.jvp(lambda p: nr.gamma(key, p), (parameter,), (na.ones_like(parameter),))
    x, slope = draw.numpy(), tangent.numpy()
    if a < 1.0:
        # x = y * u**(1 / a): take it apart again
        small = nr.uniform(nr.split(key)[1], (200,), dtype=na.float64).numpy()
        power = (1.0 - small) ** (1.0 / a)
        y = x / power
        at_y = quantile_slope(a + 1.0, y)
        expected = at_y * power - x * np.log(1.0 - small) / a**2
    else:
        expected = quantile_slope(a, x)
    np.testing.assert_allclose(slope, expected, rtol=2e-6)


def quantile_slope(a: float, x: Values) -> Values:
    """Return dx/da at a fixed probability, by differences of SciPy's quantile, from the tail that keeps the digits."""
    h = 1e-5 * a
    p, q = special.gammainc(a, x), special.gammaincc(a, x)
    lower = (special.gammaincinv(a + h, p) - special.gammaincinv(a - h, p)) / (2 * h)
    upper = (special.gammainccinv(a + h, q) - special.gammainccinv(a - h, q)) / (2 * h)
    slope: Values = np.where(p < 0.5, lower, upper)
    return slope


def test_the_mean_of_gamma_draws_moves_with_the_parameter() -> None:
    slope = nt.grad(lambda a: na.mean(nr.gamma(nr.key(0), a, (50_000,))))(na.asarray(2.5, dtype=na.float64))
    assert abs(slope.item() - 1.0) < 0.02


def test_derivatives_of_beta_and_dirichlet_draws_agree_with_differences() -> None:
    key = nr.key(4)
    a, b = na.asarray([0.4, 1.5, 8.0]), na.asarray([2.0, 0.7, 3.0])
    a, b = a.astype(na.float64), b.astype(na.float64)
    nt.check_grads(lambda p, q: nr.beta(key, p, q), (a, b), order=2)
    nt.check_grads(lambda p: nr.dirichlet(key, p, (2,)), (a,), order=1)
    nt.check_grads(lambda p: nr.gamma(key, p, scale=b), (a,), order=2)


@every_device
def test_derivatives_of_vectors_with_a_covariance(device: str) -> None:
    key, root = nr.key(4), np.array([[2.0, 0, 0], [0.5, 1.5, 0], [-1.0, 0.3, 0.7]])
    mean, cov = na.asarray(np.array([1.0, 2.0, 3.0]), device=device), na.asarray(root @ root.T, device=device)
    out = nr.multivariate_normal(key, mean, cov, (5,))
    assert (out.shape, str(out.device)) == ((5, 3), device)
    nt.check_grads(lambda m, c: nr.multivariate_normal(key, m, (c + c.mT) / 2.0, (5,)), (mean, cov), order=1)


def test_very_small_parameters_give_no_nan() -> None:
    drawn = nr.dirichlet(nr.key(0), na.full((4,), 1e-4, dtype=na.float64), (500,)).numpy()
    np.testing.assert_allclose(drawn.sum(axis=-1), 1.0)
    assert np.isfinite(drawn).all()


# --- Arguments ---
WRONG: dict[str, tuple[Callable[[Array], Any], type[Exception], str]] = {
    "shape too small": (lambda k: nr.normal(k, (3,), loc=na.zeros((2, 3))), na.ShapeError, "do not broadcast"),
    "parameters do not fit": (lambda k: nr.beta(k, na.ones(2), na.ones(3)), na.ShapeError, "do not broadcast"),
    "negative a": (lambda k: nr.gamma(k, -1.0), na.ShapeError, "positive"),
    "integer dtype": (lambda k: nr.gamma(k, 1.0, dtype=na.int64), na.DTypeError, "floating"),
    "bounds": (lambda k: nr.truncated_normal(k, 1.0, -1.0), na.ShapeError, "lower < upper"),
    "no classes": (lambda k: nr.categorical(k, na.zeros((2, 0))), na.ShapeError, "no classes"),
    "covariance": (lambda k: nr.multivariate_normal(k, na.zeros(3), na.eye(2)), na.ShapeError, "cov"),
    "alpha": (lambda k: nr.dirichlet(k, na.asarray(1.0)), na.ShapeError, "classes"),
    "negative rate": (lambda k: nr.poisson(k, -1.0), ValueError, "lam"),
    "size": (lambda k: nr.laplace(k, (-1,)), na.ShapeError, "negative"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str) -> None:
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        call(nr.key(0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_draws_of_every_floating_dtype_are_finite(dtype: str) -> None:
    for name in ("normal", "exponential", "laplace", "gumbel", "logistic", "gamma", "beta"):
        arguments = {"gamma": (2.0,), "beta": (2.0, 3.0)}.get(name, ())
        drawn = getattr(nr, name)(nr.key(0), *arguments, (1000,), dtype=dtype)
        assert str(drawn.dtype) == dtype
        assert np.isfinite(drawn.numpy().astype(np.float64)).all(), name
