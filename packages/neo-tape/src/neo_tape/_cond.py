"""`cond`: one of two functions, by a condition that may be traced or differ by example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack

import neo_array as na
from neo_array import Array, DTypeError, ShapeError, TreeError, primitive, tree
from neo_array._batching import filled
from neo_array._bind import accumulate, is_differentiable
from neo_array._levels import Args, Params, Recorder, current_stack
from neo_array._payloads import Batched
from neo_tape._bodies import (
    Arrays,
    ControlRule,
    Leaves,
    backward_of,
    batched,
    body_of,
    depending,
    floating,
    with_inputs,
    with_outputs,
    zeros_of,
)
from neo_tape._linear_systems import every
from neo_tape._policy_batch import layers
from neo_tape._program.derived import pushforward
from neo_tape._program.program import Program
from neo_tape._tangent import Tangent
from neo_tape._tape import Tape

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


def cond(pred: Any, true_fn: Callable[[Unpack[Ts]], R], false_fn: Callable[[Unpack[Ts]], R], /, *args: *Ts) -> R:
    """Return `true_fn(*args)` if pred holds, else `false_fn(*args)`.

    Unlike an `if` statement, it may be traced: a Program holds both functions, and chooses when it runs. And pred may
    differ by example under vmap: then both run on all examples, and each example gets the values and the derivatives
    of its own; nan and inf of the other do not reach it.

    Args:
        pred: a number or an Array of shape ().
        true_fn: a function of args to a pytree of Arrays. What it closes over is differentiated too.
        false_fn: another, whose results look the same. It only runs if it is needed, but a trace runs both.
        args: pytrees.

    Raises:
        TreeError, DTypeError: the results of the two functions do not look the same.

    Example:
        >>> from neo_array import asarray
        >>> from neo_tape import grad, vmap
        >>> safe_root = lambda x: cond(x > 0.0, na.sqrt, na.zeros_like, x)
        >>> vmap(grad(safe_root))(asarray([4.0, 0.0])).numpy().tolist()
        [0.25, 0.0]
    """
    for name, f in (("true_fn", true_fn), ("false_fn", false_fn)):
        if not callable(f):
            raise DTypeError(f"cond: {name} must be a function, got {type(f).__name__}; write cond(pred, f, g, *args)")
    condition = _condition(pred)
    if not _is_watched(condition):
        return true_fn(*args) if bool(condition._raw) else false_fn(*args)
    leaves, treedef = tree.flatten(args)
    numbers = [i for i, x in enumerate(leaves) if type(x) is Array]
    examples = [leaves[i] for i in numbers]
    results: list[Leaves] = []

    def flat(f: Callable[..., Any], name: str, like: Leaves | None = None) -> Callable[..., Arrays]:
        def run(*arrays: Array) -> Arrays:
            given = leaves.copy()
            for i, x in zip(numbers, arrays, strict=True):
                given[i] = x
            result = Leaves(f(*tree.unflatten(treedef, given)), "cond", f"the result of {name}")
            results.append(result)
            if like is not None:
                result.widen(like.arrays)
            return result.arrays

        run.__name__ = getattr(f, "__name__", name)
        return run

    true, true_closures = body_of(flat(true_fn, "true_fn"), examples)
    false, false_closures = body_of(flat(false_fn, "false_fn"), examples)
    first, second = results
    if first.treedef != second.treedef:
        raise TreeError(
            f"cond: the two functions return different structures: true_fn {first.treedef}, false_fn {second.treedef}"
        )
    if any(x.dtype != y.dtype for x, y in zip(first.arrays, second.arrays, strict=True)):  # numbers are weak
        true, true_closures = body_of(flat(true_fn, "true_fn", second), examples)
        false, false_closures = body_of(flat(false_fn, "false_fn", first), examples)
        first, second = results[2:]
    first.check(second.arrays, "the result of false_fn")
    one, two = len(true_closures), len(false_closures)
    spare_true, spare_false = false.inputs[:two], true.inputs[:one]
    rule = Cond(
        with_inputs(true, (*true.inputs[:one], *spare_true, *true.inputs[one:])),
        with_inputs(false, (*spare_false, *false.inputs)),
    )
    found: R = first.fill(rule.run([condition, *true_closures, *false_closures, *examples]))
    return found


def _condition(pred: Any) -> Array:
    if isinstance(pred, bool | int | float):
        return na.asarray(bool(pred))
    if type(pred) is not Array:
        raise DTypeError(f"cond: pred must be a number or an Array of shape (), got {type(pred).__name__}")
    if pred.shape != ():
        raise ShapeError(f"cond: pred must have shape (), got {pred.shape}; use where, or vmap over the examples")
    return pred if pred.dtype == na.bool else pred != 0


def _is_watched(condition: Array) -> bool:
    """Tell whether the condition is more than one value: a batch, or what a level will run again on other values."""
    known = [level for level in current_stack().levels if any(level.knows(x) for x in layers(condition))]
    return type(condition._raw) is Batched or any(type(level) not in (Tape, Tangent) for level in known)


@dataclass(frozen=True, eq=False)
class Cond(ControlRule):
    """Two Programs over the same operands. A condition that has axes counts the first axes of all operands."""

    true: Program
    false: Program

    def count(self) -> int:
        return 1 + len(self.true.inputs)

    def programs(self) -> tuple[Program, ...]:
        return self.true, self.false

    def compute(self, arrays: Arrays) -> Arrays:
        condition, *operands = arrays
        if every(condition):
            return self.true.run(operands)
        if every(~condition):
            return self.false.run(operands)
        found = zip(self.true.run(operands), self.false.run(operands), strict=True)
        return [na.where(_aligned(condition, x), x, y) for x, y in found]

    def __str__(self) -> str:
        return f"{self.true.name} or {self.false.name}"


def _aligned(condition: Array, x: Array) -> Array:
    """Return the condition where and as it can choose between values like x."""
    return na.reshape(condition, (*condition.shape, *(1,) * (x.ndim - condition.ndim))).to(x.device)


@primitive(multi=True)
def conditional(*arrays: Array, rule: Cond) -> tuple[Array, ...]:
    """Run one of two Programs; or both, where the first operand, the condition, has one value per example."""
    return tuple(rule.run(arrays))


Cond.op = conditional


@conditional.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Cond = params["rule"]
    condition, *operands = args
    active = [i - 1 for i in wanted if i > 0 and is_differentiable(args[i])]
    moving = depending(rule.true, active) | depending(rule.false, active)
    if not moving:
        return
    true, false = (backward_of(program, active, operands) for program in rule.programs())
    used = sorted({*true.used, *false.used})
    ids = tuple(x._id if i in moving else 0 for i, x in enumerate(out))
    level.watched.update(filter(None, ids))
    cotangents = [v for v in rule.true.outputs if v.is_differentiable]

    back = Cond(true.over(used, rule.true.inputs), false.over(used, rule.true.inputs))

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, sources, condition, kept = entry
        arrived = [x for x, v in zip(g, rule.true.outputs, strict=True) if v.is_differentiable]
        given = [zeros_of(v) if x is None else x for x, v in zip(arrived, cotangents, strict=True)]
        for source, gradient in zip(sources, back.run([condition, *kept, *given]), strict=True):
            accumulate(grads, source, gradient)

    level.entries.append(
        (pull, ids, tuple(operands[i]._id for i in active), condition, tuple(operands[i] for i in used))
    )


@conditional.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], *, rule: Cond) -> tuple[Array | None, ...]:
    condition, *operands = arrays
    active = [i for i, t in enumerate(tangents[1:]) if t is not None and is_differentiable(operands[i])]
    pushed = [pushforward(program, active, operands) for program in rule.programs()]
    count = len(rule.true.outputs)
    true, false = (with_outputs(p.program, p.program.outputs[count:]) for p in pushed)
    given = [t for i in active if (t := tangents[1 + i]) is not None]
    found = Cond(true, false).run([condition, *operands, *given])
    at = dict(zip(floating(rule.true), found, strict=True))
    return tuple(at.get(i) for i in range(count))


@conditional.batch
def _(size: int, args: Any, axes: Any, *, rule: Cond) -> tuple[tuple[Array, ...], tuple[int, ...]]:
    condition, *operands = args
    if axes[0] is not None or condition.ndim:  # the condition's axes come first in everything
        condition, *operands = (filled(x, axis, size) for x, axis in zip(args, axes, strict=True))
        places: list[int | None] = [0] * len(operands)
    else:
        places = list(axes[1:])
    true, false = (batched(program, size, places, operands) for program in rule.programs())
    outs = tuple(Cond(true, false).run([condition, *operands]))
    return outs, (0,) * len(outs)
