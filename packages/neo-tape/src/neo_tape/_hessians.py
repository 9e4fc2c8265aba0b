"""Second derivatives: `hessian`, forward over reverse, and the product with a vector, `hvp`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate

from neo_array import Array, tree
from neo_array._bind import is_differentiable
from neo_tape._basis import Options, checked_options, constant
from neo_tape._gradients import A, P, _forget_annotations, _selection, grad
from neo_tape._jacobian_types import Hessian
from neo_tape._jacobians import _forward, _reverse
from neo_tape._meta import Meta
from neo_tape._products import _like, jvp


def _hessian(f: Hessian) -> Hessian:
    return f


@_hessian
def hessian(
    f: Any,
    argnums: Any = 0,
    *,
    argnames: Any = None,
    has_aux: bool = False,
    holomorphic: bool = False,
    chunk_size: int | None = None,
) -> Any:
    """Return a function that computes f's second derivatives, forward over reverse: `jacfwd(jacrev(f))`.

    Arguments are as for `jacrev`. The result has the structure of the arguments inside that of the arguments (inside
    that of the output), and Arrays of shape `output.shape + argument1.shape + argument2.shape`. In the place of
    integers and other leaves that have no derivative stand their own zeros, or they themselves.

    Example:
        >>> from neo_array import asarray
        >>> hessian(lambda x: x[0] * x[0] * x[1])(asarray([1.0, 2.0])).numpy().tolist()
        [[4.0, 2.0], [2.0, 0.0]]
    """
    options = checked_options(Options("hessian", has_aux, holomorphic, chunk_size))
    select = _selection(f, argnums, argnames, options.who)
    jacobian = _reverse(f, argnums, argnames, options)

    @functools.wraps(f)
    def floating_rows(*args: Any, **kwargs: Any) -> Any:
        result = jacobian(*args, **kwargs)
        rows, aux = result if has_aux else (result, None)
        leaves, treedef = tree.flatten(rows)
        return list(filter(_has_derivatives, leaves)), (leaves, treedef, aux)

    derivatives = _forward(floating_rows, argnums, argnames, options._replace(has_aux=True))

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        found, (rows, treedef, aux) = derivatives(*args, **kwargs)
        rest, (chosen, _) = iter(found), select(args, kwargs)
        blocks = [next(rest) if _has_derivatives(row) else constant(row, chosen) for row in rows]
        result = tree.unflatten(treedef, blocks)
        return (result, aux) if has_aux else result

    return _forget_annotations(run)


def _has_derivatives(leaf: Any) -> bool:
    return type(leaf) is Array and is_differentiable(leaf)


def hvp(f: Callable[Concatenate[A, P], Array], x: A, v: A, /, *args: P.args, **kwargs: P.kwargs) -> A:
    """Return the product of the Hessian of f at x with v, forward over reverse; the Hessian itself is never there.

    Args:
        f: a function to a real scalar, as for `grad`.
        x: its first argument, by which it is differentiated; any pytree.
        v: a vector with the structure, shapes and dtypes of x.
        args: its other arguments.

    Example:
        >>> from neo_array import asarray
        >>> hvp(lambda x: (x * x * x).sum(), asarray([1.0, 2.0]), asarray([1.0, 1.0])).numpy().tolist()
        [6.0, 12.0]
    """
    leaves, treedef = tree.flatten(x)
    given = tree.match(treedef, x, v, "hvp: the vector must have the argument's structure;")
    checked = [
        _like(t, Meta(a), "hvp", "vector", "argument") if type(a) is Array and is_differentiable(a) else t
        for a, t in zip(leaves, given, strict=True)
    ]
    gradient: Any = grad(f)
    tangent: A = jvp(lambda x: gradient(x, *args, **kwargs), (x,), (tree.unflatten(treedef, checked),))[1]
    return tangent
