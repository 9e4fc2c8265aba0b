"""`vmap`: run a function of one example on a whole batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

from typing_extensions import ParamSpec

from neo_array import (
    Array,
    DTypeError,
    LevelError,
    NeoError,
    ShapeError,
    TreeError,
    alias,
    broadcast_to,
    moveaxis,
    tree,
)
from neo_array._array import wrap
from neo_array._batching import batch_broadcasting
from neo_array._levels import Args, Level, Params, Stack, current_stack, entered, left, set_stack, show
from neo_array._payloads import Batched, BatchLevel

P = ParamSpec("P")
R = TypeVar("R")
_NOTHING: Final[frozenset[int]] = frozenset()


class Vmap(BatchLevel, Level):
    """The level of one vmap call. Its arrays hold one value per example; ops on them run their batching rules."""

    __slots__ = ("size",)
    watched = _NOTHING

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def index(self) -> int:  # where it runs now: a Policy's backward runs under it again
        levels = current_stack().levels
        return levels.index(self) if self in levels else -1

    def bind(self, op: Any, args: Args, params: Params) -> Any:
        stack = current_stack()
        if self not in stack.levels:
            raise LevelError(
                f"{op.__name__}: an argument belongs to a vmap that has ended, or that runs in another context; return "
                "it from the function that is mapped, and use what vmap returns"
            )
        index = stack.levels.index(self)
        inner: list[Any] = []
        axes: list[int | None] = []
        for a in args:
            x, axis = self.unwrap(a) if type(a) is Array else (a, None)
            inner.append(x)
            axes.append(axis)
        rule = op.batch_rule or (batch_broadcasting(op) if op.kind == "elementwise" else None)
        if rule is None:
            raise DTypeError(f"{op.__name__}: cannot run under vmap: {op.batch_missing}")
        out: Any
        try:
            set_stack(stack.below(index))
            result, at = rule(self.size, inner, axes, **params)
            if op.multi:
                out = tuple([self._result(r, axis) for r, axis in zip(result, at, strict=True)])
            else:
                out = self._result(result, at)
        except NeoError as error:
            shapes = ", ".join(str(a.shape) for a in args if type(a) is Array)
            error.add_note(f"{op.__name__}: under vmap, over {self.size} examples; one has the shapes {shapes}")
            raise
        finally:
            set_stack(stack)
        show(stack, index + 1, op, args, params, out)
        return out

    def _result(self, inner: Array, axis: int | None) -> Array:
        """Return one example's array; what is the same for all has an identity of its own, which levels below see."""
        return alias.bind(inner) if axis is None else wrap(Batched(inner, axis, self))

    def wrap(self, inner: Array, axis: int) -> Array:
        """Return the array of one example whose batch is `inner`."""
        return wrap(Batched(inner, axis, self))

    def unwrap(self, x: Array) -> tuple[Array, int | None]:
        """Return the array that holds the batch, and its axis; the array itself if it has no batch here."""
        raw = x._raw
        return (raw.inner, raw.axis) if type(raw) is Batched and raw.level is self else (x, None)

    def see(self, stack: Stack, index: int, op: Any, args: Args, params: Params, out: Any) -> None:
        """Ignore ops on arrays that have no batch here."""

    def rescue(self, array: Array, spare: Array) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: `bind` finds that the level is no longer open."""


def vmap(f: Callable[P, R], in_axes: Any = 0, out_axes: Any = 0, *, axis_size: int | None = None) -> Callable[P, R]:
    """Return a function that maps f over axes of its arguments.

    f is written for one example, and runs once, on arrays that look like one example; each op runs once for the whole
    batch. Reading a value (`if x > 0`, `.item()`) raises, since there is one for each example: use `where`.

    Args:
        f: a function of pytrees to a pytree.
        in_axes: which axis of each positional argument is mapped: an int for all leaves, None for an argument that is
            the same for all examples, or a tuple with one entry per argument, each a pytree prefix of ints and None.
            Keyword arguments are mapped over axis 0. Leaves that are no Arrays are passed on as they are.
        out_axes: where the mapped axis appears in the outputs: an int, None (an output that is the same for all), or
            a pytree prefix of these.
        axis_size: the number of examples, needed only if nothing is mapped.

    Raises:
        ShapeError: the mapped axes differ in size, or an axis is out of range.
        TreeError: `in_axes` or `out_axes` does not fit the arguments or the outputs.

    Example:
        >>> import neo_array as na
        >>> rows = na.asarray([[1.0, 2.0], [3.0, 4.0]])
        >>> vmap(lambda x, y: (x * y).sum(), in_axes=(0, None))(rows, na.ones(2)).numpy()
        array([3., 7.], dtype=float32)
    """

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, list) or (isinstance(in_axes, tuple) and len(in_axes) != len(args)):
            raise TreeError(
                f"vmap: in_axes={in_axes} must be an int, None or a tuple of one entry per positional argument, "
                f"and the call has {len(args)}"
            )
        leaves, treedef = tree.flatten((args, kwargs))
        axes = _spread(
            "in_axes", ((in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)), 0), (args, kwargs)
        )
        places = [_axis("in_axes", x, axis) for x, axis in zip(leaves, axes, strict=True)]
        size = _size((args, kwargs), places, axis_size)
        level = Vmap(size)
        outer = current_stack()
        try:
            set_stack(entered(level))
            inputs = [x if at is None else level.wrap(x, at) for x, at in zip(leaves, places, strict=True)]
            mapped_args, mapped_kwargs = tree.unflatten(treedef, inputs)
            result = f(*mapped_args, **mapped_kwargs)
        finally:
            set_stack(outer)
            left(level)
        outputs, outdef = tree.flatten(result)
        wanted = _spread("out_axes", out_axes, result)
        return tree.unflatten(outdef, [_gather(x, axis, level) for x, axis in zip(outputs, wanted, strict=True)])

    run.__annotations__ = {}
    return run


def _spread(name: str, prefix: Any, whole: Any) -> list[int | None]:
    """Return one axis per leaf of a tree, from a prefix of it."""
    try:
        found: list[Any] = tree.leaves(tree.spread_prefix(tree.fill_none(prefix), whole))
    except ValueError as error:
        raise TreeError(f"vmap: {name}={prefix!r} is no prefix of the tree that it is for: {error}") from None
    return [None if axis is tree.HOLE else axis for axis in found]


def _axis(name: str, x: Any, axis: Any) -> int | None:
    """Return an axis as a number from 0, or None for what is not mapped."""
    if axis is None or type(x) is not Array:
        return None
    if type(axis) is not int:
        raise TreeError(f"vmap: {name} must consist of ints and None, got {axis!r}")
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(
            f"vmap: {name} has axis {axis} for an array of shape {x.shape}; give None for what is not mapped"
        )
    return axis % x.ndim


def _size(arguments: tuple[Any, Any], places: list[int | None], given: int | None) -> int:
    """Return the number of examples, on which all mapped axes must agree."""
    if given is not None and type(given) is not int:
        raise DTypeError(f"vmap: axis_size must be an int or None, got {given!r}")
    if given is not None and given < 0:
        raise ShapeError(f"vmap: axis_size must not be negative, got {given}")
    leaves = tree.leaves(arguments)
    sizes = {x.shape[at] for x, at in zip(leaves, places, strict=True) if at is not None}
    if given is not None:
        sizes.add(given)
    if not sizes:
        raise ShapeError("vmap: no argument is mapped; give one an axis in in_axes, or say how many by axis_size=")
    if len(sizes) > 1:
        paths = [path.partition(".")[2] for path, _ in tree.leaves_with_paths(arguments)]
        found = [f"{p} has {x.shape[at]}" for p, x, at in zip(paths, leaves, places, strict=True) if at is not None]
        found += [] if given is None else [f"axis_size is {given}"]
        raise ShapeError(f"vmap: the mapped axes must have one size, but argument {', '.join(found)}; check in_axes")
    size: int = sizes.pop()
    return size


def _gather(x: Any, axis: int | None, level: Vmap) -> Any:
    """Return an output with its examples along an axis."""
    if type(x) is not Array:
        return x
    inner, at = level.unwrap(x)
    if axis is None:
        if at is not None:
            raise ShapeError(
                f"vmap: out_axes is None for an output of shape {x.shape} that differs by example; give it an axis"
            )
        return x
    n = x.ndim + 1
    if type(axis) is not int or not -n <= axis < n:
        raise ShapeError(f"vmap: out_axes has {axis!r} for an output whose examples have shape {x.shape}")
    if at is None:
        inner, at = broadcast_to(x, (level.size, *x.shape)), 0
    return inner if at == axis % n else moveaxis(inner, at, axis % n)
