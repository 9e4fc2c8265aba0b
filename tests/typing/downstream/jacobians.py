"""Jacobians have the type of the argument, pushforwards that of the function, checkpoints the function's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

import neo_tape as nt
from neo_array import Array


@dataclass
class Params:
    weight: Array
    bias: Array


def layer(params: Params, x: Array, scale: float = 1.0, *, power: float = 2.0) -> Array:
    return (x @ params.weight + params.bias) ** power * scale


def energy(x: Array, y: Array) -> Array:
    return (x * y).sum()


def with_aux(x: Array) -> tuple[Array, str]:
    return x.sum(), "aux"


def outputs(x: Array, params: Params) -> tuple[Array, dict[str, Array]]:
    return x @ params.weight, {"bias": params.bias}


def jacobians(x: Array, params: Params) -> None:
    reveal_type(nt.jacrev(layer)(params, x))  # R: Params
    reveal_type(nt.jacfwd(layer)(params, x, power=3.0))  # R: Params
    reveal_type(nt.jacrev(layer, 1, chunk_size=4)(params, x))  # R: Array
    reveal_type(nt.jacfwd(layer, (0,))(params, x))  # R: tuple[Params]
    reveal_type(nt.jacrev(layer, (0, 1))(params, x, 2.0))  # R: tuple[Params, Array]
    reveal_type(nt.jacfwd(layer, (0, 1, 2))(params, x, 2.0))  # R: tuple[Params, Array, float]
    reveal_type(nt.jacrev(layer, [1, 0])(params, x))  # R: tuple[object, ...]
    reveal_type(nt.jacrev(layer, argnames="x")(params, x))  # R: object
    reveal_type(nt.jacfwd(layer, argnames=("x",))(params, x))  # R: dict[str, object]
    reveal_type(nt.jacrev(with_aux, has_aux=True)(x))  # R: tuple[Array, str]
    reveal_type(nt.jacfwd(with_aux, holomorphic=True, has_aux=True)(x))  # R: tuple[Array, str]
    reveal_type(nt.jacfwd(nt.jacrev(energy))(x, x))  # R: Array
    reveal_type(nt.jacrev(lambda x: x * x)(x))  # R: Any


def second_derivatives(x: Array, params: Params) -> None:
    reveal_type(nt.hessian(energy)(x, x))  # R: Array
    reveal_type(nt.hessian(energy, 1, chunk_size=2)(x, x))  # R: Array
    reveal_type(nt.hessian(energy, (0, 1))(x, x))  # R: tuple[tuple[Array, Array], tuple[Array, Array]]
    reveal_type(nt.hessian(energy, argnames=("x", "y"))(x, x))  # R: dict[str, dict[str, object]]
    reveal_type(nt.hessian(with_aux, has_aux=True)(x))  # R: tuple[Array, str]
    reveal_type(nt.hvp(energy, x, x, x))  # R: Array
    reveal_type(nt.hvp(layer, params, params, x, power=3.0))  # R: Params


def linear_functions(x: Array, params: Params) -> None:
    out, push = nt.linearize(outputs, x, params)
    reveal_type(out)  # R: tuple[Array, dict[str, Array]]
    reveal_type(push(x, params))  # R: tuple[Array, dict[str, Array]]
    reveal_type(nt.linearize(with_aux, x, has_aux=True)[2])  # R: str
    reveal_type(nt.linear_transpose(outputs, x, params)(out))  # R: tuple[Array, Params]


@nt.checkpoint
def block(params: Params, x: Array, *, power: float = 2.0) -> Array:
    return layer(params, x, power=power)


@nt.checkpoint(save=("hidden",), budget_bytes=1_000_000)
def saving_block(params: Params, x: Array) -> tuple[Array, Params]:
    return nt.name(x @ params.weight, "hidden"), params


def checkpoints(x: Array, params: Params) -> None:
    reveal_type(block(params, x, power=3.0))  # R: Array
    reveal_type(saving_block(params, x))  # R: tuple[Array, Params]
    reveal_type(nt.checkpoint(outputs, save=["hidden"])(x, params))  # R: tuple[Array, dict[str, Array]]
    reveal_type(nt.name(params, "params"))  # R: Params
    reveal_type(nt.checkpoint_sequence([lambda x: x * 2.0, lambda x: x + 1.0], x, segments=2))  # R: Array


def misuse(x: Array, params: Params) -> None:
    nt.jacrev(layer)(x, x)  # E
    nt.jacfwd(layer, (0, 1))(params, "x")  # E
    nt.jacrev(layer)(params, x, power="cubic")  # E
    nt.jacrev(layer, chunk_size=2.0)  # E
    nt.hessian(energy)(params, x)  # E
    nt.hvp(energy, x, params, x)  # E
    nt.hvp(energy, x, x)  # E
    nt.linearize(outputs, x)  # E
    nt.linearize(outputs, x, params)[1](x, x)  # E
    nt.linear_transpose(outputs, x, params)(x)  # E
    nt.checkpoint(block)(params)  # E
    nt.checkpoint(block, save=1)  # E
    nt.checkpoint(block, budget_bytes=0.5)  # E
    saving_block(x, x)  # E
    block(params, x, power="cubic")  # E
    nt.name(x, 3)  # E
