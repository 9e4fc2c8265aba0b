"""Derivatives of what an equation defines: the root x of f(x) = 0, as a function of what f closes over.

From f(x(a), a) = 0 follows J dx + df = 0, where J is the Jacobian of f with respect to x, and df what f changes by when
only a does. So forward mode solves J dx = -df, reverse mode solves with J's transpose, and each solution is defined by
an equation again, whose derivatives are had in the same way: to any order, and without the steps of any solver.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from neo_array import Array, LevelError, equal, negative, zeros_like
from neo_tape._captured import Captured, hiding_levels
from neo_tape._linear_systems import Linear, every, solve_system
from neo_tape._linearize import linearize
from neo_tape._policy import Policy
from neo_tape._products import jvp, vjp

Arrays: TypeAlias = list[Array]


class Problem:
    """An equation: f, as it was recorded at the root, and how to solve it and the linear systems anew."""

    def __init__(
        self,
        who: str,
        f: Captured,
        root: Arrays,
        solve: Callable[[Callable[[Arrays], Arrays], Arrays], Arrays],
        solve_linear: Callable[[Linear, Arrays], Arrays] | None,
        only_for: Arrays | None,
    ) -> None:
        self.who: Final = who
        self.f: Final = f
        self.root: Arrays | None = root  # until the first call has taken it
        self._solve = solve
        self._solve_linear = solve_linear
        self._only_for = only_for  # values of the closures for which alone f or solve do what they did, if so

    def solve(self, guess: Arrays, closures: Arrays) -> Arrays:
        """Return the root; it is found anew for other values of the closures."""
        root, self.root = self.root, None
        if root is not None:
            return root
        return hiding_levels(lambda: self._solve_anew(guess, closures))

    def _solve_anew(self, guess: Arrays, closures: Arrays) -> Arrays:
        if self._only_for is not None:
            same = zip(closures, self._only_for, strict=True)
            if not all(every(equal(x, y)) for x, y in same):
                raise LevelError(
                    f"{self.who}: cannot be solved for other values than it was called with: f reads a value of an "
                    "array, or solve uses arrays that it gets neither from f nor as the guess; in what is traced or "
                    "linearized, use where(...) in place of if, and let f tell solve all that it needs"
                )
        return self._solve(lambda x: self.f.call(x, closures), guess)

    def solve_linear(self, linear: Linear, b: Arrays) -> Arrays:
        """Return the x with linear(x) = b."""
        return solve_system(linear, b, self.who) if self._solve_linear is None else self._solve_linear(linear, b)


def _jacobian(problem: Problem, x: Arrays, closures: Arrays, *, transposed: bool) -> Linear:
    """Return the map from v to J v, or to J^T v."""
    f: Linear = lambda x: problem.f.call(x, closures)
    if not transposed:
        return linearize(f, x)[1]
    pullback = vjp(f, x)[1]
    return lambda v: pullback(v)[0]


def _product(problem: Problem, v: Arrays, *, transposed: bool) -> Callable[[Arrays, Arrays], Arrays]:
    """Return the map from x and the closures to J v, or to J^T v."""
    if not transposed:
        return lambda x, closures: jvp(lambda x: problem.f.call(x, closures), (x,), (v,))[1]
    return lambda x, closures: vjp(lambda x: problem.f.call(x, closures), x)[1](v)[0]


class Root(Policy[Any, Any, Problem]):
    """The root, near a guess, of f with these closures."""

    def forward(self, guess: Arrays, closures: Arrays, *, problem: Problem) -> Arrays:
        root = problem.solve(guess, closures)
        self.ctx.save(root, closures, problem)
        return root

    def backward(self, grad: Arrays) -> tuple[Arrays, Arrays]:
        x, closures, problem = self.ctx.release
        v = _solve(list(map(negative, grad)), x, closures, problem=problem, transposed=True)
        return list(map(zeros_like, x)), vjp(lambda a: problem.f.call(x, a), closures)[1](v)[0]

    def jvp(self, guess: Arrays, closures: Arrays) -> Arrays:
        x, values, problem = self.ctx.release
        df = jvp(lambda a: problem.f.call(x, a), (values,), (closures,))[1]
        return _solve(list(map(negative, df)), x, values, problem=problem, transposed=False)


class JacobianSolve(Policy[Any, Any, Any, Problem, bool]):
    """The v with J v = b, or J^T v = b."""

    _linear_in = (0,)

    def forward(self, b: Arrays, x: Arrays, closures: Arrays, *, problem: Problem, transposed: bool) -> Arrays:
        v = hiding_levels(
            lambda: problem.solve_linear(_jacobian(problem, x, closures, transposed=transposed), b),
        )
        self.ctx.save(v, x, closures, problem, transposed)
        return v

    def backward(self, grad: Arrays) -> tuple[Arrays, Arrays | None, Arrays | None]:
        v, x, closures, problem, transposed = self.ctx.release
        u = _solve(grad, x, closures, problem=problem, transposed=not transposed)
        if not any(self.needs_grad[1:]):
            return u, None, None
        pullback = vjp(_product(problem, v, transposed=transposed), x, closures)[1]
        return u, *pullback(list(map(negative, u)))

    def jvp(self, b: Arrays, x: Arrays, closures: Arrays) -> Arrays:
        v, x0, values, problem, transposed = self.ctx.release
        if any(self.needs_grad[1:]):
            change = jvp(_product(problem, v, transposed=transposed), (x0, values), (x, closures))[1]
            b = [t - c for t, c in zip(b, change, strict=True)]
        return _solve(b, x0, values, problem=problem, transposed=transposed)


def _solve(b: Arrays, x: Arrays, closures: Arrays, *, problem: Problem, transposed: bool) -> Arrays:
    call: Any = JacobianSolve
    v: Arrays = call(b, x, closures, problem=problem, transposed=transposed)
    return v
