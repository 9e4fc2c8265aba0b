"""Derivatives and batches of a Program as Programs, over flat lists of Arrays: what ops made of Programs run.

Each is traced once for a Program and kept with it. A Program's operands are its captured Arrays and then its inputs:
nothing is closed over. Tracing runs the ops, so it takes values of the operands: any that pass the guards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from neo_array import Array, moveaxis, zeros
from neo_array._levels import current_stack, entered, left, set_stack
from neo_tape._captured import hiding_levels
from neo_tape._products import jvp, vjp
from neo_tape._program.program import Equation, Program, Var
from neo_tape._program.structure import Structure
from neo_tape._program.trace import trace
from neo_tape._vmap import Vmap

T = TypeVar("T")


def run_flat(program: Program, operands: Sequence[Array]) -> list[Array]:
    """Run a Program on the values of `hidden` and then of `inputs`."""
    count = len(program.hidden)
    return program.run(operands[count:], operands[:count])


def once(program: Program, key: Hashable, make: Callable[[], T]) -> T:
    """Return what is kept with a Program under a key, or make it, which is none of the open levels' business."""
    if key not in program.derived:
        program.derived.setdefault(key, hiding_levels(make))
    found: T = program.derived[key]
    return found


def _zeros(v: Array | Var) -> Array:
    return zeros(v.shape, dtype=v.dtype, device=v.device)


# --- Forward mode ---
@dataclass(frozen=True)
class Pushforward:
    """A Program from operands and the tangents of the active ones, to outputs and the tangents of `active_outputs`."""

    program: Program
    active_outputs: tuple[int, ...]

    def run(self, operands: Sequence[Array], tangents: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """Return the outputs, and the tangents of the active ones."""
        found = run_flat(self.program, [*self.program.captured, *operands, *tangents])
        count = len(found) - len(self.active_outputs)
        return found[:count], found[count:]


def pushforward(program: Program, active: Sequence[int], operands: Sequence[Array]) -> Pushforward:
    """Return the forward mode of a Program.

    Args:
        program: any.
        active: which operands have tangents; floating ones.
        operands: values to trace with.
    """

    def make() -> Pushforward:
        differentiable = [i for i, v in enumerate(program.outputs) if v.is_differentiable]

        def f(*arrays: Array) -> list[Array]:
            given, tangents = arrays[: len(operands)], arrays[len(operands) :]

            def of_active(*some: Array) -> list[Array]:
                return run_flat(program, _replaced(given, active, some))

            outputs, pushed = jvp(of_active, tuple(given[i] for i in active), tangents)
            return [*outputs, *(pushed[i] for i in differentiable)]

        traced = trace(f)(*operands, *(_zeros(operands[i]) for i in active))
        return Pushforward(traced, tuple(differentiable))

    return once(program, ("pushforward", *active), make)


def _replaced(arrays: Sequence[Array], at: Sequence[int], by: Sequence[Array]) -> list[Array]:
    found = list(arrays)
    for i, x in zip(at, by, strict=True):
        found[i] = x
    return found


# --- Reverse mode ---
@dataclass(frozen=True)
class Pullback:
    """A Program from operands to outputs and residuals, and one back: to a gradient for each active operand.

    The second takes those operands that it needs, whose numbers are `kept_operands`, then the residuals, and a
    cotangent for each of `active_outputs`.
    """

    forward: Program
    backward: Program
    output_count: int
    active_outputs: tuple[int, ...]
    kept_operands: tuple[int, ...]

    def run(self, operands: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """Return the outputs and the residuals."""
        found = run_flat(self.forward, [*self.forward.captured, *operands])
        return found[: self.output_count], found[self.output_count :]

    def pull(self, operands: Sequence[Array], residuals: Sequence[Array], cotangents: Sequence[Array]) -> list[Array]:
        """Return the gradients of the active operands. Only the kept ones are looked at."""
        kept = [operands[i] for i in self.kept_operands]
        return run_flat(self.backward, [*self.backward.captured, *kept, *residuals, *cotangents])


def pullback(program: Program, active: Sequence[int], operands: Sequence[Array]) -> Pullback:
    """Return the reverse mode of a Program; see `pushforward` for the arguments.

    As eager reverse mode does, the first part computes no more than the outputs need, and hands on what the rules keep.
    """

    def make() -> Pullback:
        differentiable = [i for i, v in enumerate(program.outputs) if v.is_differentiable]

        def f(*arrays: Array) -> list[Array]:
            given, cotangents = arrays[: len(operands)], arrays[len(operands) :]

            def of_active(*some: Array) -> tuple[list[Array], list[Array]]:
                outputs = run_flat(program, _replaced(given, active, some))
                return [outputs[i] for i in differentiable], outputs

            _, pull, outputs = vjp(of_active, *(given[i] for i in active), has_aux=True)
            return [*outputs, *pull(list(cotangents))]

        both = trace(f)(*operands, *(_zeros(program.outputs[i]) for i in differentiable))
        return _split(both, len(operands), len(program.outputs), tuple(differentiable))

    return once(program, ("pullback", *active), make)


def _split(both: Program, operand_count: int, output_count: int, active_outputs: tuple[int, ...]) -> Pullback:
    """Split a Program of operands and cotangents into what its first outputs need, and the rest.

    What the rest needs of the first part are the residuals. An equation that depends on no operand, as one that makes
    zeros, runs wherever it is needed.
    """
    operands, cotangents = both.inputs[:operand_count], both.inputs[operand_count:]
    outputs, gradients = both.outputs[:output_count], both.outputs[output_count:]

    def part(name: str, equations: Sequence[Equation], inputs: tuple[Var, ...], results: tuple[Var, ...]) -> Program:
        return Program(
            name=f"{both.name}.{name}",
            equations=tuple(equations),
            inputs=inputs,
            outputs=results,
            hidden=both.hidden,
            captured=both.captured,
            arguments=Structure.flat(len(inputs), arguments=True),
            results=Structure.flat(len(results)),
        )

    late = set(cotangents)
    early: list[Equation] = []
    for e in both.equations:
        if late.isdisjoint(e.used):
            early.append(e)
        else:
            late.update(e.outputs)
    first = part("forward", early, operands, outputs).equations
    free = set(both.hidden)
    ran: set[Equation] = set()
    for e in first:
        if e.has_effect or not free.issuperset(e.used):
            ran.add(e)
        else:
            free.update(e.outputs)
    made = {v for e in ran for v in e.outputs}
    rest = part("backward", [e for e in both.equations if e not in ran], both.inputs, gradients).equations
    wanted = dict.fromkeys([*(v for e in rest for v in e.used), *gradients])
    residuals = tuple(v for v in wanted if v in made)
    kept = tuple(i for i, v in enumerate(operands) if v in wanted)
    return Pullback(
        forward=part("forward", first, operands, (*outputs, *residuals)),
        backward=part("backward", rest, (*(operands[i] for i in kept), *residuals, *cotangents), gradients),
        output_count=output_count,
        active_outputs=active_outputs,
        kept_operands=kept,
    )


# --- Batches ---
@dataclass(frozen=True)
class Batch:
    """A Program over batches, and along which axis its outputs hold theirs: 0, or None for what is the same for all."""

    program: Program
    output_axes: tuple[int | None, ...]

    def run(self, operands: Sequence[Array]) -> list[Array]:
        """Return the outputs' batches."""
        return run_flat(self.program, [*self.program.captured, *operands])


def batch(program: Program, size: int, axes: Sequence[int | None], operands: Sequence[Array]) -> Batch:
    """Return a Program over a batch.

    Args:
        program: of one example.
        size: the number of examples.
        axes: along which axis each operand has its batch; None for one that is the same for all.
        operands: values to trace with.
    """

    def make() -> Batch:
        output_axes: list[int | None] = []

        def f(*arrays: Array) -> list[Array]:
            level = Vmap(size)
            outer = current_stack()
            try:
                set_stack(entered(level))
                pairs = zip(arrays, axes, strict=True)
                found = run_flat(program, [x if axis is None else level.wrap(x, axis) for x, axis in pairs])
            finally:
                set_stack(outer)
                left(level)
            held = list(map(level.unwrap, found))
            output_axes[:] = [None if axis is None else 0 for _, axis in held]
            return [moveaxis(x, axis, 0) if axis else x for x, axis in held]

        traced = trace(f)(*operands)
        return Batch(traced, tuple(output_axes))

    return once(program, ("batch", size, *axes), make)
