"""Scans: all the partial results of combining elements from one end of an axis to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from neo_array import tree
from neo_array._array import Array
from neo_array._batching import batch_by_axis
from neo_array._described import same
from neo_array._errors import DTypeError, ShapeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import quiet
from neo_array.ops.creation import full
from neo_array.ops.joining import concat
from neo_array.ops.shaping import normalize_axis, reshape

T = TypeVar("T")


# --- Moving along an axis ---
def part(x: Array, axis: int, start: int | None, stop: int | None, step: int | None = None) -> Array:
    """Return a slice along one axis."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


def preceding(x: Array, axis: int, *, reverse: bool, first: float) -> Array:
    """Return for each place the element before it, and `first` for the first; `reverse` counts from the end."""
    n = x.shape[axis]
    if not n:
        return x
    edge = full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), first, dtype=x.dtype, device=x.device)
    return concat([part(x, axis, 1, None), edge] if reverse else [edge, part(x, axis, 0, n - 1)], axis=axis)


# --- Linear recurrences ---
@primitive(promote=("a", "b"))
def linear_recurrence(a: Array, b: Array, /, *, axis: int, reverse: bool) -> Array:
    """Return y with y[i] = a[i] * y[i - 1] + b[i] along an axis, from y[-1] = 0; `reverse` goes from the end.

    It takes O(log n) steps on whole slices: Brent and Kung, "A regular layout for parallel adders" (1982), with
    (a, b) then (c, d) combined as (c * a, c * b + d). Derivatives of sums, products and exponentials that accumulate
    are such recurrences: no division, so zeros do no harm.
    """
    return bind(linear_recurrence, a, b, axis=axis, reverse=reverse)


def recur(a: Any, b: Any) -> None:
    """Solve the recurrence along the first axis of raw arrays, in place; `a` is scratch."""
    n, d = b.shape[0], 1
    while 2 * d <= n:  # blocks of 2 * d elements from pairs of blocks
        ends, middles = slice(2 * d - 1, None, 2 * d), slice(d - 1, n - d, 2 * d)
        b[ends] += a[ends] * b[middles]
        a[ends] *= a[middles]
        d *= 2
    while d:  # places between the ends of blocks, from the largest blocks down
        ends, middles = slice(3 * d - 1, None, 2 * d), slice(2 * d - 1, n - d, 2 * d)
        b[ends] += a[ends] * b[middles]
        d //= 2


@linear_recurrence.kernel("numpy")
@quiet
def _(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    if a.shape != b.shape:
        raise ValueError
    wide = np.float32 if b.dtype.itemsize == 2 and b.dtype.kind in "fV" else b.dtype
    coefficients, out = a.astype(wide), b.astype(wide)  # copies
    step = slice(None, None, -1 if reverse else 1)
    recur(np.moveaxis(coefficients, axis, 0)[step], np.moveaxis(out, axis, 0)[step])
    return out.astype(b.dtype, copy=False)


linear_recurrence.kernel("torch")("neo_array.backends.torch_kernels.cumulative:linear_recurrence")


@linear_recurrence.vjp("a", "b")
def _(g: Array, a: Array, out: Array, *, axis: int, reverse: bool) -> tuple[Array, Array]:
    following = preceding(a, axis, reverse=not reverse, first=0.0)
    whole = bind(linear_recurrence, following, g, axis=axis, reverse=not reverse)
    return whole * preceding(out, axis, reverse=reverse, first=0.0), whole


@linear_recurrence.jvp
def _(ta: Array | None, tb: Array | None, a: Array, out: Array, *, axis: int, reverse: bool) -> Array:
    changes = tb
    if ta is not None:
        changes = ta * preceding(out, axis, reverse=reverse, first=0.0)
        changes = changes if tb is None else changes + tb
    return bind(linear_recurrence, a, changes, axis=axis, reverse=reverse)


@linear_recurrence.explain
def _(a: Array, b: Array, /, *, axis: int, reverse: bool) -> None:
    if a.shape != b.shape:
        raise ShapeError(f"linear_recurrence: shapes must be equal, got {a.shape} and {b.shape}")


linear_recurrence.batch(batch_by_axis(linear_recurrence, "axis"))


# --- Shapes ---
linear_recurrence.shape(same)


# --- Samples ---
@linear_recurrence.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    for n in (1, 2, 3, 7, 8, 13):
        yield sample(rng.normal(size=(2, n)), rng.normal(size=(2, n)), axis=1, reverse=n % 2 == 1)
    yield sample(rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), axis=0, reverse=False)
    yield sample(np.array([2.0, 0.0, 3.0, 0.0, 0.0]), rng.normal(size=(5,)), axis=0, reverse=False)
    yield sample(rng.normal(size=(0, 3)), rng.normal(size=(0, 3)), axis=0, reverse=False)
    z = rng.normal(size=(4, 5)) + 1j * rng.normal(size=(4, 5))
    yield sample(z[:2], z[2:], axis=1, reverse=True)


# --- Any associative function ---
def associative_scan(f: Callable[[T, T], T], elems: T, /, *, axis: int = 0, reverse: bool = False) -> T:
    """Combine all elements up to each one, with an associative function of two: a running sum, for any f.

    `elems` is a pytree of Arrays of one length along the axis; f gets two such trees, of any equal length, and combines
    them element by element along it. It need not be commutative: elements that come first are on the left. f is called
    about 2 * log2(length) times (Brent and Kung, "A regular layout for parallel adders", 1982), and is differentiated
    as anything else is.

        associative_scan(lambda p, q: (q[0] * p[0], q[0] * p[1] + q[1]), (a, b))  # y = a * y + b, step by step

    Args:
        reverse: begin at the end; what is nearer to the end is then on the left.

    Raises:
        ShapeError: if the lengths differ.
        TreeError: if f returns another structure than it got.
    """
    leaves, structure = tree.flatten(elems)
    if not leaves:
        return elems
    for leaf in leaves:
        if type(leaf) is not Array:
            raise DTypeError(f"associative_scan: needs Arrays, got {type(leaf).__name__}; wrap it in na.asarray(...)")
    axes = [normalize_axis("associative_scan", x, axis) for x in leaves]
    lengths = {x.shape[a] for x, a in zip(leaves, axes, strict=True)}
    if len(lengths) > 1:
        raise ShapeError(f"associative_scan: lengths along axis {axis} differ, got {sorted(lengths)}")

    def combine(left: list[Array], right: list[Array]) -> list[Array]:
        out = f(tree.unflatten(structure, left), tree.unflatten(structure, right))
        found: list[Array] = tree.match(structure, elems, out, "associative_scan, in what f returned")
        for x, y in zip(left, found, strict=True):
            if type(y) is not Array or y.shape != x.shape:
                got = f"shape {y.shape}" if type(y) is Array else type(y).__name__
                raise ShapeError(f"associative_scan: f made {got} of shapes {x.shape}; it must keep them")
        return found

    def flipped(xs: list[Array]) -> list[Array]:
        return [part(x, a, None, None, -1) for x, a in zip(xs, axes, strict=True)] if reverse else xs

    result: T = tree.unflatten(structure, flipped(_scan(combine, flipped(leaves), axes)))
    return result


def _scan(f: Callable[[list[Array], list[Array]], list[Array]], xs: list[Array], axes: list[int]) -> list[Array]:
    """Scan pairs of neighbours; that gives every second result, and the others are one step further."""
    n = xs[0].shape[axes[0]]
    if n < 2:
        return xs

    def parts(ys: list[Array], start: int, stop: int | None, step: int | None = None) -> list[Array]:
        return [part(y, a, start, stop, step) for y, a in zip(ys, axes, strict=True)]

    odd = _scan(f, f(parts(xs, 0, n - 1, 2), parts(xs, 1, None, 2)), axes)
    even = parts(xs, 0, 1)
    if n > 2:
        later = f(parts(odd, 0, (n - 1) // 2), parts(xs, 2, None, 2))
        even = [concat([e, y], axis=a) for e, y, a in zip(even, later, axes, strict=True)]
    return [_interleaved(e, o, a) for e, o, a in zip(even, odd, axes, strict=True)]


def _interleaved(even: Array, odd: Array, axis: int) -> Array:
    """Alternate between two arrays along an axis; the first may be longer by one."""
    n = odd.shape[axis]
    before, behind = odd.shape[:axis], odd.shape[axis + 1 :]
    pairs = [reshape(x, (*before, n, 1, *behind)) for x in (part(even, axis, 0, n), odd)]
    out = reshape(concat(pairs, axis=axis + 1), (*before, 2 * n, *behind))
    return concat([out, part(even, axis, n, None)], axis=axis) if even.shape[axis] > n else out
