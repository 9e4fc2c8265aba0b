"""The tracing level, and `trace`: run a function once, and write down what it did."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import ParamSpec

from neo_array import Array, DTypeError, alias, tree
from neo_array._levels import Args, Level, Params, Stack, current_stack, entered, left, set_stack
from neo_tape._guards import Guard, guard, refuse
from neo_tape._program.origins import BACKWARD, Origin, Scopes, find
from neo_tape._program.program import Equation, Program, Var
from neo_tape._program.structure import Structure, refuse_raw
from neo_tape._recording import Step, operands
from neo_tape._tape import Tape

if TYPE_CHECKING:
    from neo_array._levels import Op

Q = ParamSpec("Q")


class Trace(Level):
    """Records every op that it sees. It knows the inputs, and whatever an op has given since."""

    __slots__ = ("_captured", "_inherit", "_origins", "_places", "_scopes", "_steps", "_vars", "watched")

    def __init__(self, inputs: Sequence[Array], paths: Sequence[str]) -> None:
        self._vars: dict[int, Var] = {x._id: Var.of(x) for x in inputs}
        self.watched: dict[int, Var] = self._vars
        self._captured: dict[int, Array] = {}
        self._steps: list[Step] = []
        self._origins: list[Origin] = []  # of the steps
        self._places: dict[int, int] = {}  # by result, the number of the step
        self._scopes = Scopes({x._id: path for x, path in zip(inputs, paths, strict=True)})
        self._inherit: dict[CodeType, Callable[[FrameType], Origin | str]] = {
            Tape.walk.__code__: self._differentiated,
            Program.run.__code__: _repeated,
        }

    # --- While the function runs ---
    def see(self, stack: Stack, index: int, op: Op, args: Args, params: Params, out: Any) -> None:
        given = operands(op, args, params)
        outs = out if op.multi else (out,)
        origin = self._origin()
        self._append(op, given, params, outs, origin)
        if op is alias and type(given[0]) is Array:
            self._scopes.alias(given[0], out)
        if op.sized_by_values:
            for each in outs:
                self._expect(each, self.shape(each), origin)

    def read(self, array: Array, how: str) -> None:
        self._expect(array, self.truth(array, how), self._origin())

    def truth(self, array: Array, how: str) -> Guard:
        """Return the guard for reading an array's truth value; refuse other reads."""
        if how != "bool(x)":
            raise refuse(how)
        return Guard("truth", bool(array._raw.item()), self._origin().source)

    def shape(self, array: Array) -> Guard:
        """Return the guard for a shape that depends on values."""
        return Guard("shape", array.shape, self._origin().source)

    def rescue(self, array: Array, spare: Array) -> bool:
        if self._captured.get(array._id) is not array:
            return False
        self._captured[array._id] = spare
        return True

    def close(self) -> None:
        self.watched = {}

    def _expect(self, array: Array, rule: Guard, origin: Origin) -> None:
        self._append(guard, (array,), {"rule": rule}, (), origin)

    def _append(self, op: Op, given: Args, params: Params, outs: tuple[Array, ...], origin: Origin) -> None:
        sources = tuple(map(self._source, given))
        args = tuple([None if i else a for a, i in zip(given, sources, strict=True)])
        self._steps.append((op, args, sources, params, tuple([o._id for o in outs])))
        self._origins.append(origin)
        for each in outs:
            self._vars[each._id] = Var.of(each)
            self._places[each._id] = len(self._steps) - 1

    def _source(self, a: Any) -> int:
        """Return the id of an argument, 0 for a number; what is not known by now is captured."""
        if type(a) is not Array:
            return 0
        if a._id not in self._vars:
            self._captured.setdefault(a._id, a)
        return a._id

    # --- Where ops come from ---
    def _origin(self) -> Origin:
        return find(sys._getframe(2), _TOP, self._scopes, self._inherit)

    def _differentiated(self, frame: FrameType) -> Origin | str:
        """Return where the op comes from that a walk back has come to; under vmap, the tape's op is none of ours."""
        target = frame.f_locals.get("target")
        for each in target if type(target) is tuple else (target,):
            if each in self._places:
                source, scope = self._origins[self._places[each]]
                return Origin(source, "/".join(filter(None, [BACKWARD, scope])))
        return BACKWARD

    # --- Afterwards ---
    def program(
        self, name: str, inputs: Sequence[Array], outputs: Sequence[Array], arguments: Structure, results: Structure
    ) -> Program:
        """Return what was recorded, with one value for an array and its aliases."""
        same: dict[int, int] = {}
        captured = dict(self._captured)
        for x in outputs:
            if x._id not in self._vars:
                captured.setdefault(x._id, x)
        hidden = {i: Var.of(x) for i, x in captured.items()}
        known = self._vars | hidden
        equations = []
        for (op, args, sources, params, made), (source, scope) in zip(self._steps, self._origins, strict=True):
            if op is alias:
                same[made[0]] = same.get(sources[0], sources[0])
                continue
            given = tuple([known[same.get(i, i)] if i else a for a, i in zip(args, sources, strict=True)])
            equations.append(Equation(op, given, params, tuple([known[i] for i in made]), source, scope))
        return Program(
            name=name,
            equations=tuple(equations),
            inputs=tuple(known[x._id] for x in inputs),
            outputs=tuple(known[same.get(x._id, x._id)] for x in outputs),
            hidden=tuple(hidden.values()),
            captured=tuple(captured.values()),
            arguments=arguments,
            results=results,
        )


def _repeated(frame: FrameType) -> Origin | str:
    """Return where the equation comes from that a Program runs."""
    equation = frame.f_locals.get("equation")
    return Origin(equation.source, equation.scope) if type(equation) is Equation else ""


def trace(f: Callable[Q, object]) -> Callable[Q, Program]:
    """Return a function that runs f once, and returns what it did as a `Program`.

    All ops are recorded that run while f does: those of derivatives that f takes, of random draws from its keys, of
    arrays that it makes. What is no Array among the arguments is a constant, and what Python does is done once:
    branches and loops are as these values made them. `bool(x)` of an array, as in `if x.sum() > 0`, becomes a guard:
    running the Program raises `GuardError` for values that would have taken another way. So do the shapes of results
    that depend on values. Other reads, as `float(x)`, raise.

    Args:
        f: any function of pytrees to a pytree of Arrays and constants.

    Raises:
        LevelError: f reads a number from an array, other than a truth value.
        DTypeError: an argument is another library's array, or f returns a function.

    Example:
        >>> from neo_array import asarray
        >>> program = trace(lambda x: (x * x).sum())(asarray([1.0, 2.0]))
        >>> program.eval(asarray([3.0, 4.0])).item()
        25.0
    """

    @functools.wraps(f)
    def run(*args: Q.args, **kwargs: Q.kwargs) -> Program:
        leaves, treedef = tree.flatten((args, kwargs))
        paths = _paths(f, args, kwargs)
        for leaf, path in zip(leaves, paths, strict=True):
            refuse_raw(leaf, path)
        arguments = Structure.of((args, kwargs), paths)
        leaves = [alias.bind(x) if type(x) is Array else x for x in leaves]
        inputs = [x for x in leaves if type(x) is Array]
        level = Trace(inputs, arguments.array_paths)
        given: Any = tree.unflatten(treedef, leaves)
        outer = current_stack()
        try:
            set_stack(entered(level))
            result = f(*given[0], **given[1])
        finally:
            set_stack(outer)
            left(level)
        found = tree.leaves_with_paths(result)
        for path, leaf in found:
            if callable(leaf) and not isinstance(leaf, type):
                raise DTypeError(
                    f"trace: f returns a function at {path or 'the root'!r}, which would keep the values of this call; "
                    "return Arrays, and call it inside f"
                )
        outputs = [x for _, x in found if type(x) is Array]
        name = getattr(f, "__name__", type(f).__name__)
        return level.program(name, inputs, outputs, arguments, Structure.of(result, [path for path, _ in found]))

    run.__annotations__ = {}
    return run


_TOP: Final = next(c for c in trace.__code__.co_consts if isinstance(c, CodeType) and c.co_name == "run")


def _paths(f: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """Return the paths of the arguments' leaves, which begin with the names of f's parameters."""
    names = [str(i) for i in range(len(args))]
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for i, parameter in enumerate(parameters[: len(args)]):
        if parameter.kind is parameter.VAR_POSITIONAL:
            names[i:] = [f"{parameter.name}.{j}" for j in range(len(args) - i)]
            break
        names[i] = parameter.name
    every = [*zip(names, args, strict=True), *((k, kwargs[k]) for k in sorted(kwargs))]
    return [".".join(filter(None, [name, path])) for name, x in every for path, _ in tree.leaves_with_paths(x)]
