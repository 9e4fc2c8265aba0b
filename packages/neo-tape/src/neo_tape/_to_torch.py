"""`to_torch`: a function of Arrays as one of torch tensors, which torch's autograd differentiates by our rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from neo_array import Array, DeviceError, DTypeError, asarray, backends, tree
from neo_array._bind import is_differentiable
from neo_tape._products import jvp, vjp
from neo_tape._vmap import vmap

Flat: TypeAlias = "Callable[..., tuple[Array, ...]]"


def to_torch(f: Callable[..., object], /) -> Callable[..., Any]:
    """Return a function of torch tensors that computes f of Arrays on the tensors' own memory.

    It is called as f is, with tensors in the places of Arrays, inside any pytrees; what else is in them is passed on.
    Arrays that f returns become tensors. torch differentiates it by our rules: `backward()`, to any order with
    `create_graph=True`, torch's forward mode, and `torch.func`'s transforms, vmap included. Outputs have gradients by
    the tensors that want them, `requires_grad`, and not by what f closes over. As with torch's own operations, tensors
    must not be written to between the call and the backward pass, and torch raises if they were.

    Args:
        f: a pure function of Arrays to an Array, or to a pytree of Arrays, all on torch's devices.

    Raises:
        DTypeError: for a NumPy array or an Array as an argument.
        DeviceError: if f returns an Array on another backend.
        LevelError: if f returns what one of our open transforms follows: the derivative would be lost.

    Example:
        >>> import torch
        >>> import neo_array as na
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> to_torch(lambda x: na.sum(x * x))(x).backward()
        >>> x.grad
        tensor([2., 4.])
    """
    if not callable(f):
        raise DTypeError(f"to_torch: needs a function of Arrays, got {type(f).__name__}; write to_torch(f)(tensor)")
    name = getattr(f, "__name__", type(f).__name__)

    def run(*args: Any, **kwargs: Any) -> Any:
        from neo_tape import _torch

        leaves, treedef = tree.flatten((args, kwargs))
        tensors = [x for x in leaves if _torch.is_tensor(x)]
        for x in leaves:
            if not _torch.is_tensor(x) and (type(x) is Array or backends.is_raw(x)):
                raise DTypeError(
                    f"to_torch: {name} is called with a {type(x).__module__}.{type(x).__name__}; call it with tensors, "
                    "torch.as_tensor(x), or let it close over what is constant"
                )
        fixed = [tree.HOLE if _torch.is_tensor(x) else x for x in leaves]
        output: list[Any] = []

        def flat(*arrays: Array) -> tuple[Array, ...]:
            rest = iter(arrays)
            args, kwargs = tree.unflatten(treedef, [next(rest) if x is tree.HOLE else x for x in fixed])
            found, outdef = tree.flatten(f(*args, **kwargs))
            output[:] = [tree.HOLE if type(x) is Array else x for x in found], outdef
            return tuple(x for x in found if type(x) is Array)

        rest = iter(_torch.apply(Call(flat, name), tensors))
        found, outdef = output
        return tree.unflatten(outdef, [next(rest) if x is tree.HOLE else x for x in found])

    run.__name__ = run.__qualname__ = f"to_torch({name})"
    return run


class Call:
    """A function of Arrays on its way through torch's autograd, which runs it, pulls it back, pushes and maps it."""

    __slots__ = ("flat", "name", "pullback", "wanted")

    def __init__(self, flat: Flat, name: str) -> None:
        self.flat = flat
        self.name = name
        self.wanted: list[int] = []  # the tensors to which a pullback is to be kept
        self.pullback: Callable[[Sequence[Any]], list[Any]] | None = None  # kept of the run

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Compute the function, and keep the pullback to the wanted tensors, if there are any."""
        wanted = self.wanted
        arrays = [_array(t, self.name) for t in tensors]
        if not wanted:
            return self._tensors(list(self.flat(*arrays)))
        out, pullback = vjp(_of(self.flat, arrays, wanted), *[arrays[i] for i in wanted])
        real = [is_differentiable(x) for x in out]

        def pull(cotangents: Sequence[Any]) -> list[Any]:
            rest: Iterator[Any] = iter([_array(g, self.name) for g in cotangents])
            given: Any = tuple([next(rest) if r else 0 for r in real])
            return self._tensors(list(pullback(given)))

        self.pullback = pull
        found = list(out)
        del out
        return self._tensors(found)

    def _tensors(self, arrays: list[Any]) -> list[Any]:
        """Return the tensors of a list of Arrays, and empty it: what nobody else has need not be copied."""
        from neo_tape._torch import unshared

        found = []
        while arrays:
            x = arrays.pop()
            if x.device.backend != "torch":
                raise DeviceError(
                    f"to_torch: {self.name} returned an Array on {x.device}; make it where the arguments are, "
                    "device=x.device, or move it there with .to(...)"
                )
            raw = x._export("to_torch")
            del x
            found.append(unshared(raw))
        return found[::-1]

    # --- Derived functions; their tensors are those of this one, then cotangents or tangents ---
    def pulled(self, count: int, wanted: Sequence[int]) -> Call:
        """Return the function to cotangents of the wanted tensors, from cotangents of the floating outputs."""

        def flat(*arrays: Array) -> tuple[Array, ...]:
            chosen = [arrays[i] for i in wanted]
            out, pullback = vjp(_of(self.flat, arrays[:count], wanted), *chosen)
            rest = iter(arrays[count:])
            found: tuple[Array, ...] = pullback(tuple(next(rest) if is_differentiable(x) else x for x in out))
            return found

        return Call(flat, self.name)

    def pushed(self, count: int, moved: Sequence[int]) -> Call:
        """Return the function to tangents of the floating outputs, from tangents of the moved tensors."""

        def flat(*arrays: Array) -> tuple[Array, ...]:
            chosen = tuple(arrays[i] for i in moved)
            _, tangents = jvp(_of(self.flat, arrays[:count], moved), chosen, arrays[count:])
            return tuple(t for t in tangents if is_differentiable(t))

        return Call(flat, self.name)

    def mapped(self, axes: Sequence[int | None], size: int) -> Call:
        """Return the function of batches, to batches along the first axes."""
        return Call(vmap(self.flat, tuple(axes), axis_size=size), self.name)


def _array(t: Any, name: str) -> Array:
    """Return the Array on a tensor's memory."""
    x = asarray(t, copy=False)
    if not backends.of_type(type(x._raw)):
        raise DTypeError(f"to_torch: {name} is called with a {type(t).__name__}, which has no values of its own")
    return x


def _of(flat: Flat, arrays: Sequence[Array], chosen: Sequence[int]) -> Flat:
    """Return a function of some of its arguments alone."""

    def of_chosen(*values: Array) -> tuple[Array, ...]:
        given = list(arrays)
        for i, value in zip(chosen, values, strict=True):
            given[i] = value
        return flat(*given)

    return of_chosen
