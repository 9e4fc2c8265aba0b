"""The gradient of a scalar function, had by each transform: all must agree, whatever the function does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import neo_array as na
import neo_tape as nt
from neo_array import Array

F: TypeAlias = Callable[..., Any]
Gradient: TypeAlias = Callable[..., tuple[Any, ...]]
grad: Final[Any] = nt.grad
checkpoint: Final[Any] = nt.checkpoint
jacrev: Final[Any] = nt.jacrev
jacfwd: Final[Any] = nt.jacfwd
hessian: Final[Any] = nt.hessian
linearize: Final[Any] = nt.linearize


def _all(args: tuple[Any, ...]) -> list[int]:
    return list(range(len(args)))


def _along_the_basis(push: F, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a gradient from the derivatives along each element of each Array."""
    leaves, treedef = na.tree.flatten(args)
    zeros = [na.zeros_like(x) for x in leaves]
    found = []
    for n, x in enumerate(leaves):
        basis = na.reshape(na.eye(x.size, dtype=x.dtype, device=x.device), (x.size, *x.shape))
        along = [na.tree.unflatten(treedef, [*zeros[:n], basis[k], *zeros[n + 1 :]]) for k in range(x.size)]
        values = [push(*tangents) for tangents in along]
        found.append(na.reshape(na.stack(values), x.shape) if values else zeros[n])
    gradient: tuple[Any, ...] = na.tree.unflatten(treedef, found)
    return gradient


def _scaled(f: F) -> F:
    """Return (s, *x) -> s f(*x): its second derivatives by s and x are f's gradient."""
    return lambda p: p[0] * f(*p[1])


def _hvp(f: F, *args: Any) -> tuple[Any, ...]:
    one = na.asarray(1.0, dtype=na.float64)
    along = (one, na.tree.tree_map(na.zeros_like, args))
    product: Any = nt.hvp(_scaled(f), (0.0 * one, args), along)
    found: tuple[Any, ...] = product[1]
    return found


def _hessian(f: F, *args: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = hessian(_scaled(f))((na.asarray(0.5, dtype=na.float64), args))[0][1]
    return found


def _twice(args: Any) -> Any:
    return na.tree.tree_map(lambda x: na.stack([x, x]), args)


def _first(results: Any) -> Any:
    return na.tree.tree_map(lambda x: x[0], results)


def _linear_transpose(f: F, *args: Any) -> tuple[Any, ...]:
    out, push = linearize(f, *args)
    transposed: Any = nt.linear_transpose(push, *args)
    found: tuple[Any, ...] = transposed(na.ones_like(out))
    return found


def _vjp(f: F, *args: Any) -> tuple[Any, ...]:
    out, pullback = nt.vjp(f, *args)
    found: tuple[Any, ...] = pullback(na.ones_like(out))
    return found


GRADIENTS: Final[Mapping[str, Gradient]] = MappingProxyType(
    {
        "grad": lambda f, *args: grad(f, _all(args))(*args),
        "value_and_grad": lambda f, *args: nt.value_and_grad(f, _all(args))(*args)[1],
        "vjp": _vjp,
        "jvp": lambda f, *args: _along_the_basis(lambda *tangents: nt.jvp(f, args, tangents)[1], args),
        "linearize": lambda f, *args: _along_the_basis(linearize(f, *args)[1], args),
        "linear_transpose": _linear_transpose,
        "jacrev": lambda f, *args: jacrev(f, _all(args))(*args),
        "jacfwd": lambda f, *args: jacfwd(f, _all(args))(*args),
        "jacfwd in chunks": lambda f, *args: jacfwd(f, _all(args), chunk_size=2)(*args),
        "hessian": _hessian,
        "hvp": _hvp,
        "grad of checkpoint": lambda f, *args: grad(checkpoint(f), _all(args))(*args),
        "grad of checkpoint that keeps": lambda f, *args: grad(checkpoint(f, budget_bytes=40), _all(args))(*args),
        "checkpoint of grad": lambda f, *args: checkpoint(grad(f, _all(args)))(*args),
        "jacfwd of checkpoint": lambda f, *args: jacfwd(checkpoint(f), _all(args))(*args),
        "vmap of grad": lambda f, *args: _first(nt.vmap(grad(f, _all(args)))(*_twice(args))),
        "grad of vmap": lambda f, *args: _first(grad(lambda *a: nt.vmap(f)(*a)[0], _all(args))(*_twice(args))),
        "vmap of jvp": lambda f, *args: _along_the_basis(
            lambda *t: nt.vmap(lambda a, b: nt.jvp(f, a, b)[1])(_twice(args), _twice(t))[1], args
        ),
    }
)


def lists(gradient: Any) -> Any:
    """Return the gradient with lists in place of Arrays."""
    return na.tree.tree_map(lambda x: x.numpy().tolist() if type(x) is Array else x, gradient)
