"""Pytrees: nested containers of arrays. The one module that knows optree and neo's namespace in it.

Tuples, lists, dicts, NamedTuples, OrderedDicts, defaultdicts, deques and registered classes are containers, None is
an empty one, and everything else is a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, TypeAlias, TypeVar, cast, overload

import optree

from neo_array._array import Array
from neo_array._errors import TreeError

T = TypeVar("T")
TreeDef: TypeAlias = Any  # optree.PyTreeSpec, which is generic only to checkers
_NAMESPACE: Final = "neo"
_registered: Final[set[type]] = set()


def flatten(tree: object, /) -> tuple[list[Any], TreeDef]:
    """Return the leaves and the structure."""
    leaves, treedef = optree.tree_flatten(cast(Any, tree), namespace=_NAMESPACE)
    return leaves, treedef


def unflatten(treedef: TreeDef, leaves: Iterable[Any], /) -> Any:
    """Put leaves back into a structure.

    Raises:
        TreeError: if there are too few or too many.
    """
    try:
        return optree.tree_unflatten(treedef, leaves)
    except ValueError as error:
        raise TreeError(f"unflatten: {error}") from None


def leaves(tree: object, /) -> list[Any]:
    """Return the leaves."""
    return optree.tree_leaves(cast(Any, tree), namespace=_NAMESPACE)


def structure(tree: object, /) -> TreeDef:
    """Return the structure alone."""
    return optree.tree_structure(cast(Any, tree), namespace=_NAMESPACE)


def leaves_with_paths(tree: object, /) -> list[tuple[str, Any]]:
    """Return each leaf after its path, written like `layers.0.weight`."""
    accessors, found, _ = optree.tree_flatten_with_accessor(cast(Any, tree), namespace=_NAMESPACE)
    return [(".".join(map(_name, path)), leaf) for path, leaf in zip(accessors, found, strict=True)]


def _name(entry: Any) -> str:
    """Return a step of a path: a field's name, an index, or a key (quoted if it holds a dot)."""
    name = str(entry.field if isinstance(entry, optree.NamedTupleEntry) else entry.entry)
    return repr(name) if "." in name else name


@overload
def tree_map(f: Callable[[Array], Any], tree: T, /) -> T: ...
@overload
def tree_map(f: Callable[[Array, Any], Any], tree: T, tree2: object, /) -> T: ...
@overload
def tree_map(f: Callable[[Array, Any, Any], Any], tree: T, tree2: object, tree3: object, /) -> T: ...
def tree_map(f: Callable[..., Any], tree: Any, /, *rest: Any) -> Any:
    """Apply f to each leaf, and to the leaves at the same place in the other trees. Same structure out."""
    found, treedef = flatten(tree)
    columns = [found, *(match(treedef, tree, other, "tree_map") for other in rest)]
    return unflatten(treedef, [f(*row) for row in zip(*columns, strict=True)])


def match(treedef: TreeDef, tree: object, other: object, who: str) -> list[Any]:
    """Return other's leaves; raise TreeError, naming the first difference, unless it has the given structure."""
    found, otherdef = flatten(other)
    if otherdef != treedef:
        raise TreeError(f"{who}: the trees differ {_difference(tree, other)}")
    return found


def _difference(tree: object, other: object) -> str:
    mine, theirs = dict(leaves_with_paths(tree)), dict(leaves_with_paths(other))
    for path in mine:
        if path not in theirs:
            return f"at {path or 'the root'!r}: the second tree has no such leaf; its leaves are {_few(theirs)}"
    for path in theirs:
        if path not in mine:
            return f"at {path or 'the root'!r}: the first tree has no such leaf; its leaves are {_few(mine)}"
    return f"in their containers: {structure(tree)} and {structure(other)}"


def _few(paths: Iterable[str]) -> str:
    shown = list(paths)
    return ", ".join(map(repr, shown[:8])) + (", ..." if len(shown) > 8 else "") if shown else "none"


def register(
    cls: type[T],
    flatten: Callable[[T], tuple[tuple[object, ...], Hashable, tuple[str, ...]]],
    unflatten: Callable[[Any, Iterable[Any]], T],
) -> None:
    """Make a class a container: `flatten` gives children, static data and the children's names."""
    optree.register_pytree_node(
        cast(Any, cls),
        cast(Any, flatten),
        cast(Any, unflatten),
        path_entry_type=optree.GetAttrEntry,
        namespace=_NAMESPACE,
    )
    _registered.add(cls)


def is_registered(cls: type) -> bool:
    """Tell whether instances of a class are containers because it was registered."""
    return cls in _registered


class _Hole:
    """Stands for a None that is to count as a leaf."""

    def __repr__(self) -> str:
        return "HOLE"


HOLE: Final = _Hole()


def fill_none(tree: object, /) -> Any:
    """Return the tree with HOLE for each None, so that it is a leaf."""
    return optree.tree_map(lambda x: HOLE if x is None else x, cast(Any, tree), none_is_leaf=True, namespace=_NAMESPACE)


def spread_prefix(prefix: object, whole: object, /) -> Any:
    """Return the structure of `whole` with, for each leaf, the leaf of the prefix above it.

    Raises:
        ValueError: if `prefix` is no prefix of `whole`.
    """
    return optree.tree_broadcast_prefix(cast(Any, prefix), cast(Any, whole), namespace=_NAMESPACE)
