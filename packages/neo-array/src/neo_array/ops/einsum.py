"""Sums of products, in Einstein's notation.

`einsum` reads the subscripts, takes diagonals, sums what only one operand has, and is then a chain of contractions of
two operands each. In such a contraction every letter stands in at least two of the two operands and the output, and so
it does in the contractions that are its derivatives: the one op below is closed under differentiation and batching.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from neo_array import _dtypes
from neo_array._array import Array, ArrayLike
from neo_array._batching import Axes, Batch
from neo_array._bind import need_arrays
from neo_array._described import Sizes, need
from neo_array._errors import DeviceError, DTypeError
from neo_array._primitive import Sample, bind, primitive, sample
from neo_array.backends.numpy import numeric, quiet
from neo_array.ops.casting import astype
from neo_array.ops.creation import asarray
from neo_array.ops.reductions import sum
from neo_array.ops.shaping import permute_dims, reshape
from neo_array.ops.slicing import cut
from neo_array.ops.subscripts import SYMBOLS, Layout, Prepare, layout, plan, split


# --- Two operands ---
@primitive(promote=("x1", "x2"))
def contract(x1: Array, x2: Array, /, *, subscripts: str) -> Array:
    """Multiply two arrays and sum over the letters that the output lacks, as in `"bij,bjk->bik"`.

    No term repeats a letter, and each letter stands in at least two of the three terms.
    """
    return bind(contract, x1, x2, subscripts=subscripts)


def multiply_matrices(
    x: Any, y: Any, how: Layout, permute: Callable[..., Any], matmul: Callable[..., Any], multiply: Callable[..., Any]
) -> Any:
    """Run a contraction on raw arrays of any library, given its ways to permute and to multiply."""
    x = x if how.first is None else permute(x, how.first)
    y = y if how.second is None else permute(y, how.second)
    if not how.summed:
        return multiply(x[how.new[0]], y[how.new[1]])
    if how.rows == how.summed == how.columns == 1:
        product = matmul(x, y)
    else:
        at = how.batch
        stack, rows, summed = x.shape[:at], x.shape[at : at + how.rows], x.shape[at + how.rows :]
        columns, n = y.shape[at + how.summed :], math.prod(summed)
        product = matmul(x.reshape((*stack, math.prod(rows), n)), y.reshape((*stack, n, math.prod(columns)))).reshape(
            (*stack, *rows, *columns)
        )
    return product if how.result is None else permute(product, how.result)


_matmul: Final = numeric(quiet(operator.matmul))
_multiply: Final = numeric(quiet(operator.mul))


@contract.kernel("numpy")
def _(x1: Any, x2: Any, *, subscripts: str) -> Any:
    how = layout(subscripts)
    first, second = (x2, x1) if how.swap else (x1, x2)
    return multiply_matrices(first, second, how, _permute, _matmul, _multiply)


def _permute(raw: Any, order: tuple[int, ...]) -> Any:
    return raw.transpose(order)


contract.kernel("torch")("neo_array.backends.torch_kernels.einsum:contract")


@contract.vjp("x1")
def _(g: Array, x2: Array, *, subscripts: str) -> Array:
    a, b, out = split(subscripts)
    return contract(g, x2, subscripts=f"{out},{b}->{a}")


@contract.vjp("x2")
def _(g: Array, x1: Array, *, subscripts: str) -> Array:
    a, b, out = split(subscripts)
    return contract(g, x1, subscripts=f"{out},{a}->{b}")


@contract.jvp
def _(t1: Array | None, t2: Array | None, x1: Array, x2: Array, *, subscripts: str) -> Array:
    first = [] if t1 is None else [contract(t1, x2, subscripts=subscripts)]
    second = [] if t2 is None else [contract(x1, t2, subscripts=subscripts)]
    return functools.reduce(operator.add, first + second)


@contract.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, subscripts: str) -> Batch:
    fresh = next(c for c in SYMBOLS if c not in subscripts)
    a, b, out = split(subscripts)
    a, b = (t if at is None else t[:at] + fresh + t[at:] for t, at in zip((a, b), axes, strict=True))
    return contract(*args, subscripts=f"{a},{b}->{fresh}{out}"), 0


# --- Any number of operands ---
def einsum(subscripts: str, /, *operands: ArrayLike) -> Array:
    """Sum products of elements, in Einstein's notation: `einsum("ij,jk->ik", a, b)` multiplies matrices.

    Each operand has a term of letters, one per axis. Axes of one letter are matched, and summed over unless the output
    names it. A letter that stands twice in a term takes the diagonal. `...` stands for any further axes; they
    broadcast, as do axes of size 1. Without `->`, the output is `...` and, in alphabetical order, the letters that
    stand once.

    Several operands are multiplied two at a time, in an order that `numpy.einsum_path` finds; so integers may overflow
    in another place than in one long sum. The result has the operands' common dtype, integers included; booleans are
    joined by "and" and "or". Python numbers are operands of no axes.

    Raises:
        ShapeError: the subscripts are malformed, do not fit the operands, or sizes differ.
    """
    if not isinstance(subscripts, str):
        raise DTypeError(f'einsum: subscripts must be a str, got {type(subscripts).__name__}; write "ij,jk->ik"')
    arrays = _as_operands(operands)
    if arrays and arrays[0].dtype == _dtypes.bool_:
        return astype(einsum(subscripts, *(astype(x, _dtypes.int64) for x in arrays)), _dtypes.bool_)
    todo = plan(subscripts, tuple(x.shape for x in arrays))
    parts = {i: _prepared(x, how) for i, (x, how) in enumerate(zip(arrays, todo.prepare, strict=True))}
    for first, second, result, pair in todo.steps:
        parts[result] = contract(parts.pop(first), parts.pop(second), subscripts=pair)
    (out,) = parts.values()
    return out if todo.order is None else permute_dims(out, todo.order)


def _as_operands(operands: tuple[Any, ...]) -> list[Array]:
    """Return Arrays of one dtype, on one device."""
    if operands and all(type(x) is Array for x in operands):
        kinds = {(type(raw), getattr(raw, "dtype", None)) for raw in (x._raw for x in operands)}
        if len(kinds) == 1 and next(iter(kinds))[1] is not None:  # the plain case
            return list(operands)
    values = [x.item() if isinstance(x, np.generic) else x for x in operands]
    numbers = (bool, int, float, complex)
    given = [x for x in values if not isinstance(x, numbers)]
    need_arrays("einsum", *given)
    device = given[0].device if given else None
    for i, x in enumerate(values):
        if type(x) is Array and x.device != device:
            raise DeviceError(
                f'einsum: operand {i} lives on {x.device}, another on {device}; move it, x.to("{device}")'
            )
    if not values:
        return []
    dtype = _dtypes.result_type(*(x.dtype if type(x) is Array else x for x in values))
    return [astype(x, dtype) if type(x) is Array else asarray(x, dtype=dtype, device=device) for x in values]


def _prepared(x: Array, how: Prepare) -> Array:
    for first, second in how.diagonals:
        rest = tuple(i for i in range(x.ndim) if i not in (first, second))
        n = x.shape[first]
        square = permute_dims(x, (*rest, first, second))
        x = cut(reshape(square, (*square.shape[:-2], n * n)), index=(..., slice(None, None, n + 1)))
    if how.shape is not None:
        x = reshape(x, how.shape)
    if not how.summed:
        return x
    if x.dtype.itemsize == 2 and _dtypes.is_inexact(x.dtype):  # the sum may not fit half precision on its way
        return astype(sum(astype(x, _dtypes.float32), axis=how.summed), x.dtype)
    return astype(sum(x, axis=how.summed), x.dtype)


# --- Shapes ---


@contract.shape
def _(x1: Sizes, x2: Sizes, *, subscripts: str) -> Sizes:
    a, b, out = split(subscripts)
    need(len(a) == len(x1) and len(b) == len(x2))
    sizes = dict(zip(a, x1, strict=True))
    need(all(sizes.setdefault(c, n) == n for c, n in zip(b, x2, strict=True)))
    return tuple(sizes[c] for c in out)


# --- Samples ---
@contract.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    x = rng.normal(size=(2, 3, 5))
    yield sample(x, rng.normal(size=(2, 5, 7)), subscripts="bij,bjk->bik")
    yield sample(x, rng.normal(size=(7, 5)), subscripts="abj,kj->kba")  # both orders free, and the result permuted
    yield sample(x, rng.normal(size=(5, 7, 3)), subscripts="ijk,klj->il")  # two letters summed
    yield sample(x, rng.normal(size=(5, 2)), subscripts="ijk,ki->ikj")  # nothing summed
    yield sample(x, rng.normal(size=(5, 3, 2)), subscripts="ijk,kji->ki")  # one sum for each place
    yield sample(rng.normal(size=(3,)), rng.normal(size=(3,)), subscripts="i,i->")
    yield sample(rng.normal(size=(3,)), rng.normal(size=()), subscripts="i,->i")
    yield sample(rng.normal(size=(3, 0)), rng.normal(size=(0, 2)), subscripts="ij,jk->ik")
    yield sample(x[..., ::-1], rng.normal(size=(4, 3)).T, subscripts="ijk,jl->kil")
    z = rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5))
    yield sample(z, rng.normal(size=(5,)) + 1j * rng.normal(size=(5,)), subscripts="ij,j->i")
