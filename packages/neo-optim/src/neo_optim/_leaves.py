"""Leaves side by side: which are trained, whether they fit together, and how an op runs over them.

A transformation flattens each tree once, checks all leaves before it changes one, and loops over them once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, cast

import neo_array as na
from neo_array import Array, DeviceError, Donated, DonatedError, DTypeError, Primitive, ShapeError

_TRAINED: Final[dict[object, bool]] = {}  # by the backend's own dtype object: asking the Array takes ten times as long


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
    if donated:
        buffers = [id(leaf._raw) for column in columns[:donated] for leaf in column if type(leaf) is Array]
        if len(set(buffers)) != len(buffers):
            _refuse_shared(who, {name: trees[name] for name in names[:donated]})
    fits = [_fit(row) for row in zip(*columns, strict=True)]
    if None in fits:
        paths = [path for path, _ in na.tree.leaves_with_paths(trees[names[0]])]
        rows = zip(paths, zip(*columns, strict=True), strict=True)
        return treedef, [_fit_or_raise(who, names, path, row) for path, row in rows], columns
    return treedef, cast("list[bool]", fits), columns


def _fit(row: tuple[Any, ...]) -> bool | None:
    """Tell whether the leaves are trained, or None: they have to be looked at closely."""
    first = row[0]
    if type(first) is not Array:
        return is_trained(first)
    raw = first._raw
    try:
        dtype = raw.dtype
        trained = _TRAINED.get(dtype)
        if trained is None:
            trained = _TRAINED[dtype] = is_trained(first)
        if trained:
            for other in row[1:]:
                beside = other._raw
                if beside.dtype is not dtype or beside.shape != raw.shape or beside.device != raw.device:
                    return None
    except AttributeError:  # no Array, or an Array that stands for a batch
        return None
    return trained


def _fit_or_raise(who: str, names: list[str], path: str, row: tuple[Any, ...]) -> bool:
    """Tell whether the leaves are trained; raise if they are and do not fit the first one."""
    first = row[0]
    if not is_trained(first):
        return False
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


def runner(op: Primitive[..., Array], donate: Donated | None) -> Callable[..., Array]:
    """Return a function that runs the op, and gives up its first argument's buffer if there is a donation."""
    return op.bind if donate is None else functools.partial(na.donate, op, donate)


def zeros_like(params: object) -> object:
    """Return zeros beside what is trained, and an integer 0 beside each other leaf, so that the trees stay alike."""
    return na.tree.tree_map(lambda p: na.zeros_like(p) if is_trained(p) else first_step(), params)


def first_step() -> Array:
    """Return the counter of a new state: an int64 0-d Array on the host, so that a checkpoint holds it."""
    return na.asarray(0, dtype=na.int64, device="numpy")


def next_step(step: Array, donate: Donated | None) -> Array:
    """Return the counter plus one."""
    return runner(na.add, donate)(step, 1)


def add_scaled(who: str, params: Any, updates: Any, rate: float, donate: Donated | None, *, decay: float = 1.0) -> Any:
    """Return decay * params + rate * updates, by one op per leaf."""
    treedef, trained, (leaves, changes) = align(who, donate is not None, params=params, updates=updates)
    rows = zip(trained, leaves, changes, strict=True)
    if decay == 1.0:
        run = runner(na.add_scaled, donate)
        return na.tree.unflatten(treedef, [run(p, u, scale=rate) if t else p for t, p, u in rows])
    run = runner(na.moving_average, donate)
    return na.tree.unflatten(treedef, [run(p, u, decay=decay, weight=rate) if t else p for t, p, u in rows])


def add_product(who: str, params: Any, updates: Any, rate: Array, donate: Donated | None) -> Any:
    """Return params + rate * updates for a 0-d rate, by one op per leaf. Derivatives flow through the rate."""
    treedef, trained, (leaves, changes) = align(who, donate is not None, params=params, updates=updates)
    kinds = {(p.device, p.dtype) for t, p in zip(trained, leaves, strict=True) if t}
    rates = {(device, dtype): rate.to(device).astype(dtype) for device, dtype in kinds}
    run = runner(na.add_product, donate)
    rows = zip(trained, leaves, changes, strict=True)
    return na.tree.unflatten(treedef, [run(p, u, rates[p.device, p.dtype]) if t else p for t, p, u in rows])
