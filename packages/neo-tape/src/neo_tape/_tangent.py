"""The forward-mode level: each array that depends on the inputs has a tangent, which dies with it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from neo_array import Array, DTypeError, NoDerivative, broadcast_to, zeros_like
from neo_array._bind import is_differentiable, raise_no_derivative, residual
from neo_array._levels import Args, Level, Params, Stack, current_stack, set_stack

if TYPE_CHECKING:
    from neo_array._levels import Op
    from neo_array._rules import VjpRule


class Tangent(Level):
    """Tangents by array id. They are held as long as their array lives, no longer: a chain keeps one, not all."""

    __slots__ = ("watched",)

    def __init__(self, pairs: Iterable[tuple[Array, Array]]) -> None:
        self.watched: dict[int, tuple[Array, weakref.ref[Array]]] = {}
        for array, tangent in pairs:
            self.put(array, tangent)

    def put(self, array: Array, tangent: Array) -> None:
        """Give an array its tangent, until it dies."""
        # The callback is C alone, called as watched.pop(id, ref): an interrupt that came while a Python one runs would
        # be printed and lost.
        self.watched[array._id] = tangent, weakref.ref(array, partial(self.watched.pop, array._id))

    def get(self, array: object) -> Array | None:
        """Return an array's tangent, or None if it does not depend on the inputs."""
        found = self.watched.get(array._id) if type(array) is Array else None
        return None if found is None else found[0]

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        tangents = list(map(self.get, args))
        if op.discrete or all(t is None for t in tangents):
            return
        outputs = out if op.multi else (out,)
        if not any(map(is_differentiable, outputs)):
            return
        outer = current_stack()
        try:
            set_stack(stack.below(index))
            pushed = push(op, tangents, args, params, out)
            for output, tangent in zip(outputs, pushed if op.multi else (pushed,), strict=True):
                if tangent is not None and is_differentiable(output):
                    self.put(output, broadcast_to(tangent, output.shape))
        finally:
            set_stack(outer)

    def rescue(self, array: Array, spare: Array) -> bool:
        tangent = self.get(array)
        if tangent is not None:  # from here on its tangent lives as long as the spare
            self.put(spare, tangent)
        held = [key for key, (each, _) in self.watched.copy().items() if each is array]
        for key in held:
            self.watched[key] = spare, self.watched[key][1]
        return tangent is not None or bool(held)

    def close(self) -> None:
        self.watched.clear()


def push(op: Op, tangents: list[Array | None], args: Args, params: Params, out: Any) -> Any:
    """Return the tangent of an op's output, by its jvp rule or by what its kind says."""
    for name, tangent in zip(op.arrays * (len(args) if op.variadic else 1), tangents, strict=True):
        if tangent is not None and type(op.missing.get(name)) is NoDerivative:
            raise_no_derivative(op, name)
    if op.jvp_rule is not None:
        first = (tuple(tangents),) if op.variadic else tangents
        return _apply(op.jvp_rule, op, first, args, params, out)
    if op.kind == "linear":
        inputs = {name for rule in op.vjp_rules for name in rule.inputs}
        return op.bind(*_linear_arguments(op, inputs, tangents, args), **params)
    if op.kind == "elementwise":
        total: Array | None = None
        for rule in op.vjp_rules:
            tangent = tangents[op.arrays.index(rule.inputs[0])]
            if tangent is not None:
                term = _apply(rule, op, (tangent,), args, params, out)
                total = term if total is None else total + term
        return total
    raise DTypeError(f"{op.__name__}: has no forward-mode rule; use reverse mode (grad, vjp), or give it one with .jvp")


def _apply(rule: VjpRule, op: Op, first: Iterable[Any], args: Args, params: Params, out: Any) -> Any:
    kept = (residual(r, op, args, out) for r in rule.residuals)
    return rule.function(*first, *kept, **{o: params[o] for o in rule.options})


def _linear_arguments(op: Op, inputs: set[str], tangents: list[Array | None], args: Args) -> Iterable[Any]:
    names = op.arrays * (len(args) if op.variadic else 1)
    for name, tangent, arg in zip(names, tangents, args, strict=True):
        yield arg if name not in inputs else zeros_like(arg) if tangent is None else tangent
