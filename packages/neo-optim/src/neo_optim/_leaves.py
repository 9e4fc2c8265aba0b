"""Leaves side by side: which are trained, whether they fit together, and how an op runs over them.

A transformation flattens each tree once, checks all leaves before it changes one, and loops over them once.
"""

from __future__ import annotations

from typing import Any, Final

import neo_array as na
from neo_array import Array, DeviceError, Donated, DonatedError, DTypeError, Primitive, ShapeError, backends

_TRAINED: Final[set[object]] = set()  # the backends' own dtype objects: asking an Array takes ten times as long


def is_trained(leaf: object) -> bool:
    """Tell whether a parameter is optimized: a floating Array is; integers, bools and Python objects are passed over.

    Raises:
        DTypeError: for complex Arrays, and for arrays of other libraries: to pass over these would surprise.
    """
    if type(leaf) is not Array:
        if hasattr(leaf, "__dlpack__"):
            raise DTypeError(
                f"optimizer: a parameter must be an Array, got {type(leaf).__name__}; wrap it in na.asarray(...)"
            )
        return False
    if leaf.dtype.kind == "c":
        raise DTypeError(
            f"optimizer: complex parameters are not supported, got dtype {leaf.dtype} and shape {leaf.shape}; "
            "keep the real and the imaginary part as two parameters"
        )
    return leaf.dtype.kind in "fV"  # bfloat16 is of kind V


def align(who: str, donated: int, **trees: Any) -> tuple[Any, list[bool], list[list[Any]]]:
    """Return the structure of trees that belong together, which leaves are trained, and the leaves of each tree.

    The first tree says what is trained; there, the others must have its shapes, dtypes and devices. The first `donated`
    trees are to be used up.

    Raises:
        TreeError: the structures differ.
        ShapeError, DTypeError, DeviceError: two leaves differ.
        DonatedError: a buffer occurs twice in what is to be used up.
    """
    names = list(trees)
    columns: list[list[Any]] = []
    treedef: Any = None
    for name, tree in trees.items():
        leaves, structure = na.tree.flatten(tree)
        if treedef is None:
            treedef = structure
        elif structure != treedef:
            na.tree.match(treedef, trees[names[0]], tree, f"{who}({names[0]}, {name})")
        columns.append(leaves)
    raws = [[leaf._raw for leaf in column if type(leaf) is Array] for column in columns]
    if donated:
        buffers = [id(raw) for column in raws[:donated] for raw in column]
        if len(set(buffers)) != len(buffers):
            _refuse_shared(who, {name: trees[name] for name in names[:donated]})
    if _all_trained_and_alike(raws, len(columns[0])):
        return treedef, [True] * len(columns[0]), columns
    paths = [path for path, _ in na.tree.leaves_with_paths(trees[names[0]])]
    rows = zip(paths, zip(*columns, strict=True), strict=True)
    return treedef, [_fit_or_raise(who, names, path, row) for path, row in rows], columns


def _all_trained_and_alike(raws: list[list[Any]], count: int) -> bool:
    """Tell whether the plain case is at hand: all leaves are Arrays to be optimized, and those side by side fit."""
    if any(len(column) != count for column in raws):
        return False
    try:
        dtypes, shapes, devices = zip(*[(raw.dtype, raw.shape, raw.device) for raw in raws[0]], strict=True)
        return _TRAINED.issuperset(dtypes) and all(
            raw.dtype is dtype and raw.shape == shape and raw.device == device
            for column in raws[1:]
            for raw, dtype, shape, device in zip(column, dtypes, shapes, devices, strict=True)
        )
    except (AttributeError, ValueError):  # an Array that stands for a batch, or no leaf at all
        return False


def _fit_or_raise(who: str, names: list[str], path: str, row: tuple[Any, ...]) -> bool:
    """Tell whether the leaves are trained; raise if they are and do not fit the first one."""
    first = row[0]
    if not is_trained(first):
        return False
    _TRAINED.add(backends.example(first._raw).dtype)  # a batch has none itself
    for name, other in zip(names[1:], row[1:], strict=True):
        place = f"{who}: at {path or 'the root'!r}, {names[0]}"
        if type(other) is not Array:
            raise DTypeError(
                f"{place} have an Array, and {name} have {type(other).__name__}; wrap it in na.asarray(...)"
            )
        if other.shape != first.shape:
            raise ShapeError(
                f"{place} have shape {first.shape}, and {name} have {other.shape}; "
                "pass gradients with respect to these very parameters, and the state that init made for them"
            )
        if other.dtype != first.dtype:
            raise DTypeError(
                f"{place} have dtype {first.dtype}, and {name} have {other.dtype}; convert with .astype(...)"
            )
        if other.device != first.device:
            raise DeviceError(
                f'{place} live on {first.device}, and {name} on {other.device}; move with .to("{first.device}")'
            )
    return True


def _refuse_shared(who: str, trees: dict[str, Any]) -> None:
    """Raise if two trained leaves share a buffer: it cannot be given up for two results."""
    seen: dict[int, str] = {}
    for path, leaf in na.tree.leaves_with_paths(trees):
        if is_trained(leaf):
            other = seen.setdefault(id(leaf._raw), path)
            if other != path:
                raise DonatedError(
                    f"{who}: {other!r} and {path!r} share one buffer, which cannot be donated twice; "
                    "store it once, copy it, or pass donate=False"
                )


def run_each(
    op: Primitive[..., Array], donate: Donated | None, trained: list[bool], *columns: list[Any], **params: Any
) -> list[Any]:
    """Run an op on each trained row of leaves; the others keep their first. A donation gives up the first column."""
    if not all(trained):
        rows = [row for t, row in zip(trained, zip(*columns, strict=True), strict=True) if t]
        chosen = map(list, zip(*rows, strict=True)) if rows else columns[:0]
        done = iter(run_each(op, donate, [True] * len(rows), *chosen, **params) if rows else ())
        return [next(done) if t else leaf for t, leaf in zip(trained, columns[0], strict=True)]
    if donate is not None:
        return list(na.donate_each(op, donate, *columns, **params))
    return [op.bind(*row, **params) for row in zip(*columns, strict=True)]


def zeros_like(params: object) -> object:
    """Return zeros beside what is trained, and an integer 0 beside each other leaf, so that the trees stay alike."""
    return na.tree.tree_map(lambda p: na.zeros_like(p) if is_trained(p) else first_step(), params)


def first_step() -> Array:
    """Return the counter of a new state: an int64 0-d Array on the host, so that a checkpoint holds it."""
    return na.asarray(0, dtype=na.int64, device="numpy")


def next_step(step: Array, donate: Donated | None) -> Array:
    """Return the counter plus one."""
    new: Array = step + 1 if donate is None else na.donate(na.add, donate, step, 1)
    return new


def add_scaled(who: str, params: Any, updates: Any, rate: float, donate: Donated | None, *, decay: float = 1.0) -> Any:
    """Return decay * params + rate * updates, by one op per leaf."""
    treedef, trained, columns = align(who, donate is not None, params=params, updates=updates)
    if decay == 1.0:
        new = run_each(na.add_scaled, donate, trained, *columns, scale=rate)
    else:
        new = run_each(na.moving_average, donate, trained, *columns, decay=decay, weight=rate)
    return na.tree.unflatten(treedef, new)


def add_product(who: str, params: Any, updates: Any, rate: Array, donate: Donated | None) -> Any:
    """Return params + rate * updates for a 0-d rate, by one op per leaf. Derivatives flow through the rate."""
    treedef, trained, (leaves, changes) = align(who, donate is not None, params=params, updates=updates)
    kinds = {(p.device, p.dtype) for t, p in zip(trained, leaves, strict=True) if t}
    rates = {(device, dtype): rate.to(device).astype(dtype) for device, dtype in kinds}
    beside = [rates[p.device, p.dtype] if t else rate for t, p in zip(trained, leaves, strict=True)]
    return na.tree.unflatten(treedef, run_each(na.add_product, donate, trained, leaves, changes, beside))
