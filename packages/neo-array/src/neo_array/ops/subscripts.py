"""Einstein's notation: reading subscripts, and planning what to do with operands of given shapes.

Nothing here touches an array, and what is found is remembered.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterator
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from neo_array._errors import ShapeError

SYMBOLS: Final = string.ascii_letters + "".join(map(chr, range(0xC0, 0x180)))  # an array may have over 52 axes
_Shapes: TypeAlias = "tuple[tuple[int, ...], ...]"


# --- Contractions of two operands ---
def split(subscripts: str) -> tuple[str, str, str]:
    """Return the three terms of a contraction."""
    inputs, _, out = subscripts.partition("->")
    a, _, b = inputs.partition(",")
    return a, b, out


class Layout(NamedTuple):
    """How a contraction becomes one matrix product, (batch, rows, summed) by (batch, summed, columns) letters.

    Without summed letters it is a product of elements, and the orders are the output's, as far as they go.
    """

    swap: bool  # the operands, so that the result is contiguous
    first: tuple[int, ...] | None  # how to permute each operand; None: it is in order already
    second: tuple[int, ...] | None
    result: tuple[int, ...] | None
    batch: int  # how many letters there are of each sort
    rows: int
    summed: int
    columns: int
    new: tuple[tuple[slice | None, ...], ...]  # indices that give each operand the output's axes, for a plain product


@functools.lru_cache(maxsize=1024)
def layout(subscripts: str) -> Layout:
    """Return the layout of a contraction."""
    a, b, out = split(subscripts)
    swap = out[-1:] != "" and out[-1] in a and out[-1] not in b and any(c not in a for c in b if c in out)
    if swap:
        a, b = b, a
    batch = "".join(c for c in out if c in a and c in b)
    summed = "".join(c for c in a if c not in out)
    # in the operands' own orders: what lies together in memory is then joined without a copy
    rows, columns = ("".join(c for c in term if c not in batch + summed) for term in (a, b))
    if summed:
        left, right, made = batch + rows + summed, batch + summed + columns, batch + rows + columns
    else:
        left, right, made = ("".join(c for c in out if c in term) for term in (a, b, out))
    new = tuple(tuple(slice(None) if c in term else None for c in out) for term in (a, b))
    orders = (_order(a, left), _order(b, right), _order(made, out))
    return Layout(swap, *orders, len(batch), len(rows), len(summed), len(columns), new)


def _order(term: str, wanted: str) -> tuple[int, ...] | None:
    return None if term == wanted else tuple(map(term.index, wanted))


# --- Any number of operands ---
class Prepare(NamedTuple):
    """What to do with one operand before anything is multiplied."""

    diagonals: tuple[tuple[int, int], ...]  # pairs of axes; each pair becomes one axis, at the end
    shape: tuple[int, ...] | None  # without the axes of size 1 that others stretch
    summed: tuple[int, ...]


class Plan(NamedTuple):
    """What to do with all operands: first each alone, then two parts at a time."""

    prepare: tuple[Prepare, ...]
    steps: tuple[tuple[int, int, int, str], ...]  # two parts, the number of their product, its subscripts
    order: tuple[int, ...] | None  # how to permute a single operand


@functools.lru_cache(maxsize=1024)
def plan(subscripts: str, shapes: _Shapes) -> Plan:
    """Say what to do, step by step, for operands of these shapes."""
    terms, out = _parse(subscripts, shapes)
    sizes = _sizes(subscripts, terms, shapes)
    singles: list[tuple[Any, str, tuple[int, ...] | None]] = []
    for term, shape in zip(terms, shapes, strict=True):
        own = dict(zip(term, shape, strict=True))
        diagonals = []
        while (twice := next((c for c in term if term.count(c) > 1), None)) is not None:
            first = term.index(twice)
            second = term.index(twice, first + 1)
            diagonals.append((first, second))
            term = "".join(c for i, c in enumerate(term) if i not in (first, second)) + twice
        kept = "".join(c for c in term if own[c] == sizes[c])
        singles.append((tuple(diagonals), kept, tuple(sizes[c] for c in kept) if kept != term else None))
    return _steps(singles, out, sizes)


def _steps(singles: list[Any], out: str, sizes: dict[str, int]) -> Plan:
    """Sum what one operand has alone, and put the products in order."""
    everywhere = [kept for _, kept, _ in singles]
    prepare, left = [], []
    for i, (diagonals, kept, shape) in enumerate(singles):
        needed = set(out).union(*everywhere[:i], *everywhere[i + 1 :])
        prepare.append(Prepare(diagonals, shape, tuple(k for k, c in enumerate(kept) if c not in needed)))
        left.append("".join(c for c in kept if c in needed))
    if len(left) == 1:
        return Plan(tuple(prepare), (), _order(left[0], out))
    parts = dict(enumerate(left))
    steps = []
    for first, second, result in _pairs(left, out, sizes):
        a, b = parts.pop(first), parts.pop(second)
        needed = set(out).union(*parts.values())
        batch = [c for c in a if c in b and c in needed]
        made = out if not parts else "".join([*batch, *(c for c in a + b if c in needed and c not in batch)])
        steps.append((first, second, result, f"{a},{b}->{made}"))
        parts[result] = made
    return Plan(tuple(prepare), tuple(steps), None)


def _pairs(terms: list[str], out: str, sizes: dict[str, int]) -> Iterator[tuple[int, int, int]]:
    """Choose which two parts to multiply next, until one is left; a product gets the next free number."""
    path: list[Any] = [tuple(range(len(terms)))]  # more letters than NumPy has names for: from left to right
    if len(terms) > 2 and set().union(*terms, out) <= set(string.ascii_letters):
        hollow = [np.broadcast_to(np.zeros(()), [sizes[c] for c in term]) for term in terms]
        how = "optimal" if len(terms) < 5 else "greedy"
        path = np.einsum_path(f"{','.join(terms)}->{out}", *hollow, optimize=how)[0][1:]
    numbers, fresh = list(range(len(terms))), count(len(terms))
    for group in path:
        chosen = [numbers[i] for i in group]
        numbers = [n for n in numbers if n not in chosen]
        while len(chosen) > 1:
            product = next(fresh)
            yield chosen[0], chosen[1], product
            chosen = [product, *chosen[2:]]
        numbers += chosen


# --- Reading the subscripts ---
def _parse(subscripts: str, shapes: _Shapes) -> tuple[list[str], str]:
    """Return each operand's letters and the output's, with letters in the place of `...`."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    for part in (*terms, right):
        for c in part.replace("...", "", 1):
            if c not in string.ascii_letters:
                raise ShapeError(
                    f"einsum: {subscripts!r} has a {c!r} out of place; use letters, `,` between operands, one `->` "
                    "before the output, and at most one `...` in each"
                )
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {subscripts!r} is for {len(terms)} operands, got {len(shapes)}")
    further = [_further(subscripts, i, term, shape) for i, (term, shape) in enumerate(zip(terms, shapes, strict=True))]
    most = max(further)
    names = [c for c in SYMBOLS if c not in subscripts][:most]
    whole = [t.replace("...", "".join(names[most - n :])) for t, n in zip(terms, further, strict=True)]
    once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
    if arrow and most and "..." not in right:
        raise ShapeError(f"einsum: {subscripts!r} has no `...` in the output, where the operands' `...` goes; add it")
    out = right.replace("...", "".join(names)) if arrow else "".join([*names, *once])
    for c in out:
        if out.count(c) > 1:
            raise ShapeError(f"einsum: {subscripts!r} names {c!r} twice in the output; an output letter stands once")
        if not any(c in term for term in whole):
            raise ShapeError(f"einsum: {subscripts!r} has {c!r} in the output, but in no operand")
    return whole, out


def _further(subscripts: str, i: int, term: str, shape: tuple[int, ...]) -> int:
    """Return how many axes of operand i its `...` stands for."""
    letters = len(term.replace("...", ""))
    if len(shape) < letters or (len(shape) > letters and "..." not in term):
        raise ShapeError(
            f"einsum: {subscripts!r} has {letters} letters for operand {i} of shape {shape}; "
            "give one letter per axis, or `...` for further axes"
        )
    return len(shape) - letters


def _sizes(subscripts: str, terms: list[str], shapes: _Shapes) -> dict[str, int]:
    """Return the size of each letter: sizes of 1 are stretched, except along a diagonal."""
    sizes: dict[str, int] = {}
    homes: dict[str, int] = {}
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        own: dict[str, int] = {}
        for c, n in zip(term, shape, strict=True):
            what = f"letter {c!r}" if c in subscripts else "an axis of `...`"
            if own.setdefault(c, n) != n:
                raise ShapeError(
                    f"einsum: {subscripts!r} has {what} twice in operand {i} of shape {shape}, with sizes {own[c]} "
                    f"and {n}; a diagonal needs equal ones"
                )
            m = sizes.get(c, 1)
            if 1 not in (n, m) and n != m:
                raise ShapeError(
                    f"einsum: {subscripts!r} has {what} of size {m} in operand {homes[c]} and {n} in operand {i}, got "
                    f"shapes {shapes[homes[c]]} and {shape}; sizes must be equal, or 1"
                )
            if m == 1:
                sizes[c], homes[c] = n, i
    return sizes
