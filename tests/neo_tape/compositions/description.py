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
Mode: TypeAlias = Literal["grad", "vjp", "jvp", "linearize", "hvp"]


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

    grad: the value, then one gradient per input. vjp: the output, then one gradient per input. jvp and linearize: the
    output and its tangent. hvp: the value, then the product of the Hessian, one part per input.
    """

    mode: Mode
    inputs: tuple[int, ...]
    along: tuple[int, ...]
    body: Body


@dataclass(frozen=True)
class Map:
    """Append the outcome of `body` mapped over axes of some values; None: the value is the same for all examples."""

    inputs: tuple[int, ...]
    in_axes: tuple[int | None, ...]
    out_axis: int
    body: Body


@dataclass(frozen=True)
class Again:
    """Append the outcome of `body`, whose intermediate values may be computed again for a derivative."""

    inputs: tuple[int, ...]
    budget_bytes: int | None
    body: Body


Step: TypeAlias = Constant | Apply | Custom | Derive | Map | Again


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
    def linearize(self, f: Callable[..., Value], primals: Value, tangents: Value, /) -> tuple[Value, Value]: ...
    def hvp(self, f: Callable[..., Value], primals: Value, vectors: Value, /) -> tuple[Value, ...]: ...
    def vmap(self, f: Callable[..., Value], in_axes: tuple[int | None, ...], out_axis: int, /) -> Any: ...
    def checkpoint(self, f: Callable[..., Value], budget_bytes: int | None, /) -> Callable[..., Value]: ...


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
            values.extend(_transform(step, values, library, ops))
    return values[body.result]


def _transform(
    step: Derive | Map | Again, values: list[Value], library: Library, ops: Mapping[str, Callable[..., Value]]
) -> tuple[Value, ...]:
    inputs, around = [values[i] for i in step.inputs], values.copy()

    def f(*arguments: Value) -> Value:
        return evaluate(step.body, [*around, *arguments], library, ops)

    if isinstance(step, Map):
        return (library.vmap(f, step.in_axes, step.out_axis)(*inputs),)
    if isinstance(step, Again):
        return (library.checkpoint(f, step.budget_bytes)(*inputs),)
    along = [values[i] for i in step.along]
    if step.mode == "grad":
        value, gradients = library.value_and_grad(f, tuple(range(len(inputs))))(*inputs)
        return (value, *gradients)
    if step.mode == "vjp":
        out, pullback = library.vjp(f, *inputs)
        return (out, *pullback(along[0]))
    if step.mode == "hvp":
        return (f(*inputs), *library.hvp(f, tuple(inputs), tuple(along)))
    push = library.jvp if step.mode == "jvp" else library.linearize
    return push(f, tuple(inputs), tuple(along))


def describe(body: Body, indent: str = "") -> str:
    """Write a program out, for the message of a failing test."""
    lines = []
    for step in body.steps:
        if isinstance(step, Constant):
            lines.append(f"{indent}constant {step.value.tolist()}")
        elif isinstance(step, Derive):
            lines.append(f"{indent}{step.mode} at {step.inputs} along {step.along}:")
        elif isinstance(step, Map):
            lines.append(f"{indent}vmap over {step.inputs} from {step.in_axes} to {step.out_axis}:")
        elif isinstance(step, Again):
            lines.append(f"{indent}checkpoint of {step.inputs} with {step.budget_bytes} bytes:")
        else:
            lines.append(f"{indent}{step.op if isinstance(step, Apply) else f'rule {step.rule}'}{step.args}")
        if isinstance(step, Derive | Map | Again):
            lines.append(describe(step.body, f"{indent}    "))
    return "\n".join([*lines, f"{indent}return {body.result}"])
