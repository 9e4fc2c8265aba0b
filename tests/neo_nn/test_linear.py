from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_array import Array, Primitive
from neo_nn.functional.linear import outer_sum
from tests.neo_nn.oracle import assert_agrees

LEADING: list[tuple[int, ...]] = [(3,), (1,), (0,), (), (2, 3), (2, 1, 4), (2, 0)]
rng = np.random.default_rng(0)


def arrays(leading: tuple[int, ...], n: int = 5, m: int = 4) -> list[Any]:
    return [rng.normal(size=(*leading, n)), rng.normal(size=(m, n)), rng.normal(size=(m,))]


@pytest.mark.parametrize("leading", LEADING, ids=str)
def test_linear_agrees_with_torch(leading: tuple[int, ...], device: str, dtype: str) -> None:
    args = arrays(leading)
    assert_agrees(nn.linear, torch.nn.functional.linear, args, device=device, dtype=dtype)


@pytest.mark.parametrize("leading", LEADING, ids=str)
def test_linear_without_bias_agrees_with_torch(leading: tuple[int, ...], device: str, dtype: str) -> None:
    assert_agrees(nn.linear, torch.nn.functional.linear, arrays(leading)[:2], device=device, dtype=dtype)


def test_linear_of_a_strided_input_agrees_with_torch(device: str) -> None:
    x, weight, bias = arrays((3, 2))

    def ours(x: Array, *rest: Array) -> Array:
        return nn.linear(na.permute_dims(x, (1, 0, 2)), *rest)

    def theirs(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.permute(1, 0, 2), *rest)

    assert_agrees(ours, theirs, [x, weight, bias], device=device, dtype="float64")


def test_weight_gradient_has_the_layout_of_the_weight(device: str) -> None:
    x, weight, bias = (na.asarray(a, device=device) for a in arrays((3,)))
    gradient = nt.grad(lambda w: nn.linear(x, w, bias).sum())(weight)
    raw = gradient.raw
    assert raw.flags.c_contiguous if device == "numpy" else raw.is_contiguous()


def test_dtypes_promote(device: str) -> None:
    x, weight, bias = (na.asarray(a, device=device) for a in arrays((3,)))
    assert nn.linear(x.astype(na.float32), weight, bias.astype(na.float32)).dtype == na.float64
    assert nn.linear(na.asarray([[1, 2, 3, 4, 5]], device=device), weight, bias).dtype == na.float64


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_half_precision_stays(half: str, leading: tuple[int, ...], device: str) -> None:
    pytest.importorskip("ml_dtypes")
    x, weight, bias = (na.asarray(a, device=device).astype(half) for a in arrays(leading))
    assert nn.linear(x, weight, bias).dtype.name == half
    assert nn.linear(x, weight).dtype.name == half
    assert outer_sum(nn.linear(x, weight), x).dtype.name == half


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 5), (4, 6), (4,)), r"x of shape \(3, 5\) has 5 features, but weight of shape \(4, 6\) takes 6"),
        (((3, 5), (4, 5), (5,)), r"bias must have shape \(4,\) for weight \(4, 5\), got \(5,\)"),
        (((3, 5), (4, 5), (1,)), r"bias must have shape \(4,\) for weight \(4, 5\), got \(1,\)"),
        (((3, 5), (4, 5), (3, 4)), r"bias must have shape \(4,\)"),
        (((), (4, 5), (4,)), r"weight two axes \(out, in\), got \(\)"),
        (((3, 5), (5,), (4,)), r"weight two axes \(out, in\), got \(3, 5\) and \(5,\)"),
        (((3, 5), (2, 4, 5), (4,)), r"weight two axes"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes: Sequence[tuple[int, ...]], message: str, device: str) -> None:
    args = [na.zeros(shape, device=device) for shape in shapes]
    with pytest.raises(na.ShapeError, match=message):
        nn.linear(*args)


@pytest.mark.parametrize("x", [(3, 5), ()])
def test_shapes_that_do_not_fit_are_named_without_bias(x: tuple[int, ...], device: str) -> None:
    with pytest.raises(na.ShapeError, match="linear: "):
        nn.linear(na.zeros(x, device=device), na.zeros((4, 6), device=device))


def test_devices_must_agree() -> None:
    with pytest.raises(na.DeviceError, match="numpy and torch:cpu"):
        nn.linear(na.zeros((3, 5), device="numpy"), na.zeros((4, 5), device="torch:cpu"))


# --- The layer ---
def test_layer_starts_as_torch_does() -> None:
    layer = nn.Linear.init(na.random.key(0), 100, 200)
    bound = 1 / np.sqrt(100)
    assert layer.weight.shape == (200, 100)
    assert layer.bias is not None
    assert layer.bias.shape == (200,)
    for values in (layer.weight.numpy(), layer.bias.numpy()):
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.95 * bound
    assert (layer.in_features, layer.out_features) == (100, 200)


def test_layer_without_bias_is_a_tree_with_one_leaf(device: str) -> None:
    layer = nn.Linear.init(na.random.key(0), 3, 2, bias=False, device=device)
    assert layer.bias is None
    assert [path for path, _ in na.tree.leaves_with_paths(layer)] == ["weight"]
    x = na.ones((4, 3), device=device)
    gradient = nt.grad(lambda layer: layer(x).sum())(layer)
    assert gradient.bias is None
    np.testing.assert_allclose(gradient.weight.numpy(), np.full((2, 3), 4.0))


def test_layer_takes_scheme_dtype_and_device(device: str) -> None:
    layer = nn.Linear.init(na.random.key(0), 3, 2, weight_init=nn.initializers.ones, dtype=na.float64, device=device)
    assert layer.bias is not None
    assert {str(layer.weight.device), str(layer.bias.device)} == {device}
    assert {layer.weight.dtype, layer.bias.dtype} == {na.float64}
    np.testing.assert_array_equal(layer.weight.numpy(), np.ones((2, 3)))


def test_weight_does_not_depend_on_the_bias_being_there() -> None:
    with_bias, without = (nn.Linear.init(na.random.key(0), 3, 2, bias=bias) for bias in (True, False))
    np.testing.assert_array_equal(with_bias.weight.numpy(), without.weight.numpy())


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "3", None])
def test_sizes_must_be_positive_integers(size: Any) -> None:
    with pytest.raises(na.ShapeError, match=r"Linear.init: in_features must be a positive integer, got"):
        nn.Linear.init(na.random.key(0), size, 2)
    with pytest.raises(na.ShapeError, match=r"Linear.init: out_features must be a positive integer, got"):
        nn.Linear.init(na.random.key(0), 2, size)


def test_first_layer_computes_no_input_gradient(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for the gradient of the data: of the two products of a backward, only the weight's runs."""
    layers = [nn.Linear.init(k, 3, 3, device=device) for k in na.random.split(na.random.key(0))]
    x = na.ones((4, 3), device=device)
    calls: list[str] = []

    def count(op: Primitive[..., Any]) -> None:
        bind = op.bind

        def counted(*args: Any, **params: Any) -> Any:
            calls.append(op.__name__)
            return bind(*args, **params)

        monkeypatch.setattr(op, "bind", counted)

    count(na.matmul)
    count(outer_sum)
    nt.grad(lambda layer: layer(x).sum())(layers[0])
    assert calls == ["outer_sum"]
    calls.clear()
    nt.grad(lambda layers: layers[1](layers[0](x)).sum())(layers)
    assert sorted(calls) == ["matmul", "outer_sum", "outer_sum"]
