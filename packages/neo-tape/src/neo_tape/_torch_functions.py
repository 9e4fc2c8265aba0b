"""Functions of torch tensors, and what is derived of them: batches and products with Jacobians.

Each takes and returns lists of tensors. A derived one is linear in its last inputs, and can be had in two ways: of the
graph that torch recorded when the function ran, which is what happens, or by running the function again, where that
call was another one (under a vmap that had not begun, say, or in a checkpoint).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from neo_array import DTypeError, LevelError, tree

Batch: TypeAlias = Literal["vmap", "loop"]
_PLAIN: Final = (bool, int, float, complex, str)


class UserFunction:
    """A user's function of pytrees, in one call of it: all but the tensors is fixed."""

    def __init__(self, fn: Callable[..., object], name: str, batch: Batch, leaves: Sequence[Any], treedef: Any) -> None:
        self.fn, self.name, self.batch = fn, name, batch
        self.leaves, self.treedef = list(leaves), treedef  # a tree.HOLE for each tensor
        self.output: tuple[list[Any], Any] = [], None  # leaves, with a HOLE for each tensor, and structure
        self.ran = self.random = False

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Call the function, and return the tensors among its results."""
        from neo_tape._torch import is_tensor

        rest = iter(tensors)
        args, kwargs = tree.unflatten(self.treedef, [next(rest) if x is tree.HOLE else x for x in self.leaves])
        leaves, treedef = tree.flatten(self.fn(*args, **kwargs))
        for x in leaves:
            if not is_tensor(x) and type(x) not in _PLAIN:
                raise DTypeError(
                    f"from_torch: {self.name} must return tensors, or tuples, lists or dicts of them, got a "
                    f"{type(x).__module__}.{type(x).__name__}"
                )
        self.output = [tree.HOLE if is_tensor(x) else x for x in leaves], treedef
        return [x for x in leaves if is_tensor(x)]

    def results(self, arrays: Sequence[Any]) -> Any:
        """Put arrays in the places of the tensors that the function returned."""
        leaves, treedef = self.output
        rest = iter(arrays)
        return tree.unflatten(treedef, [next(rest) if x is tree.HOLE else x for x in leaves])


class Function:
    """A function of tensors. `count` is the number of inputs before those in which it is linear, if it is derived."""

    user: UserFunction
    count: int
    linear: bool = False

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Compute it from the beginning."""
        raise NotImplementedError

    def batched(self) -> Function:
        """Return the function of batches along the first axes of everything."""
        raise NotImplementedError


@dataclass(frozen=True)
class Base(Function):
    """The user's function, mapped over so many first axes."""

    user: UserFunction
    count: int
    depth: int = 0

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        from neo_tape import _torch

        user = self.user
        if user.ran and user.random:
            raise LevelError(
                f"from_torch: {user.name} draws random numbers, and would have to run again for this derivative, with "
                "others; draw them outside of it and pass them as an argument"
            )
        before, memory = _torch.random_state(tensors), _torch.versions(tensors)
        outputs = self._mapped(self.depth)(tensors)
        user.ran = True
        user.random = user.random or not _torch.same_state(before, _torch.random_state(tensors))
        if memory != _torch.versions(tensors):
            raise DTypeError(
                f"from_torch: {user.name} writes into its arguments, but Arrays never change; write x = x.clone() first"
            )
        return outputs

    def _mapped(self, depth: int) -> Callable[[Sequence[Any]], list[Any]]:
        from neo_tape import _torch

        if depth == 0:
            return self.user.run
        inner = self._mapped(depth - 1)
        if self.user.batch == "loop":
            return lambda tensors: _torch.looped(inner, tensors)
        return lambda tensors: _torch.mapped(inner, tensors)

    def batched(self) -> Base:
        return Base(self.user, self.count, self.depth + 1)


@dataclass(frozen=True)
class Pull(Function):
    """Cotangents of the wanted inputs of a function, from its inputs and cotangents of the given outputs."""

    of: Function
    wanted: tuple[int, ...]
    given: tuple[int, ...]
    count: int
    linear = True

    @property
    def user(self) -> UserFunction:  # type: ignore[override]
        return self.of.user

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        from neo_tape._torch import Graph

        inputs = list(tensors[: self.count])
        return self.of_graph(Graph(inputs, self.of.run(inputs)), tensors[self.count :], create=True)

    def of_graph(self, graph: Any, cotangents: Sequence[Any], *, create: bool) -> list[Any]:
        """Compute it from what torch recorded when the function ran."""
        from neo_tape._torch import pulled

        return pulled(graph, cotangents, self.wanted, self.given, derived=self.of.linear, create=create)

    def transposed(self, wanted: Sequence[int], given: Sequence[int]) -> Push:
        """Return what takes cotangents of some results to those of some of the last inputs."""
        moved = tuple(self.wanted[i] for i in given)
        return Push(self.of, moved, tuple(self.given[i] for i in wanted), self.count)

    def batched(self) -> Pull:
        return Pull(self.of.batched(), self.wanted, self.given, self.count)


@dataclass(frozen=True)
class Push(Function):
    """Tangents of the wanted outputs of a function, from its inputs and tangents of the moved ones."""

    of: Function
    moved: tuple[int, ...]
    wanted: tuple[int, ...]
    count: int
    linear = True

    @property
    def user(self) -> UserFunction:  # type: ignore[override]
        return self.of.user

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        from neo_tape._torch import Graph

        inputs = list(tensors[: self.count])
        return self.of_graph(Graph(inputs, self.of.run(inputs)), tensors[self.count :], create=True)

    def of_graph(self, graph: Any, tangents: Sequence[Any], *, create: bool) -> list[Any]:
        """Compute it from what torch recorded when the function ran."""
        from neo_tape._torch import pushed

        return pushed(graph, tangents, self.moved, self.wanted, derived=self.of.linear)

    def transposed(self, wanted: Sequence[int], given: Sequence[int]) -> Pull:
        """Return what takes cotangents of some results to those of some of the last inputs."""
        outputs = tuple(self.wanted[i] for i in given)
        return Pull(self.of, tuple(self.moved[i] for i in wanted), outputs, self.count)

    def batched(self) -> Push:
        return Push(self.of.batched(), self.moved, self.wanted, self.count)
