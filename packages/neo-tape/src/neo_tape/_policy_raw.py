"""Policies with `raw = True`: forward and backward get and return the backend's own arrays.

What they compute is no op, so it can be differentiated once, by backward. The levels keep Arrays all the same: an array
is lent on the way in, and what comes back is copied, since its owner may write to it later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neo_array import Array, PolicyError, asarray, backends, tree
from neo_array._array import wrap
from neo_array._bind import top_batched
from neo_array._levels import current_stack
from neo_tape._policy_class import label


class Loan:
    """Arrays that were handed out as raw ones, and what is known of them when they come back."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._lent: dict[int, tuple[Any, Array, Any]] = {}  # by id: what was lent, the Array, its version

    def lend(self, x: Any) -> Any:
        """Return the raw array of an Array, in a form that a write to it is an error, or does no harm."""
        if type(x) is not Array:
            return x
        raw = backends.checked(x._raw)
        x._exported = True  # what was lent may be kept: its memory is not to be reused
        if isinstance(raw, np.ndarray):
            lent = raw.view()
            lent.flags.writeable = False
        elif hasattr(raw, "_version"):  # torch's count of writes; apart from torch's own autograd
            # the engine's constants are shared, and have one element, however often it is repeated
            lent = raw.detach().clone() if raw.numel() <= 1 or 0 in raw.stride() else raw.detach()
        else:
            lent = raw.copy()
        self._lent[id(lent)] = lent, x, getattr(lent, "_version", None)
        return lent

    def returned(self, x: Any, method: str) -> Any:
        """Return an Array for a raw array, and anything else as it is."""
        if id(x) in self._lent:
            return wrap(self._lent[id(x)][1]._raw)
        if type(x) is Array:
            raise PolicyError(
                f"{method}: has raw = True, so it must return {self._kind()}s, got an Array; return x.raw"
            )
        if isinstance(x, np.generic):
            x = np.asarray(x)
        backend = backends.foreign(x)
        if backend is None:
            return x
        return asarray(x.detach() if hasattr(x, "detach") else x, device=backend.device_of(x))

    def kept(self, x: Any, outputs: dict[int, Array], method: str) -> Any:
        """Return the Array under which a saved value is kept: the argument or the output that it is."""
        if id(x) in self._lent:
            return self._lent[id(x)][1]
        return outputs[id(x)] if id(x) in outputs else self.returned(x, method)

    def check(self) -> None:
        """Refuse that what was lent has been written to."""
        for lent, x, version in self._lent.values():
            if getattr(lent, "_version", None) != version:
                raise PolicyError(
                    f"{self._who}: wrote into an array of shape {x.shape} that it was given, and has changed it for "
                    "all; write into a copy, x.clone()"
                )

    def _kind(self) -> str:
        return next((type(lent).__name__ for lent, _, _ in self._lent.values()), "ndarray")


def run_forward(cls: Any, policy: Any, arguments: Any, options: dict[str, Any]) -> Any:
    """Run forward on raw arrays. What it saved stands in `policy.ctx` as Arrays afterwards, its arguments behind it."""
    who = label(cls, "forward")
    refuse_batches(cls, [arguments, options])
    loan = Loan(who)
    output = policy.forward(*tree.tree_map(loan.lend, arguments), **tree.tree_map(loan.lend, options))
    loan.check()
    leaves, treedef = tree.flatten(output)
    if any(type(x) is Array for x in leaves):
        loan.returned(next(x for x in leaves if type(x) is Array), who)
    outputs = {id(x): loan.returned(x, who) for x in leaves}
    saved = getattr(policy.ctx, "_saved", None)
    saved = tree.tree_map(lambda x: loan.kept(x, outputs, who), saved)
    # the arguments are kept for `refuse_second_order` to find out what depends on them
    policy.ctx._saved = saved, [x for x in tree.leaves(arguments) if type(x) is Array]
    return tree.unflatten(treedef, [outputs[id(x)] for x in leaves])


def run_rule(cls: Any, policy: Any, method: str, given: tuple[Any, ...]) -> Any:
    """Run backward or jvp on raw arrays, and return what it returns with Arrays for them."""
    who = label(cls, method)
    refuse_batches(cls, [*given, policy.ctx._saved])
    loan = Loan(who)
    saved, _ = policy.ctx._saved
    if saved is None:
        del policy.ctx._saved
    else:
        policy.ctx._saved = tree.tree_map(loan.lend, saved)
    returned = getattr(policy, method)(*tree.tree_map(loan.lend, given))
    loan.check()
    return tree.tree_map(lambda x: loan.returned(x, who), returned)


def refuse_batches(cls: Any, values: Any) -> None:
    """Raise if there are arrays of a vmap among the values."""
    if top_batched(tree.leaves(values)) is not None:
        raise PolicyError(
            f"{cls.__name__}: has raw = True, so it cannot run under vmap; write forward and backward with Arrays, or "
            "map over the examples in Python and stack the results"
        )


def refuse_second_order(cls: Any, arrays: Iterable[Any]) -> None:
    """Raise if a level would have to follow what a raw rule computes of these arrays."""
    levels = current_stack().levels
    if any(level.knows(x) for x in arrays if type(x) is Array for level in levels):
        raise PolicyError(
            f"{cls.__name__}: has raw = True, so it can be differentiated once, and here its derivative is "
            "differentiated again, or recorded; write forward and backward with Arrays, without raw = True, or make a "
            "constant of its argument or of its gradient, stop_gradient(...)"
        )
