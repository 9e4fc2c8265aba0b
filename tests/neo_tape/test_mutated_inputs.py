"""Nothing that the user can write to afterwards is kept: not a NumPy array, not a container, not a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.transforms import GRADIENTS

any_nt: Final[Any] = nt


def values() -> Any:
    return np.array([0.3, 0.5, 0.7])


def f(x: Array) -> Array:
    return na.sin(x) * x


EXPECTED: Final = np.cos(values()) * values() + np.sin(values())

# how an Array is made of an ndarray that the user goes on to write to
MADE: Final[dict[str, Callable[[Any], Array]]] = {
    "asarray": na.asarray,
    "asarray of a view": lambda raw: na.asarray(raw[:]),
    "asarray, copy=True": lambda raw: na.asarray(raw, copy=True),
    "array of rows": lambda raw: na.asarray(np.broadcast_to(raw, (2, 3)))[0],
    "from_dlpack": lambda raw: na.from_dlpack(raw, copy=True),
    "on torch": lambda raw: na.asarray(raw, device="torch:cpu"),
}


def only(pullback: Callable[[Array], tuple[Array]]) -> Callable[[Array], Array]:
    return lambda g: pullback(g)[0]


# what is made before the write, and gives a derivative after it
LATER: Final[dict[str, Callable[[Array], Callable[[Array], Any]]]] = {
    "vjp": lambda x: lambda g: nt.vjp(f, x)[1](g)[0],
    "pullback": lambda x: only(nt.vjp(f, x)[1]),
    "pullback of checkpoint": lambda x: only(any_nt.vjp(nt.checkpoint(f), x)[1]),
    "pushforward": lambda x: any_nt.linearize(f, x)[1],
    "transpose": lambda x: only(any_nt.linear_transpose(any_nt.linearize(f, x)[1], x)),
    "pullback of vmap": lambda x: only(nt.vjp(nt.vmap(f), x)[1]),
}


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("made", MADE)
def test_write_to_the_source_after_the_forward_changes_nothing(made: str, later: str) -> None:
    if made == "on torch":
        pytest.importorskip("torch")
    raw = values()
    x = MADE[made](raw)
    derivative = LATER[later](x)
    raw[:] = np.nan
    np.testing.assert_allclose(derivative(na.ones_like(x)).numpy(), EXPECTED, rtol=1e-14)
    np.testing.assert_array_equal(x.numpy(), values())


@nt.function
class SineTimes(nt.Policy):
    def forward(self, x: Array, w: Array) -> Array:
        self.ctx.save(x, w)
        return na.sin(x) * w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, w = self.ctx.release
        return grad * na.cos(x) * w, grad * na.sin(x)


@pytest.mark.parametrize("product", [lambda x, w: na.sin(x) * w, SineTimes], ids=["ops", "Policy"])
@pytest.mark.parametrize("transform", ["grad", "jvp", "linearize", "grad of checkpoint", "jacrev"])
def test_write_between_forward_and_backward_changes_nothing(transform: str, product: Any) -> None:
    raw = values()

    def g(x: Array) -> Array:
        y: Array = product(x, na.asarray(raw)).sum()
        raw[:] = np.nan
        return y

    if transform in ("jvp", "linearize"):
        x = na.asarray(values())
        found = nt.jvp(g, (x,), (x,))[1] if transform == "jvp" else any_nt.linearize(g, x)[1](x)
        assert found.item() == pytest.approx(np.sum(np.cos(values()) * values() ** 2), rel=1e-14)
    else:
        (found,) = GRADIENTS[transform](g, na.asarray(values()))
        np.testing.assert_allclose(found.numpy(), np.cos(values()) * values(), rtol=1e-14)


# --- What is handed out cannot be written to, or is a copy ---
def test_results_are_read_only_or_copies() -> None:
    x = na.asarray(values())
    out, pullback = nt.vjp(f, x)
    gradient = pullback(na.ones_like(x))[0]
    for array in (x, out, gradient):
        with pytest.raises(ValueError, match="read-only"):
            array.numpy()[0] = 1.0
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(array)[0] = 1.0
        copied = np.array(array)
        copied[:] = np.nan
    np.testing.assert_allclose(pullback(na.ones_like(x))[0].numpy(), EXPECTED, rtol=1e-14)


# --- Containers ---
def test_containers_that_f_or_the_user_changes() -> None:
    tree: dict[str, Any] = {"w": na.asarray(values()), "rest": [na.asarray(values())]}

    def g(tree: Any) -> Array:
        y: Array = f(tree["w"]) + tree["rest"][0]
        tree["w"] = None
        tree["rest"].clear()
        tree["new"] = 1
        return y

    before = dict(tree), list(tree["rest"])
    transforms: dict[str, Callable[[], Any]] = {
        "grad": lambda: any_nt.grad(lambda t: g(t).sum())(tree),
        "vjp": lambda: any_nt.vjp(g, tree)[1](na.ones_like(before[0]["w"]))[0],
        "jacrev": lambda: any_nt.jacrev(lambda t: g(t).sum())(tree),
        "jacfwd": lambda: any_nt.jacfwd(lambda t: g(t).sum())(tree),
        "linear_transpose": lambda: any_nt.linear_transpose(any_nt.linearize(g, tree)[1], tree)(before[0]["w"] * 0 + 1)[
            0
        ],
        "vmap": lambda: any_nt.grad(lambda t: any_nt.vmap(g)(t).sum())(tree),
    }
    for name, transform in transforms.items():
        gradient = transform()
        np.testing.assert_allclose(gradient["w"].numpy(), EXPECTED, rtol=1e-14, err_msg=name)
        assert gradient["rest"][0].numpy().tolist() == [1.0] * 3
        assert (dict(tree), list(tree["rest"])) == before, name


def test_output_container_that_is_changed_before_the_pullback_is_called() -> None:
    x = na.asarray(values())
    out, pullback = any_nt.vjp(lambda x: {"y": f(x), "list": [x]}, x)
    cotangent = {"y": na.ones_like(x), "list": [0.0 * x]}
    out.clear()
    np.testing.assert_allclose(pullback(cotangent)[0].numpy(), EXPECTED, rtol=1e-14)
    with pytest.raises(na.TreeError, match="cotangent must have the output's structure"):
        pullback({})
