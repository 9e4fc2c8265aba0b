"""`value_and_grad` and `grad`: reverse mode of a scalar function.

The overloads give gradients the type of the arguments. The likeliest one stands last, since checkers explain a
mismatch with it, and no lambda may fit two of them, since mypy then gives up; hence no plain `argnums: int`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Literal, TypeAlias, overload

from typing_extensions import ParamSpec, TypeVar

from neo_array import Array, DTypeError, ShapeError, asarray, ones_like
from neo_array._array import wrap
from neo_array._bind import is_differentiable, weak
from neo_array._levels import current_stack, entered, left, set_stack
from neo_array.backends import example
from neo_tape._inputs import Inputs
from neo_tape._products import _split_aux
from neo_tape._tape import Tape

# bound=Any, default=Any: the parameters of a lambda without annotations would otherwise be read as `object`
A = TypeVar("A", bound=Any, default=Any)
B = TypeVar("B", bound=Any, default=Any)
C = TypeVar("C", bound=Any, default=Any)
D = TypeVar("D", bound=Any, default=Any)
Aux = TypeVar("Aux", default=Any)
P = ParamSpec("P", default=...)
No: TypeAlias = Literal[False]
Yes: TypeAlias = Literal[True]
First: TypeAlias = Literal[0]
Second: TypeAlias = Literal[1]
Third: TypeAlias = Literal[2]
Fourth: TypeAlias = Literal[3]


@overload
def value_and_grad(
    f: Callable[P, Array], *, argnames: str, has_aux: No = False
) -> Callable[P, tuple[Array, object]]: ...
@overload
def value_and_grad(
    f: Callable[P, Array], *, argnames: tuple[str, ...], has_aux: No = False
) -> Callable[P, tuple[Array, dict[str, object]]]: ...
@overload
def value_and_grad(
    f: Callable[P, Array], argnums: list[int], *, has_aux: No = False
) -> Callable[P, tuple[Array, tuple[object, ...]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, P], tuple[Array, Aux]], argnums: tuple[First, Second], *, has_aux: Yes
) -> Callable[Concatenate[A, B, P], tuple[tuple[Array, Aux], tuple[A, B]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], tuple[Array, Aux]], argnums: First = 0, *, has_aux: Yes
) -> Callable[Concatenate[A, P], tuple[tuple[Array, Aux], A]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, C, D, P], Array],
    argnums: tuple[First, Second, Third, Fourth],
    *,
    has_aux: No = False,
) -> Callable[Concatenate[A, B, C, D, P], tuple[Array, tuple[A, B, C, D]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, C, P], Array], argnums: tuple[First, Second, Third], *, has_aux: No = False
) -> Callable[Concatenate[A, B, C, P], tuple[Array, tuple[A, B, C]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, P], Array], argnums: tuple[First, Second], *, has_aux: No = False
) -> Callable[Concatenate[A, B, P], tuple[Array, tuple[A, B]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], Array], argnums: tuple[First], *, has_aux: No = False
) -> Callable[Concatenate[A, P], tuple[Array, tuple[A]]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, C, P], Array], argnums: Third, *, has_aux: No = False
) -> Callable[Concatenate[A, B, C, P], tuple[Array, C]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, B, P], Array], argnums: Second, *, has_aux: No = False
) -> Callable[Concatenate[A, B, P], tuple[Array, B]]: ...
@overload
def value_and_grad(
    f: Callable[Concatenate[A, P], Array], argnums: First = 0, *, has_aux: No = False
) -> Callable[Concatenate[A, P], tuple[Array, A]]: ...
def value_and_grad(f: Any, argnums: Any = 0, *, argnames: Any = None, has_aux: bool = False) -> Any:
    """Return a function that computes f's value and its gradient.

    Args:
        f: a function to a real scalar: a floating Array of shape ().
        argnums: which positional arguments to differentiate: an int (the gradient has that argument's structure), or a
            tuple or list of ints (a tuple of gradients). Arguments are pytrees.
        argnames: differentiate these arguments by name instead: a str, or a tuple of them (a dict of gradients).
        has_aux: f returns `(value, aux)`; the result is then `((value, aux), gradient)`.

    Gradients have the structure, shapes, dtypes and devices of the arguments: zeros for what f did not use, zeros of
    their own dtype for integers and booleans; a Python float counts as a 0-d Array.

    Raises:
        ShapeError: if f's value is no scalar; `vjp` takes any output.
        DTypeError: if it is an integer or complex.

    Example:
        >>> value, gradient = value_and_grad(lambda x: (x * x).sum())(asarray([1.0, 2.0]))
        >>> value.item(), gradient.numpy().tolist()
        (5.0, [2.0, 4.0])
    """
    select = _selection(f, argnums, argnames, "value_and_grad")

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        chosen, put_back = select(args, kwargs)
        inputs = Inputs(chosen, "value_and_grad")
        tape = Tape(inputs.watched)
        outer = current_stack()
        try:
            set_stack(entered(tape))
            args, kwargs = put_back(inputs.tree())
            result = f(*args, **kwargs)
        finally:
            set_stack(outer)
            left(tape)
        output, aux = _split_aux(result, "value_and_grad") if has_aux else (result, None)
        value = _checked_scalar(output)
        found = tape.walk([value._id], [_one(value)], consume=True)
        gradient = inputs.gradients(found)
        return ((value, aux), gradient) if has_aux else (value, gradient)

    return _forget_annotations(run)


@overload
def grad(f: Callable[P, Array], *, argnames: str, has_aux: No = False) -> Callable[P, object]: ...
@overload
def grad(
    f: Callable[P, Array], *, argnames: tuple[str, ...], has_aux: No = False
) -> Callable[P, dict[str, object]]: ...
@overload
def grad(f: Callable[P, Array], argnums: list[int], *, has_aux: No = False) -> Callable[P, tuple[object, ...]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, P], tuple[Array, Aux]], argnums: tuple[First, Second], *, has_aux: Yes
) -> Callable[Concatenate[A, B, P], tuple[tuple[A, B], Aux]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], tuple[Array, Aux]], argnums: First = 0, *, has_aux: Yes
) -> Callable[Concatenate[A, P], tuple[A, Aux]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, C, D, P], Array],
    argnums: tuple[First, Second, Third, Fourth],
    *,
    has_aux: No = False,
) -> Callable[Concatenate[A, B, C, D, P], tuple[A, B, C, D]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, C, P], Array], argnums: tuple[First, Second, Third], *, has_aux: No = False
) -> Callable[Concatenate[A, B, C, P], tuple[A, B, C]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, P], Array], argnums: tuple[First, Second], *, has_aux: No = False
) -> Callable[Concatenate[A, B, P], tuple[A, B]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], Array], argnums: tuple[First], *, has_aux: No = False
) -> Callable[Concatenate[A, P], tuple[A]]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, C, P], Array], argnums: Third, *, has_aux: No = False
) -> Callable[Concatenate[A, B, C, P], C]: ...
@overload
def grad(
    f: Callable[Concatenate[A, B, P], Array], argnums: Second, *, has_aux: No = False
) -> Callable[Concatenate[A, B, P], B]: ...
@overload
def grad(
    f: Callable[Concatenate[A, P], Array], argnums: First = 0, *, has_aux: No = False
) -> Callable[Concatenate[A, P], A]: ...
def grad(f: Any, argnums: Any = 0, *, argnames: Any = None, has_aux: bool = False) -> Any:
    """Return a function that computes f's gradient; see `value_and_grad`. With has_aux it returns `(gradient, aux)`.

    Example:
        >>> grad(grad(lambda x: x * x * x))(asarray(2.0)).item()
        12.0
    """
    both: Any = value_and_grad(f, argnums, argnames=argnames, has_aux=has_aux)  # type: ignore[call-overload]

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return _forget_annotations(run)


def _forget_annotations(run: Any) -> Any:
    run.__annotations__ = {}  # those of f, which say nothing about what is returned here
    return run


def _one(value: Array) -> Array:
    """Return the cotangent that a walk begins with.

    The constant that is kept for 1.0 saves making one, but may live on the host, and to a trace would be captured.
    """
    constant = weak(1.0, value)
    kept = current_stack().recorders and constant.device == example(value._raw).device
    return wrap(constant) if kept else ones_like(value)


def _checked_scalar(output: Any) -> Array:
    if isinstance(output, float):
        output = asarray(output)
    if type(output) is not Array:
        raise DTypeError(
            f"value_and_grad: f must return a scalar Array, got {type(output).__name__}; "
            "return the loss alone, or (loss, aux) with has_aux=True"
        )
    if output.shape != ():
        raise ShapeError(
            f"value_and_grad: f must return a scalar, got shape {output.shape}; "
            "reduce it with .sum() or .mean(), or use vjp(f, x), which takes any output"
        )
    if not is_differentiable(output) or output.dtype.kind == "c":
        raise DTypeError(
            f"value_and_grad: f must return a real floating scalar, got dtype {output.dtype}; use vjp for complex"
        )
    return output


def _selection(f: Any, argnums: Any, argnames: Any, who: str) -> Any:
    """Return a function from a call's arguments to those that are differentiated, and a way to put them back."""
    if argnames is not None and argnums != 0:
        raise DTypeError(f"{who}: give argnums or argnames, not both, got {argnums!r} and {argnames!r}")
    return _by_number(argnums, who) if argnames is None else _by_name(f, argnames, who)


def _by_number(argnums: Any, who: str) -> Any:
    single = type(argnums) is int
    if not single and not (isinstance(argnums, tuple | list) and all(type(n) is int for n in argnums)):
        raise DTypeError(
            f"{who}: argnums must be an int or a tuple or list of ints, got {argnums!r}; names go in argnames="
        )

    def select(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        count = len(args)
        for n in (argnums,) if single else argnums:
            if not -count <= n < count:
                raise DTypeError(
                    f"{who}: argnums={argnums} but the call has {count} positional arguments; "
                    "pass the differentiated ones by position, or name them with argnames="
                )
        numbers = [argnums % count] if single else [n % count for n in argnums]
        if len(set(numbers)) != len(numbers):
            raise DTypeError(f"{who}: argnums={argnums} names an argument twice")

        def put_back(values: Any) -> tuple[list[Any], dict[str, Any]]:
            replaced = list(args)
            for n, value in zip(numbers, (values,) if single else values, strict=True):
                replaced[n] = value
            return replaced, kwargs

        return (args[numbers[0]] if single else tuple(args[n] for n in numbers)), put_back

    return select


def _by_name(f: Any, argnames: str | tuple[str, ...], who: str) -> Any:
    names = (argnames,) if isinstance(argnames, str) else tuple(argnames)

    def select(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        signature = inspect.signature(f)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        extra = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")
        homes = [bound.arguments if n in bound.arguments else bound.arguments.get(extra, {}) for n in names]
        for name, home in zip(names, homes, strict=True):
            if name not in home:
                raise DTypeError(f"{who}: argnames={argnames!r}, but f has arguments {list(bound.arguments)}")

        def put_back(values: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
            for name, home in zip(names, homes, strict=True):
                home[name] = values if isinstance(argnames, str) else values[name]
            return bound.args, bound.kwargs

        chosen = (
            homes[0][names[0]] if isinstance(argnames, str) else {n: h[n] for n, h in zip(names, homes, strict=True)}
        )
        return chosen, put_back

    return select
