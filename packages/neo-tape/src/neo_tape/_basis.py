"""What `jacrev` and `jacfwd` share: going over a basis in chunks, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from neo_array import Array, DTypeError, NeoError, ShapeError, asarray, eye, reshape, stack, tree, zeros, zeros_like
from neo_array._bind import is_differentiable
from neo_tape._inputs import Inputs, own_zero
from neo_tape._vmap import vmap


class Options(NamedTuple):
    """How a Jacobian is to be computed; `who` is the user's call."""

    who: str
    has_aux: bool
    holomorphic: bool
    chunk_size: int | None


def over_basis(f: Callable[[Array], list[Array]], like: Array, axis: int, options: Options) -> list[list[Array]]:
    """Apply f to the basis of what looks like an array: for each result, its chunks along an axis."""
    size, found = like.size, []
    step = options.chunk_size or size
    for start in range(0, size, max(step, 1)):
        count = min(step, size - start)
        basis = reshape(eye(count, size, k=start, dtype=like.dtype, device=like.device), (count, *like.shape))
        found.append([stack([y], axis=axis) for y in f(basis[0])] if count == 1 else _mapped(f, basis, axis, options))
    return [list(parts) for parts in zip(*found, strict=True)]


def _mapped(f: Callable[[Array], list[Array]], basis: Array, axis: int, options: Options) -> list[Array]:
    try:
        return vmap(f, out_axes=axis)(basis)
    except NeoError as error:
        if "vmap" not in str(error):
            raise
        raise type(error)(
            f"{options.who}: {error}; {options.who}(f, chunk_size=1) goes over the basis in a loop, without vmap"
        ) from error


def structured(inputs: Inputs, y: Array, blocks: Any) -> Any:
    """Return the derivatives of one output in the structure of the inputs."""
    rest = iter(blocks)

    def of(leaf: Any) -> Any:
        if type(leaf) is not Array:
            return own_zero(leaf)
        return next(rest) if is_differentiable(leaf) else zero_block(y, leaf, leaf)

    return tree.unflatten(inputs.treedef, list(map(of, inputs.leaves)))


def constant(y: Any, inputs: object) -> Any:
    """Return the derivatives, in the structure of the inputs, of an output that has none: zeros of its own kind."""

    def of(x: Any) -> Any:
        if type(x) is Array:
            return zero_block(y, x, y) if type(y) is Array else own_zero(y)
        if isinstance(x, float | complex | np.inexact):
            return zeros_like(y) if type(y) is Array else own_zero(y)
        return own_zero(x)

    return tree.tree_map(of, inputs)


def zero_block(y: Array, x: Array, like: Array) -> Array:
    """Return a Jacobian of zeros, with the dtype and device of an array."""
    return zeros((*y.shape, *x.shape), dtype=like.dtype, device=like.device)


def checked_outputs(output: Any, who: str) -> tuple[list[Array], Any]:
    """Return the leaves of an output, and its structure; refuse leaves without derivatives."""
    found = []
    for path, leaf in tree.leaves_with_paths(output):
        y = asarray(leaf) if isinstance(leaf, float | complex) else leaf
        if type(y) is not Array or not is_differentiable(y):
            kind = f"dtype {y.dtype}" if type(y) is Array else f"type {type(y).__name__}"
            raise DTypeError(
                f"{who}: f must return floating Arrays, but its output{f' at {path!r}' if path else ''} has {kind}; "
                "return it as aux, with has_aux=True, or cast it"
            )
        found.append(y)
    return found, tree.structure(output)


def check_complex(
    watched: list[Array], outputs: list[Array], checked: list[Array], options: Options, hint: str
) -> None:
    """Refuse what one row or column per element does not describe."""
    strange = [x.dtype for x in checked if x.dtype.kind == "c"]
    if strange and not options.holomorphic:
        raise DTypeError(
            f"{options.who}: the derivative of a complex function is a number only if it is holomorphic; pass "
            f"holomorphic=True if f is, got {strange[0]} {hint}"
        )
    real = [x.dtype for x in (*watched, *outputs) if x.dtype.kind != "c"]
    if real and options.holomorphic:
        raise DTypeError(
            f"{options.who}: holomorphic=True needs complex arguments and outputs, got dtype {real[0]}; "
            "cast the arguments with .astype(complex128), or leave it out"
        )


def checked_options(options: Options) -> Options:
    """Refuse a chunk size that is none."""
    size = options.chunk_size
    if size is not None and type(size) is not int:
        raise DTypeError(f"{options.who}: chunk_size must be an int or None, got {size!r}")
    if size is not None and size < 1:
        raise ShapeError(f"{options.who}: chunk_size must be positive, got {size}; None computes all at once")
    return options
