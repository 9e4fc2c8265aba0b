"""A Policy's own batching rule: `batch` in place of `forward`, on whole arrays, below the vmap.

It replaces nothing but forward. To all levels the call is the one that forward would have made, on arrays that look
like one example: derivatives stay those of backward and jvp.
"""

from __future__ import annotations

from typing import Any

from neo_array import Array, PolicyError, alias, tree
from neo_array._levels import Stack, set_stack
from neo_tape._policy_class import label
from neo_tape._vmap import Vmap, _spread


def may_batch(guarded: Stack, level: Vmap, options: dict[str, Any]) -> bool:
    """Tell whether `batch` may run in place of forward.

    It may not if a level inside the vmap is to see how forward computes what it saves: that happens below the vmap. Nor
    if options hold batches, whose axes it is not told.
    """
    if any(type(x) is Array and level.unwrap(x)[1] is not None for x in tree.leaves(options)):
        return False
    return not any(getattr(each, "record", False) for each in guarded.levels[guarded.levels.index(level) + 1 :])


def run_batch(
    cls: Any, policy: Any, guarded: Stack, level: Vmap, inputs: list[Any], in_tree: Any, options: dict[str, Any]
) -> Any:
    """Run `batch` below the vmap; return the output, and leave in `policy.ctx` what it saved, as forward would."""
    who = label(cls, "batch")
    try:
        set_stack(guarded.below(guarded.levels.index(level)))
        pairs = [level.unwrap(x) if type(x) is Array else (x, None) for x in inputs]
        # an alias for each: the same array may be given twice, with a batch and without
        whole = [alias.bind(x) if type(x) is Array else x for x, _ in pairs]
        args, axes = tree.unflatten(in_tree, whole), tree.unflatten(in_tree, [axis for _, axis in pairs])
        returned = policy.batch(level.size, args, axes, **options)
    finally:
        set_stack(guarded)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise PolicyError(f"{who}: must return (out, out_axes), got {_description(returned)}")
    out, out_axes = returned
    leaves, treedef = tree.flatten(out)
    axes = _spread(f"{who}: out_axes", out_axes, out)
    outputs = [_example(who, "an output", x, axis, level) for x, axis in zip(leaves, axes, strict=True)]
    known = {id(x): example for x, example in zip([*whole, *leaves], [*inputs, *outputs], strict=True)}
    saved, saved_tree = tree.flatten(getattr(policy.ctx, "_saved", None))
    if hasattr(policy.ctx, "_saved"):
        found = [known[id(x)] if id(x) in known else _example(who, "a residual", x, 0, level) for x in saved]
        policy.ctx._saved = tree.unflatten(saved_tree, found)
    return tree.unflatten(treedef, outputs)


def _example(who: str, what: str, x: Any, axis: Any, level: Vmap) -> Any:
    """Return the array of one example."""
    if type(x) is not Array or axis is None:
        return x
    if type(axis) is not int or not -x.ndim <= axis < x.ndim or x.shape[axis] != level.size:
        raise PolicyError(
            f"{who}: {what} of shape {x.shape} is to hold {level.size} examples along axis {axis!r}, and does not; "
            "residuals hold them along axis 0, and outputs where out_axes says"
        )
    return level.wrap(x, axis % x.ndim)


def _description(x: Any) -> str:
    return f"a tuple of {len(x)}" if isinstance(x, tuple) else type(x).__name__
