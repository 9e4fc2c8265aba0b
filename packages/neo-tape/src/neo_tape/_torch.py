"""What `from_torch` and `to_torch` need of torch: graphs of its autograd, and a Function of its around ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from neo_array import DTypeError, ShapeError
from neo_array._levels import OPEN
from neo_array.backends import torch as backend
from neo_array.backends.torch import sole_owner

if TYPE_CHECKING:
    from neo_tape._to_torch import Call


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


def leaf(raw: Any, *, derived: bool = False) -> Any:
    """Return a tensor on the same memory that torch's graphs may begin with, if any level may ask for a derivative.

    A function that is a derivative itself needs the graph in any case: a Program's, say, which runs without a level.
    """
    own = raw.clone() if raw.is_inference() else raw.detach()
    return own.requires_grad_((derived or bool(OPEN)) and (own.is_floating_point() or own.is_complex()))


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


# --- A Function of torch's around a call of ours, for to_torch ---
# torch keeps these private; where they are missing, everything is computed anew, or kept
_wrapped = getattr(torch._C._functorch, "is_functorch_wrapped_tensor", lambda t: True)
_batched_by_autograd = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda t: False)
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


def apply(call: Call, tensors: Sequence[Any]) -> tuple[Any, ...]:
    """Run a call of ours on tensors, seen by torch as one operation."""
    if torch.is_grad_enabled() and not any(map(_wrapped, tensors)):
        call.wanted = [i for i, t in enumerate(tensors) if t.requires_grad]
    operation: Any = _Operation  # torch's own annotations leave `apply` untyped
    found: tuple[Any, ...] = operation.apply(call, *tensors)
    return found


def unshared(raw: Any) -> Any:
    """Return a tensor that nobody else can write to, or keeps the values of."""
    return raw if sole_owner(raw, 2) else raw.clone()


def _real(t: Any) -> bool:
    return bool(t.is_floating_point() or t.is_complex())


class _Operation(torch.autograd.Function):
    """An operation whose derivatives are such operations again: so every order is ours, and every mode."""

    @staticmethod
    def forward(call: Call, *tensors: Any) -> Any:
        return tuple(call.run(tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call, *tensors = inputs
        ctx.pullback, ctx.call.pullback = ctx.call.pullback, None
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.real = [_real(t) for t in output]
        ctx.mark_non_differentiable(*[t for t in output if not _real(t)])

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        tensors = ctx.saved_tensors  # torch raises if they were written to
        if any(map(_batched_by_autograd, cotangents)):
            raise DTypeError(
                f"to_torch: {ctx.call.name} has no backward pass for is_grads_batched=True (vectorize=True); "
                "use torch.func.jacrev, or torch.func.vmap over torch.func.vjp's pullback"
            )
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        given = [_conjugate(g) for g, real in zip(cotangents, ctx.real, strict=True) if real]
        if ctx.pullback is None or torch.is_grad_enabled() or any(map(_wrapped, given)):
            found: Sequence[Any] = apply(ctx.call.pulled(len(tensors), wanted), [*tensors, *given])
        else:
            found, wanted = ctx.pullback(given), ctx.call.wanted
            if not _graph_is_kept():
                ctx.pullback = None
        gradients = dict(zip(wanted, map(_conjugate, found), strict=True))
        return None, *(gradients.get(i) for i in range(len(tensors)))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Any) -> Any:
        tensors = ctx.saved_tensors
        moved = [i for i, t in enumerate(tangents) if t is not None]
        found = iter(apply(ctx.call.pushed(len(tensors), moved), [*tensors, *(tangents[i] for i in moved)]))
        return tuple(next(found) if real else None for real in ctx.real)

    @staticmethod
    def vmap(info: Any, axes: Any, call: Call, *tensors: Any) -> Any:
        out = apply(call.mapped(axes[1:], info.batch_size), tensors)
        return out, (0,) * len(out)
