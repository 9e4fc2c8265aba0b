"""Checking a custom rule: the mistakes that a call can show, by the name of the argument that they concern."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from typing_extensions import TypeVarTuple, Unpack

from neo_array import PolicyError
from neo_tape._check_case import Case, is_policy
from neo_tape._check_rules import check_derivatives, check_linear, check_wanted
from neo_tape._check_runs import check_batches, check_dtypes
from neo_tape._check_state import check_state
from neo_tape._products import jvp, vjp
from neo_tape._samples import warn_of_sizes

Ts = TypeVarTuple("Ts")
Modes: TypeAlias = Sequence[Literal["fwd", "rev"]]
Samples: TypeAlias = (
    "tuple[object, ...] | list[tuple[Any, ...]] | Callable[[np.random.Generator], Iterable[tuple[object, ...]]]"
)


@overload
def check_policy(
    policy: Callable[[Unpack[Ts]], object],
    args: tuple[*Ts],
    kwargs: None = None,
    *,
    argnames: Sequence[str] | None = None,
    values: bool = True,
    order: int = 2,
    modes: Modes = ("fwd", "rev"),
    linear: bool = True,
    pure: bool = True,
    batch: bool = True,
    dtypes: bool = True,
    sizes: bool = True,
    seed: int = 0,
    tolerance: float | None = None,
) -> None: ...
@overload
def check_policy(
    policy: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: Mapping[str, object],
    *,
    argnames: Sequence[str] | None = None,
    values: bool = True,
    order: int = 2,
    modes: Modes = ("fwd", "rev"),
    linear: bool = True,
    pure: bool = True,
    batch: bool = True,
    dtypes: bool = True,
    sizes: bool = True,
    seed: int = 0,
    tolerance: float | None = None,
) -> None: ...
def check_policy(
    policy: Callable[..., Any],
    args: Any,
    kwargs: Mapping[str, object] | None = None,
    *,
    argnames: Sequence[str] | None = None,
    values: bool = True,
    order: int = 2,
    modes: Modes = ("fwd", "rev"),
    linear: bool = True,
    pure: bool = True,
    batch: bool = True,
    dtypes: bool = True,
    sizes: bool = True,
    seed: int = 0,
    tolerance: float | None = None,
) -> None:
    """Look for mistakes in a custom rule, at the arguments of one call.

    Floating and complex Arrays among the arguments are differentiated; Python numbers and everything else are
    constants (pass a 0-d Array to have its gradient checked). Use float64, arguments at which the rule is smooth, and
    distinct primes for sizes. Each property below is checked unless it is turned off, or the rule says itself that it
    lacks it: a Policy with `raw = True` is differentiated once, and not under vmap.

    Args:
        policy: a Policy, or any function with a rule of its own.
        args: the positional arguments of the call.
        kwargs: its options.
        argnames: the parameters to differentiate; the default is all.
        values: gradients and tangents are forward's derivatives, by central differences. A gradient that is
            another on purpose (straight-through, surrogate, reversed) needs False; jvp must then still agree with
            backward.
        order: from 2 on, backward's (and jvp's) own derivatives are checked too, against differences of backward.
            Saved values or cotangents that were detached are found so. 1 for rules to be differentiated only once.
        modes: the modes to check. Forward mode is left out for a backward that is not linear and has no jvp.
        linear: backward is linear in its cotangent, and jvp in its tangents.
        pure: the same call gives the same values and gradients, whatever calls of it come between, and in any
            order; nothing is written into arguments, cotangents, earlier results, attributes of the class or variables
            around it.
        batch: under vmap, forward, backward and jvp give what a loop over the examples gives.
        dtypes: float32 arguments give float32 outputs, and the values of float64.
        sizes: a warning if an argument's shape has a size of 1, or equal sizes: a wrong axis may go unnoticed.
        seed: of the random directions.
        tolerance: the relative error allowed beside differences; the default depends on the dtype.

    Raises:
        PolicyError: for the first mistake. It names the rule, the argument, what was got and what was expected, and
            which property to turn off if that is meant.

    Example:
        >>> import neo_tape as nt
        >>> @nt.function
        ... class Cube(nt.Policy):
        ...     def forward(self, x: nt.Array) -> nt.Array:
        ...         self.ctx.save(x)
        ...         return x * x * x
        ...     def backward(self, grad: nt.Array) -> tuple[nt.Array]:
        ...         (x,) = self.ctx.release
        ...         return (grad * 2 * x * x,)
        >>> try:
        ...     check_policy(Cube, nt.samples((3,)))
        ... except nt.PolicyError as error:
        ...     print(str(error)[:43])
        Cube: the gradient of argument 'x' is wrong
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown or not modes or order < 1:
        raise ValueError(
            f'check_policy: modes must be among "fwd", "rev", and order at least 1, got {modes!r}, {order}'
        )
    if not isinstance(args, tuple):
        raise PolicyError(f"check_policy: args must be a tuple, got {type(args).__name__}; write (x,)")
    if is_policy(policy):
        from neo_tape._policy import check_class

        check_class(policy)
    case = Case(policy, args, kwargs or {}, argnames, np.random.default_rng(seed))
    if not case.leaves:
        raise PolicyError(f"{case.name}: no argument to differentiate is a floating or complex Array: nothing to check")
    if sizes:
        warn_of_sizes(case.name, [(case.names, case.leaves)])
    outputs = case.outputs(*case.leaves)
    if not outputs:
        raise PolicyError(f"{case.name}: no output is a floating or complex Array: there is nothing to check")

    cotangents = case.random(outputs)
    check_wanted(case, cotangents)
    if pure:
        check_state(case)
    kept: tuple[str, ...] = tuple(modes) if case.own_jvp or (linear and not case.raw) else ("rev",)
    if linear:
        pull = vjp(case.outputs, *case.leaves)[1]
        check_linear(case, pull, outputs, case.names, "backward is not linear in its cotangent")
        if case.own_jvp and "fwd" in kept:
            push = lambda tangents: jvp(case.outputs, case.leaves, tangents)[1]
            check_linear(case, push, case.leaves, case.output_names(), "jvp is not linear in its tangents")
    check_derivatives(case, 1 if case.raw else order, kept, tolerance, first=values, cotangents=cotangents)
    if dtypes:
        check_dtypes(case)
    if batch and not case.raw:
        check_batches(case, kept)


def check_samples(policy: Any, given: Samples) -> None:
    """Check a Policy at definition time, at every sample; warn of sizes only if no sample's tell."""
    drawn = given(np.random.default_rng(0)) if callable(given) else [given] if isinstance(given, tuple) else given
    calls = list(drawn)
    cases = []
    for args in calls:
        if not isinstance(args, tuple):
            raise PolicyError(
                f"function: check must be a tuple with the arguments of a call, a list of such tuples, or a function "
                f"(rng) -> iterable of them, got {type(args).__name__} for a call's arguments"
            )
        check_policy(policy, args, {}, sizes=False)
        cases.append(Case(policy, args, {}, None, np.random.default_rng(0)))
    if not calls:
        raise PolicyError(f"function: check has no samples for {policy.__name__}; give the arguments of one call")
    warn_of_sizes(policy.__name__, [(case.names, case.leaves) for case in cases])
