"""What a Policy's backward and jvp return: taken apart, and every mistake in it named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neo_array import Array, NoDerivative, PolicyError, tree
from neo_array.backends import is_raw
from neo_tape._meta import Meta
from neo_tape._policy_class import argument, label, leaf, names
from neo_tape._zero import Zero


def gradients_of(
    cls: Any, returned: Any, in_tree: Any, inputs: Sequence[Meta | None], wanted: Sequence[bool]
) -> list[Array | None]:
    """Return one gradient for each leaf of the inputs (None: zero, or not wanted) from what backward returned."""
    who = label(cls, "backward")
    arguments = tree.unflatten(in_tree, range(len(inputs)))
    if not isinstance(returned, tuple) or len(returned) != len(arguments):
        got = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else type(returned).__name__
        advice = "; write return (grad,)" if len(arguments) == 1 and not isinstance(returned, tuple) else ""
        raise PolicyError(
            f"{who}: must return a tuple with one gradient for each of forward's {len(arguments)} positional "
            f"arguments ({names(cls, len(arguments))}), got {got}{advice}"
        )
    gradients: list[Array | None] = [None] * len(inputs)
    for position, (given, gradient) in enumerate(zip(arguments, returned, strict=True)):
        numbers, treedef = tree.flatten(given)
        leaves = [None] * len(numbers) if gradient is None else _leaves_like(given, gradient)
        if leaves is None:
            raise PolicyError(
                f"{who}: the gradient of {argument(cls, position)} has structure {tree.structure(gradient)}, the "
                f"argument {treedef}; they must be equal"
            )
        paths = [path for path, _ in tree.leaves_with_paths(given)] if len(numbers) > 1 else [""] * len(numbers)
        for number, each, path in zip(numbers, leaves, paths, strict=True):
            gradients[number] = _gradient(who, leaf(cls, position, path), each, inputs[number], wanted[number])
    return gradients


def _gradient(who: str, of: str, found: Any, meta: Meta | None, wanted: bool) -> Array | None:
    """Return the gradient of one leaf; `meta` says what that looks like, and is None for what is no Array."""
    if found is None and wanted:
        raise PolicyError(
            f"{who}: returned None for {of}, which wants a gradient ({meta}); return zeros, or nt.Zero.like(...), if "
            "it is zero, and check self.needs_grad before leaving one out"
        )
    if type(found) is NoDerivative and wanted:
        raise PolicyError(
            f"{who}: no derivative with respect to {of}: {found.reason}; pass stop_gradient(...) of it if it is to "
            "count as a constant"
        )
    if found is None or type(found) is NoDerivative or meta is None or not meta.differentiable:
        return None
    if type(found) not in (Array, Zero):
        raise PolicyError(f"{who}: the gradient of {of} must be an Array, got {_kind(found)}{_wrapping(found)}")
    looks = Meta.of_zero(found) if isinstance(found, Zero) else Meta(found)
    if looks != meta:
        raise PolicyError(
            f"{who}: the gradient of {of} has {looks}, the argument {meta}; they must be equal{_remedy(looks, meta)}"
        )
    return found if type(found) is Array else None


def tangents_of(
    cls: Any, returned: Any, out_tree: Any, outputs: Sequence[Meta], method: str = "jvp"
) -> list[Array | None]:
    """Return one tangent for each leaf of the output (None: zero) from what jvp returned."""
    who = label(cls, method)
    leaves = _leaves_like(tree.unflatten(out_tree, range(len(outputs))), returned)
    if leaves is None:
        raise PolicyError(
            f"{who}: must return tangents with the structure of forward's output {out_tree}, got "
            f"{_kind(returned) if tree.structure(returned) == tree.structure(0) else tree.structure(returned)}"
        )
    return [
        _tangent(who, found, meta) if meta.differentiable else None for found, meta in zip(leaves, outputs, strict=True)
    ]


def _tangent(who: str, found: Any, meta: Meta) -> Array | None:
    if type(found) not in (Array, Zero):
        raise PolicyError(
            f"{who}: must return an Array, or nt.Zero, as the tangent of an output with {meta}, got {_kind(found)}"
            f"{_wrapping(found)}"
        )
    looks = Meta.of_zero(found) if isinstance(found, Zero) else Meta(found)
    if looks != meta:
        raise PolicyError(
            f"{who}: returned a tangent with {looks}, the output has {meta}; they must be equal{_remedy(looks, meta)}"
        )
    return found if type(found) is Array else None


def _leaves_like(wanted: Any, given: Any) -> list[Any] | None:
    """Return the given leaves, None counting as one, if the structure is the wanted one; else None.

    What is wanted holds numbers for its leaves; a None in it belongs to the structure, and must be None here too.
    """
    wanted, given = tree.fill_none(wanted), tree.fill_none(given)
    if tree.structure(wanted) != tree.structure(given):
        return None
    pairs = list(zip(tree.leaves(wanted), tree.leaves(given), strict=True))
    if any(number is tree.HOLE and leaf is not tree.HOLE for number, leaf in pairs):
        return None
    return [None if leaf is tree.HOLE else leaf for number, leaf in pairs if number is not tree.HOLE]


# --- Words ---
def _kind(found: Any) -> str:
    return "None" if found is None else type(found).__name__


def _wrapping(found: Any) -> str:
    return "; wrap it in na.asarray(...), or set raw = True" if is_raw(found) else ""


def _remedy(found: Meta, wanted: Meta) -> str:
    if found.shape != wanted.shape:
        return " (sum over broadcast axes)"
    return f" (use .astype({wanted.dtype}))" if found.dtype != wanted.dtype else f' (use .to("{wanted.device}"))'
