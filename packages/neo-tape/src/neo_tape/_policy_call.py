"""Calling a Policy: one op, with output ids of its own, at every level.

While forward runs, let k be the innermost Tape or Tangent that knows an input. Tapes and Tangents from k up do not see
forward's own ops; those below do, since what forward saves may be differentiated when level k's backward runs under
them.
Then the Policy is shown as one op, `policy_call(*inputs, *options, *outputs, *saved)`, to all levels; to those outside
a vmap, on the arrays that hold the batches.

Traces see both: what backward keeps of forward's own ops is computed in a Program as it was, while the call itself is
made anew. So forward must take from a trace nothing but its arguments.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from neo_array import Array, PolicyError, asarray, tree
from neo_array._array import next_id
from neo_array._bind import is_differentiable
from neo_array._levels import CROWD, OPEN, Args, Level, Params, Stack, check_strangers, current_stack, set_stack
from neo_tape._policy_batch import layers, views
from neo_tape._policy_rule import Rule, policy_call
from neo_tape._program.trace import Trace
from neo_tape._tangent import Tangent
from neo_tape._tape import Tape

if TYPE_CHECKING:
    from neo_array._levels import Op


class Guard(Level):
    """Stands in for a Tape, a Tangent or a Trace while forward runs.

    It refuses watched arrays that reach forward by another way than its arguments: their gradient would vanish. Those
    below level k still record.
    """

    __slots__ = ("_inputs", "_policy", "_start", "followed", "level", "record", "watched")

    def __init__(self, level: Level, inputs: frozenset[int], start: int, policy: str, *, record: bool) -> None:
        self.level = level
        self.followed: Level = level.followed if isinstance(level, Guard) else level
        self.record = record
        self.watched = level.watched
        self._inputs = inputs
        self._start = start
        self._policy = policy

    def knows(self, array: Array) -> bool:
        return self.record and self.level.knows(array)

    def loses(self, array: Array) -> bool:
        """Tell whether the gradient of an array that forward uses would be lost: it is watched, but no argument."""
        if array._id >= self._start or array._id in self._inputs:
            return False
        outer = self.level
        return outer.loses(array) if isinstance(outer, Guard) and not outer.record else self.followed.knows(array)

    def check(self, values: Iterable[Any], how: str) -> None:
        """Refuse values whose gradient would be lost."""
        for value in values:
            if type(value) is Array and any(map(self.loses, layers(value))):
                what, harm, advice = _LOSSES[isinstance(self.followed, Trace)]
                raise PolicyError(
                    f"{self._policy}.forward: {how} an array of shape {value.shape} that is being {what} but is not an "
                    f"argument, so {harm}; pass it as {advice}"
                )

    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        if not op.discrete or isinstance(self.followed, Trace):
            self.check(args, f"uses, in {op.__name__},")
        if self.record:
            levels = tuple(each.level if isinstance(each, Guard) else each for each in stack.levels)
            self.level.see(Stack(levels, stack.chain), index, op, args, params, out)


_LOSSES: Final = {
    False: ("differentiated", "its gradient would be lost", "a positional argument, or take stop_gradient of it"),
    True: ("traced", "a Program would compute with this one value of it", "an argument or an option"),
}


def call_policy(cls: Any, context: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a Policy's forward, and show the call to the open levels."""
    positional, options = _arguments(cls, args, kwargs)
    inputs, in_tree = tree.flatten(positional)
    arrays = [x for x in inputs if type(x) is Array]
    everything = [each for x in arrays for each in layers(x)]  # levels outside a vmap know what holds the batch
    stack = current_stack()
    given = _option_arrays(options)
    _check_options(cls, options, stack)

    policy = object.__new__(cls)
    policy.ctx = context()
    levels = stack.levels
    tracing = [isinstance(_followed(level), Trace) for level in levels]
    following = [isinstance(_followed(level), Tape | Tangent) for level in levels]
    differentiating = [level for level, follows in zip(levels, following, strict=True) if follows]
    wanted = {id(a) for a in arrays if any(level.knows(each) for each in layers(a) for level in differentiating)}
    policy.needs_grad = tuple(any(id(x) in wanted for x in tree.leaves(argument)) for argument in positional)
    inner = max((i for i, level in enumerate(levels) if following[i] and any(map(level.knows, everything))), default=-1)
    start = next_id()
    ids = frozenset(a._id for x in (*arrays, *given) for a in layers(x))
    guarded = tuple(
        Guard(
            level,
            ids,
            start,
            cls.__name__,
            record=(traces or i < inner) and (type(level) is not Guard or level.record),
        )
        if follows or traces
        else level
        for i, (level, follows, traces) in enumerate(zip(levels, following, tracing, strict=True))
    )
    try:
        set_stack(Stack(guarded, stack.chain))
        output = policy.forward(*tree.unflatten(in_tree, inputs), **options)
    finally:
        set_stack(stack)
    if OPEN and (not levels or CROWD):
        check_strangers(stack, policy_call, tuple(everything))
    return _show(cls, policy, stack, guarded, inputs, in_tree, given, output, options)


def _show(
    cls: Any,
    policy: Any,
    stack: Stack,
    guarded: tuple[Level, ...],
    inputs: list[Any],
    in_tree: Any,
    given: list[Array],
    output: Any,
    options: dict[str, Any],
) -> Any:
    """Give the outputs ids of their own, and show `policy_call` to the levels."""
    leaves, out_tree = tree.flatten(output)
    outputs = [asarray(x) if isinstance(x, float | complex) else x for x in leaves]
    for x in outputs:
        if type(x) is not Array:
            raise PolicyError(f"{cls.__name__}.forward: must return Arrays, or pytrees of them, got {type(x).__name__}")
    saved, saved_tree = tree.flatten(getattr(policy.ctx, "_saved", ()))
    rule = Rule(cls, policy, inputs, in_tree, given, outputs, out_tree, saved, saved_tree)
    leaves, treedef = tree.flatten((inputs, options))
    values = [None if type(x) is Array else x for x in leaves]
    rule.again = functools.partial(_call_again, cls, type(policy.ctx), values, treedef, in_tree)
    for guard in guarded:
        if isinstance(guard, Guard):
            guard.check(outputs, "returns")
            guard.check(saved, "saves")
    found = views(stack, rule, [*rule.input_arrays(inputs), *given], outputs, rule.kept_arrays(saved))
    ends = [view.start for view in found[1:]] + [len(stack.levels)]
    for view, end in zip(found, ends, strict=True):
        arguments = (*view.inputs, *view.outputs, *view.kept)
        for index in range(view.start, end):
            stack.levels[index].see(stack, index, policy_call, arguments, {"rule": view.rule}, tuple(view.fresh))
    return tree.unflatten(out_tree, found[-1].fresh)


def _followed(level: Level) -> Level:
    return level.followed if isinstance(level, Guard) else level


def _call_again(
    cls: Any, context: type[Any], values: list[Any], treedef: Any, in_tree: Any, arrays: list[Array]
) -> list[Array]:
    """Make a call anew with other Arrays, and return the outputs' leaves."""
    rest = iter(arrays)
    inputs, options = tree.unflatten(treedef, [next(rest) if value is None else value for value in values])
    return tree.leaves(call_policy(cls, context, tree.unflatten(in_tree, inputs), options))


@functools.cache
def _signature(forward: Any) -> inspect.Signature:
    signature = inspect.signature(forward)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _arguments(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Sort a call into positional arguments (defaults included) and keyword-only options."""
    signature = _signature(cls.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise PolicyError(f"{cls.__name__}: {error}; forward is {cls.__name__}{signature}") from None
    bound.apply_defaults()
    return bound.args, bound.kwargs


def _option_arrays(options: dict[str, Any]) -> list[Array]:
    """Return the Arrays among the options, in the order of their leaves."""
    return [x for x in tree.leaves(options) if type(x) is Array]


def _check_options(cls: Any, options: dict[str, Any], stack: Stack) -> None:
    for name, option in options.items():
        for leaf in tree.leaves(option):
            known = type(leaf) is Array and any(
                level.knows(x)
                for x in layers(leaf)
                for level in stack.levels
                if not isinstance(_followed(level), Trace)
            )
            if known and is_differentiable(leaf):
                raise PolicyError(
                    f"{cls.__name__}: option {name!r} is being differentiated, but options get no gradient; "
                    "make it a positional argument of forward, or pass stop_gradient(...)"
                )
