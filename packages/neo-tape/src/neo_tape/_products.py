"""Products with the Jacobian: `vjp` from the left, `jvp` from the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar, overload

from typing_extensions import TypeVarTuple, Unpack

from neo_array import Array, DeviceError, DTypeError, ShapeError, TreeError, asarray, tree, zeros_like
from neo_array._bind import is_differentiable
from neo_array._levels import current_stack, entered, left, retain, set_stack
from neo_tape._inputs import Inputs, own_zero
from neo_tape._meta import Meta
from neo_tape._tangent import Tangent
from neo_tape._tape import Tape

R = TypeVar("R")
Aux = TypeVar("Aux")
Ts = TypeVarTuple("Ts")
No: TypeAlias = Literal[False]
Yes: TypeAlias = Literal[True]


@overload
def vjp(
    f: Callable[[Unpack[Ts]], tuple[R, Aux]], /, *primals: *Ts, has_aux: Yes
) -> tuple[R, Callable[[R], tuple[*Ts]], Aux]: ...
@overload
def vjp(f: Callable[[Unpack[Ts]], R], /, *primals: *Ts, has_aux: No = False) -> tuple[R, Callable[[R], tuple[*Ts]]]: ...
def vjp(f: Callable[..., Any], /, *primals: Any, has_aux: bool = False) -> Any:  # type: ignore[misc]  # TypeVarTuple
    """Run f and return its output with the pullback: the map from a cotangent of the output to those of the primals.

    Args:
        f: any function of pytrees to a pytree.
        primals: where to differentiate; pytrees.
        has_aux: f returns `(output, aux)`; aux is returned third, not differentiated.

    Returns:
        `(output, pullback)`. The pullback takes a cotangent with the output's structure, shapes and dtypes and
        returns a tuple, one entry per primal with its structure. It may be called many times, and is itself
        differentiable.

    Example:
        >>> out, pullback = vjp(lambda x: x * x, asarray([1.0, 2.0]))
        >>> pullback(asarray([1.0, 10.0]))[0].numpy().tolist()
        [2.0, 40.0]
    """
    inputs = Inputs(primals, "vjp")
    tape = Tape(inputs.watched)
    outer = current_stack()
    try:
        set_stack(entered(tape))
        result = f(*inputs.tree())
    finally:
        set_stack(outer)
        left(tape)
    output, aux = _split_aux(result, "vjp") if has_aux else (result, None)
    retain(tape)
    leaves, treedef = tree.flatten(output)
    outputs = [(i, x._id, Meta(x)) for i, x in enumerate(leaves) if type(x) is Array and is_differentiable(x)]

    def pullback(cotangent: Any, /) -> Any:
        given = tree.match(treedef, output, cotangent, "vjp: the cotangent must have the output's structure;")
        cotangents = [_like(given[i], meta, "vjp", "cotangent", "output") for i, _, meta in outputs]
        return inputs.gradients(tape.walk([output_id for _, output_id, _ in outputs], cotangents, consume=False))

    return (output, pullback, aux) if has_aux else (output, pullback)


@overload
def jvp(
    f: Callable[[Unpack[Ts]], tuple[R, Aux]], primals: tuple[*Ts], tangents: tuple[*Ts], *, has_aux: Yes
) -> tuple[R, R, Aux]: ...
@overload
def jvp(
    f: Callable[[Unpack[Ts]], R], primals: tuple[*Ts], tangents: tuple[*Ts], *, has_aux: No = False
) -> tuple[R, R]: ...
def jvp(f: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """Run f and return its output with the output's tangent: the derivative along `tangents`.

    Args:
        f: any function of pytrees to a pytree.
        primals: a tuple, one entry per argument of f.
        tangents: a tuple of the same structure, shapes and dtypes.
        has_aux: f returns `(output, aux)`; aux is returned third, not differentiated.

    Example:
        >>> out, tangent = jvp(lambda x: x * x, (asarray(3.0),), (asarray(1.0),))
        >>> tangent.item()
        6.0
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise TreeError(
            f"jvp: primals and tangents must be tuples, got {type(primals).__name__} and {type(tangents).__name__}; "
            "write jvp(f, (x,), (t,))"
        )
    inputs = Inputs(primals, "jvp")
    given = tree.match(inputs.treedef, primals, tangents, "jvp: the tangents must have the primals' structure;")
    level = Tangent(
        (x, _like(t, Meta(x), "jvp", "tangent", "primal"))
        for x, t in zip(inputs.leaves, given, strict=True)
        if type(x) is Array and is_differentiable(x)
    )
    outer = current_stack()
    try:
        set_stack(entered(level))
        result = f(*inputs.tree())
        output, aux = _split_aux(result, "jvp") if has_aux else (result, None)
        leaves, treedef = tree.flatten(output)
        found = list(map(level.get, leaves))
    finally:
        set_stack(outer)
        left(level)
    tangent = tree.unflatten(treedef, [_zero(x) if t is None else t for x, t in zip(leaves, found, strict=True)])
    return (output, tangent, aux) if has_aux else (output, tangent)


def _zero(leaf: Any) -> Any:
    return zeros_like(leaf) if type(leaf) is Array else own_zero(leaf)


def _split_aux(result: Any, who: str) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TreeError(f"{who}: with has_aux=True, f must return (output, aux), got {type(result).__name__}")
    return result


def _like(given: Any, x: Meta, who: str, what: str, of: str) -> Array:
    """Return a cotangent or tangent as an Array that looks like x, or say how it does not."""
    if isinstance(given, int | float | complex):
        given = asarray(given, dtype=x.dtype, device=x.device)
    if type(given) is not Array:
        raise DTypeError(f"{who}: each {what} must be an Array, got {type(given).__name__}; wrap it in na.asarray(...)")
    if given.shape != x.shape:
        raise ShapeError(f"{who}: the {what} has shape {given.shape}, its {of} {x.shape}; they must be equal")
    if given.dtype != x.dtype:
        raise DTypeError(f"{who}: the {what} has dtype {given.dtype}, its {of} {x.dtype}; use .astype")
    if given.device != x.device:
        raise DeviceError(f'{who}: the {what} lives on {given.device}, its {of} on {x.device}; use .to("{x.device}")')
    return given
