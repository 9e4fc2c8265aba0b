"""What is solved for keeps its type; the functions must agree on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

import neo_tape as nt
from neo_array import Array


@dataclass
class State:
    position: Array
    speed: Array


def still(x: State) -> State:
    return x


def step(x: State, rate: Array, count: int) -> State:
    return State(x.position * rate, x.speed)


def solve(f: object, x: State) -> State:
    return x


def roots(x: Array, s: State) -> None:
    reveal_type(nt.custom_root(still, s, solve))  # R: State
    reveal_type(nt.custom_root(lambda x: x * x - 2.0, x, lambda f, x0: x0 - f(x0)))  # R: Array
    reveal_type(nt.custom_root(lambda x: x * x, x, lambda f, x0: x0, lambda g, y: y / g(y)))  # R: Array
    nt.custom_root(still, x, solve)  # E
    nt.custom_root(still, s)  # E


def fixed_points(x: Array, s: State) -> None:
    reveal_type(nt.fixed_point(step, s, x, 3))  # R: State
    reveal_type(nt.fixed_point(step, s, x, 3, tol=1e-3, max_steps=10))  # R: State
    nt.fixed_point(step, s, x)  # E
    nt.fixed_point(step, s, x, "3")  # E
    nt.fixed_point(step, s, x, 3, steps=10)  # E
