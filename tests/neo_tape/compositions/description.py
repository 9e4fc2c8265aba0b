"""What a random program is: steps on numbered values, described so that any library can run them.

Values are numbered in the order in which they are made. The body of a transform sees all values made so far (it closes
over them) and its own inputs after those, so that a number means the same inside and outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Value: TypeAlias = Any  # an array of the library at hand
Mode: TypeAlias = Literal["grad", "vjp", "jvp"]


@dataclass(frozen=True)
class Constant:
    """Append a constant."""

    value: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Apply:
    """Append the result of an operation."""

    op: str
    args: tuple[int, ...]


@dataclass(frozen=True)
class Custom:
    """Append the outputs of a custom rule."""

    rule: str
    args: tuple[int, ...]


@dataclass(frozen=True)
class Derive:
    """Append the outcome of a transform of `body` at some values; `along` are cotangents or tangents.

    grad: the value, then one gradient per input. vjp: the output, then one gradient per input. jvp: the output and its
    tangent.
    """

    mode: Mode
    inputs: tuple[int, ...]
    along: tuple[int, ...]
    body: Body


Step: TypeAlias = Constant | Apply | Custom | Derive


@dataclass(frozen=True)
class Body:
    """Steps, and the number of the value to return."""

    steps: tuple[Step, ...]
    result: int


class Library(Protocol):
    """What an array library must offer to run programs. `xp` has the functions of the array API standard."""

    @property
    def xp(self) -> Any: ...
    @property
    def rules(self) -> Mapping[str, Callable[..., Value]]: ...
    def constant(self, value: npt.NDArray[np.float64], /) -> Value: ...
    def stop_gradient(self, x: Value, /) -> Value: ...
    def value_and_grad(self, f: Callable[..., Value], argnums: tuple[int, ...], /) -> Callable[..., Value]: ...
    def vjp(self, f: Callable[..., Value], /, *primals: Value) -> tuple[Value, Callable[[Value], Value]]: ...
    def jvp(self, f: Callable[..., Value], primals: Value, tangents: Value, /) -> tuple[Value, Value]: ...


def evaluate(body: Body, values: Sequence[Value], library: Library, ops: Mapping[str, Callable[..., Value]]) -> Value:
    """Run a body on top of the values made before it."""
    values = list(values)
    for step in body.steps:
        if isinstance(step, Constant):
            values.append(library.constant(step.value))
        elif isinstance(step, Apply):
            values.append(ops[step.op](library, *(values[i] for i in step.args)))
        elif isinstance(step, Custom):
            out = library.rules[step.rule](*(values[i] for i in step.args))
            values.extend(out if isinstance(out, tuple) else (out,))
        else:
            values.extend(_derive(step, values, library, ops))
    return values[body.result]


def _derive(
    step: Derive, values: list[Value], library: Library, ops: Mapping[str, Callable[..., Value]]
) -> tuple[Value, ...]:
    inputs, along = [values[i] for i in step.inputs], [values[i] for i in step.along]

    def f(*arguments: Value) -> Value:
        return evaluate(step.body, [*values, *arguments], library, ops)

    if step.mode == "grad":
        value, gradients = library.value_and_grad(f, tuple(range(len(inputs))))(*inputs)
        return (value, *gradients)
    if step.mode == "vjp":
        out, pullback = library.vjp(f, *inputs)
        return (out, *pullback(along[0]))
    return library.jvp(f, tuple(inputs), tuple(along))


def describe(body: Body, indent: str = "") -> str:
    """Write a program out, for the message of a failing test."""
    lines = []
    for step in body.steps:
        if isinstance(step, Constant):
            lines.append(f"{indent}constant {step.value.tolist()}")
        elif isinstance(step, Derive):
            lines.append(f"{indent}{step.mode} at {step.inputs} along {step.along}:")
            lines.append(describe(step.body, f"{indent}    "))
        else:
            lines.append(f"{indent}{step.op if isinstance(step, Apply) else f'rule {step.rule}'}{step.args}")
    return "\n".join([*lines, f"{indent}return {body.result}"])
