"""What `from_torch` and `to_torch` need of torch: graphs of its autograd, and a Function of its around ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from neo_array import DTypeError, ShapeError
from neo_array._levels import OPEN
from neo_array.backends import torch as backend
from neo_array.backends.torch import sole_owner


# --- torch's graphs, for from_torch ---
class Graph(NamedTuple):
    """Tensors, and what torch computed of them and can differentiate."""

    inputs: list[Any]
    outputs: list[Any]


@contextmanager
def recording() -> Iterator[None]:
    """Let torch record, whatever the caller has chosen for this thread."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield


def leaf(raw: Any) -> Any:
    """Return a tensor on the same memory that torch's graphs may begin with."""
    own = raw.clone() if raw.is_inference() else raw.detach()
    return own.requires_grad_(bool(OPEN) and (own.is_floating_point() or own.is_complex()))


def plain(tensors: list[Any]) -> list[Any]:
    """Return raw arrays of tensors that nothing but the list holds: copied, where they are held all the same."""
    found = []
    for i in range(len(tensors)):
        owned = sole_owner(tensors[i], 1)
        backend.dtype_of(tensors[i])  # raises for a dtype that is not one of ours
        found.append(backend.asarray(tensors[i], None, backend.device_of(tensors[i]), not owned))
    return found


def versions(tensors: Sequence[Any]) -> list[int]:
    """Return numbers that change when a tensor's memory is written to."""
    return [0 if t.is_inference() else t._version for t in tensors]


def random_state(tensors: Sequence[Any]) -> list[Any]:
    """Return the states of the generators that a function of these tensors draws from by default."""
    places = {t.device.index for t in tensors if t.is_cuda}
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in sorted(places))]


def same_state(before: list[Any], after: list[Any]) -> bool:
    """Tell whether nothing was drawn."""
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def is_tensor(x: object) -> bool:
    """Tell whether x is a tensor."""
    return isinstance(x, torch.Tensor)


def mapped(f: Callable[..., Any], tensors: Sequence[Any]) -> list[Any]:
    """Map a function over the first axes of tensors.

    Raises:
        DTypeError: if torch cannot map it.
    """
    if not tensors[0].shape[0]:
        raise ShapeError("from_torch: torch.func.vmap maps no batch of size 0; ask for its shape first")
    try:
        return list(torch.func.vmap(lambda *xs: tuple(f(xs)), randomness="different")(*tensors))
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        raise DTypeError(
            f"from_torch: torch.func.vmap cannot map the function: {str(error).strip()}; "
            'from_torch(fn, batch="loop") runs it once for each example'
        ) from error


def looped(f: Callable[..., Any], tensors: Sequence[Any]) -> list[Any]:
    """Do as `mapped`, one example after the other."""
    if not tensors[0].shape[0]:
        raise ShapeError("from_torch: a loop over a batch of size 0 gives no results; ask for its shape first")
    rows = [f(row) for row in zip(*tensors, strict=True)]
    return [torch.stack(column) for column in zip(*rows, strict=True)]


def pulled(
    graph: Graph, cotangents: Sequence[Any], wanted: Sequence[int], given: Sequence[int], *, derived: bool, create: bool
) -> list[Any]:
    """Return the cotangents of the wanted inputs, from those of the given outputs."""
    inputs = [graph.inputs[i] for i in wanted]
    pairs = [(graph.outputs[i], g) for i, g in zip(given, cotangents, strict=True)]
    if derived and any(not y.requires_grad and bool(y.detach().any()) for y, _ in pairs):
        raise DTypeError(
            "from_torch: this derivative needs torch to differentiate the function's backward, but that leaves torch's "
            "autograd on its way (a torch.autograd.Function whose backward is not made of differentiable operations?); "
            "write that backward in torch's operations"
        )
    pairs = [(y, _conjugate(g)) for y, g in pairs if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(x) for x in inputs]
    outputs, gs = zip(*pairs, strict=True)
    found: Sequence[Any] = torch.autograd.grad(
        outputs, inputs, gs, create_graph=create, retain_graph=True, allow_unused=True
    )
    return [torch.zeros_like(x) if g is None else _conjugate(g) for x, g in zip(inputs, found, strict=True)]


def _conjugate(g: Any) -> Any:
    return g.conj().resolve_conj() if g.is_complex() else g  # torch's cotangents are the conjugates of ours


def pushed(
    graph: Graph, tangents: Sequence[Any], moved: Sequence[int], wanted: Sequence[int], *, derived: bool
) -> list[Any]:
    """Return the tangents of the wanted outputs, from those of the moved inputs: the transpose of the transpose."""
    outputs = [graph.outputs[i] for i in wanted]
    # any cotangents would do; with these, a gradient of zeros is no accident
    dummies = [_ramp(y).requires_grad_() for y in outputs]
    gradients = pulled(graph, dummies, moved, wanted, derived=derived, create=True)
    return pulled(
        Graph(dummies, gradients), tangents, range(len(dummies)), range(len(gradients)), derived=True, create=True
    )


def _ramp(y: Any) -> Any:
    real = torch.linspace(1, 2, y.numel(), device=y.device, dtype=torch.float64)
    return real.reshape(y.shape).to(y.dtype)
