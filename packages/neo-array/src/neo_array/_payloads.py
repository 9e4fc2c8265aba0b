"""What may stand in an Array in place of a raw backend array: a batch under vmap, or the mark of a donation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from neo_array import backends
from neo_array._errors import DonatedError, LevelError
from neo_array._levels import EMPTY, OPEN, RETAINED, current_stack

if TYPE_CHECKING:
    from neo_array._array import Array
    from neo_array._levels import Args, Level, Params
    from neo_array._primitive import Primitive


class Batched:
    """One value per example of a vmap level, held in one inner Array along `axis`. Its shape is the logical one.

    It has no `dtype`, on purpose: that is what keeps the generated code from handing it to a kernel. NumPy, for one,
    would compare an array with it, or choose between them, without a word.
    """

    __slots__ = ("axis", "inner", "level")

    def __init__(self, inner: Array, axis: int, level: BatchLevel) -> None:
        self.inner = inner
        self.axis = axis
        self.level = level

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        shape = self.inner.shape
        return shape[: self.axis] + shape[self.axis + 1 :]

    def example(self) -> Any:
        """Return a raw array with this payload's dtype and device."""
        return backends.example(self.inner._raw)

    def require(self) -> NoReturn:
        """Refuse to be read: there is no one value."""
        raise LevelError(
            f"vmap: this array of shape {self.shape} stands for one value per example, and has no single value; "
            "use where(...) in place of if, or return it and read it outside vmap"
        )

    item = require

    def __repr__(self) -> str:
        return f"Batched(shape={self.shape}, axis={self.axis})"


class BatchLevel:
    """What a vmap level offers to the ops: its place in the stack, and a way to run an op over its batch."""

    size: int

    @property
    def index(self) -> int:
        """The place in the current stack."""
        raise NotImplementedError

    def bind(self, op: Primitive[..., Any], args: Args, params: Params) -> Any:
        """Run the op's batching rule under the levels below this one, then show the op to the levels above."""
        raise NotImplementedError


_OURS: Final = ("neo_array", "neo_optim")


class Donated:
    """Stands in an Array whose buffer was given away; `by` names the user's call that took it."""

    __slots__ = ("by",)

    def __init__(self, what: str) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
            frame = frame.f_back
        self.by = f"{what} at {frame.f_code.co_filename}:{frame.f_lineno}"

    def require(self) -> NoReturn:
        """Refuse to be used."""
        raise DonatedError(
            f"array: its buffer was donated to {self.by}; use the array that call returned, or pass donate=False there"
        )

    example = require

    def __getattr__(self, name: str) -> NoReturn:
        self.require()

    def __repr__(self) -> str:
        return f"donated to {self.by}"


def donate(op: Primitive[..., Any], to: Donated, x: Array, /, *args: Any, **params: Any) -> Any:
    """Run an op and give up its first argument: the result reuses the buffer where nobody else can see it.

    Reuse needs an in-place kernel, no open level, no export, and the backend's proof of sole ownership; otherwise the
    op runs out of place. Either way `x` is dead afterwards, except in the entries of a tape: those keep their values.
    """
    return op.donate(to, x, *args, **params)


def donate_each(op: Primitive[..., Any], to: Donated, xs: list[Array], /, *others: list[Array], **params: Any) -> Any:
    """Run an op on each row of columns of Arrays, giving up those of the first; in one call where a kernel can do so.

    The rows must fit: shapes, dtypes and devices are the same along each.
    """
    raws = _given_up(op, xs, others)
    if raws is None:
        return [op.donate(to, *row, **params) for row in zip(xs, *others, strict=True)]
    op.inplace_each_kernels[type(raws[0][0])][0](*raws, **params)  # type: ignore[misc]  # there is one: _given_up asked
    for x in xs:
        x._raw = to
    return [_another(xs[0], raw) for raw in raws[0]]


def _another(array: Array, raw: Any) -> Array:
    """Return a new Array around a raw one: what `wrap` does, in a module that Array itself needs."""
    out = type(array)()
    out._raw = raw
    return out


def _given_up(op: Primitive[..., Any], xs: list[Array], others: tuple[list[Array], ...]) -> list[list[Any]] | None:
    """Return the raw columns if one call may overwrite all of the first: as `donate` asks of one buffer, and alike."""
    if not xs or OPEN or RETAINED or current_stack() is not EMPTY:
        return None
    raw = xs[0]._raw
    kind, dtype = type(raw), raw.dtype
    kernel, sole_owner = op.inplace_each_kernels[kind]
    if kernel is None or sole_owner is None or (op.floating and dtype not in backends.INEXACT):
        return None
    first: list[Any] = []
    for x in xs:
        raw = x._raw
        if type(raw) is not kind or raw.dtype is not dtype or x._exported or not sole_owner(raw, 2):
            return None
        first.append(raw)
    columns = [[x._raw for x in column] for column in others]
    for column in columns:
        for raw, beside in zip(column, first, strict=True):
            if type(raw) is not kind or raw.dtype is not dtype or raw.shape != beside.shape:
                return None
    return [first, *columns]


def donate_carefully(op: Primitive[..., Any], to: Donated, x: Array, /, *args: Any, **params: Any) -> Any:
    """Run an op out of place and give up its first argument all the same."""
    out = op.bind(x, *args, **params)
    spare = _another(x, x._raw)
    spare._id = x._id  # to the levels, this op's entry included, it is the same array: what they know of x holds for it
    for ref in (*OPEN.copy(), *RETAINED.copy()):
        level: Level | None = ref()
        if level is not None:
            level.rescue(x, spare)
    x._raw = to
    return out
