"""`scan`: a loop with a carry, as one op. `fori_loop`: the same over numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import neo_array as na
from neo_array import Array, DTypeError, ShapeError, TreeError, primitive, tree
from neo_array._batching import filled
from neo_array._bind import accumulate, is_differentiable
from neo_array._levels import Args, Params, Recorder, current_stack
from neo_tape._bodies import (
    Arrays,
    Backward,
    ControlRule,
    Leaves,
    at,
    backward_of,
    body_of,
    depending,
    derive,
    floating,
    with_outputs,
    zeros_of,
)
from neo_tape._captured import hiding_levels
from neo_tape._meta import Meta
from neo_tape._policy_batch import layers
from neo_tape._program.derived import batch, once, pushforward
from neo_tape._program.program import Program
from neo_tape._tape import Tape

C = TypeVar("C")
X = TypeVar("X")
Y = TypeVar("Y")


@overload
def scan(
    f: Callable[[C, None], tuple[C, Y]], init: C, xs: None = None, length: int | None = None, reverse: bool = False
) -> tuple[C, Y]: ...
@overload
def scan(
    f: Callable[[C, X], tuple[C, Y]], init: C, xs: X, length: int | None = None, reverse: bool = False
) -> tuple[C, Y]: ...
def scan(
    f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` for each x along the first axis of xs; return the last carry, and all y stacked.

    f is traced once, and the whole loop is one op: a tape gets one entry, a Program one equation, however many steps
    there are. Reverse mode keeps the carries alone, and computes again what is inside a step. What f closes over is
    differentiated too.

    Args:
        f: a function of the carry and one x, to the next carry, which looks the same, and y, a pytree of Arrays or
            None. Python `if`s on values hold for the first step, and raise GuardError at a step that differs.
        init: the first carry; a pytree of Arrays and numbers. A number takes the dtype that f returns.
        xs: a pytree of Arrays whose first axes have one size; or None.
        length: the number of steps, needed only if xs has no Arrays.
        reverse: begin with the last x. Each y stays at the place of its x.

    Raises:
        TreeError, DTypeError: the carry that f returns does not look like the one it got.
        ShapeError: the sizes in xs differ, or there are none.

    Example:
        >>> total, sums = scan(lambda c, x: (c + x, c + x), 0.0, na.asarray([1.0, 2.0, 3.0]))
        >>> total.item(), sums.numpy().tolist()
        (6.0, [1.0, 3.0, 6.0])
    """
    if not callable(f):
        raise DTypeError(f"scan: f must be a function, got {type(f).__name__}; write scan(f, init, xs)")
    carry = Leaves(init, "scan", "init")
    inputs = Leaves(xs, "scan", "xs")
    steps = _length(inputs, length)
    treedefs: list[Any] = []

    def flat(*arrays: Array) -> Arrays:
        count = len(carry.arrays)
        result = f(carry.fill(arrays[:count]), inputs.fill(arrays[count:]))
        if type(result) is not tuple or len(result) != 2:
            raise TreeError(f"scan: f must return (carry, y), got {type(result).__name__}; y may be None")
        new = carry.like(result[0], "the carry that f returns")
        ys = Leaves(result[1], "scan", "the y that f returns")
        treedefs[:] = [ys.treedef]
        return [*new, *ys.arrays]

    flat.__name__ = getattr(f, "__name__", "f")
    first = hiding_levels(lambda: _at_first(inputs.arrays, steps, reverse))
    program, closures = body_of(flat, [*carry.arrays, *first])
    if carry.widen([zeros_of(v) for v in program.outputs[: len(carry.arrays)]]):
        program, closures = body_of(flat, [*carry.arrays, *first])
    carry.check([zeros_of(v) for v in program.outputs[: len(carry.arrays)]], "the carry that f returns")
    body = Body(program, len(closures), len(carry.arrays), steps, reverse)
    final, ys = body.loop(closures, carry.arrays, inputs.arrays)
    return carry.fill(final), tree.unflatten(treedefs[0], ys)


def fori_loop(lower: int, upper: int, body_fun: Callable[[Array, C], C], init_val: C) -> C:
    """Run `value = body_fun(i, value)` for i from lower to upper - 1, as `scan` does, and return the last value.

    Example:
        >>> fori_loop(1, 5, lambda i, value: value * i, 1.0).item()
        24.0
    """
    if type(lower) is not int or type(upper) is not int:
        raise DTypeError(f"fori_loop: bounds must be ints, got {lower!r} and {upper!r}; use while_loop for Arrays")
    numbers = na.arange(lower, max(lower, upper), dtype=na.int64)
    step: Callable[[C, Array], tuple[C, None]] = lambda value, i: (body_fun(i, value), None)
    return scan(step, init_val, numbers)[0]


def _length(inputs: Leaves, length: int | None) -> int:
    if length is not None and (type(length) is not int or length < 0):
        raise ShapeError(f"scan: length must be an int, and not negative, got {length!r}")
    sizes = {} if length is None else {"length": length}
    for x, path in zip(inputs.arrays, inputs.paths, strict=True):
        if x.ndim == 0:
            raise ShapeError(f"scan: xs{at(path)} has shape (), and no axis to go along; close over it, or stack it")
        sizes[f"xs{at(path)}"] = x.shape[0]
    if not sizes:
        raise ShapeError("scan: xs has no Arrays to count the steps by; say how many by length=")
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{n} for {k}" for k, n in sizes.items())
        raise ShapeError(f"scan: all must have one size along axis 0, got {found}; slice them alike")
    return next(iter(sizes.values()))


def _at_first(xs: Sequence[Array], length: int, reverse: bool) -> Arrays:
    """Return what the first step gets, or zeros that look so."""
    if length:
        return [x[length - 1 if reverse else 0] for x in xs]
    return [na.zeros(x.shape[1:], dtype=x.dtype, device=x.device) for x in xs]


@dataclass(frozen=True, eq=False)
class Body(ControlRule):
    """A loop: a Program from constants, carry and x to carry and y; and of the last ys, which carry each holds.

    These are the carries as each step got them, for reverse mode.
    """

    program: Program
    constants: int
    carries: int
    length: int
    reverse: bool
    saved: tuple[int, ...] = ()

    def count(self) -> int:
        return len(self.program.inputs)

    def programs(self) -> tuple[Program, ...]:
        return (self.program,)

    def __str__(self) -> str:
        return f"{self.program.name} for {self.length} steps" + (", reversed" if self.reverse else "")

    def split(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Sort operands, or what belongs to them, into constants, carry and xs."""
        one, two = self.constants, self.constants + self.carries
        return list(operands[:one]), list(operands[one:two]), list(operands[two:])

    def compute(self, arrays: Arrays) -> Arrays:
        constants, carry, xs = self.split(arrays)
        rows: list[Arrays] = []
        for i in reversed(range(self.length)) if self.reverse else range(self.length):
            found = self.program.run([*constants, *carry, *(x[i] for x in xs)])
            carry, y = found[: self.carries], found[self.carries :]
            rows.append(y)
        if self.reverse:
            rows.reverse()
        if not rows:
            outputs = self.program.outputs[self.carries :]
            return [*carry, *(na.zeros((0, *v.shape), dtype=v.dtype, device=v.device) for v in outputs)]
        return [*carry, *(na.stack(list(column)) for column in zip(*rows, strict=True))]

    def loop(self, constants: Sequence[Array], carry: Sequence[Array], xs: Sequence[Array]) -> tuple[Arrays, Arrays]:
        """Run as an op, which saves what the open tapes will need; return the carry and the ys."""
        operands = [*constants, *carry, *xs]
        # an op is shown with its operands: without any, it has no derivatives either
        found = self.again(operands) if operands else self.compute([])
        return found[: self.carries], found[self.carries :]

    def again(self, arrays: Arrays) -> Arrays:
        return self.saving(self._to_save(arrays)).run(arrays)[: len(self.program.outputs)]

    def saving(self, numbers: tuple[int, ...]) -> Body:
        """Return the same loop with these carries among its ys."""
        missing = tuple(i for i in numbers if i not in self.saved)
        if not missing:
            return self
        inputs = self.program.inputs[self.constants :]
        outputs = (*self.program.outputs, *(inputs[i] for i in missing))
        program = once(self.program, ("saving", *missing), lambda: with_outputs(self.program, outputs))
        return replace(self, program=program, saved=(*self.saved, *missing))

    def stacks(self, outs: Sequence[Array]) -> dict[int, Array]:
        """Return the saved carries, by their numbers."""
        return dict(zip(self.saved, outs[len(outs) - len(self.saved) :], strict=True))

    def _to_save(self, operands: Arrays) -> tuple[int, ...]:
        tapes = [level for level in current_stack().levels if isinstance(level, Tape)]
        active = [
            i
            for i, x in enumerate(operands)
            if is_differentiable(x) and any(tape.knows(each) for each in layers(x) for tape in tapes)
        ]
        if not active or not any(v.is_differentiable for v in self.program.outputs):
            return ()
        used = self.backward(self.active(active), operands).used
        return tuple(i - self.constants for i in used if 0 <= i - self.constants < self.carries)

    def active(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Return these operands and all carries that come to depend on them."""
        found = set(numbers)
        while True:
            reached = {self.constants + i for i in depending(self.program, sorted(found)) if i < self.carries}
            if reached <= found:
                return tuple(sorted(found))
            found |= reached

    def parts(self, numbers: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Sort numbers of operands into those of constants, carry and xs."""
        one, two = self.constants, self.constants + self.carries
        return [i for i in numbers if i < one], [i for i in numbers if one <= i < two], [i for i in numbers if i >= two]

    def examples(self, operands: Sequence[Array]) -> Arrays:
        """Return what the Program gets at the first step."""
        constants, carry, xs = self.split(operands)
        return [*constants, *carry, *hiding_levels(lambda: _at_first(xs, self.length, self.reverse))]

    def backward(self, active: tuple[int, ...], operands: Sequence[Array]) -> Backward:
        """Return the reverse mode of one step."""
        return backward_of(self.program, active, self.examples(operands))


@primitive(multi=True)
def loop(*arrays: Array, rule: Body) -> tuple[Array, ...]:
    """Run a Program once for each step, each time on the carry that the last run gave."""
    return tuple(rule.run(arrays))


Body.op = loop


# --- Reverse mode: a loop the other way round, over the carries that were saved ---
@loop.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Body = params["rule"]
    wanted = [i for i in wanted if is_differentiable(args[i])]
    if not wanted:
        return
    active = rule.active(wanted)
    step = rule.backward(active, args)
    moving = depending(rule.program, active)
    ids = tuple(x._id if i in moving else 0 for i, x in enumerate(out))
    level.watched.update(filter(None, ids))
    constants, _, xs = (tuple(args[i] for i in part) for part in rule.parts(step.used))
    stacks = rule.stacks(out)
    needed = tuple(i - rule.constants for i in rule.parts(step.used)[1])
    if all(i in stacks for i in needed):
        saved, everything = tuple(stacks[i] for i in needed), ()
    else:  # it was not known that reverse mode would come: by a Program, say
        saved, everything = (), args

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, sources, metas, constants, saved, xs, everything = entry
        if everything:
            again = rule.saving(needed)
            stacks = again.stacks(again.run(everything))
            saved = tuple(stacks[i] for i in needed)
        pairs = [(x, meta) for x, meta in zip(g, metas, strict=True) if meta.differentiable]
        cotangents = [meta.zeros() if x is None else x for x, meta in pairs]
        found = dict(zip(active, _walk(rule, step, active, constants, [*saved, *xs], cotangents), strict=True))
        for number, source in zip(wanted, sources, strict=True):
            accumulate(grads, source, found[number])

    sources = tuple(args[i]._id for i in wanted)
    level.entries.append((pull, ids, sources, tuple(map(Meta, out)), constants, saved, xs, everything))


def _walk(
    rule: Body,
    step: Backward,
    active: tuple[int, ...],
    constants: Sequence[Array],
    seen: Sequence[Array],
    cotangents: Sequence[Array],
) -> Arrays:
    """Return the gradients of the active operands. `seen` is what the steps saw, stacked: of the carries, and xs."""
    into_constants, into_carry, _ = rule.parts(active)
    outputs = [i for i in floating(rule.program) if i < rule.carries]  # the cotangents come in the order of these
    moving = [i - rule.constants for i in into_carry]
    totals = [zeros_of(rule.program.inputs[i]) for i in into_constants]
    sizes = (len(constants), len(moving), len(totals), len(seen))

    def back(*arrays: Array) -> Arrays:
        given, carry, sums, saw, ys = _cut(arrays, sizes)
        of_carry = dict(zip(moving, carry, strict=True))
        full = [of_carry[i] if i in of_carry else zeros_of(rule.program.outputs[i]) for i in outputs]
        found = step.program.run([*given, *saw, *full, *ys])
        to_constants, to_carry, to_xs = _cut(found, (len(into_constants), len(moving)))
        return [*to_carry, *(x + y for x, y in zip(sums, to_constants, strict=True)), *to_xs]

    arrived = dict(zip(outputs, cotangents, strict=False))
    carry, stacks = [*(arrived[i] for i in moving), *totals], [*seen, *cotangents[len(outputs) :]]
    first = hiding_levels(lambda: _at_first(stacks, rule.length, not rule.reverse))
    program = derive(rule.program, ("back", *active), back, [*constants, *carry, *first])
    body = Body(program, len(constants), len(carry), rule.length, not rule.reverse)
    final, ys = body.loop(constants, carry, stacks)
    return [*final[len(moving) :], *final[: len(moving)], *ys]


def _cut(arrays: Sequence[Array], sizes: Sequence[int]) -> Iterator[list[Array]]:
    """Cut a list into pieces of these sizes, and the rest."""
    start = 0
    for size in sizes:
        yield list(arrays[start : start + size])
        start += size
    yield list(arrays[start:])


# --- Forward mode: a loop over the carry and its tangent ---
@loop.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], *, rule: Body) -> tuple[Array | None, ...]:
    active = rule.active([i for i, t in enumerate(tangents) if t is not None and is_differentiable(arrays[i])])
    program, examples = rule.program, rule.examples(arrays)
    pushed = pushforward(program, active, examples)
    parts = rule.parts(active)
    outputs = [*(i - rule.constants for i in parts[1]), *(i for i in floating(program) if i >= rule.carries)]
    moving = len(parts[1])
    rest = len(program.inputs) - rule.constants - rule.carries
    sizes = (rule.constants, len(parts[0]), rule.carries, moving, rest)

    def push(*arrays: Array) -> Arrays:
        constants, of_constants, carry, of_carry, xs, of_xs = _cut(arrays, sizes)
        outs, found = pushed.run([*constants, *carry, *xs], [*of_constants, *of_carry, *of_xs])
        moved = dict(zip(pushed.active_outputs, found, strict=True))
        of_outs = [moved[i] for i in outputs]
        return [*outs[: rule.carries], *of_outs[:moving], *outs[rule.carries :], *of_outs[moving:]]

    def given(numbers: Sequence[int]) -> Arrays:
        found = ((tangents[i], arrays[i]) for i in numbers)
        return [na.zeros_like(x) if t is None else t for t, x in found]

    constants, carry, xs = ([*values, *given(part)] for values, part in zip(rule.split(arrays), parts, strict=True))
    first = hiding_levels(lambda: _at_first(xs, rule.length, rule.reverse))
    joint = derive(program, ("push", *active), push, [*constants, *carry, *first])
    body = Body(joint, len(constants), len(carry), rule.length, rule.reverse)
    final, ys = body.loop(constants, carry, xs)
    found = dict(zip(outputs, [*final[rule.carries :], *ys[len(program.outputs) - rule.carries :]], strict=True))
    return tuple(found.get(i) for i in range(len(program.outputs)))


# --- Batches: a loop over the batches ---
@loop.batch
def _(size: int, args: Any, axes: Any, *, rule: Body) -> tuple[tuple[Array, ...], tuple[int | None, ...]]:
    constants, carry, xs = rule.split(args)
    of_constants, of_carry, of_xs = rule.split(axes)
    pairs = zip(xs, of_xs, strict=True)
    xs = [x if axis is None or axis == 1 else na.moveaxis(x, axis, 1) for x, axis in pairs]  # the steps come first
    first = hiding_levels(lambda: _at_first(xs, rule.length, rule.reverse))
    differs = [axis is not None for axis in of_carry]
    while True:  # a carry may come to differ by example, in as many steps as there are carries
        now = [_placed(x, axis, size, d) for x, axis, d in zip(carry, of_carry, differs, strict=True)]
        places = [*of_constants, *(0 if d else None for d in differs), *(None if a is None else 0 for a in of_xs)]
        found = batch(rule.program, size, places, [*constants, *now, *first])
        after = [d or axis is not None for d, axis in zip(differs, found.output_axes, strict=False)]
        if after == differs:
            break
        differs = after
    missing = [d and axis is None for d, axis in zip(differs, found.output_axes, strict=False)]

    def step(*arrays: Array) -> Arrays:
        outs = found.run(arrays)
        for i in itertools.compress(range(rule.carries), missing):
            outs[i] = na.broadcast_to(outs[i], (size, *outs[i].shape))
        return outs

    program = found.program
    if any(missing):
        program = derive(rule.program, ("batched", size, *places), step, [*constants, *now, *first])
    outs = replace(rule, program=program).run([*constants, *now, *xs])
    ys = found.output_axes[rule.carries :]
    return tuple(outs), (*(0 if d else None for d in differs), *(None if axis is None else 1 for axis in ys))


def _placed(x: Array, axis: int | None, size: int, differs: bool) -> Array:
    return filled(x, axis, size) if differs else x
