"""Gradient transformations: pairs of pure functions, typed by their state, which chain into optimizers.

The shape is Optax's (https://github.com/google-deepmind/optax). A transformation gets gradients, or what those before
it made of them, and returns updates: what `apply_updates` adds to the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, overload

import typing_extensions as te

from neo_array import Donated, TreeError
from neo_optim import _leaves

T = TypeVar("T")  # a tree of parameters; gradients and updates have the same type
S1 = TypeVar("S1")
S2 = TypeVar("S2")
S3 = TypeVar("S3")
S4 = TypeVar("S4")
S_co = TypeVar("S_co", covariant=True)
S_inv = TypeVar("S_inv")
S = te.TypeVar("S", default=Any)


class Init(Protocol[S_co]):
    """Make the first state from the parameters."""

    def __call__(self, params: object, /) -> S_co: ...


class Update(Protocol[S_inv]):
    """Turn gradients into updates of the same structure, and the state into the next one.

    `extra` carries what only some transformations need (the loss as `value=`, ...); all of them take it. `donate` is
    given if the state may be used up: pass it to `neo_array.donate`. The incoming updates and parameters may not.
    """

    def __call__(
        self, updates: T, state: S_inv, params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, S_inv]: ...


class Fused(Protocol[S_inv]):
    """Do as `update` followed by `apply_updates`, in one pass; with `donate`, the parameters are used up too."""

    def __call__(
        self, params: T, updates: T, state: S_inv, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, S_inv]: ...


@dataclass(frozen=True)
class GradientTransformation(Generic[S]):
    """A pair of pure functions, `state = init(params)` and `updates, state = update(gradients, state, params)`.

    `fused` may say how `step` gets from gradients to parameters faster. Bare `GradientTransformation` means any state.

    >>> import neo_array as na
    >>> import neo_optim as optim
    >>> def halve(updates, state, params=None, /, **extra):
    ...     return na.tree.tree_map(lambda u: u / 2, updates), state
    >>> opt = optim.chain(optim.GradientTransformation(lambda params: optim.EmptyState(), halve), optim.sgd(0.1))
    >>> params = {"w": na.asarray([1.0])}
    >>> updates, state = opt.update({"w": na.asarray([4.0])}, opt.init(params), params)
    >>> optim.apply_updates(params, updates)["w"].item()
    0.800000011920929
    """

    init: Init[S]
    update: Update[S]
    fused: Fused[S] | None = None


class EmptyState(NamedTuple):
    """The state of a transformation that keeps nothing."""


def apply_updates(params: T, updates: T, /) -> T:
    """Add updates to parameters. Integers, bools and Python objects stay as they are.

    Raises:
        TreeError: the trees differ.
        ShapeError, DTypeError, DeviceError: an update does not fit its parameter.
    """
    new: T = _leaves.add_scaled("apply_updates", params, updates, 1.0, None)
    return new


def advance(
    opt: GradientTransformation[S1], params: T, gradients: T, state: S1, donate: Donated | None, extra: dict[str, Any]
) -> tuple[T, S1]:
    """Update and apply, in one pass where the transformation can do so."""
    if opt.fused is not None:
        return opt.fused(params, gradients, state, donate=donate, **extra)
    updates, state = opt.update(gradients, state, params, donate=donate, **extra)
    new: T = _leaves.add_scaled("step", params, updates, 1.0, donate)
    return new, state


# --- Chains ---
@overload
def chain() -> GradientTransformation[tuple[()]]: ...
@overload
def chain(a: GradientTransformation[S1], /) -> GradientTransformation[tuple[S1]]: ...
@overload
def chain(a: GradientTransformation[S1], b: GradientTransformation[S2], /) -> GradientTransformation[tuple[S1, S2]]: ...
@overload
def chain(
    a: GradientTransformation[S1], b: GradientTransformation[S2], c: GradientTransformation[S3], /
) -> GradientTransformation[tuple[S1, S2, S3]]: ...
@overload
def chain(
    a: GradientTransformation[S1],
    b: GradientTransformation[S2],
    c: GradientTransformation[S3],
    d: GradientTransformation[S4],
    /,
) -> GradientTransformation[tuple[S1, S2, S3, S4]]: ...
@overload
def chain(*transformations: GradientTransformation[Any]) -> GradientTransformation[tuple[Any, ...]]: ...
def chain(*transformations: GradientTransformation[Any]) -> GradientTransformation[Any]:
    """Run transformations one after another. The state is the tuple of theirs; a chain of none changes nothing."""
    for i, transformation in enumerate(transformations):
        if not isinstance(transformation, GradientTransformation):
            raise TypeError(
                f"chain: argument {i} must be a GradientTransformation, got {type(transformation).__name__}; "
                "call what makes it, as in chain(trace(0.9), scale_by_learning_rate(0.1))"
            )

    def init(params: object, /) -> tuple[Any, ...]:
        return tuple([transformation.init(params) for transformation in transformations])

    def update(
        updates: T, state: tuple[Any, ...], params: T | None = None, /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, tuple[Any, ...]]:
        _check_length(state)
        states = []
        for transformation, s in zip(transformations, state, strict=True):
            updates, s = transformation.update(updates, s, params, donate=donate, **extra)
            states.append(s)
        return updates, tuple(states)

    def fused(
        params: T, updates: T, state: tuple[Any, ...], /, *, donate: Donated | None = None, **extra: Any
    ) -> tuple[T, tuple[Any, ...]]:
        _check_length(state)
        states = []
        for transformation, s in zip(transformations[:-1], state[:-1], strict=True):
            updates, s = transformation.update(updates, s, params, donate=donate, **extra)
            states.append(s)
        params, s = advance(transformations[-1], params, updates, state[-1], donate, extra)
        return params, (*states, s)

    def _check_length(state: object) -> None:
        if type(state) is not tuple or len(state) != len(transformations):
            got = f"a tuple of {len(state)}" if type(state) is tuple else type(state).__name__
            raise TreeError(
                f"chain: the state must be the tuple of {len(transformations)} states that init made, got {got}; "
                "write state = opt.init(params) with this same optimizer"
            )

    return GradientTransformation(init, update, fused if transformations else None)
