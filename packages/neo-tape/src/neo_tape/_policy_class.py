"""The form of a Policy's class: what its methods must look like, and what messages call its parts."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from neo_array import Array, PolicyError, tree

_STARRED = inspect.Parameter.VAR_POSITIONAL
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


# --- Names for messages ---
def label(cls: Any, method: str) -> str:
    """Return what messages call a method: `Affine.backward`, or `custom_vjp(f).bwd`."""
    name: str = cls._labels.get(method, f"{cls.__name__}.{method}")
    return name


def argument(cls: Any, position: int) -> str:
    """Return what messages call one of forward's positional arguments: `argument 1 ('Y')`."""
    parameters = signature(cls.forward).parameters.values()
    names = [p.name for p in parameters if p.kind in _POSITIONAL]
    starred = next((p.name for p in parameters if p.kind is _STARRED), "args")
    name = names[position] if position < len(names) else f"{starred}[{position - len(names)}]"
    return f"argument {position} ({name!r})"


def leaf(cls: Any, position: int, path: str) -> str:
    """Return what messages call a leaf of an argument: `argument 1 ('p') at 'layers.0'`."""
    return argument(cls, position) + (f" at {path!r}" if path else "")


def names(cls: Any, count: int) -> str:
    """Return the names of forward's positional arguments, in a call that has so many."""
    return ", ".join(argument(cls, i).split("'")[1] for i in range(count))


@functools.cache
def signature(method: Any) -> inspect.Signature:
    """Return a method's signature without its self."""
    whole = inspect.signature(method)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


# --- The check ---
def check_methods(cls: Any) -> None:
    """Raise PolicyError unless the methods have the form that the calls need."""
    name = cls.__name__
    for method in ("forward", "backward"):
        if not callable(inspect.getattr_static(cls, method, None)) and not hasattr(cls, method):
            raise PolicyError(f"{name}: defines no {method}; add def {method}(self, ...)")
    if cls.__init__ is not object.__init__:
        raise PolicyError(f"{name}: must not define __init__; pass options to forward as keyword-only arguments")
    for method in ("forward", "backward", "jvp", "batch"):
        if hasattr(cls, method):
            _check_method(cls, method)
    for flag in ("raw", "symbolic_zeros"):
        if type(getattr(cls, flag)) is not bool:
            raise PolicyError(f"{name}: {flag} must be True or False, got {getattr(cls, flag)!r}")
    _check_forward(cls)
    _check_backward(cls)
    if hasattr(cls, "jvp"):
        _check_jvp(cls)
    if hasattr(cls, "batch"):
        _check_batch(cls)


KINDS: dict[str, Callable[[Any], bool]] = {
    "a coroutine function (async def)": inspect.iscoroutinefunction,
    "an asynchronous generator (async def with yield)": inspect.isasyncgenfunction,
    "a generator (it has yield)": inspect.isgeneratorfunction,
}


def _check_method(cls: Any, method: str) -> None:
    found = inspect.getattr_static(cls, method)
    if isinstance(found, staticmethod | classmethod | property) or not callable(found):
        raise PolicyError(
            f"{label(cls, method)}: must be a plain method, got {type(found).__name__}; write def {method}(self, ...)"
        )
    for kind, test in KINDS.items():
        if test(found):
            raise PolicyError(f"{label(cls, method)}: must be a plain function, got {kind}; compute and return at once")
    parameters = list(inspect.signature(found).parameters.values())
    if not parameters or parameters[0].kind not in (*_POSITIONAL, _STARRED):
        raise PolicyError(
            f"{label(cls, method)}: takes no self, got parameters {[p.name for p in parameters]}; "
            f"write def {method}(self, ...)"
        )


def _check_forward(cls: Any) -> None:
    parameters = list(signature(cls.forward).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise PolicyError(
            f"{label(cls, 'forward')}: must not take **{parameters[-1].name}; name its options as keyword-only "
            "arguments"
        )


def _check_backward(cls: Any) -> None:
    parameters = list(signature(cls.backward).parameters.values())
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if len(required) != 1 or required[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise PolicyError(
            f"{label(cls, 'backward')}: must take one cotangent, with the structure of forward's output, got "
            f"parameters {[p.name for p in parameters]}; write def backward(self, grad)"
        )


def _check_jvp(cls: Any) -> None:
    forward = [p for p in signature(cls.forward).parameters.values() if p.kind in (*_POSITIONAL, _STARRED)]
    if not any(p.kind is _STARRED for p in forward) and not _takes(cls.jvp, len(forward)):
        raise PolicyError(
            f"{label(cls, 'jvp')}: must take one tangent for each of forward's {len(forward)} positional arguments "
            f"({', '.join(p.name for p in forward)}), got parameters {list(signature(cls.jvp).parameters)}; "
            "write def jvp(self, *tangents)"
        )


def _check_batch(cls: Any) -> None:
    options = [p.name for p in signature(cls.forward).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if not _takes(cls.batch, 3, options):
        further = ", *, " + ", ".join(options) if options else ""
        raise PolicyError(
            f"{label(cls, 'batch')}: must take size, args and axes, and forward's options, got parameters "
            f"{list(signature(cls.batch).parameters)}; write def batch(self, size, args, axes{further})"
        )
    if cls.raw:
        raise PolicyError(f"{cls.__name__}: has batch, but raw = True has no vmap; remove one of them")


def _takes(method: Any, count: int, options: list[str] | None = None) -> bool:
    try:
        signature(method).bind(*range(count), **dict.fromkeys(options or []))
    except TypeError:
        return False
    return True


# --- A call ---
def bind_arguments(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Sort a call into positional arguments (defaults included) and keyword-only options."""
    try:
        bound = signature(cls.forward).bind(*args, **kwargs)
    except TypeError as error:
        first = next(iter(inspect.signature(cls.forward).parameters))
        advice = "" if first == "self" or cls._labels else f" (its first parameter, {first!r}, is self)"
        wanted = f"{cls.__name__}{signature(cls.forward)}{advice}"
        raise PolicyError(f"{cls.__name__}: {error}; forward is {wanted}") from None
    bound.apply_defaults()
    return bound.args, bound.kwargs


def refuse_foreign(cls: Any, positional: tuple[Any, ...], is_foreign: Callable[[Any], bool]) -> None:
    """Refuse arrays of a library's own, which would be constants without a word."""
    for position, value in enumerate(positional):
        for path, x in tree.leaves_with_paths(value):
            if type(x) is not Array and is_foreign(x):
                raise PolicyError(
                    f"{cls.__name__}: {leaf(cls, position, path)} is a {type(x).__module__}.{type(x).__name__}; "
                    "wrap it in na.asarray(...)"
                )
