"""What batching rules are made of.

A rule gets `(size, args, axes, /, **options)`: the arguments with their batches in them, and for each the axis that
holds its batch, or None. It returns the result, with all batches in it, and their axis; a tuple of each if the op has
several results. It is written in ops, so it runs on every backend and is differentiated like anything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from neo_array._array import Array

if TYPE_CHECKING:
    from neo_array._primitive import Primitive

Axes: TypeAlias = "Sequence[int | None]"
Batch: TypeAlias = "tuple[Any, Any]"  # results and their axes
BatchRule: TypeAlias = Callable[..., Batch]


def to_front(x: Any, axis: int | None) -> Any:
    """Move the batch to axis 0; what has none stays as it is."""
    if not axis:  # 0 or None
        return x
    from neo_array import ops  # here: looking it up takes as long as the rest

    return ops.moveaxis(x, axis, 0)


def filled(x: Any, axis: int | None, size: int) -> Any:
    """Move the batch to axis 0; repeat what has none."""
    from neo_array import ops

    return ops.broadcast_to(x, (size, *x.shape)) if axis is None else to_front(x, axis)


def aligned(args: Sequence[Any], axes: Axes) -> list[Any]:
    """Move each batch to axis 0, and put axes of size 1 behind it, so that what comes after broadcasts as before."""
    fronts = [to_front(x, axis) for x, axis in zip(args, axes, strict=True)]
    if len(fronts) == 1:
        return fronts
    ndims = [
        len(x._raw.shape) - (axis is not None) if type(x) is Array else 0 for x, axis in zip(fronts, axes, strict=True)
    ]
    most = max(ndims, default=0)
    return [
        x if axis is None or ndim == most else _with_ones(x, most - ndim)
        for x, axis, ndim in zip(fronts, axes, ndims, strict=True)
    ]


def _with_ones(x: Array, count: int) -> Array:
    """Put axes of size 1 behind the first."""
    from neo_array import ops

    shape = x.shape
    return ops.reshape(x, (shape[0], *(1,) * count, *shape[1:]))


def results_at_front(op: Primitive[..., Any], out: Any) -> Batch:
    """Say that the batch of each result is at axis 0."""
    return (out, (0,) * len(out)) if op.multi else (out, 0)


@functools.cache
def batch_broadcasting(op: Primitive[..., Any]) -> BatchRule:
    """Make the rule of an op whose arguments broadcast, and which treats all axes alike: every elementwise op."""

    def rule(size: int, args: Sequence[Any], axes: Axes, /, **options: Any) -> Batch:
        return results_at_front(op, op.bind(*aligned(args, axes), **options))

    return rule


def batch_leading(op: Primitive[..., Any]) -> BatchRule:
    """Make the rule of an op that works on its arguments' last axes, and needs all leading axes to be equal."""

    def rule(size: int, args: Sequence[Any], axes: Axes, /, **options: Any) -> Batch:
        fronts = [filled(x, axis, size) for x, axis in zip(args, axes, strict=True)]
        return results_at_front(op, op.bind(*fronts, **options))

    return rule


def batch_by_axis(op: Primitive[..., Any], *names: str) -> BatchRule:
    """Make the rule of an op whose options of these names count the axes of all its arguments: they move by one.

    An option is an int or a tuple of ints, none of them negative.
    """

    def rule(size: int, args: Sequence[Any], axes: Axes, /, **options: Any) -> Batch:
        fronts = [filled(x, axis, size) for x, axis in zip(args, axes, strict=True)]
        moved = {name: _behind(options[name]) for name in names}
        return results_at_front(op, op.bind(*fronts, **options | moved))

    return rule


def _behind(axis: Any) -> Any:
    return tuple(a + 1 for a in axis) if isinstance(axis, tuple) else axis + 1


def batch_by_loop(op: Primitive[..., Any]) -> BatchRule:
    """Make the rule that runs the op once per example and stacks the results: for what cannot take a batch."""
    from neo_array import ops

    def rule(size: int, args: Sequence[Any], axes: Axes, /, **options: Any) -> Batch:
        fronts = [to_front(x, axis) for x, axis in zip(args, axes, strict=True)]
        outs = [
            op.bind(*[x if axis is None else x[i] for x, axis in zip(fronts, axes, strict=True)], **options)
            for i in range(size)
        ]
        if op.multi:
            return results_at_front(op, tuple(ops.stack(column) for column in zip(*outs, strict=True)))
        return ops.stack(outs), 0

    return rule
