"""`custom_root`: the solution of an equation, differentiated by the equation and not through its solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from neo_array import DTypeError
from neo_array._array import wrap
from neo_tape._captured import capture, hiding_levels, noticing_uses
from neo_tape._implicit import Arrays, Problem, Root
from neo_tape._linear_systems import Linear
from neo_tape._unknowns import Unknowns

X = TypeVar("X")


def custom_root(
    f: Callable[[X], X],
    initial_guess: X,
    solve: Callable[[Callable[[X], X], X], X],
    tangent_solve: Callable[[Callable[[X], X], X], X] | None = None,
) -> X:
    """Return a root of f, the x with f(x) = 0, which is differentiable by all that f closes over.

    `solve` finds it by any means: no derivative is taken through it, and none of its steps is kept. Derivatives follow
    from f(x) = 0 by the implicit function theorem, in both modes and of any order. Unless f reads values, it is
    called once, and recorded.

    Args:
        f: a function from the unknowns, a pytree of real floating Arrays, to as many equations: its result has their
            structure, shapes and dtypes.
        initial_guess: where to start. The root does not depend on it as far as derivatives go.
        solve: `solve(f, initial_guess)` returns the root. Under vmap it sees arrays that stand for one value per
            example, and must not read truth values.
        tangent_solve: `tangent_solve(g, y)` returns the v with g(v) = y, for linear functions g: the Jacobian of f at
            the root, or its transpose. Default: for up to 256 unknowns, in all leaves together, a dense
            factorization; else GMRES, which only applies g.

    Raises:
        DTypeError: the unknowns are not real floating Arrays, or f or solve returns something that looks different.
        TreeError: f or solve returns another structure.
        LinAlgError: the Jacobian of f at the root is singular; raised when a derivative needs it.

    Example:
        >>> from neo_array import asarray, sqrt
        >>> from neo_tape import value_and_grad
        >>> def square_root(a: Array) -> Array:
        ...     return custom_root(lambda x: x * x - a, a, lambda f, x0: sqrt(x0))
        >>> [x.item() for x in value_and_grad(square_root)(asarray(4.0))]
        [2.0, 0.25]
    """
    for name, function in (("f", f), ("solve", solve), ("tangent_solve", tangent_solve)):
        if not callable(function) and not (name == "tangent_solve" and function is None):
            raise DTypeError(f"custom_root: {name} must be a function, got {type(function).__name__}")
    unknowns = Unknowns(initial_guess, "custom_root")

    def find(g: Linear, guess: Arrays) -> Arrays:
        root = solve(unknowns.function(g, "f"), unknowns.structured(guess))
        return unknowns.checked(root, "solve must return")

    def solve_linear(g: Linear, b: Arrays) -> Arrays:
        assert tangent_solve is not None
        v = tangent_solve(unknowns.function(g, "g"), unknowns.structured(b))
        return unknowns.checked(v, "tangent_solve must return")

    def equations(x: Arrays) -> Arrays:
        return unknowns.checked(f(unknowns.structured(x)), "f must return")

    root: X = root_of(equations, unknowns, find, None if tangent_solve is None else solve_linear)
    return root


def root_of(
    f: Linear,
    unknowns: Unknowns,
    solve: Callable[[Linear, Arrays], Arrays],
    solve_linear: Callable[[Linear, Arrays], Arrays] | None,
) -> Any:
    """Find a root of f by solve, and show it to the levels as one op.

    Solve gets f as it was recorded, on copies of what f closes over: so what solve uses beside f can be told apart.
    """
    guess = unknowns.leaves
    recorded, closures = capture(f, guess)
    if recorded.reads:  # what it does holds for the guess alone
        found = hiding_levels(lambda: solve(f, guess))
        recorded, closures = capture(f, found)
        uses = True
    else:
        copies = [wrap(x._raw) for x in closures]
        found, uses = noticing_uses(lambda: solve(lambda x: recorded.call(x, copies), guess), guess)
    problem = Problem(unknowns.who, recorded, found, solve, solve_linear, closures if uses else None)
    call: Any = Root
    return unknowns.structured(call(guess, closures, problem=problem))
