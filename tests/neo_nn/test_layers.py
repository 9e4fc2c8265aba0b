from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_array import Array
from neo_array.random import Key
from neo_array.tree import leaves, leaves_with_paths
from tests.neo_nn.oracle import assert_close

KEY = na.random.key(0)


class Noise(nn.Module):
    """Adds a number drawn with its key; remembers nothing."""

    width: float = nn.static(default=1.0)

    def __call__(self, x: Array, /, *, key: Key | None = None, train: bool = False) -> Array:
        if not train:
            return x
        if key is None:
            raise ValueError("Noise: needs key=")
        return x + self.width * na.random.normal(key, (), dtype=x.dtype, device=x.device)


class OnlyTrain(nn.Module):
    def __call__(self, x: Array, /, *, train: bool = False) -> Array:
        return x + 1 if train else x


class OnlyKey(nn.Module):
    def __call__(self, x: Array, /, *, key: Key | None = None) -> Array:
        return x if key is None else x + 10


# --- Sequential ---
def test_sequential_calls_its_layers_in_order(device: str) -> None:
    model = nn.Sequential(lambda x: x + 1, nn.relu, lambda x: x * 3)
    np.testing.assert_array_equal(model(na.asarray([-5.0, 1.0], device=device)).numpy(), [0.0, 6.0])


def test_sequential_is_a_pytree_of_its_layers() -> None:
    k1, k2 = na.random.split(KEY)
    model = nn.Sequential(nn.Linear.init(k1, 3, 4), nn.relu, nn.Sequential(nn.Linear.init(k2, 4, 2, bias=False)))
    assert [path for path, _ in leaves_with_paths(model)] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.2.layers.0.weight",
    ]
    doubled = na.tree.tree_map(lambda x: x * 2, model)
    assert type(doubled) is nn.Sequential
    assert doubled(na.ones((1, 3))).shape == (1, 2)


def test_empty_sequential_is_the_identity() -> None:
    x = na.asarray([1.0])
    assert nn.Sequential()(x) is x


def test_key_and_train_reach_the_layers_that_take_them(device: str) -> None:
    model = nn.Sequential(OnlyTrain(), nn.Sequential(OnlyKey(), nn.relu), nn.Identity())
    x = na.asarray([0.0], device=device)
    assert model(x).item() == 0.0
    assert model(x, train=True).item() == 1.0
    assert model(x, key=KEY).item() == 10.0
    assert model(x, key=KEY, train=True).item() == 11.0


def test_each_layer_draws_with_a_key_of_its_own() -> None:
    x = na.zeros(())
    one = nn.Sequential(Noise())(x, key=KEY, train=True).item()
    two = nn.Sequential(Noise(), Noise(-1.0))(x, key=KEY, train=True).item()
    assert two != 0.0
    assert nn.Sequential(Noise())(x, key=KEY, train=True).item() == one
    nested = nn.Sequential(nn.Sequential(Noise()), nn.Sequential(Noise(-1.0)))(x, key=KEY, train=True).item()
    assert nested != 0.0


def test_layer_that_misses_its_key_says_so() -> None:
    with pytest.raises(ValueError, match="Noise: needs key="):
        nn.Sequential(Noise())(na.zeros(()), train=True)


def test_replaced_layers_are_called_with_what_they_take() -> None:
    model = nn.Sequential(nn.relu).replace(layers=(OnlyTrain(),))
    assert model(na.asarray(0.0), train=True).item() == 1.0


def test_class_in_place_of_a_layer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Sequential: layer 1 is the class Identity; pass an instance"):
        nn.Sequential(nn.relu, nn.Identity)  # type: ignore[arg-type]


def test_thing_that_cannot_be_called_is_refused() -> None:
    thing: Any = 3
    with pytest.raises(TypeError, match="Sequential: layer 0 must be a layer or a function, got int"):
        nn.Sequential(thing)


# --- MLP ---
def test_mlp_agrees_with_torch(device: str, dtype: str) -> None:
    """The network and loss that training is measured on: all gradients, on both backends."""
    model = nn.MLP.init(KEY, (12, 8, 6, 4), dtype=dtype, device=device)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 12)).astype(dtype), rng.integers(0, 4, 5)

    parameters = [torch.tensor(leaf.numpy(), requires_grad=True) for leaf in leaves(model)]
    h = torch.tensor(x)
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        h = torch.nn.functional.linear(h if weight is parameters[0] else torch.relu(h), weight, bias)
    loss = torch.nn.functional.cross_entropy(h, torch.tensor(y))
    expected = torch.autograd.grad(loss, parameters)

    images, labels = na.asarray(x, device=device), na.asarray(y, device=device)
    value, gradient = nt.value_and_grad(lambda model: nn.losses.cross_entropy(model(images), labels))(model)
    assert type(gradient) is nn.MLP
    assert gradient.activation is nn.relu
    assert_close(value, loss, dtype, "loss")
    for mine, theirs in zip(leaves(gradient), expected, strict=True):
        assert str(mine.device) == device
        assert_close(mine, theirs, dtype, "gradient")


@pytest.mark.parametrize("leading", [(), (1,), (0,), (2, 3)])
def test_mlp_takes_any_leading_axes(leading: tuple[int, ...], device: str) -> None:
    model = nn.MLP.init(KEY, (5, 4, 3), device=device, activation=nn.tanh)
    assert model(na.zeros((*leading, 5), device=device)).shape == (*leading, 3)


def test_mlp_has_no_activation_after_its_last_layer() -> None:
    model = nn.MLP.init(KEY, (2, 3), activation=lambda x: x * 0)
    x = na.ones((1, 2))
    np.testing.assert_array_equal(model(x).numpy(), model.layers[0](x).numpy())


def test_mlp_options_reach_its_layers() -> None:
    model = nn.MLP.init(KEY, (2, 3, 4), bias=False, weight_init=nn.initializers.ones, dtype=na.float64)
    assert [layer.bias for layer in model.layers] == [None, None]
    assert {leaf.dtype for leaf in leaves(model)} == {na.float64}
    assert model(na.ones((1, 2), dtype=na.float64)).numpy().tolist() == [[6.0] * 4]


def test_mlp_layers_have_different_weights() -> None:
    model = nn.MLP.init(KEY, (3, 3, 3))
    first, second = (layer.weight.numpy() for layer in model.layers)
    assert not np.array_equal(first, second)


def test_mlp_with_an_unhashable_activation_is_refused() -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, x: Array, /) -> Array:
            return x

    with pytest.raises(na.DTypeError, match=r"MLP: the option 'activation' .* must be hashable, got Odd"):
        nn.MLP.init(KEY, (2, 3), activation=Odd())


@pytest.mark.parametrize("widths", [(), (3,)])
def test_mlp_needs_two_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(na.ShapeError, match=r"MLP.init: needs at least two widths, .* got \("):
        nn.MLP.init(KEY, widths)


@pytest.mark.parametrize("width", [0, -3, 2.0, True, "4"])
def test_mlp_widths_must_be_positive_integers(width: Any) -> None:
    with pytest.raises(na.ShapeError, match=r"MLP\.init: width 1 must be a positive integer, got"):
        nn.MLP.init(KEY, (2, width, 3))


def test_widths_may_be_numpy_integers() -> None:
    widths: Any = np.array([2, 3])
    assert nn.MLP.init(KEY, widths).layers[0].weight.shape == (3, 2)


# --- The small ones ---
def test_flatten_joins_axes(device: str) -> None:
    x = na.reshape(na.arange(24, device=device), (2, 3, 4))
    assert nn.Flatten()(x).shape == (2, 12)
    assert nn.Flatten(0)(x).shape == (24,)
    assert nn.Flatten(2)(x).shape == (2, 3, 4)
    assert nn.Flatten()(na.zeros((0, 3, 4), device=device)).shape == (0, 12)
    np.testing.assert_array_equal(nn.Flatten()(x).numpy(), x.numpy().reshape(2, 12))


@pytest.mark.parametrize(("start", "shape"), [(1, (3,)), (0, ()), (-1, (2, 3))])
def test_flatten_from_an_axis_that_is_not_there_is_refused(start: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(na.ShapeError, match=f"Flatten: start={start} is no axis of an input of shape"):
        nn.Flatten(start)(na.zeros(shape))


def test_identity_and_lambda() -> None:
    x = na.asarray([1.0])
    assert nn.Identity()(x) is x
    assert nn.Lambda(nn.relu)(x).item() == 1.0
    assert leaves(nn.Lambda(nn.relu)) == []
