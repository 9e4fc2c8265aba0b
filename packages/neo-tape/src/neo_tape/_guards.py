"""Guards: what was read of an array while a trace recorded, and must be so again when its Program runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neo_array import Array, LevelError, NeoError, primitive
from neo_tape._program.origins import Source


class GuardError(NeoError, RuntimeError):
    """A Program is run on values that take another way through the traced function than those it was traced with."""


@dataclass(frozen=True)
class Guard:
    """What must hold of an array: its truth value, or its shape. The rule of `guard`."""

    reads: Literal["truth", "shape"]
    value: bool | tuple[int, ...]
    source: Source
    guarded = True

    def operands(self) -> range:
        """Return which arguments the op is called on: its only one."""
        return range(1)

    def again(self, arrays: list[Array]) -> list[Array]:
        """Check other values; to read them is noted by the levels that are open now."""
        (x,) = arrays
        if self.reads == "truth":
            found: object = bool(x)
            how = "use where(condition, x, y), or nt.cond, which choose between values without reading one"
        else:
            found = x.shape
            how = "shapes that depend on values belong outside; use where(mask, x, ...) in place of x[mask]"
        if found != self.value:
            what = "a truth value was read" if self.reads == "truth" else "a shape depends on values"
            raise GuardError(
                f"Program: at {self.source} {what}: {self.value} when the function was traced, {found} now, so the "
                f"function would do something else; trace it again for these arguments, or {how}"
            )
        return []

    def __str__(self) -> str:
        return f"{'is' if self.reads == 'truth' else 'has shape'} {self.value}"


@primitive(multi=True, discrete="it has no results")
def guard(*arrays: Array, rule: Guard) -> tuple[Array, ...]:
    """Check what a Program depends on."""
    raise AssertionError("guard is recorded by traces, never called")


guard.batch(missing="guard is recorded by traces, never called")


def refuse(how: str) -> LevelError:
    """Return the error for reading a number that a Program would take for a constant."""
    return LevelError(
        f"{how}: a trace records what this array is computed from, and the number would be a constant of its Program; "
        "keep it an Array, and choose by where(...) or nt.cond (`bool(x)` may be read: it becomes a guard), or compute "
        "the number outside, and pass it as an argument"
    )
