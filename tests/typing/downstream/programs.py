"""Traces keep the parameters of the function, and Programs are typed data."""

from __future__ import annotations

from typing import reveal_type

import neo_tape as nt
from neo_array import Array


def f(x: Array, n: int, *, flag: str = "") -> dict[str, Array]:
    return {flag: x * n}


def loss(x: Array) -> Array:
    return x.sum()


def traces(x: Array) -> None:
    program = nt.trace(f)(x, 3, flag="yes")
    reveal_type(program)  # R: Program
    nt.trace(f)(x)  # E
    nt.trace(f)(x, "3")  # E
    nt.trace(f)(x, 3, other=1)  # E
    reveal_type(nt.trace(nt.grad(loss))(x))  # R: Program
    nt.trace(3)  # E


def programs(program: nt.Program, x: Array) -> None:
    reveal_type(program.eval(x, 3, flag="yes"))  # R: object
    reveal_type(program.run([x]))  # R: list[Array]
    reveal_type(program.captured)  # R: tuple[Array, ...]
    for equation in program.equations:
        reveal_type(equation.outputs)  # R: tuple[Var, ...]
        for operand in equation.operands:
            if isinstance(operand, nt.Var):
                reveal_type(operand.shape)  # R: tuple[int, ...]
    reveal_type(program.to_dot())  # R: str
    program.equations = ()  # E
