"""Whole Jacobians: `jacrev` and `jacfwd`.

A Jacobian is the pullback of every basis cotangent, or the pushforward of every basis tangent, in chunks under vmap.
"""

from __future__ import annotations

import functools
from typing import Any

from neo_array import Array, concat, reshape, tree, zeros_like
from neo_array._bind import is_differentiable
from neo_array._levels import current_stack, entered, left, set_stack
from neo_tape._basis import (
    Options,
    check_complex,
    checked_options,
    checked_outputs,
    over_basis,
    structured,
    zero_block,
)
from neo_tape._gradients import _forget_annotations, _selection
from neo_tape._inputs import Inputs
from neo_tape._jacobian_types import Jacobian
from neo_tape._linearize import linearize
from neo_tape._products import _split_aux
from neo_tape._tape import Tape


def _jacobian(f: Jacobian) -> Jacobian:
    return f


@_jacobian
def jacrev(
    f: Any,
    argnums: Any = 0,
    *,
    argnames: Any = None,
    has_aux: bool = False,
    holomorphic: bool = False,
    chunk_size: int | None = None,
) -> Any:
    """Return a function that computes f's Jacobian by reverse mode: best where f has fewer outputs than inputs.

    Args:
        f: a function of pytrees to an Array, or a pytree of Arrays, of floating dtype.
        argnums: which positional arguments to differentiate: an int, or a tuple or list of ints.
        argnames: differentiate these arguments by name instead: a str, or a tuple of them.
        has_aux: f returns `(output, aux)`; the result is then `(jacobian, aux)`.
        holomorphic: arguments and outputs are complex, and f is holomorphic: the Jacobian is the complex derivative.
        chunk_size: how many rows to compute at a time under vmap; less memory, more time. None: all. 1: one after
            another in a Python loop, without vmap, for operations and rules that cannot run under it.

    Returns:
        The structure of the output, with the structure of the arguments (a tuple or dict of them, if there are several)
        in place of each leaf; an Array of shape `output.shape + argument.shape` for each pair of leaves. Integer
        arguments have zeros of their own dtype.

    Raises:
        DTypeError: if an output is an integer, or is complex without `holomorphic` (see `jacfwd`).

    Example:
        >>> from neo_array import asarray
        >>> jacrev(lambda x: x * x)(asarray([1.0, 2.0])).numpy().tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    return _reverse(f, argnums, argnames, checked_options(Options("jacrev", has_aux, holomorphic, chunk_size)))


@_jacobian
def jacfwd(
    f: Any,
    argnums: Any = 0,
    *,
    argnames: Any = None,
    has_aux: bool = False,
    holomorphic: bool = False,
    chunk_size: int | None = None,
) -> Any:
    """Return a function that computes f's Jacobian by forward mode: best where f has fewer inputs than outputs.

    f runs once; `chunk_size` columns are computed at a time. Arguments and result are as for `jacrev`, except that f
    may be complex where its arguments are real.

    Raises:
        DTypeError: if an output is an integer, or an argument is complex without `holomorphic` (see `jacrev`).

    Example:
        >>> from neo_array import asarray
        >>> jacfwd(lambda x, y: x * y, argnums=(0, 1))(asarray([1.0, 2.0]), asarray(3.0))[1].numpy().tolist()
        [1.0, 2.0]
    """
    return _forward(f, argnums, argnames, checked_options(Options("jacfwd", has_aux, holomorphic, chunk_size)))


# --- Reverse mode: a row of the Jacobian for each element of the output ---
def _reverse(f: Any, argnums: Any, argnames: Any, options: Options) -> Any:
    select = _selection(f, argnums, argnames, options.who)

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        chosen, put_back = select(args, kwargs)
        inputs = Inputs(chosen, options.who)
        tape = Tape(inputs.watched)
        outer = current_stack()
        try:
            set_stack(entered(tape))
            args, kwargs = put_back(inputs.tree())
            result = f(*args, **kwargs)
        finally:
            set_stack(outer)
            left(tape)
        output, aux = _split_aux(result, options.who) if options.has_aux else (result, None)
        outputs, treedef = checked_outputs(output, options.who)
        hint = "outputs; jacfwd takes complex outputs of real arguments"
        check_complex(inputs.watched, outputs, outputs, options, hint)
        rows = [_rows(tape, y, inputs.watched, options) for y in outputs]
        jacobian = tree.unflatten(treedef, [structured(inputs, y, row) for y, row in zip(outputs, rows, strict=True)])
        return (jacobian, aux) if options.has_aux else jacobian

    return _forget_annotations(run)


def _rows(tape: Tape, y: Array, watched: list[Array], options: Options) -> list[Array]:
    """Return the derivatives of one output by the watched inputs."""

    def pull(cotangent: Array) -> list[Array]:
        found = tape.walk([y._id], [cotangent], consume=False)
        return [zeros_like(x) if (g := found.get(x._id)) is None else g for x in watched]

    columns = over_basis(pull, y, 0, options)
    return [
        reshape(concat(parts), (*y.shape, *x.shape)) if parts else zero_block(y, x, x)
        for x, parts in zip(watched, columns or [[]] * len(watched), strict=True)
    ]


# --- Forward mode: a column of the Jacobian for each element of the inputs ---
def _forward(f: Any, argnums: Any, argnames: Any, options: Options) -> Any:
    select = _selection(f, argnums, argnames, options.who)

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        chosen, put_back = select(args, kwargs)

        def of_chosen(values: Any) -> Any:
            args, kwargs = put_back(values)
            return f(*args, **kwargs)

        inputs = Inputs(chosen, options.who)
        linearized: Any = linearize
        output, push, *aux = linearized(of_chosen, inputs.tree(), has_aux=options.has_aux)
        outputs, treedef = checked_outputs(output, options.who)
        hint = "arguments; jacrev takes complex arguments of real outputs"
        check_complex(inputs.watched, outputs, inputs.watched, options, hint)
        columns = [_columns(push, inputs, i, outputs, options) for i in range(len(inputs.watched))]
        blocks = zip(*columns, strict=True) if columns else [()] * len(outputs)
        jacobian = tree.unflatten(
            treedef, [structured(inputs, y, block) for y, block in zip(outputs, blocks, strict=True)]
        )
        return (jacobian, *aux) if options.has_aux else jacobian

    return _forget_annotations(run)


def _columns(push: Any, inputs: Inputs, number: int, outputs: list[Array], options: Options) -> list[Array]:
    """Return the derivatives of all outputs by one watched input."""
    x = inputs.watched[number]
    rest = [zeros_like(w) for w in inputs.watched]

    def push_one(tangent: Array) -> list[Any]:
        tangents = iter([*rest[:number], tangent, *rest[number + 1 :]])
        leaves = [next(tangents) if type(leaf) is Array and is_differentiable(leaf) else 0 for leaf in inputs.leaves]
        pushed = tree.leaves(push(tree.unflatten(inputs.treedef, leaves)))
        return [zeros_like(y) if type(t) is not Array else t for t, y in zip(pushed, outputs, strict=True)]

    columns = over_basis(push_one, x, -1, options)
    return [
        reshape(concat(parts, axis=-1), (*y.shape, *x.shape)) if parts else zero_block(y, x, y)
        for y, parts in zip(outputs, columns or [[]] * len(outputs), strict=True)
    ]
