"""`while_loop`: a loop whose number of steps depends on values, as one op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import neo_array as na
from neo_array import Array, DTypeError, primitive
from neo_array._batching import filled
from neo_array._bind import accumulate, is_differentiable
from neo_array._levels import Args, Params, Recorder
from neo_tape._bodies import (
    Arrays,
    ControlRule,
    Leaves,
    batched,
    body_of,
    depending,
    derive,
    with_outputs,
    zeros_of,
)
from neo_tape._cond import Cond
from neo_tape._meta import Meta
from neo_tape._products import jvp, vjp
from neo_tape._program.derived import batch, pushforward
from neo_tape._program.program import Program
from neo_tape._scan import Body
from neo_tape._vmap import vmap

C = TypeVar("C")


def while_loop(cond_fun: Callable[[C], Any], body_fun: Callable[[C], C], init_val: C) -> C:
    """Run `value = body_fun(value)` as long as `cond_fun(value)` holds, and return the last value.

    Both functions are traced once, and the loop is one op. It has derivatives in both modes: reverse mode, knowing the
    number of steps, runs them once more and keeps each value of the carry. Under vmap the loop goes on until it has
    ended for all examples; those for which it has keep their values, and what is computed beyond has no part in their
    derivatives.

    Args:
        cond_fun: a function of the value to a truth value, an Array of shape (). It has no derivative.
        body_fun: a function of the value to the next one, which looks the same. What it closes over is differentiated.
        init_val: the first value; a pytree of Arrays and numbers. A number takes the dtype that body_fun returns.

    Raises:
        TreeError, DTypeError: what body_fun returns does not look like init_val; or cond_fun's result is none.

    Example:
        >>> halve = lambda x: while_loop(lambda v: v > 1.0, lambda v: v / 2.0, x)
        >>> from neo_tape import value_and_grad
        >>> [v.item() for v in value_and_grad(halve)(na.asarray(12.0))]
        [0.75, 0.0625]
    """
    for name, f in (("cond_fun", cond_fun), ("body_fun", body_fun)):
        if not callable(f):
            raise DTypeError(f"while_loop: {name} must be a function, got {type(f).__name__}")
    carry = Leaves(init_val, "while_loop", "init_val")

    def step(*arrays: Array) -> Arrays:
        return carry.like(body_fun(carry.fill(arrays)), "what body_fun returns")

    def test(*arrays: Array) -> Arrays:
        found = cond_fun(carry.fill(arrays))
        if isinstance(found, bool):
            found = na.asarray(found)
        if type(found) is not Array or found.shape != () or found.dtype.kind == "c":
            got = f"an Array of shape {found.shape}" if type(found) is Array else type(found).__name__
            raise DTypeError(f"while_loop: cond_fun must return a truth value, an Array of shape (), got {got}")
        return [found if found.dtype == na.bool else found != 0]

    step.__name__, test.__name__ = (getattr(f, "__name__", "f") for f in (body_fun, cond_fun))
    program, closures = body_of(step, carry.arrays)
    if carry.widen([zeros_of(v) for v in program.outputs]):
        program, closures = body_of(step, carry.arrays)
    carry.check([zeros_of(v) for v in program.outputs], "what body_fun returns")
    condition, of_condition = body_of(test, carry.arrays)
    operands = [*of_condition, *closures, *carry.arrays]
    rule = While(condition, program, len(of_condition), len(closures))
    value: C = carry.fill((rule.run(operands) if operands else rule.compute([]))[:-1])
    return value


@dataclass(frozen=True, eq=False)
class While(ControlRule):
    """Two Programs over constants of their own and the same carry. The last result is the number of steps."""

    condition: Program
    body: Program
    of_condition: int
    constants: int

    def count(self) -> int:
        return self.of_condition + len(self.body.inputs)

    def programs(self) -> tuple[Program, ...]:
        return self.condition, self.body

    def split(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Sort operands, or what belongs to them, into constants of the condition and of the body, and carry."""
        one, two = self.of_condition, self.of_condition + self.constants
        return list(operands[:one]), list(operands[one:two]), list(operands[two:])

    def compute(self, arrays: Arrays) -> Arrays:
        of_condition, constants, carry = self.split(arrays)
        steps = 0
        while bool(self.condition.run([*of_condition, *carry])[0]._raw):
            carry = self.body.run([*constants, *carry])
            steps += 1
        return [*carry, na.asarray(steps, dtype=na.int64, device="numpy")]

    def __str__(self) -> str:
        return f"{self.body.name} while {self.condition.name}"

    def active(self, numbers: Sequence[int]) -> list[int]:
        """Return these operands of the body, and all carries that come to depend on them."""
        found = set(numbers)
        while True:
            reached = {self.constants + i for i in depending(self.body, sorted(found))}
            if reached <= found:
                return sorted(found)
            found |= reached


@primitive(multi=True)
def repeat_while(*arrays: Array, rule: While) -> tuple[Array, ...]:
    """Run a Program on the carry as long as another one, on the same carry, gives True."""
    return tuple(rule.run(arrays))


While.op = repeat_while


# --- Forward mode ---
@repeat_while.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], *, rule: While) -> tuple[Array | None, ...]:
    of_condition, constants, carry = rule.split(arrays)
    operands, along = [*constants, *carry], tangents[rule.of_condition :]
    active = rule.active([i for i, t in enumerate(along) if t is not None and is_differentiable(operands[i])])
    pushed = pushforward(rule.body, active, operands)
    into_constants = [i for i in active if i < rule.constants]
    moving = [i - rule.constants for i in active if i >= rule.constants]
    if not moving:
        return (None,) * (len(carry) + 1)
    one, two, last = len(constants), len(constants) + len(into_constants), len(moving)

    def step(*arrays: Array) -> Arrays:
        outs, found = pushed.run([*arrays[:one], *arrays[two : two + len(carry)]], [*arrays[one:two], *arrays[-last:]])
        moved = dict(zip(pushed.active_outputs, found, strict=True))
        return [*outs, *(moved[i] for i in moving)]

    def test(*arrays: Array) -> Arrays:
        return rule.condition.run(arrays[: len(of_condition) + len(carry)])

    def given(i: int) -> Array:
        t = along[i]
        return na.zeros_like(operands[i]) if t is None else t

    key = ("push", *active)
    constants += map(given, into_constants)
    carry_and_tangents = [*carry, *(given(rule.constants + i) for i in moving)]
    body = derive(rule.body, key, step, [*constants, *carry_and_tangents])
    condition = derive(rule.condition, (*key, *map(str, moving)), test, [*of_condition, *carry_and_tangents])
    found = While(condition, body, len(of_condition), len(constants)).run(
        [*of_condition, *constants, *carry_and_tangents]
    )
    at = dict(zip(moving, found[len(carry) : -1], strict=True))
    return tuple(at.get(i) for i in range(len(carry) + 1))


# --- Reverse mode: the same steps as a scan, now that their number is known ---
@repeat_while.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: While = params["rule"]
    first = rule.of_condition
    numbers = [i - first for i in wanted if i >= first and is_differentiable(args[i])]
    moving = {i - rule.constants for i in rule.active(numbers) if i >= rule.constants}
    if not moving:
        return
    ids = tuple(x._id if i in moving else 0 for i, x in enumerate(out))
    level.watched.update(filter(None, ids))

    kinds = sorted(moving)

    def of_length(most: int) -> Callable[..., Arrays]:
        def back(steps: Array, *arrays: Array) -> Arrays:
            operands, cotangents = list(arrays[: len(args) - first]), list(arrays[len(args) - first :])

            def again(*some: Array) -> Arrays:
                given = operands.copy()
                for i, x in zip(numbers, some, strict=True):
                    given[i] = x
                found = _as_scan(rule, given, steps, most)
                return [found[i] for i in kinds]

            return list(vjp(again, *(operands[i] for i in numbers))[1](cotangents))

        return back

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, sources, metas, operands, steps = entry
        arrived = [(g[i], metas[i]) for i in kinds]
        cotangents = [meta.zeros() if x is None else x for x, meta in arrived]
        back = Lengthwise(rule.body, of_length, 1 + len(operands) + len(cotangents))
        for source, gradient in zip(sources, back.run([steps, *operands, *cotangents]), strict=True):
            accumulate(grads, source, gradient)

    sources = tuple(args[first + i]._id for i in numbers)
    level.entries.append((pull, ids, sources, tuple(map(Meta, out)), args[first:], out[-1]))


def _as_scan(rule: While, operands: Arrays, steps: Array, most: int) -> Arrays:
    """Return the last carry, by a scan as long as the longest of all examples; each keeps its own last value."""
    constants, carry = operands[: rule.constants], operands[rule.constants :]
    count = len(constants)
    choose = Cond(rule.body, with_outputs(rule.body, rule.body.inputs[count:]))

    def step(*arrays: Array) -> Arrays:
        *given, i = arrays
        return choose.run([given[count] > i, *given[:count], *given[count + 1 :]])

    numbers = na.arange(most, dtype=na.int64, device="numpy")
    zero = na.asarray(0, dtype=na.int64, device="numpy")
    program = derive(rule.body, ("as scan",), step, [*constants, steps, *carry, zero])
    return Body(program, count + 1, len(carry), most, False).loop([*constants, steps], carry, [numbers])[0]


# --- What depends on the number of steps: written for any, and run when it is known ---
@dataclass(frozen=True, eq=False)
class Lengthwise(ControlRule):
    """A function for each number of steps, which is the largest in its first operand; and a Program that it runs.

    Derivatives and batches are made of these functions, so they run for any number of steps too, as a Program may.
    """

    program: Program
    of_length: Callable[[int], Callable[..., Arrays]]
    operand_count: int

    def count(self) -> int:
        return self.operand_count

    def programs(self) -> tuple[Program, ...]:
        return (self.program,)

    def compute(self, arrays: Arrays) -> Arrays:
        steps = arrays[0]
        return self.of_length(int(na.max(steps)) if steps.size else 0)(*arrays)

    def __str__(self) -> str:
        return f"back through {self.program.name}"


@primitive(multi=True)
def lengthwise(*arrays: Array, rule: Lengthwise) -> tuple[Array, ...]:
    """Run a function that depends on the number of steps a loop took."""
    return tuple(rule.run(arrays))


Lengthwise.op = lengthwise


@lengthwise.jvp
def _(
    tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], out: tuple[Array, ...], *, rule: Lengthwise
) -> tuple[Array | None, ...]:
    active = [i for i, t in enumerate(tangents) if t is not None and is_differentiable(arrays[i])]
    count = len(arrays)

    def of_length(most: int) -> Callable[..., Arrays]:
        def push(*given: Array) -> Arrays:
            f = _of_some(rule.of_length(most), given[:count], active)
            return list(jvp(f, tuple(given[i] for i in active), tuple(given[count:]))[1])

        return push

    along = [t for i in active if (t := tangents[i]) is not None]
    return tuple(Lengthwise(rule.program, of_length, count + len(along)).run([*arrays, *along]))


@lengthwise.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Lengthwise = params["rule"]
    active = [i for i in wanted if is_differentiable(args[i])]
    if not active:
        return
    count = len(args)

    def of_length(most: int) -> Callable[..., Arrays]:
        def back(*given: Array) -> Arrays:
            f = _of_some(rule.of_length(most), given[:count], active)
            return list(vjp(f, *(given[i] for i in active))[1](list(given[count:])))

        return back

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, metas, operands = entry
        cotangents = [meta.zeros() if x is None else x for x, meta in zip(g, metas, strict=True)]
        again = Lengthwise(rule.program, of_length, count + len(cotangents))
        for i, gradient in zip(active, again.run([*operands, *cotangents]), strict=True):
            accumulate(grads, operands[i]._id, gradient)

    level.watched.update(x._id for x in out)  # gradients: all of them are floating
    level.entries.append((pull, tuple(x._id for x in out), tuple(map(Meta, out)), args))


def _of_some(f: Callable[..., Arrays], arrays: Sequence[Array], active: Sequence[int]) -> Callable[..., Arrays]:
    def call(*some: Array) -> Arrays:
        given = list(arrays)
        for i, x in zip(active, some, strict=True):
            given[i] = x
        return f(*given)

    return call


@lengthwise.batch
def _(size: int, args: Any, axes: Any, *, rule: Lengthwise) -> tuple[tuple[Array, ...], tuple[int, ...]]:
    of_length: Callable[[int], Any] = lambda most: vmap(rule.of_length(most), in_axes=tuple(axes), axis_size=size)
    outs = tuple(Lengthwise(rule.program, of_length, len(args)).run(args))
    return outs, (0,) * len(outs)


# --- Batches ---
@repeat_while.batch
def _(size: int, args: Any, axes: Any, *, rule: While) -> tuple[tuple[Array, ...], tuple[int | None, ...]]:
    of_condition, constants, carry = rule.split(args)
    condition_axes, constant_axes, carry_axes = rule.split(axes)
    differs = [axis is not None for axis in carry_axes]
    while True:  # a carry may come to differ by example
        now = [filled(x, axis, size) if d else x for x, axis, d in zip(carry, carry_axes, differs, strict=True)]
        places: list[int | None] = [0 if d else None for d in differs]
        found = batch(rule.body, size, [*constant_axes, *places], [*constants, *now])
        test = batch(rule.condition, size, [*condition_axes, *places], [*of_condition, *now])
        if test.output_axes[0] is not None:
            return _each_its_steps(size, args, axes, rule)
        after = [d or axis is not None for d, axis in zip(differs, found.output_axes, strict=True)]
        if after == differs:
            break
        differs = after

    def step(*arrays: Array) -> Arrays:
        outs = zip(found.run(arrays), found.output_axes, differs, strict=True)
        return [na.broadcast_to(x, (size, *x.shape)) if d and axis is None else x for x, axis, d in outs]

    key = ("batched alike", size, *constant_axes, *places)
    body = derive(rule.body, key, step, [*constants, *now])
    outs = While(test.program, body, rule.of_condition, rule.constants).run([*of_condition, *constants, *now])
    return tuple(outs), (*places, None)


def _each_its_steps(size: int, args: Any, axes: Any, rule: While) -> tuple[tuple[Array, ...], tuple[int | None, ...]]:
    """Run until the condition is False for all examples; those for which it is keep their values."""
    of_condition, constants, carry = rule.split([filled(x, axis, size) for x, axis in zip(args, axes, strict=True)])
    test = batched(rule.condition, size, [0] * len(rule.condition.inputs), [*of_condition, *carry])
    body = batched(rule.body, size, [0] * len(rule.body.inputs), [*constants, *carry])
    choose = Cond(body, with_outputs(body, body.inputs[len(constants) :]))
    one, two = len(of_condition), len(of_condition) + len(constants)

    def step(*arrays: Array) -> Arrays:
        *given, steps = arrays
        going = test.run([*given[:one], *given[two:]])[0]
        return [*choose.run([going, *given[one:]]), steps + going.astype(na.int64).to(steps.device)]

    def any_goes_on(*arrays: Array) -> Arrays:
        return [na.any(test.run(arrays[:-1])[0])]

    steps = na.zeros((size,), dtype=na.int64, device="numpy")
    key = ("each its steps", size)
    loop = While(
        derive(rule.condition, key, any_goes_on, [*of_condition, *carry, steps]),
        derive(rule.body, (*key, rule.condition), step, [*of_condition, *constants, *carry, steps]),
        one,
        two,
    )
    outs = loop.run([*of_condition, *of_condition, *constants, *carry, steps])
    return tuple(outs[:-1]), (0,) * (len(outs) - 1)
