"""`custom_vjp`: a function with a reverse rule of its own, in functional form."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import ParamSpec

from neo_array import PolicyError
from neo_tape._policy import Policy, check_class
from neo_tape._policy_class import KINDS

Q = ParamSpec("Q")
R = TypeVar("R")
Res = TypeVar("Res")


def custom_vjp(
    f: Callable[Q, R], fwd: Callable[Q, tuple[R, Res]], bwd: Callable[[Res, R], tuple[object, ...]]
) -> Callable[Q, R]:
    """Return f with a derivative of its own: a Policy, written as three functions.

    All that holds for `Policy` holds here: one op with outputs of its own; options are keyword-only and get no
    gradient; derivatives of any order go through `bwd` (in JAX they do if fwd calls the function itself); forward mode
    transposes it; arrays that are being differentiated must be arguments, not closures.

    Args:
        f: what is computed where nothing is differentiated. Any pytrees.
        fwd: called in place of f where something is, with the same arguments; returns `(output, residuals)`.
        bwd: gets the residuals and the cotangent of the output, and returns a tuple with one gradient per positional
            argument of f, with its structure, shapes and dtypes; None for what is not differentiable.

    Raises:
        PolicyError: for functions that do not fit each other, and for what bwd returns wrongly.

    Example:
        >>> import neo_array as na
        >>> from neo_tape import grad
        >>> straight_through = custom_vjp(na.round, lambda x: (na.round(x), None), lambda _, g: (g,))
        >>> grad(lambda x: straight_through(x) * x)(na.asarray(1.75)).item()
        3.75
        >>> reverse_gradient = custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: (-g,))
        >>> grad(lambda x: reverse_gradient(x * x))(na.asarray(3.0)).item()
        -6.0
    """
    name = f"custom_vjp({name_of(f)})"
    check_functions(name, f=f, fwd=fwd, bwd=bwd)
    try:
        inspect.signature(bwd).bind(None, None)
    except TypeError:
        raise PolicyError(
            f"{name}.bwd: must take the residuals and the cotangent, got parameters "
            f"{list(inspect.signature(bwd).parameters)}; write def bwd(residuals, grad)"
        ) from None

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        if not any(self.needs_grad):
            return f(*args, **options)
        pair: object = fwd(*args, **options)
        if not isinstance(pair, tuple) or len(pair) != 2:
            got = f"a tuple of {len(pair)}" if isinstance(pair, tuple) else type(pair).__name__
            raise PolicyError(f"{name}.fwd: must return (output, residuals), got {got}; residuals may be None")
        self.ctx.save(pair[1])
        return pair[0]

    def backward(self: Any, grad: Any) -> Any:
        (residuals,) = self.ctx.release
        return bwd(residuals, grad)

    labels = {"forward": f"{name}.fwd", "backward": f"{name}.bwd"}
    return as_function(f, {"forward": forward, "backward": backward, "_labels": labels})


# --- What custom_jvp needs too ---
def name_of(f: Any) -> str:
    """Return a function's name, for messages and traces."""
    return str(getattr(f, "__name__", type(f).__name__))


def check_functions(who: str, **functions: Any) -> None:
    """Refuse what is no plain function, and functions that take other arguments than the first one."""
    for parameter, function in functions.items():
        if not callable(function):
            raise PolicyError(f"{who}: {parameter} must be a function, got {type(function).__name__}")
        for kind, test in KINDS.items():
            if test(function):
                raise PolicyError(
                    f"{who}: {parameter} must be a plain function, got {kind}; compute and return at once"
                )
    if "fwd" in functions:
        mine, other = (_parameters(functions[key]) for key in ("f", "fwd"))
        if mine is not None and other is not None and mine != other:
            raise PolicyError(
                f"{who}: fwd must take the arguments of f, {_written(functions['f'])}, got "
                f"{_written(functions['fwd'])}; give it the same parameters"
            )


def _parameters(f: Any) -> tuple[int, frozenset[str]] | None:
    """Return how many positional parameters a function has, and its options' names; None if it has others."""
    parameters = inspect.signature(f).parameters.values()
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return None
    options = frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    return len(parameters) - len(options), options


def _written(f: Any) -> str:
    return str(inspect.signature(f))


def as_function(f: Callable[Q, R], members: dict[str, Any]) -> Callable[Q, R]:
    """Return a function with f's signature that calls the Policy with these members; it is its `policy`."""
    this = inspect.Parameter("_policy", inspect.Parameter.POSITIONAL_ONLY)  # f may have a self of its own
    members["forward"].__signature__ = inspect.Signature([this, *inspect.signature(f).parameters.values()])
    policy: Any = type(name_of(f), (Policy,), members)
    check_class(policy)

    @functools.wraps(f)
    def run(*args: Q.args, **kwargs: Q.kwargs) -> R:
        out: R = policy(*args, **kwargs)
        return out

    run.policy = policy  # type: ignore[attr-defined]  # for `rules` and for whoever looks at it
    return run
