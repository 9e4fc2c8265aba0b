"""`linearize`: the pushforward as a function of its own. `linear_transpose`: a linear function turned around."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, TypeVar, overload

import numpy as np
from typing_extensions import TypeVarTuple, Unpack

from neo_array import Array, LevelError, tree, zeros_like
from neo_array._bind import is_differentiable
from neo_array._levels import Args, Params, Stack, current_stack, entered, left, retain, set_stack
from neo_tape._inputs import Inputs, own_zero
from neo_tape._meta import Meta
from neo_tape._products import _like, _split_aux
from neo_tape._recording import Recording, operands
from neo_tape._tangent import Tangent
from neo_tape._transpose import LinearTape, NotLinearError, is_zero

if TYPE_CHECKING:
    from neo_array._levels import Op

_TRANSPOSE: Final = "linear_transpose"
R = TypeVar("R")
Aux = TypeVar("Aux")
Ts = TypeVarTuple("Ts")
No: TypeAlias = Literal[False]
Yes: TypeAlias = Literal[True]


class Pushes(Recording):
    """Records what is computed from tangents. All else is a constant: f itself is not run again."""

    __slots__ = ()

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        given = operands(op, args, params)
        ids = tuple([a._id if type(a) is Array and self.knows(a) else 0 for a in given])
        if any(ids):
            self.add(op, given, ids, params, out)
            self.watched.update(o._id for o in (out if op.multi else (out,)))

    def read(self, array: Array, how: str) -> NoReturn:
        raise LevelError(
            "linearize: a forward-mode rule reads the value of a tangent, so what it computes for one tangent does not "
            "hold for others; use jvp"
        )


@overload
def linearize(
    f: Callable[[Unpack[Ts]], tuple[R, Aux]], /, *primals: *Ts, has_aux: Yes
) -> tuple[R, Callable[[Unpack[Ts]], R], Aux]: ...
@overload
def linearize(
    f: Callable[[Unpack[Ts]], R], /, *primals: *Ts, has_aux: No = False
) -> tuple[R, Callable[[Unpack[Ts]], R]]: ...
def linearize(f: Callable[..., Any], /, *primals: Any, has_aux: bool = False) -> Any:  # type: ignore[misc]  # TypeVarTuple
    """Run f once, and return its output with the pushforward: the map from tangents of the primals to the output's.

    `f_jvp(*tangents)` is `jvp(f, primals, tangents)[1]`, without running f again: it keeps the values that the
    forward-mode rules need. It may be called many times, is itself differentiable, by its tangents and by what f closes
    over, and runs under vmap.

    Args:
        f: any function of pytrees to a pytree.
        primals: where to differentiate; pytrees.
        has_aux: f returns `(output, aux)`; aux is returned third, not differentiated.

    Returns:
        `(output, f_jvp)`. f_jvp takes one tangent per primal, with its structure, shapes and dtypes; the tangents of
        integers are passed over.

    Example:
        >>> from neo_array import asarray
        >>> out, f_jvp = linearize(lambda x: x * x, asarray(3.0))
        >>> f_jvp(asarray(1.0)).item(), f_jvp(asarray(10.0)).item()
        (6.0, 60.0)
    """
    inputs = Inputs(primals, "linearize")
    zeros = [zeros_like(x) for x in inputs.watched]
    pushes = Pushes(zeros)
    level = Tangent(zip(inputs.watched, zeros, strict=True))
    outer = current_stack()
    try:
        set_stack(entered(pushes))
        set_stack(entered(level))
        result = f(*inputs.tree())
        output, aux = _split_aux(result, "linearize") if has_aux else (result, None)
        leaves, treedef = tree.flatten(output)
        tangents = list(map(level.get, leaves))
        known = [t is not None and pushes.knows(t) for t in tangents]
    finally:
        set_stack(outer)
        left(level)
        left(pushes)
    slots = [t._id if k and t is not None else None for t, k in zip(tangents, known, strict=True)]
    pushes.finish([z._id for z in zeros], list(dict.fromkeys(i for i in slots if i is not None)))
    used = [z._id in pushes.inputs for z in zeros]
    # no tangent of the inputs reaches these outputs: theirs are zero, or whatever constant a rule gave
    triples = zip(leaves, tangents, slots, strict=True)
    fixed = [None if i is not None else _constant(x) if t is None else t for x, t, i in triples]
    treedef_in = inputs.treedef
    metas = [Meta(x) if type(x) is Array and is_differentiable(x) else None for x in inputs.leaves]
    like = tree.unflatten(treedef_in, metas)
    del inputs, level, result, leaves, tangents, triples, zeros  # f_jvp shall hold no values but the recording's

    def f_jvp(*tangents: Any) -> Any:
        leaves = tree.match(treedef_in, like, tangents, "linearize: the tangents must have the primals' structure;")
        pairs = [(t, meta) for t, meta in zip(leaves, metas, strict=True) if meta is not None]
        given = [_like(t, meta, "linearize", "tangent", "primal") for t, meta in pairs]
        values = pushes.run([t for t, u in zip(given, used, strict=True) if u])
        found = dict(zip(pushes.outputs, values, strict=True))
        rest = [x.zeros() if type(x) is Meta else x for x in fixed]
        return tree.unflatten(treedef, [x if i is None else found[i] for i, x in zip(slots, rest, strict=True)])

    return (output, f_jvp, aux) if has_aux else (output, f_jvp)


def _constant(leaf: Any) -> Any:
    """Return what an output's tangent is that depends on no input: zeros, as what they look like."""
    return Meta(leaf) if type(leaf) is Array else own_zero(leaf)


def linear_transpose(f: Callable[[Unpack[Ts]], R], /, *primals: *Ts) -> Callable[[R], tuple[*Ts]]:
    """Return the transpose of a linear function: the map from cotangents of its output to those of its arguments.

    f is run once, on zeros that look like the primals, whose values do not matter. What it reads of closures counts as
    constant, and may be differentiated.

    Args:
        f: a function of pytrees to a pytree, linear in all its floating arguments together (not affine: 0 goes to 0).
        primals: what its arguments look like.

    Returns:
        A function from a cotangent with the output's structure to a tuple with one entry per primal; zeros for
        integers. Complex numbers are transposed, not conjugated.

    Raises:
        NotLinearError: if f is not linear; it says which op shows that.

    Example:
        >>> from neo_array import asarray
        >>> transposed = linear_transpose(lambda x: 3.0 * x[1:], asarray([0.0, 0.0, 0.0]))
        >>> transposed(asarray([1.0, 10.0]))[0].numpy().tolist()
        [0.0, 3.0, 30.0]
    """
    inputs = Inputs(tree.tree_map(_zero_like, primals), _TRANSPOSE)
    tape = LinearTape(inputs.watched)
    outer = current_stack()
    try:
        set_stack(entered(tape))
        output = f(*inputs.tree())
    except NotLinearError as error:
        raise _not_linear(error) from None
    finally:
        set_stack(outer)
        left(tape)
    results, treedef = tree.flatten(output)
    outputs = [(i, x._id, Meta(x)) for i, x in enumerate(results) if type(x) is Array and is_differentiable(x)]
    if not all(is_zero(results[i]) for i, _, _ in outputs) or any(x != 0 for x in results if isinstance(x, float)):
        raise _not_linear("it is not zero at zero")
    retain(tape)
    like = tree.unflatten(treedef, range(len(results)))
    del output, results

    def transposed(cotangent: Any, /) -> Any:
        given = tree.match(
            treedef, like, cotangent, "linear_transpose: the cotangent must have the output's structure;"
        )
        cotangents = [_like(given[i], meta, _TRANSPOSE, "cotangent", "output") for i, _, meta in outputs]
        return inputs.gradients(tape.walk([i for _, i, _ in outputs], cotangents, consume=False))

    return transposed


def _zero_like(leaf: Any) -> Any:
    if type(leaf) is Array and is_differentiable(leaf):
        return zeros_like(leaf)
    return 0.0 * leaf if isinstance(leaf, float | complex | np.inexact) else leaf


def _not_linear(why: object) -> NotLinearError:
    return NotLinearError(
        f"linear_transpose: f is not linear: {why}; vjp(f, ...) gives the transpose of its derivative, "
        "and stop_gradient(x) makes a constant of an argument"
    )
