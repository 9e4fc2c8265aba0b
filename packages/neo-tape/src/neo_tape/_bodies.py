"""What the control flow ops are made of: Programs for bodies, and how such an op runs.

The ops have no kernels. Their rule holds Programs, computes on Arrays with all levels hidden, and makes itself rules of
the derived Programs: so each order and mode is an op of the same kind again, and one entry on a tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neo_array import Array, DTypeError, asarray, broadcast_to, tree, zeros
from neo_array._array import wrap
from neo_array._bind import is_differentiable, top_batched
from neo_array._levels import COMPLETE, OPEN, check_strangers, current_stack, set_stack, show
from neo_array.backends import is_raw
from neo_tape._captured import hiding_levels
from neo_tape._meta import Meta
from neo_tape._program.derived import batch, once, pullback
from neo_tape._program.program import Program, Var
from neo_tape._program.structure import Structure
from neo_tape._program.trace import trace

if TYPE_CHECKING:
    from neo_array._levels import Op

Arrays = list[Array]
Flat = Callable[..., Arrays]


# --- Making Programs ---
def body_of(f: Flat, examples: Sequence[Array]) -> tuple[Program, Arrays]:
    """Trace a user's function of flat Arrays, and return a Program that captures nothing, with what f captured.

    The Program's inputs are the captured Arrays and then the arguments.
    """
    with np.errstate(all="ignore"):
        program = hiding_levels(lambda: trace(f)(*examples))
    return with_inputs(program, (*program.hidden, *program.inputs), captured=False), list(program.captured)


def with_inputs(program: Program, inputs: tuple[Var, ...], *, captured: bool = True) -> Program:
    """Return a Program with these inputs; what is left out must not be used."""
    arguments = Structure.flat(len(inputs), arguments=True)
    if not captured:
        return replace(program, inputs=inputs, arguments=arguments, hidden=(), captured=())
    return replace(program, inputs=inputs, arguments=arguments)


def with_outputs(program: Program, outputs: tuple[Var, ...]) -> Program:
    """Return a Program with these outputs."""
    return replace(program, outputs=outputs, results=Structure.flat(len(outputs)))


def derive(program: Program, key: tuple[Any, ...], f: Flat, examples: Sequence[Array]) -> Program:
    """Return the Program of a function that runs Programs derived from this one; it is traced once."""
    return once(program, key, lambda: trace(f)(*examples))


def zeros_of(v: Array | Var | Meta) -> Array:
    """Return zeros that look like a value."""
    return zeros(v.shape, dtype=v.dtype, device=v.device)


@dataclass(frozen=True)
class Backward:
    """A Program from the operands numbered `used`, and cotangents of all floating outputs, to the active's gradients.

    It computes again what it needs of the forward pass.
    """

    program: Program
    used: tuple[int, ...]

    def over(self, numbers: Sequence[int], like: Sequence[Var]) -> Program:
        """Return the Program over these operands, which are those used and more, and then the cotangents."""
        mine = dict(zip(self.used, self.program.inputs, strict=False))
        operands = [mine.get(i, like[i]) for i in numbers]
        return with_inputs(self.program, (*operands, *self.program.inputs[len(self.used) :]))


def backward_of(program: Program, active: Sequence[int], examples: Sequence[Array]) -> Backward:
    """Return the reverse mode of a Program as one Program."""
    count = len(examples)

    def make() -> Backward:
        parts = pullback(program, active, examples)

        def f(*arrays: Array) -> Arrays:
            operands, cotangents = arrays[:count], arrays[count:]
            _, residuals = parts.run(operands)
            return parts.pull(operands, residuals, cotangents)

        both = trace(f)(*examples, *(zeros_of(v) for v in program.outputs if v.is_differentiable))
        needed = {*(v for e in both.equations for v in e.used), *both.outputs}
        used = tuple(i for i, v in enumerate(both.inputs[:count]) if v in needed)
        inputs = (*(both.inputs[i] for i in used), *both.inputs[count:])
        return Backward(with_inputs(both, inputs), used)

    return once(program, ("backward", *active), make)


def batched(program: Program, size: int, axes: Sequence[int | None], examples: Sequence[Array]) -> Program:
    """Return a Program over batches whose outputs all have their batch at axis 0."""
    found = batch(program, size, axes, examples)
    if all(axis == 0 for axis in found.output_axes):
        return found.program

    def f(*arrays: Array) -> Arrays:
        outs = zip(found.run(arrays), found.output_axes, strict=True)
        return [x if axis == 0 else broadcast_to(x, (size, *x.shape)) for x, axis in outs]

    return derive(program, ("batched", size, *axes), f, examples)


def depending(program: Program, numbers: Sequence[int]) -> set[int]:
    """Return the numbers of the outputs that have derivatives with respect to these inputs."""
    known = {program.inputs[i] for i in numbers}
    for e in program.equations:
        if not e.op.discrete and not known.isdisjoint(e.used):
            known.update(v for v in e.outputs if v.is_differentiable)
    return {i for i, v in enumerate(program.outputs) if v in known}


def floating(program: Program) -> tuple[int, ...]:
    """Return the numbers of the outputs that have derivatives."""
    return tuple(i for i, v in enumerate(program.outputs) if v.is_differentiable)


# --- Running an op ---
class ControlRule:
    """The rule of a control flow op: what it computes, on how many operands."""

    op: ClassVar[Op]

    def count(self) -> int:
        """Return the number of operands."""
        raise NotImplementedError

    def compute(self, arrays: Arrays) -> Arrays:
        """Run on values that no level knows."""
        raise NotImplementedError

    def programs(self) -> tuple[Program, ...]:
        """Return the Programs that it may run."""
        raise NotImplementedError

    @property
    def guarded(self) -> bool:
        """Whether a Program has guards: then it runs even if nothing needs its results."""
        return any(program.guarded for program in self.programs())

    def operands(self) -> range:
        """Return which arguments of the op it is called on: all of them."""
        return range(self.count())

    def again(self, arrays: Arrays) -> Arrays:
        """Run anew on other values."""
        return self.run(arrays)

    def run(self, arrays: Sequence[Array]) -> Arrays:
        """Run as an op: its batching rule if there are batches, else its computation, shown to the levels."""
        level = top_batched(arrays)
        if level is not None:
            return list(level.bind(self.op, tuple(arrays), {"rule": self}))
        stack = current_stack()
        try:
            set_stack(stack.with_active(()))
            with np.errstate(all="ignore"):  # inf and nan of a branch that is not taken are nobody's business
                found = self.compute([wrap(x._raw) for x in arrays])
        finally:
            set_stack(stack)
        outs = tuple([wrap(x._raw) for x in found])
        if OPEN and stack.mark is not COMPLETE[0]:
            check_strangers(stack, self.op, tuple(arrays))
        show(stack, 0, self.op, tuple(arrays), {"rule": self}, outs)
        return list(outs)


# --- What users give and get ---
class Leaves:
    """A pytree's leaves as Arrays. Python numbers are weak: their dtype may give way to what a body returns."""

    def __init__(self, value: object, who: str, what: str) -> None:
        self.who, self.what, self.value = who, what, value
        found = tree.leaves_with_paths(value)
        self.treedef = tree.structure(value)
        self.paths = [path for path, _ in found]
        self.weak = [type(x) is not Array for _, x in found]
        self.arrays = [self._array(x, path) for path, x in found]

    def _array(self, x: object, path: str) -> Array:
        if isinstance(x, bool | int | float | complex):
            return asarray(x)
        if type(x) is not Array:
            advice = "wrap it in na.asarray(...)" if is_raw(x) else "close over constants"
            raise DTypeError(
                f"{self.who}: {self.what}{at(path)} must be an Array or a number, got {type(x).__name__}; {advice}"
            )
        return x

    def fill(self, arrays: Sequence[Array]) -> Any:
        """Return the pytree with other Arrays."""
        return tree.unflatten(self.treedef, arrays)

    def widen(self, arrays: Sequence[Array]) -> bool:
        """Give Python numbers the dtypes of what stands in their places; tell whether one has changed."""
        changed = False
        for i, new in enumerate(arrays):
            old = self.arrays[i]
            if self.weak[i] and new.dtype != old.dtype and new.shape == () and is_differentiable(new):
                self.arrays[i] = asarray(old.astype(new.dtype), device=new.device)
                changed = True
        return changed

    def like(self, value: object, what: str) -> Arrays:
        """Return the leaves of what must have the same structure."""
        who = f"{self.who}: {what} must have the structure of {self.what};"
        found = tree.match(self.treedef, self.value, value, who)
        return [
            asarray(y, dtype=x.dtype, device=x.device) if isinstance(y, bool | int | float) else self._array(y, path)
            for y, x, path in zip(found, self.arrays, self.paths, strict=True)
        ]

    def check(self, arrays: Sequence[Array], what: str) -> None:
        """Refuse Arrays that look different."""
        for x, y, path in zip(self.arrays, arrays, self.paths, strict=True):
            if Meta(x) != Meta(y):
                raise DTypeError(
                    f"{self.who}: {what}{at(path)} must look as in {self.what}, {Meta(x)}, got {Meta(y)}; cast it with "
                    ".astype, or give it that shape from the start"
                )


def at(path: str) -> str:
    """Return where a leaf is, for a message."""
    return f" at {path!r}" if path else ""
