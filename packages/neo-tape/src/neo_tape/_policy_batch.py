"""A Policy under vmap: what the levels outside a vmap see of a call whose arrays hold batches.

Forward ran on batched arrays, and the levels inside the vmap see the call as it was made. Those outside see it as a
call on the arrays that hold the batches, whose rule runs backward (or jvp) under the vmap again: on batched arrays, as
a loop over the examples would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from neo_array import Array, broadcast_to, moveaxis, sum
from neo_array._array import wrap
from neo_array._bind import is_differentiable
from neo_array._levels import Stack, current_stack, set_stack
from neo_array._payloads import Batched
from neo_tape._meta import Meta
from neo_tape._policy_rule import Rule
from neo_tape._vmap import Vmap

R = TypeVar("R")


def layers(x: Array) -> Iterator[Array]:
    """Go over an array and what holds its batch, down to the array that holds the batches of all vmaps."""
    yield x
    while type(x._raw) is Batched:
        x = x._raw.inner
        yield x


class BatchedRule:
    """The rule of a call under a vmap, for the levels outside it: the arrays hold batches along `axes`, or none."""

    def __init__(self, rule: Rule | BatchedRule, level: Vmap, axes: Sequence[Sequence[int | None]]) -> None:
        self.rule = rule
        self.level = level
        self.name: str = rule.name
        self.replaces: str | None = rule.replaces
        self.inputs: list[Meta | None] = rule.inputs
        self.outputs: list[Meta] = rule.outputs
        self.slots: list[tuple[str, Any]] = rule.slots
        self.given_axes, self.output_axes, self.kept_axes = axes
        places = dict(zip(rule.numbers(), self.given_axes, strict=False))  # the options come after the inputs
        self.input_axes = [places.get(i) for i in range(len(rule.inputs))]  # one for each leaf, as gradients are

    def numbers(self) -> list[int]:
        """Return which leaf of the inputs each input Array is."""
        return self.rule.numbers()

    def keeps_outputs(self, wanted: list[bool]) -> bool:
        """Tell whether backward looks at the outputs, if it is for these leaves of the inputs."""
        return self.rule.keeps_outputs(wanted)

    def operands(self) -> range:
        """Return which arguments the call was made with."""
        return self.rule.operands()

    def pull(
        self, cotangents: list[Array | None], outputs: tuple[Array, ...], kept: tuple[Array, ...], wanted: list[bool]
    ) -> list[Array | None]:
        """Run backward on the batch. The examples' gradients of an input that they share add up."""
        gradients = self._run(
            lambda: self.rule.pull(
                self._wrapped(cotangents, self.output_axes),
                tuple(self._wrapped(outputs, self.output_axes)),
                tuple(self._wrapped(kept, self.kept_axes)),
                wanted,
            )
        )
        return [
            None if g is None else self._total(g) if axis is None else self._gathered(g, axis)
            for g, axis in zip(gradients, self.input_axes, strict=True)
        ]

    def push(
        self, tangents: list[Array | None], outputs: tuple[Array, ...], kept: tuple[Array, ...]
    ) -> tuple[Array | None, ...]:
        """Run forward mode on the batch."""
        pushed = self._run(
            lambda: self.rule.push(
                self._wrapped(tangents, self.input_axes),
                tuple(self._wrapped(outputs, self.output_axes)),
                tuple(self._wrapped(kept, self.kept_axes)),
            )
        )
        return tuple(
            None if t is None or axis is None else self._gathered(t, axis)
            for t, axis in zip(pushed, self.output_axes, strict=True)
        )

    def again(self, arrays: list[Array]) -> list[Array]:
        """Make the call anew on other batches."""
        outputs = self._run(lambda: self.rule.again(self._wrapped(arrays, self.given_axes)))
        return [
            x if axis is None else self._gathered(x, axis) for x, axis in zip(outputs, self.output_axes, strict=True)
        ]

    def _run(self, f: Callable[[], R]) -> R:
        """Run under the vmap of the call: it may have ended, but what backward closes over belongs to it."""
        outer = current_stack()
        try:
            set_stack(outer.with_active((*outer.levels, self.level)))
            return f()
        finally:
            set_stack(outer)

    def _wrapped(self, arrays: Sequence[Any], axes: Sequence[int | None]) -> list[Any]:
        return [
            x if x is None or axis is None else self.level.wrap(x, axis)
            for x, axis in zip(arrays, axes, strict=len(arrays) > 0)
        ]

    def _gathered(self, x: Array, axis: int) -> Array:
        """Return the array that holds the batch along an axis."""
        inner, at = self.level.unwrap(x)
        if at is None:
            inner, at = broadcast_to(inner, (self.level.size, *inner.shape)), 0
        return inner if at == axis else moveaxis(inner, at, axis)

    def _total(self, x: Array) -> Array:
        """Return the sum over the examples."""
        inner, at = self.level.unwrap(x)
        return inner * self.level.size if at is None else sum(inner, axis=at)


class View:
    """A call as the levels in one part of the stack see it: from `start` up to the next vmap that it involves."""

    def __init__(
        self, start: int, rule: Any, inputs: list[Array], outputs: list[Array], kept: list[Array], fresh: list[Array]
    ) -> None:
        self.start, self.rule = start, rule
        self.inputs, self.outputs, self.kept, self.fresh = inputs, outputs, kept, fresh


def views(stack: Stack, rule: Rule, inputs: list[Array], outputs: list[Array], kept: list[Array]) -> list[View]:
    """Return the views of a call, outermost first; its outputs get ids of their own in each."""
    found = [View(0, rule, inputs, outputs, kept, [])]
    for index in reversed(range(1, len(stack.levels))):
        level, inner = stack.levels[index], found[-1]
        if isinstance(level, Vmap):
            outer = _outside(stack, index, level, inner)
            if outer is not None:
                inner.start = index + 1
                found.append(outer)
    found.reverse()
    outermost = found[0]
    outermost.fresh = [wrap(x._raw) for x in outermost.outputs]
    for outer, view in pairwise(found):
        level = outer.rule.level
        pairs = zip(outer.fresh, outer.rule.output_axes, strict=True)
        view.fresh = [wrap(x._raw) if axis is None else level.wrap(x, axis) for x, axis in pairs]
    return found


def _outside(stack: Stack, index: int, level: Vmap, view: View) -> View | None:
    """Return a call as the levels outside a vmap see it, or None if none of its arrays holds a batch there."""
    groups = [list(map(level.unwrap, arrays)) for arrays in (view.inputs, view.outputs, view.kept)]
    if all(axis is None for group in groups for _, axis in group):
        return None
    # An output that is the same for all examples is one output for each example all the same: backward needs the
    # cotangent of each.
    current = current_stack()
    try:
        set_stack(stack.below(index))
        groups[1] = [
            (broadcast_to(x, (level.size, *x.shape)), 0) if axis is None and is_differentiable(x) else (x, axis)
            for x, axis in groups[1]
        ]
    finally:
        set_stack(current)
    inputs, outputs, kept = ([x for x, _ in group] for group in groups)
    rule = BatchedRule(view.rule, level, [[axis for _, axis in group] for group in groups])
    return View(0, rule, inputs, outputs, kept, [])
