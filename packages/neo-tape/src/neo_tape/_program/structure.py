"""A pytree without its Arrays: what a Program knows of its arguments and of what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neo_array import Array, DeviceError, DTypeError, ShapeError, TreeError, tree
from neo_array.backends import is_raw

if TYPE_CHECKING:
    from neo_tape._program.program import Var


class _Slot:
    """Stands for an Array."""

    def __repr__(self) -> str:
        return "SLOT"


_SLOT: Final = _Slot()


@dataclass(frozen=True, eq=False)
class Structure:
    """A pytree's containers, its leaves that are no Arrays, and the paths of all leaves."""

    treedef: Any
    leaves: tuple[Any, ...]
    paths: tuple[str, ...]

    @classmethod
    def of(cls, value: object, paths: Sequence[str]) -> Structure:
        """Return the structure of a pytree."""
        leaves, treedef = tree.flatten(value)
        return cls(treedef, tuple(_SLOT if type(x) is Array else x for x in leaves), tuple(paths))

    @classmethod
    def flat(cls, count: int, *, arguments: bool = False) -> Structure:
        """Return the structure of a list of Arrays, or of a call with as many arguments."""
        slots = [_SLOT] * count
        return cls(
            tree.structure((tuple(slots), {}) if arguments else slots), tuple(slots), tuple(map(str, range(count)))
        )

    @property
    def array_paths(self) -> tuple[str, ...]:
        """The paths of the Arrays."""
        return tuple(p for p, x in zip(self.paths, self.leaves, strict=True) if x is _SLOT)

    def fill(self, arrays: Sequence[Array]) -> Any:
        """Return the pytree with these Arrays."""
        rest = iter(arrays)
        return tree.unflatten(self.treedef, [next(rest) if x is _SLOT else x for x in self.leaves])

    def read(self, value: object, traced: Sequence[Var]) -> list[Array]:
        """Return the Arrays of a pytree like the traced one; raise where it differs."""
        leaves, treedef = tree.flatten(value)
        if treedef != self.treedef:
            raise TreeError(
                f"Program.eval: the arguments have the structure {treedef}, traced was {self.treedef}; pass them as "
                "in the call that was traced, or trace again"
            )
        rest = iter(traced)
        arrays = []
        for given, constant, path in zip(leaves, self.leaves, self.paths, strict=True):
            if constant is _SLOT:
                arrays.append(_like(given, next(rest), path))
            elif not same_constant(given, constant):
                raise DTypeError(
                    f"Program.eval: argument {path} is {_brief(given)}, and was {_brief(constant)} when it was traced; "
                    "what is no Array is a constant of the Program: trace again, or pass an Array both times"
                )
        return arrays


def _brief(value: object) -> str:
    return f"an Array of shape {value.shape}" if isinstance(value, Array) else repr(value)


def _like(given: object, var: Var, path: str) -> Array:
    """Return an argument if it is an Array that looks as it should."""
    if type(given) is not Array:
        raise DTypeError(
            f"Program.eval: argument {path} was an Array, got {type(given).__name__}; wrap it in na.asarray(...)"
        )
    for what, error, advice in (
        ("shape", ShapeError, "trace again for it"),
        ("dtype", DTypeError, "use .astype, or trace again for it"),
        ("device", DeviceError, "move it with .to(...), or trace again for it"),
    ):
        found, wanted = getattr(given, what), getattr(var, what)
        if found != wanted:
            raise error(f"Program.eval: argument {path} has {what} {found}, and was traced with {wanted}; {advice}")
    return given


def same_constant(x: object, y: object) -> bool:
    """Tell whether two constants are the same for all purposes: 1 is not 1.0, 0.0 is not -0.0, nan is nan."""
    if type(x) is not type(y):
        return False
    if isinstance(x, float | complex | np.inexact):
        return repr(x) == repr(y)
    return x is y or bool(x == y)


def refuse_raw(leaf: object, path: str) -> None:
    """Refuse another library's array among the arguments of a trace."""
    if is_raw(leaf):
        kind = f"{type(leaf).__module__}.{type(leaf).__name__}"
        raise DTypeError(f"trace: argument {path} is a {kind}; wrap it in na.asarray(...)")
