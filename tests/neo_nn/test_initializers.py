from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
from neo_array import Array
from neo_nn import initializers

KEY = na.random.key(0)
SHAPES: list[tuple[int, ...]] = [(300, 200), (200, 300), (40, 30, 5, 5), (30, 40, 7)]

# each scheme beside the function of torch.nn.init that it must have the distribution of
PAIRS: dict[str, tuple[Callable[..., Array], Callable[[torch.Tensor], Any]]] = {
    "xavier_uniform": (initializers.xavier_uniform, torch.nn.init.xavier_uniform_),
    "xavier_uniform-gain": (
        functools.partial(initializers.xavier_uniform, gain=3.0),
        lambda w: torch.nn.init.xavier_uniform_(w, gain=3.0),
    ),
    "xavier_normal": (initializers.xavier_normal, torch.nn.init.xavier_normal_),
    "xavier_normal-gain": (
        functools.partial(initializers.xavier_normal, gain=0.5),
        lambda w: torch.nn.init.xavier_normal_(w, gain=0.5),
    ),
    "he_uniform": (initializers.he_uniform, torch.nn.init.kaiming_uniform_),
    "he_uniform-fan_out": (
        functools.partial(initializers.he_uniform, mode="fan_out"),
        lambda w: torch.nn.init.kaiming_uniform_(w, mode="fan_out"),
    ),
    "he_uniform-linear": (
        functools.partial(initializers.he_uniform, gain=1.0),
        lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear"),
    ),
    "he_normal": (initializers.he_normal, torch.nn.init.kaiming_normal_),
    "he_normal-fan_out": (
        functools.partial(initializers.he_normal, mode="fan_out", gain=math.sqrt(2 / (1 + 0.1**2))),
        lambda w: torch.nn.init.kaiming_normal_(w, a=0.1, mode="fan_out"),
    ),
    "uniform_fan_in": (initializers.uniform_fan_in, lambda w: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))),
    "uniform": (functools.partial(initializers.uniform, bound=0.3), lambda w: torch.nn.init.uniform_(w, -0.3, 0.3)),
    "normal": (functools.partial(initializers.normal, std=0.3), lambda w: torch.nn.init.normal_(w, 0.0, 0.3)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_scheme_has_the_distribution_of_torch(name: str, shape: tuple[int, ...]) -> None:
    ours, theirs = PAIRS[name]
    values = ours(KEY, shape).numpy()
    other = torch.empty(shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs(other)
    expected = other.numpy()
    n = values.size
    std = float(expected.std())
    assert values.shape == shape
    assert values.dtype == np.float32
    assert abs(float(values.mean())) < 5 * std / math.sqrt(n)
    assert float(values.std()) == pytest.approx(std, rel=5 / math.sqrt(n))
    if "uniform" in name:  # the bounds are reached, and not passed
        assert float(np.abs(values).max()) == pytest.approx(float(np.abs(expected).max()), rel=1e-3)
    # the fourth moment tells a normal distribution (3) from a uniform one (1.8)
    fourth = float(np.mean(values.astype(np.float64) ** 4) / np.mean(values.astype(np.float64) ** 2) ** 2)
    assert fourth == pytest.approx(1.8 if "uniform" in name else 3.0, abs=0.15)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_same_key_gives_the_same_bits_on_every_backend(name: str, kind: str) -> None:
    made = [PAIRS[name][0](KEY, (7, 5), dtype=kind, device=device) for device in ("numpy", "torch:cpu")]
    assert [str(w.device) for w in made] == ["numpy", "torch:cpu"]
    assert {w.dtype.name for w in made} == {kind}
    np.testing.assert_array_equal(made[0].numpy(), made[1].numpy())
    np.testing.assert_array_equal(PAIRS[name][0](KEY, (7, 5), dtype=kind).numpy(), made[0].numpy())


@pytest.mark.parametrize("name", PAIRS)
def test_other_keys_give_other_values(name: str) -> None:
    first, second = (PAIRS[name][0](key, (7, 5)).numpy() for key in na.random.split(KEY))
    assert not np.isin(first, second).any()


@pytest.mark.parametrize("name", PAIRS)
def test_weights_go_to_the_default_device(name: str, device: str) -> None:
    with na.use_device(device):
        assert str(PAIRS[name][0](KEY, (7, 5)).device) == device


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (4, 3, 0)], ids=str)
def test_shapes_without_elements_work(name: str, shape: tuple[int, ...]) -> None:
    assert PAIRS[name][0](KEY, shape).shape == shape


@pytest.mark.parametrize("name", ["xavier_uniform", "xavier_normal", "he_uniform", "he_normal", "uniform_fan_in"])
@pytest.mark.parametrize("shape", [(), (5,)])
def test_shape_without_fans_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(na.ShapeError, match=r"initializers: .* got"):
        getattr(initializers, name)(KEY, shape)


def test_bias_is_given_the_fan_in_of_its_weight() -> None:
    values = initializers.uniform_fan_in(KEY, (2000,), fan_in=25).numpy()
    assert 0.19 < np.abs(values).max() <= 0.2


def test_unknown_mode_is_refused() -> None:
    mode: Any = "fan_avg"
    with pytest.raises(ValueError, match='mode must be "fan_in" or "fan_out", got \'fan_avg\''):
        initializers.he_normal(KEY, (3, 2), mode=mode)


def test_constants(device: str, dtype: str) -> None:
    schemes: dict[float, Any] = {
        0.0: initializers.zeros,
        1.0: initializers.ones,
        0.25: functools.partial(initializers.constant, value=0.25),
    }
    for value, scheme in schemes.items():
        made = scheme(KEY, (2, 3), dtype=dtype, device=device)
        assert (made.dtype.name, str(made.device)) == (dtype, device)
        np.testing.assert_array_equal(made.numpy(), np.full((2, 3), value, dtype))
        assert scheme(KEY, (3,)).dtype == na.float32


def test_fans_of_linear_and_convolution_weights() -> None:
    assert initializers.fans((10, 20)) == (20, 10)
    assert initializers.fans((10, 20, 3, 5)) == (300, 150)
