"""Are a custom rule's derivatives right? Linear, independent of what else is wanted, and what differences say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neo_array import Array
from neo_tape._check_case import ADVICE, EXACT, Case, MistakeError
from neo_tape._checks import check_grads
from neo_tape._differences import TOLERANCE, Slope, coarsest, direction_like, dot, numbers, size_of
from neo_tape._products import jvp, vjp


def check_linear(case: Case, f: Callable[..., Any], arrays: Sequence[Array], names: list[str], what: str) -> None:
    """Compare f of a combination, and of multiples large and small, with the same of f's values."""
    one, two = case.random(arrays), case.random(arrays)
    first, second = f(one), f(two)

    def combined(a: float, b: float) -> None:
        got = f(tuple(x * a + y * b for x, y in zip(one, two, strict=True)))
        expected = tuple(x * a + y * b for x, y in zip(first, second, strict=True))
        text = f"{what}: of {a} g + {b} h it makes something else, in {{}}, than of g and h"
        case.same(got, expected, names, text, ADVICE["linear"])

    combined(0.0, 0.0)
    combined(2.5, -1.5)
    combined(-1e3, 0.0)
    combined(1e-3, 0.0)


def check_wanted(case: Case, cotangents: tuple[Array, ...]) -> None:
    """Ask for the gradient of one argument alone, and give the cotangent of one output alone."""
    gradients = vjp(case.outputs, *case.leaves)[1](cotangents)
    if len(case.leaves) > 1:
        for i, name in enumerate(case.names):
            with_others = list(case.leaves)

            def alone(x: Array, i: int = i, filled: list[Array] = with_others) -> tuple[Array, ...]:
                return case.outputs(*filled[:i], x, *filled[i + 1 :])

            (got,) = vjp(alone, case.leaves[i])[1](cotangents)
            text = "the gradient of {} is another when it alone is wanted"
            case.same([got], [gradients[i]], [name], text, "check the use of self.needs_grad")
    if len(cotangents) > 1:
        for j, name in enumerate(case.output_names()):
            _, pull_one = vjp(lambda *leaves, j=j: case.outputs(*leaves)[j], *case.leaves)
            zeros = tuple(g if k == j else g * 0.0 for k, g in enumerate(cotangents))
            expected = vjp(case.outputs, *case.leaves)[1](zeros)
            text = f"the gradient of {{}} is another when {name} alone is used than with zero cotangents of the others"
            case.same(pull_one(cotangents[j]), expected, case.names, text, "take a cotangent that is missing for zeros")


def check_transposes(case: Case, cotangents: tuple[Array, ...]) -> None:
    """Compare forward mode with reverse mode, where differences cannot be asked."""
    gradients = vjp(case.outputs, *case.leaves)[1](cotangents)
    for i, name in enumerate(case.names):
        tangents = tuple(x * 0.0 if k != i else case.random([x])[0] for k, x in enumerate(case.leaves))
        pushed = numbers(jvp(case.outputs, case.leaves, tangents)[1])
        forward = dot(numbers(cotangents), pushed)
        backward = dot(numbers([gradients[i]]), numbers([tangents[i]]))
        size = max(size_of(numbers(cotangents), pushed), size_of(numbers([gradients[i]]), numbers([tangents[i]])))
        if not abs(forward - backward) <= EXACT[coarsest(gradients, cotangents)] * size:
            raise case.wrong(
                f"jvp and backward disagree on the derivative with respect to {name}: got {forward} and {backward}"
            )


class Derivatives:
    """Compares the derivatives of f, which is the rule or one of its derivatives, with differences."""

    def __init__(
        self, case: Case, modes: tuple[str, ...], tolerance: float | None, of: str, names: list[str], advice: str
    ) -> None:
        self._case, self._modes, self._tolerance = case, modes, tolerance
        self._of, self._names, self._advice = of, names, advice

    def check(self, f: Callable[..., Any], inputs: tuple[Array, ...]) -> None:
        """Go over the inputs one by one, so that a mistake has a name."""
        case = self._case
        out, pull = vjp(f, *inputs)
        cotangents = case.random(out)
        gradients = pull(cotangents) if "rev" in self._modes else ()
        for i, x in enumerate(inputs):
            direction = direction_like(x, case.rng)

            def alone(x: Array, i: int = i) -> Any:
                return f(*inputs[:i], x, *inputs[i + 1 :])

            slope = Slope(alone, (x,), (direction,))
            if not all(np.all(np.isfinite(value)) for value in slope.middle):
                raise case.wrong("gives nan or inf at these arguments, where nothing can be checked; choose others")
            if "rev" in self._modes:
                given, found, way = numbers(cotangents), numbers([gradients[i]]), numbers([direction])
                of = np.asarray(size_of(given, slope.middle))
                size = size_of(found, way)
                allowed = self._allowed(x, out, cotangents)
                mistake = slope.mistake(dot(found, way), lambda n: slope.along(given, n), of, allowed, size)  # noqa: B023
                self._raise(mistake, self._of.format("gradient", self._names[i]))
            if "fwd" in self._modes:
                pushed = numbers(jvp(alone, (x,), (direction,))[1])
                for j, (got, middle) in enumerate(zip(pushed, slope.middle, strict=True)):
                    mistake = slope.mistake(got, lambda n: slope.leaves(n)[j], middle, self._allowed(x, out))  # noqa: B023
                    self._raise(mistake, self._of.format("tangent", self._names[i]))

    def _allowed(self, *arrays: Any) -> float:
        return TOLERANCE[coarsest(*arrays)] if self._tolerance is None else self._tolerance

    def _raise(self, mistake: str | None, what: str) -> None:
        if mistake:
            raise self._case.wrong(f"{what} is wrong: {mistake}; {ADVICE[self._advice]}")


def check_derivatives(
    case: Case, order: int, modes: tuple[str, ...], tolerance: float | None, *, first: bool, cotangents: Any
) -> None:
    """Compare gradients with differences of forward (if `first`), and their derivatives with differences of them."""
    if first:
        Derivatives(case, modes, tolerance, "the {} of {}", case.names, "values").check(case.outputs, case.leaves)
    elif "fwd" in modes:
        check_transposes(case, cotangents)
    if order < 2:
        return
    count = len(case.leaves)

    def backward(*inputs: Array) -> tuple[Array, ...]:
        return vjp(case.outputs, *inputs[:count])[1](inputs[count:])

    def forward(*inputs: Array) -> tuple[Array, ...]:
        return jvp(case.outputs, inputs[:count], inputs[count:])[1]

    methods = [(backward, "backward", cotangents, "the cotangent")]
    if "fwd" in modes and case.own_jvp:
        methods.append((forward, "jvp", case.random(case.leaves), "the tangent"))
    for f, method, along, name in methods:
        names = [*case.names, *([name] * len(along))]
        text = f"the second derivative, that is {method}'s {{}} with respect to {{}},"
        with case.during(f"differentiating {method}", "order"):
            Derivatives(case, modes, tolerance, text, names, "order").check(f, (*case.leaves, *along))
            if order > 2:
                higher(f, (*case.leaves, *along), order - 1, modes, tolerance, f"{case.name}: {method}")


def higher(f: Any, inputs: Any, order: int, modes: Any, tolerance: float | None, name: str) -> None:
    """Check the derivatives of a derivative."""
    try:
        check_grads(f, inputs, order, modes, tolerance=tolerance)
    except AssertionError as error:
        raise MistakeError(f"{name}: {error}") from None
