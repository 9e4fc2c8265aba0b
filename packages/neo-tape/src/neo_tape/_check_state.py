"""Is a custom rule a pure function? The same call gives the same, whatever was called before or between."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any, Final

import numpy as np

from neo_array import Array, tree
from neo_tape._check_case import ADVICE, Case, difference, is_policy, other_values
from neo_tape._differences import Values
from neo_tape._products import vjp

_OURS: Final = ("builtins", "neo_tape", "typing", "typing_extensions")


def check_state(case: Case) -> None:
    """Call forward and backward again, and in other orders, and compare."""
    first = case.call(*case.leaves)
    arguments, remembered = _numbers(case.leaves), _numbers(first)
    state = State(case.rule)
    with case.during("a second call of forward", "pure"):
        again = case.call(*case.leaves)
    _compare_forward(case, again, first)
    _unchanged(case, case.leaves, arguments, case.names, "forward writes into")

    others = [other_values(x, 1.1) for x in case.leaves]
    outputs, pull = vjp(case.outputs, *case.leaves)
    _compare_forward(case, outputs, case.outputs(*case.leaves), "forward gives other values when it is differentiated")
    cotangents = case.random(outputs)
    expected = pull(cotangents)
    given, gradients = _numbers(cotangents), _numbers(expected)
    with case.during("a second call of backward", "pure"):
        again = pull(cotangents)
    text = "backward gives another gradient of {} when it is called again"
    case.same(again, expected, case.names, text, ADVICE["pure"])
    _unchanged(case, cotangents, given, ["the cotangent"] * len(given), "backward writes into")

    with case.during("backward, after another call of the rule", "pure"):
        _, other_pull = vjp(case.outputs, *others)
        between = pull(cotangents)
        late = other_pull(cotangents)
        after = pull(cotangents)
        alone = vjp(case.outputs, *others)[1](cotangents)
    text = "backward gives another gradient of {} after another call of the rule: it depends on state"
    advice = f"keep what backward needs in self.ctx; {ADVICE['pure']}"
    case.same(between, expected, case.names, text, advice)
    case.same(after, expected, case.names, text, advice)
    case.same(late, alone, case.names, text, advice)

    _unchanged(case, first, remembered, None, "a later call writes into the output of an earlier one,")
    _unchanged(case, expected, gradients, case.names, "a later call writes into the gradient of")
    _unchanged(case, case.leaves, arguments, case.names, "backward writes into")
    changed = state.changed()
    if changed:
        raise case.wrong(f"a call changes {changed}, which other calls see; use self.ctx.save(...); {ADVICE['pure']}")


def _compare_forward(case: Case, got: Any, expected: Any, text: str = "") -> None:
    text = text or "forward gives other values for the same arguments when it is called again"
    mine, other = (tree.leaves(x) for x in (got, expected))
    if len(mine) != len(other):
        raise case.wrong(f"{text}: got {len(mine)} outputs, expected {len(other)}; {ADVICE['pure']}")
    for a, b in zip(mine, other, strict=True):
        if type(a) is Array and type(b) is Array:
            found = difference(a, b)
        else:
            found = None if type(a) is type(b) and a == b else f"got {a!r}, expected {b!r}"
        if found:
            raise case.wrong(f"{text}: {found}; {ADVICE['pure']}")


def _numbers(whole: object) -> list[Values]:
    return [np.array(x.numpy()) for x in tree.leaves(whole) if type(x) is Array]


def _unchanged(case: Case, arrays: Any, before: list[Values], names: list[str] | None, what: str) -> None:
    now = _numbers(arrays)
    for i, (a, b) in enumerate(zip(now, before, strict=True)):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            raise case.wrong(f"{what} {names[i] if names else 'which is'} {a}, and was {b}".replace("  ", " "))


class State:
    """What calls of a rule could leave behind: the attributes of its class, and what its methods close over."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule
        self._before = {name: (value, _contents(value)) for name, value in self._places().items()}

    def _places(self) -> dict[str, Any]:
        """Return the values of these by what messages call them."""
        found: dict[str, Any] = {}
        if is_policy(self._rule):
            for cls in reversed([c for c in self._rule.__mro__ if c.__module__.partition(".")[0] not in _OURS]):
                for name, value in vars(cls).items():
                    if not name.startswith("__"):
                        found[f"the class attribute {name!r}"] = value
                    function = getattr(value, "__func__", value)
                    if inspect.isfunction(function):
                        found.update(_around(function))
        elif inspect.isfunction(self._rule):
            found.update(_around(self._rule))
        return found

    def changed(self) -> str | None:
        """Return what has changed since."""
        now = self._places()
        for name in now.keys() | self._before.keys():
            old, contents = self._before.get(name, (self, None))
            new = now.get(name, self)
            if new is not old or not _same_contents(_contents(new), contents):
                return name
        return None


def _around(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # a variable that has no value yet
            yield f"{name!r}, a variable around {function.__name__}", cell.cell_contents
    for name, value in (function.__kwdefaults__ or {}).items():
        yield f"the default of {function.__name__}'s {name!r}", value
    for i, value in enumerate(function.__defaults__ or ()):
        yield f"the default {i} of {function.__name__}", value


def _contents(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return np.array(value) if isinstance(value, np.ndarray) else None


def _same_contents(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
    return a is b
