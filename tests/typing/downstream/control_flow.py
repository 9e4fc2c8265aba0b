"""Loops and branches keep the types of carries and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import reveal_type

import neo_tape as nt
from neo_array import Array


@dataclass
class State:
    h: Array
    t: Array


def step(s: State, x: Array) -> tuple[State, dict[str, Array]]:
    return s, {"h": s.h * x}


def alone(s: State, x: None) -> tuple[State, None]:
    return s, None


def advance(s: State) -> State:
    return s


def indexed(i: Array, s: State) -> State:
    return s


def goes_on(s: State) -> Array:
    return s.t > 0


def double(x: Array, s: State) -> State:
    return State(x, s.t)


def wrong(x: Array, s: State) -> Array:
    return x


def loops(s: State, xs: Array) -> None:
    reveal_type(nt.scan(step, s, xs))  # R: tuple[State, dict[str, Array]]
    reveal_type(nt.scan(step, s, xs, reverse=True, length=3))  # R: tuple[State, dict[str, Array]]
    reveal_type(nt.scan(alone, s, length=3))  # R: tuple[State, None]
    reveal_type(nt.while_loop(goes_on, advance, s))  # R: State
    reveal_type(nt.fori_loop(0, 4, indexed, s))  # R: State
    nt.scan(step, s)  # E
    nt.scan(step, xs, xs)  # E
    nt.while_loop(goes_on, advance, xs)  # E
    nt.fori_loop(0, 4, advance, s)  # E


def branches(x: Array, s: State) -> None:
    reveal_type(nt.cond(x > 0, double, double, x, s))  # R: State
    reveal_type(nt.cond(True, lambda x: x * 2.0, lambda x: x, x))  # R: Array
    nt.cond(x > 0, double, double, x)  # E
    nt.cond(x > 0, double)  # E
