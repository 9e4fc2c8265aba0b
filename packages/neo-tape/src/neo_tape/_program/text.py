"""A Program as text: one equation a line, and as a table."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neo_array._device import Device

if TYPE_CHECKING:
    from neo_tape._program.program import Equation, Program, Var


def names(program: Program) -> dict[Var, str]:
    """Name the values a, b, ..., z, aa, ab, ... in the order in which they appear."""
    values = [*program.inputs, *program.hidden, *(v for e in program.equations for v in e.outputs)]
    return dict(zip(values, _letters(), strict=False))


def _letters() -> Iterator[str]:
    for length in itertools.count(1):
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))


def operands(equation: Equation, name: Mapping[Var, str]) -> list[str]:
    """Write an equation's operands: names, and numbers."""
    used = set(equation.used)
    return [name[x] if x in used else repr(x) for x in equation.operands]


def literals(equation: Equation) -> list[str]:
    """Write those operands that are numbers."""
    used = set(equation.used)
    return [repr(x) for x in equation.operands if x not in used]


def call(equation: Equation, name: Mapping[Var, str]) -> str:
    """Write an equation's right side: the op, its operands, its params."""
    return " ".join([equation.op.__name__, *operands(equation, name), *params(equation)])


def params(equation: Equation) -> list[str]:
    """Write an equation's params; a rule is written as what it stands for."""
    return [_rule(v) if k == "rule" else f"{k}={_brief(v)}" for k, v in equation.params.items()]


def _rule(rule: Any) -> str:
    name, replaces = getattr(rule, "name", None), getattr(rule, "replaces", None)
    return str(rule) if not isinstance(name, str) else name if replaces is None else f"{name} for {replaces}"


def _brief(value: object) -> str:
    if isinstance(value, Device | np.dtype):
        return str(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_brief, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, slice):
        return ":".join(
            "" if v is None else str(v) for v in (value.start, value.stop, value.step)[: 2 + (value.step is not None)]
        )
    return repr(value)


def text(program: Program) -> str:
    """Write a Program, one equation a line."""
    name = names(program)
    lines: list[tuple[str, str]] = []
    for what, values, paths in (
        ("input", program.inputs, program.arguments.array_paths),
        ("captured", program.hidden, itertools.repeat("")),
    ):
        lines += [(f"{name[v]}: {v!r} = {what} {path}".rstrip(), "") for v, path in zip(values, paths, strict=False)]
    scope = ""
    for equation in program.equations:
        if equation.scope != scope:
            scope = equation.scope
            lines.append((f"# {scope}" if scope else "#", ""))
        left = ", ".join(f"{name[v]}: {v!r}" for v in equation.outputs)
        lines.append((f"{left} = {call(equation, name)}" if left else call(equation, name), f"# {equation.source}"))
    outputs = [
        f"{path}={name[v]}" if path else name[v]
        for v, path in zip(program.outputs, program.results.array_paths, strict=True)
    ]
    lines.append((" ".join(["return", *outputs]), ""))
    width = min(88, max((len(left) for left, right in lines if right), default=0))
    body = [f"    {left:<{width}}  {right}".rstrip() if right else f"    {left}" for left, right in lines]
    return "\n".join([f"program {program.name}:", *body])


def table(program: Program) -> str:
    """Write the equations as a table: op, operands, outputs, bytes, source, scope."""
    name = names(program)
    rows = [("op", "operands", "output", "bytes", "source", "scope")]
    for e in program.equations:
        outputs = ", ".join(f"{name[v]}: {v!r}" for v in e.outputs)
        size = f"{sum(v.size_in_bytes for v in e.outputs):,}"
        rows.append((e.op.__name__, " ".join([*operands(e, name), *params(e)]), outputs, size, str(e.source), e.scope))
    widths = [min(48, max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [x.rjust(w) if i == 3 else x.ljust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)
