"""A Program: a function as a flat list of equations, without its Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from neo_array import Array, Device, DType
from neo_array._dtypes import is_inexact
from neo_array._levels import Params, current_stack, set_stack
from neo_tape._program.drawing import dot, mermaid
from neo_tape._program.origins import Source
from neo_tape._program.page import page
from neo_tape._program.structure import Structure
from neo_tape._program.text import table, text
from neo_tape._recording import has_effect, needed, run_again

if TYPE_CHECKING:
    from neo_array._levels import Op


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Var:
    """One value of a Program: what it looks like. Equal looks do not make equal Vars: each is itself alone."""

    shape: tuple[int, ...]
    dtype: DType
    device: Device

    @classmethod
    def of(cls, x: Array) -> Var:
        """Return a Var that looks like an Array."""
        return cls(x.shape, x.dtype, x.device)

    @property
    def is_differentiable(self) -> bool:
        """Whether the dtype is floating or complex."""
        return is_inexact(self.dtype)

    @property
    def size_in_bytes(self) -> int:
        """How much memory the value takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


Operand: TypeAlias = "Var | bool | int | float | complex | None"


@dataclass(frozen=True, eq=False, slots=True)
class Equation:
    """One op of a Program, applied to earlier values and to Python numbers."""

    op: Op
    operands: tuple[Operand, ...]
    params: Params
    outputs: tuple[Var, ...]
    source: Source
    scope: str

    @property
    def has_effect(self) -> bool:
        """Whether it must run even if nothing uses its outputs: it is a guard, or has one inside."""
        return has_effect(self.op, self.params)

    @property
    def used(self) -> tuple[Var, ...]:
        """The operands that are earlier values."""
        return tuple(x for x in self.operands if type(x) is Var)


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """What a function did, as a flat list of equations; `trace` makes it. Equations that nothing needs are dropped.

    Attributes:
        name: the function's name.
        equations: the ops, in the order in which they ran.
        inputs: one Var for each Array among the arguments.
        outputs: one Var for each Array among the results.
        hidden: one Var for each captured Array: an input that is not passed.
        captured: the Arrays that the function used without being given them: closures, and host data made into Arrays.

    Example:
        >>> from neo_array import asarray
        >>> from neo_tape import trace
        >>> program = trace(lambda x: x * x + 1.0)(asarray(3.0))
        >>> [equation.op.__name__ for equation in program.equations]
        ['multiply', 'add']
        >>> program.eval(asarray(2.0)).item()
        5.0
    """

    name: str
    equations: tuple[Equation, ...]
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    hidden: tuple[Var, ...]
    captured: tuple[Array, ...]
    arguments: Structure
    results: Structure
    derived: dict[Any, Any] = field(init=False, default_factory=dict)  # what derived.py has made of it
    _dying: tuple[tuple[Var, ...], ...] = field(init=False)  # for each equation, what nothing after it uses

    def __post_init__(self) -> None:
        flow = [(e.used, e.outputs, e.has_effect) for e in self.equations]
        numbers, dying, used = needed(flow, self.outputs)
        kept = [(v, x) for v, x in zip(self.hidden, self.captured, strict=True) if v in used]
        object.__setattr__(self, "equations", tuple(self.equations[i] for i in numbers))
        object.__setattr__(self, "hidden", tuple(v for v, _ in kept))
        object.__setattr__(self, "captured", tuple(x for _, x in kept))
        object.__setattr__(self, "_dying", tuple(dying))

    def __str__(self) -> str:
        return text(self)

    def table(self) -> str:
        """Return a table of the equations: op, operands, outputs, bytes, the user's line, the part of the model."""
        return table(self)

    def to_dot(self) -> str:
        """Return a drawing in Graphviz's language, grouped by parts of the model and by names given with `name`."""
        return dot(self)

    def to_mermaid(self) -> str:
        """Return the same drawing as a Mermaid flowchart."""
        return mermaid(self)

    def html(self) -> str:
        """Return a page that shows where each value comes from and goes; it needs no other file."""
        return page(self)

    @property
    def guarded(self) -> bool:
        """Whether it has guards: it may refuse to run on other values."""
        return any(e.has_effect for e in self.equations)

    def eval(self, *args: object, **kwargs: object) -> object:
        """Run the ops again on other arguments, under all transforms that are open, and return what f would.

        Raises:
            TreeError, ShapeError, DTypeError, DeviceError: the arguments do not look as the traced ones did.
            GuardError: f would take another way for these values.
        """
        arrays = self.arguments.read((args, kwargs), self.inputs)
        return self.results.fill(self.run(arrays))

    def run(self, arrays: Sequence[Array], captured: Sequence[Array] | None = None) -> list[Array]:
        """Run the ops on flat lists: one Array for each of `inputs` and of `hidden`; return one for each of `outputs`.

        Nothing is checked, and nothing is held longer than it is used. What is passed as `captured` takes the place of
        the captured Arrays.
        """
        values: dict[Var, Any] = dict(zip(self.inputs, arrays, strict=True))
        values.update(zip(self.hidden, self.captured if captured is None else captured, strict=True))
        outer = current_stack()
        try:
            set_stack(outer.for_rules())  # what was to be replaced, was so when it was traced
            for equation, dying in zip(self.equations, self._dying, strict=True):
                given = [values[x] if type(x) is Var else x for x in equation.operands]
                values.update(zip(equation.outputs, run_again(equation.op, given, equation.params), strict=True))
                del given
                for v in dying:
                    del values[v]
        finally:
            set_stack(outer)
        return [values[v] for v in self.outputs]
