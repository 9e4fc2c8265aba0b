"""What each transform makes of a signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

import neo_tape as nt
from neo_array import Array


@dataclass
class Params:
    weight: Array
    bias: Array


def loss(x: Array) -> Array:
    return (x * x).sum()


def mixed(params: Params, x: Array, scale: float, /, *, power: float = 2.0) -> Array:
    return ((x @ params.weight + params.bias) ** power * scale).sum()


def outputs(x: Array, params: Params) -> tuple[Array, dict[str, Array]]:
    return x @ params.weight, {"bias": params.bias}


def with_aux(x: Array) -> tuple[Array, str]:
    return x.sum(), "aux"


def reverse_mode(x: Array, params: Params) -> None:
    reveal_type(nt.grad(loss)(x))  # R: Array
    reveal_type(nt.value_and_grad(loss)(x))  # R: tuple[Array, Array]
    reveal_type(nt.grad(nt.grad(loss))(x))  # R: Array
    reveal_type(nt.grad(lambda x: (x * x).sum())(x))  # R: Any


def selection(x: Array, params: Params) -> None:
    reveal_type(nt.grad(mixed)(params, x, 1.0))  # R: Params
    reveal_type(nt.grad(mixed, 0)(params, x, 1.0, power=3.0))  # R: Params
    reveal_type(nt.grad(mixed, 1)(params, x, 1.0))  # R: Array
    reveal_type(nt.grad(mixed, 2)(params, x, 1.0))  # R: float
    reveal_type(nt.grad(mixed, (0,))(params, x, 1.0))  # R: tuple[Params]
    reveal_type(nt.grad(mixed, (0, 1))(params, x, 1.0))  # R: tuple[Params, Array]
    reveal_type(nt.grad(mixed, (0, 1, 2))(params, x, 1.0))  # R: tuple[Params, Array, float]
    reveal_type(nt.grad(mixed, [2, 0])(params, x, 1.0))  # R: tuple[object, ...]
    reveal_type(nt.grad(mixed, argnames="power")(params, x, 1.0))  # R: object
    reveal_type(nt.grad(mixed, argnames=("power",))(params, x, 1.0))  # R: dict[str, object]
    reveal_type(nt.value_and_grad(mixed, 1)(params, x, 1.0))  # R: tuple[Array, Array]
    reveal_type(nt.value_and_grad(mixed, (0, 1))(params, x, 1.0))  # R: tuple[Array, tuple[Params, Array]]


def auxiliary(x: Array) -> None:
    reveal_type(nt.value_and_grad(with_aux, has_aux=True)(x))  # R: tuple[tuple[Array, str], Array]
    reveal_type(nt.grad(with_aux, has_aux=True)(x))  # R: tuple[Array, str]
    reveal_type(nt.jvp(with_aux, (x,), (x,), has_aux=True))  # R: tuple[Array, Array, str]


def products(x: Array, params: Params) -> None:
    out, pullback = nt.vjp(outputs, x, params)
    reveal_type(out)  # R: tuple[Array, dict[str, Array]]
    reveal_type(pullback(out))  # R: tuple[Array, Params]
    reveal_type(nt.jvp(outputs, (x, params), (x, params))[1])  # R: tuple[Array, dict[str, Array]]
    reveal_type(nt.stop_gradient(params))  # R: Params
    nt.check_grads(outputs, (x, params), 2, ("fwd", "rev"))


def misuse(x: Array, params: Params) -> None:
    nt.grad(loss)("x")  # E
    nt.grad(outputs)(x, params)  # E
    nt.grad(mixed, 1)(x, x, 1.0)  # E
    nt.grad(mixed, (0, 1))(params, x)  # E
    nt.grad(mixed)(params, x, 1.0, power="cubic")  # E
    nt.vjp(outputs, x)  # E
    nt.vjp(outputs, x, params)[1](x)  # E
    nt.jvp(outputs, (x, params), (x, x))  # E
    nt.check_grads(outputs, (x,))  # E
    nt.check_grads(outputs, (x, params), modes=("forward",))  # E
