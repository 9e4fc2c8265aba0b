"""What a check of a custom rule works on: the rule, one call of it, and how to name what is in them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from neo_array import Array, PolicyError, asarray, tree
from neo_tape._differences import coarsest, random_like, values, varies

# relative error allowed between two ways to compute the same: rounding, but no differences
EXACT: Final = {
    "float16": 5e-2,
    "bfloat16": 0.2,
    "float32": 1e-3,
    "complex64": 1e-3,
    "float64": 1e-9,
    "complex128": 1e-9,
}
ADVICE: Final = {
    "values": "pass values=False if the gradient is meant to be another than forward's derivative",
    "linear": "pass linear=False if that is meant",
    "pure": "pass pure=False if that is meant",
    "order": "pass order=1 if the rule is not to be differentiated twice",
    "batch": "pass batch=False if the rule is not to be used under vmap",
    "dtypes": "pass dtypes=False if that is meant",
}


class MistakeError(PolicyError):
    """What a check of a rule has found."""


class Case:
    """A rule with the arguments of a call, as a function of its differentiated leaves."""

    def __init__(
        self,
        rule: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        argnames: Sequence[str] | None,
        rng: np.random.Generator,
    ) -> None:
        self.rule, self.rng, self._argnames = rule, rng, argnames
        policy = rule if is_policy(rule) else getattr(rule, "policy", None)  # functions made of a Policy name it
        self.own_jvp = policy is None or hasattr(policy, "jvp")  # else forward mode transposes backward
        self.raw = bool(getattr(policy, "raw", False))
        self.name: str = getattr(rule, "__name__", type(rule).__name__)
        try:
            bound = _signature(rule).bind(*args, **kwargs)
        except TypeError as error:
            raise PolicyError(f"{self.name}: {error}; forward is {self.name}{_signature(rule)}") from None
        bound.apply_defaults()
        self.options: dict[str, Any] = bound.kwargs
        self._all, self._structure = tree.flatten(bound.args)
        parameters = _positions(bound)
        unknown = set(argnames or ()) - {name.partition("[")[0] for name in parameters}
        if unknown:
            raise PolicyError(f"{self.name}: argnames has {sorted(unknown)}, but its arguments are {parameters}")
        paths = [path.partition(".") for path, _ in tree.leaves_with_paths(bound.args)]
        self._places = [
            i
            for i, (leaf, (head, _, _)) in enumerate(zip(self._all, paths, strict=True))
            if type(leaf) is Array
            and varies(leaf)
            and (argnames is None or parameters[int(head)].partition("[")[0] in argnames)
        ]
        self.leaves: tuple[Array, ...] = tuple(self._all[i] for i in self._places)
        names = [parameters[int(head)] + dot + rest for head, dot, rest in paths]
        self.names = [f"argument {names[i]!r}" for i in self._places]

    def call(self, *leaves: Array) -> Any:
        """Call the rule, with these in place of the differentiated leaves."""
        filled = list(self._all)
        for place, leaf in zip(self._places, leaves, strict=True):
            filled[place] = leaf
        return self.rule(*tree.unflatten(self._structure, filled), **self.options)

    def outputs(self, *leaves: Array) -> tuple[Array, ...]:
        """Return the outputs that have derivatives."""
        return tuple(x for x in tree.leaves(self.call(*leaves)) if type(x) is Array and varies(x))

    def output_names(self) -> list[str]:
        """Return how messages call these outputs."""
        paths = tree.leaves_with_paths(self.call(*self.leaves))
        names = [path for path, x in paths if type(x) is Array and varies(x)]
        return [f"output {name!r}" if name else "the output" for name in names]

    def cast(self, f: Callable[[Any], Any]) -> Case:
        """Return the case with every argument and option passed through f."""
        args, kwargs = tree.tree_map(f, (tree.unflatten(self._structure, self._all), self.options))
        return Case(self.rule, args, kwargs, self._argnames, self.rng)

    def random(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """Draw tangents or cotangents."""
        return tuple(random_like(x, self.rng) for x in arrays)

    def wrong(self, text: str) -> MistakeError:
        """Return the error to raise."""
        return MistakeError(f"{self.name}: {text}")

    def same(
        self, got: Sequence[Array], expected: Sequence[Array], names: Sequence[str], text: str, advice: str
    ) -> None:
        """Raise, with `{}` in the text standing for the name, unless the arrays agree up to rounding."""
        for mine, other, name in zip(got, expected, names, strict=True):
            found = difference(mine, other)
            if found:
                raise self.wrong(f"{text.format(name)}: {found}; {advice}")

    @contextmanager
    def during(self, what: str, advice: str) -> Iterator[None]:
        """Say during what the rule raised."""
        try:
            yield
        except MistakeError:
            raise
        except Exception as error:
            raise self.wrong(f"{what} raises {type(error).__name__}: {error} ({ADVICE[advice]})") from error


def difference(got: Array, expected: Array) -> str | None:
    """Say where two arrays differ by more than rounding, if they do."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"got shape {got.shape}, dtype {got.dtype}, expected shape {expected.shape}, dtype {expected.dtype}"
    a, b = values(got), values(expected)
    scale = float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0))
    with np.errstate(invalid="ignore"):
        error = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    allowed = EXACT[coarsest(got)] * scale if varies(got) else 0.0
    if np.all(error <= allowed):
        return None
    worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), a.shape)
    at = f" at {tuple(map(int, worst))}" if a.ndim else ""
    return f"got {a[worst]}, expected {b[worst]}{at}"


def other_values(x: Array, factor: float) -> Array:
    """Return values that a rule takes as well, but others: a multiple keeps signs, symmetry and definiteness."""
    moved = values(x) * factor if np.any(values(x)) else values(x) + (factor - 1)
    return asarray(moved, dtype=x.dtype, device=x.device)


def is_policy(rule: object) -> bool:
    """Tell whether a rule is a Policy; a function that was made by another way has no class to look at."""
    from neo_tape._policy import Policy

    return isinstance(rule, type) and issubclass(rule, Policy)


def _signature(rule: Any) -> inspect.Signature:
    if not is_policy(rule):
        return inspect.signature(rule)
    signature = inspect.signature(rule.forward)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _positions(bound: inspect.BoundArguments) -> list[str]:
    """Return the name of each positional argument."""
    names: list[str] = []
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(len(bound.arguments[parameter.name]))]
        elif parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            names.append(parameter.name)
    return names
