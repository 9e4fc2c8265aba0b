"""`from_torch`: a differentiable function of torch as an op of ours.

A call runs the function once, and keeps the graph that torch records. Its derivatives are again such calls, whose
graphs continue that one: so every order comes of torch's own rules, and random numbers are those of the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from neo_array import Array, DeviceError, DTypeError, LevelError, backends, primitive, stack, tree, zeros_like
from neo_array._array import wrap
from neo_array._batching import Axes, Batch, filled
from neo_array._bind import accumulate, is_differentiable, top_batched
from neo_array._described import is_described
from neo_array._levels import COMPLETE, OPEN, Args, Params, Recorder, check_strangers, current_stack, show
from neo_tape import _torch_functions as functions
from neo_tape._torch_functions import Base, Function, Pull, Push, UserFunction

if TYPE_CHECKING:
    from neo_tape._torch import Graph


class Call:
    """One call of a function, as the option of `torch_call`.

    `source` is the call whose graph a derived function continues; without it everything is computed anew.
    """

    __slots__ = ("_given", "function", "graph", "inner", "source")

    def __init__(self, function: Function, source: Call | None = None) -> None:
        self.function = function
        self.source = source
        self.graph: Graph | None = None
        self.inner: Call | None = None  # the call on whole batches, if this one is of one example
        self._given: list[Any] = []

    def __str__(self) -> str:
        return self.function.user.name

    def __call__(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Run the function, and show the call to the levels."""
        args = tuple(arrays)
        self._given = [a._raw for a in args]
        level = top_batched(args)
        if level is not None:
            found: tuple[Array, ...] = level.bind(torch_call, args, {"rule": self})
            return found
        if any(map(is_described, args)):
            raise LevelError(
                f"from_torch: eval_shape does not see what {self.function.user.name} would return, since nothing runs; "
                "call it outside of the function that eval_shape is given"
            )
        out = tuple(map(wrap, self._run(self._given)))
        stack = current_stack()
        if OPEN and stack.mark is not COMPLETE[0]:
            check_strangers(stack, torch_call, args)
        show(stack, 0, torch_call, args, {"rule": self}, out)
        return out

    def _run(self, raws: list[Any]) -> list[Any]:
        from neo_tape import _torch

        function, source = self.function, self.source
        with _torch.recording():
            if isinstance(function, Pull | Push) and source is not None and source.graph is not None:
                inputs = source.graph.inputs + list(map(_torch.leaf, raws[function.count :]))
                outputs = function.of_graph(source.graph, inputs[function.count :], create=bool(OPEN))
            else:
                inputs = [_torch.leaf(raw, derived=function.linear) for raw in raws]
                outputs = function.run(inputs)
            found = _torch.plain(outputs)
        if OPEN:
            self.graph = _torch.Graph(inputs, outputs)
        return found

    # --- Derived calls ---
    def pull(self, wanted: Sequence[int], given: Sequence[int]) -> Call:
        """Return the call that takes cotangents of some results to those of some arguments."""
        function = self.function
        if isinstance(function, Pull | Push) and all(i >= function.count for i in wanted):
            return Call(function.transposed([i - function.count for i in wanted], given), self.source)
        return Call(Pull(function, tuple(wanted), tuple(given), len(self._given)), self)

    def push(self, moved: Sequence[int], wanted: Sequence[int]) -> Call:
        """Return the call that takes tangents of some arguments to those of some results."""
        return Call(Push(self.function, tuple(moved), tuple(wanted), len(self._given)), self)

    def linear_arguments(self, positions: Sequence[int]) -> bool:
        """Tell whether the function is linear in all of these arguments together."""
        return self.function.linear and all(i >= self.function.count for i in positions)

    # --- Running again, for linearize and checkpoint ---
    def operands(self) -> range:
        """Return which arguments the call was made with: all of them."""
        return range(len(self._given))

    def again(self, arrays: list[Array]) -> list[Array]:
        """Make the call anew, with other arrays; of the same graph, if only what it is linear in has changed."""
        first = self._given[: self.function.count]
        same = all(a._raw is raw for a, raw in zip(arrays, first, strict=False))
        return list(Call(self.function, self.source if self.function.linear and same else None)(arrays))


# --- The op that the levels see ---
@primitive(multi=True)
def torch_call(*arrays: Array, rule: Call) -> tuple[Array, ...]:
    """Run a function of torch as one op."""
    raise AssertionError("torch_call is shown to levels by from_torch, never called")


@torch_call.record_with
def _(level: Recorder, wanted: list[int], args: Args, params: Params, out: tuple[Array, ...]) -> None:
    rule: Call = params["rule"]
    targets = [i for i in wanted if is_differentiable(args[i])]
    ids = tuple(x._id if is_differentiable(x) else 0 for x in out)
    level.watched.update(filter(None, ids))
    kept = args[: rule.function.count] if rule.linear_arguments(targets) else args

    def pull(g: tuple[Array | None, ...], entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        _, _, sources, arrays = entry
        given = [i for i, each in enumerate(g) if each is not None]
        found = rule.pull(targets, given)([*arrays, *[each for each in g if each is not None]])
        for source, each in zip(sources, found, strict=True):
            accumulate(grads, source, each)

    level.entries.append((pull, ids, tuple(args[i]._id for i in targets), kept))


@torch_call.jvp
def _(tangents: tuple[Array | None, ...], arrays: tuple[Array, ...], out: tuple[Array, ...], *, rule: Call) -> Any:
    moved = [i for i, t in enumerate(tangents) if t is not None]
    if rule.linear_arguments(moved):
        count = rule.function.count
        pairs = zip(arrays[count:], tangents[count:], strict=True)
        return Call(rule.function, rule.source)(
            [*arrays[:count], *[zeros_like(a) if t is None else t for a, t in pairs]]
        )
    wanted = [i for i, x in enumerate(out) if is_differentiable(x)]
    found = dict(zip(wanted, rule.push(moved, wanted)([*arrays, *[t for t in tangents if t is not None]]), strict=True))
    return tuple(found.get(i) for i in range(len(out)))


@torch_call.batch
def _(size: int, args: Sequence[Array], axes: Axes, /, *, rule: Call) -> Batch:
    count = rule.function.count
    if rule.source is not None and all(axis is None for axis in axes[:count]):
        # many cotangents for one graph: a batch of the function would have to run it again
        fronts = [filled(x, axis, size) for x, axis in zip(args[count:], axes[count:], strict=True)]
        rows = [Call(rule.function, rule.source)([*args[:count], *[x[i] for x in fronts]]) for i in range(size)]
        out = tuple(stack(column) for column in zip(*rows, strict=True))
    else:
        rule.inner = Call(rule.function.batched(), None if rule.source is None else rule.source.inner)
        out = rule.inner([filled(x, axis, size) for x, axis in zip(args, axes, strict=True)])
    return out, (0,) * len(out)


# --- The user's ---
def from_torch(fn: Callable[..., object], /, *, batch: functions.Batch = "vmap") -> Callable[..., Any]:
    """Return a function of Arrays that runs a differentiable function of torch tensors, as one op.

    Its derivatives are torch's, of any order and in both modes. It is called as fn is, with Arrays on a device of
    torch's in the places of tensors, inside any pytrees; what else is in them is passed on. Tensors that fn returns
    become Arrays. What fn closes over, an `nn.Module`'s parameters for instance, is constant; to differentiate by
    them, make them an argument: `lambda params, x: torch.func.functional_call(module, params, (x,))`.

    Args:
        fn: a function of tensors to a tensor, or to a pytree of tensors. It must not write into its arguments. It runs
            once a call; only where a derivative cannot be had of that run (checkpoint, a Jacobian's Jacobian) again.
        batch: how it runs under our `vmap`: by `torch.func.vmap`, or in a loop over the examples, which takes what that
            refuses: `.item()`, branches on values.

    Raises:
        DeviceError: for an Array on another backend.
        DTypeError: for a tensor as an argument, and if fn writes into an argument or returns anything strange.
        LevelError: if fn must run again, but draws random numbers.

    Example:
        >>> import torch
        >>> from neo_array import asarray
        >>> from neo_tape import grad
        >>> grad(grad(from_torch(lambda x: (x**3).sum())))(asarray(2.0, device="torch:cpu")).item()
        12.0
    """
    if not callable(fn):
        raise DTypeError(f"from_torch: needs a function of tensors, got {type(fn).__name__}; write from_torch(fn)(x)")
    if batch not in ("vmap", "loop"):
        raise DTypeError(f'from_torch: batch must be "vmap" or "loop", got {batch!r}')
    name = getattr(fn, "__name__", type(fn).__name__)

    def run(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        arrays = [x for x in leaves if type(x) is Array]
        _check(name, leaves, arrays)
        fixed = [tree.HOLE if type(x) is Array else x for x in leaves]
        user = UserFunction(fn, name, batch, fixed, treedef)
        return user.results(Call(Base(user, len(arrays)))(arrays))

    run.__name__ = run.__qualname__ = f"from_torch({name})"
    return run


def _check(name: str, leaves: Sequence[Any], arrays: Sequence[Array]) -> None:
    for x in leaves:
        if type(x) is not Array and backends.is_raw(x):
            raise DTypeError(
                f"from_torch: {name} is called with a {type(x).__module__}.{type(x).__name__}; call it with Arrays, "
                "na.asarray(x), or let it close over what is constant"
            )
    for x in arrays:
        if x.device.backend != "torch":
            raise DeviceError(
                f"from_torch: {name} computes on torch's tensors, but an argument of shape {x.shape} lives on "
                f'{x.device}; move it with x.to("torch:cpu")'
            )
        if x.device != arrays[0].device:
            raise DeviceError(
                f"from_torch: {name}'s arguments live on {arrays[0].device} and {x.device}; "
                f'move one of them, x.to("{arrays[0].device}")'
            )
