"""Sets: the distinct elements of an array.

Elements are distinct if they do not compare equal: every nan is one of its own, -0.0 and 0.0 are one. Distinct values
come in ascending order (complex ones by real, then by imaginary part), nan last, and stand for the first of the equal
elements: they are read at its position, and so differentiated. Results depend on the values in their very shape, so
these functions cannot run under vmap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from neo_array._array import Array, ArrayLike
from neo_array._bind import need_arrays
from neo_array._dtypes import bool_, result_type
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.ops.arithmetic import minimum, stop_gradient
from neo_array.ops.comparison import equal, logical_not
from neo_array.ops.creation import asarray, zeros
from neo_array.ops.indexing import take
from neo_array.ops.reductions import any
from neo_array.ops.searching import searchsorted
from neo_array.ops.shaping import expand_dims, reshape
from neo_array.ops.sorting import sort, stable_order


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Array
    inverse_indices: Array


@primitive(multi=True, discrete="its results are indices and counts")
def distinct(x: Array, /) -> tuple[Array, Array, Array]:
    """Return the first positions of a vector's distinct elements, which of them each element is, and their counts."""
    return bind(distinct, x)


@distinct.kernel("numpy")
def _(x: Any) -> tuple[Any, ...]:
    order = np.lexsort((x.imag, x.real)) if x.dtype.kind == "c" else stable_order(x, axis=0, descending=False)
    ascending = x[order]
    first = np.ones_like(order, dtype=np.bool_)
    first[1:] = ascending[1:] != ascending[:-1]
    starts = np.flatnonzero(first)
    inverse = np.zeros_like(order)
    inverse[order] = np.cumsum(first) - 1
    return order[starts], inverse, np.diff(starts, append=x.size)


distinct.kernel("torch")("neo_array.backends.torch_kernels.sets:distinct")
distinct.kernel("cupy")("neo_array.backends.cupy_kernels.sorting:distinct")
distinct.batch(missing="how many elements are distinct differs between examples; sort(x) has the same shape for each")


def unique_all(x: Array, /) -> UniqueAll:
    """Return the distinct elements of x with where they are.

    Returns:
        values: the distinct elements, ascending, as a vector.
        indices: the position in `reshape(x, -1)` at which each occurs first.
        inverse_indices: in the shape of x, which of the values each element is.
        counts: how often each occurs.
    """
    need_arrays("unique_all", x)
    flat = reshape(x, -1)
    indices, inverse, counts = bind(distinct, flat)
    return UniqueAll(take(flat, indices, axis=0), indices, reshape(inverse, x.shape), counts)


def unique_counts(x: Array, /) -> UniqueCounts:
    """Return the distinct elements of x, and how often each occurs; see `unique_all`."""
    need_arrays("unique_counts", x)
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Array, /) -> UniqueInverse:
    """Return the distinct elements of x, and which of them each element is; see `unique_all`."""
    need_arrays("unique_inverse", x)
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Array, /) -> Array:
    """Return the distinct elements of x; see `unique_all`."""
    need_arrays("unique_values", x)
    return unique_all(x).values


def isin(x: ArrayLike, test: ArrayLike, /, *, invert: bool = False) -> Array:
    """Tell which elements of x are among those of `test` (with `invert`, which are not). nan is equal to nothing.

    The two are compared in their common dtype.
    """
    need_arrays("isin", *(a for a in (x, test) if not isinstance(a, bool | int | float | complex)))
    x, test = _as_arrays(x, test)
    found = _isin(x, stop_gradient(reshape(test, -1)))
    return logical_not(found) if invert else found


def _as_arrays(x: ArrayLike, test: ArrayLike) -> tuple[Array, Array]:
    device = next((a.device for a in (x, test) if isinstance(a, Array)), None)
    dtype = result_type(x, test)
    return tuple(a if isinstance(a, Array) else asarray(a, dtype=dtype, device=device) for a in (x, test))  # type: ignore[return-value]  # two


def _isin(x: Array, test: Array) -> Array:
    if not test.size:
        return zeros(x.shape, dtype=bool_, device=x.device)
    if "c" in (x.dtype.kind, test.dtype.kind):  # no order to search by
        return any(equal(expand_dims(x, axis=-1), test), axis=-1)
    ascending = sort(test)
    return equal(take(ascending, minimum(searchsorted(ascending, x), test.size - 1), axis=0), x)


# --- Shapes ---
distinct.shape(missing="as many elements are distinct as the values say; call it outside of eval_shape")


# --- Samples ---
@distinct.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.integers(0, 5, size=(11,)))
    yield sample(rng.normal(size=(7,))[::-2])
    yield sample(np.array([2.0, np.nan, -0.0, 1.0, 0.0, np.nan, 2.0]))
    yield sample(rng.integers(0, 2, size=(7,)) + 1j * rng.integers(0, 2, size=(7,)))
    yield sample(np.zeros((0,)))
