"""Random programs: transforms nested in transforms, whose bodies close over every value around them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tests.neo_tape.compositions.description import Again, Apply, Body, Constant, Custom, Derive, Map, Mode, Step
from tests.neo_tape.compositions.operations import NEED_AXES, OPS, RULES

Shape = tuple[int, ...]
Axis = int | None
SHAPES: Final[tuple[Shape, ...]] = ((), (3,), (2, 3), (3, 2), (3, 3), (1, 3), (3, 1))
ARGUMENT_SHAPES: Final[tuple[Shape, ...]] = ((), (3,), (2, 3), (3, 3))
REVERSE: Final[tuple[Mode, ...]] = ("grad", "vjp")
FORWARD: Final[tuple[Mode, ...]] = ("jvp", "linearize", "hvp")
MAPPED: Final[dict[Shape, tuple[int, ...]]] = {  # the axes over which to map, that leave a shape among SHAPES
    (3,): (0,),
    (2, 3): (0,),
    (3, 2): (1,),
    (3, 3): (0, 1),
    (1, 3): (0,),
    (3, 1): (1,),
}
_ON_NUMPY: Final = SimpleNamespace(xp=np, stop_gradient=lambda x: x, rules={"wrong sine": np.sin})


@dataclass(frozen=True)
class RandomProgram:
    """A program of four arguments, which it differentiates itself, and where to run it."""

    body: Body
    arguments: tuple[npt.NDArray[np.float64], ...]
    depth: int
    rules: frozenset[str]
    forward_mode: bool


def random_program(seed: int) -> RandomProgram:
    """Return the program of a seed: transforms nested to depth 1 to 4, the outermost one a derivative."""
    rng = np.random.default_rng(seed)
    growth = _Growth(rng, modes=REVERSE if rng.random() < 0.4 else (*REVERSE, *FORWARD))
    depth = int(rng.choice((1, 2, 2, 3, 3, 4)))
    shapes = list(ARGUMENT_SHAPES)
    steps: list[Step] = []
    growth.differentiate(steps, shapes, tuple(range(len(shapes))), depth)
    growth.combine(steps, shapes, range(len(ARGUMENT_SHAPES), len(shapes)))
    arguments = tuple(rng.normal(size=shape) for shape in ARGUMENT_SHAPES)
    body = Body(tuple(steps), len(shapes) - 1)
    return RandomProgram(body, arguments, depth, frozenset(growth.rules), growth.forward_mode)


class _Growth:
    """Grows bodies step by step, with the shapes of all values so far at hand."""

    def __init__(self, rng: np.random.Generator, modes: tuple[Mode, ...]) -> None:
        self.rng = rng
        self.modes = modes
        self.forward_mode = modes != REVERSE
        self.rules: set[str] = set()
        self.in_checkpoints = 0

    def body(self, shapes: list[Shape], start: int, depth: int, result: Shape | None) -> Body:
        """Return a body of some steps, a transform among them if there is depth left.

        It returns its last value as it is, or what has the shape `result` and depends on all of this body's values.
        """
        steps: list[Step] = []
        count = int(self.rng.integers(2, 4 if depth else 5))
        nested_at = int(self.rng.integers(count)) if depth else -1
        for number in range(count):
            if number == nested_at:
                own = range(start, len(shapes))
                self.transform(
                    steps, shapes, tuple(map(int, self.rng.choice(own, size=self.rng.integers(1, 3)))), depth
                )
            elif self.rng.random() < 0.35:
                self.custom(steps, shapes, start)
            else:
                self.apply(steps, shapes, start)
        if result is not None:
            self.combine(steps, shapes, range(start, len(shapes)))
        if result:
            total = len(shapes) - 1
            steps.append(Apply("mul", (total, self.like(steps, shapes, result))))
            shapes.append(result)
        return Body(tuple(steps), len(shapes) - 1)

    def transform(self, steps: list[Step], shapes: list[Shape], inputs: tuple[int, ...], depth: int) -> None:
        """Append a transform at these values; the same one may be given twice."""
        kind = self.rng.random()
        if kind < 0.28 and any(shapes[i] for i in inputs):
            self.map(steps, shapes, inputs, depth)
        elif kind < 0.45:
            self.again(steps, shapes, inputs, depth)
        else:
            self.differentiate(steps, shapes, inputs, depth)

    def map(self, steps: list[Step], shapes: list[Shape], inputs: tuple[int, ...], depth: int) -> None:
        """Append a vmap over one axis of those values that have one of the chosen size."""
        sizes = [shapes[i][axis] for i in inputs for axis in MAPPED.get(shapes[i], ())]
        size = int(self.rng.choice(sizes))
        axes: list[Axis] = []
        inner = list(shapes)
        for i in inputs:
            fitting = [axis for axis in MAPPED.get(shapes[i], ()) if shapes[i][axis] == size]
            mapped = bool(fitting) and (self.rng.random() < 0.8 or all(axis is None for axis in axes))
            axis = int(self.rng.choice(fitting)) if mapped else None
            inner.append(shapes[i] if axis is None else shapes[i][:axis] + shapes[i][axis + 1 :])
            axes.append(axis if axis is None or self.rng.random() < 0.7 else axis - len(shapes[i]))
        result = (3,) if size < 3 or self.rng.random() < 0.7 else ()
        body = self.body(inner, len(shapes), depth - 1, result)
        out_axis = int(self.rng.integers(len(result) + 1))
        steps.append(Map(inputs, tuple(axes), out_axis - (len(result) + 1 if self.rng.random() < 0.3 else 0), body))
        shapes.append((*result[:out_axis], size, *result[out_axis:]))

    def again(self, steps: list[Step], shapes: list[Shape], inputs: tuple[int, ...], depth: int) -> None:
        """Append a checkpoint, with or without a budget."""
        inner = [*shapes, *(shapes[i] for i in inputs)]
        self.in_checkpoints += 1
        body = self.body(inner, len(shapes), depth - 1, None)
        self.in_checkpoints -= 1
        steps.append(Again(inputs, None if self.rng.random() < 0.6 else int(self.rng.integers(200)), body))
        shapes.append(inner[-1])

    def differentiate(self, steps: list[Step], shapes: list[Shape], inputs: tuple[int, ...], depth: int) -> None:
        """Append a derivative."""
        mode = self.modes[int(self.rng.integers(len(self.modes)))]
        given = [shapes[i] for i in inputs]
        wanted = shapes[int(self.rng.integers(len(shapes)))]
        result: Shape | None = {"grad": (), "hvp": (), "vjp": wanted}.get(mode)
        like: list[Shape] = {"grad": [], "vjp": [wanted]}.get(mode, given)
        along = tuple(self.like(steps, shapes, shape) for shape in like)
        inner = [*shapes, *given]
        body = self.body(inner, len(shapes), depth - 1, result)
        out = inner[-1]
        steps.append(Derive(mode, inputs, along, body))
        shapes.extend([out, out] if mode in ("jvp", "linearize") else [out, *given])

    def like(self, steps: list[Step], shapes: list[Shape], shape: Shape) -> int:
        """Return the number of a value of this shape: one there is, or a new constant."""
        there = [i for i, s in enumerate(shapes) if s == shape]
        if there and self.rng.random() < 0.7:
            return int(self.rng.choice(there))
        steps.append(Constant(self.rng.normal(size=shape)))
        shapes.append(shape)
        return len(shapes) - 1

    def pick(self, shapes: list[Shape], start: int) -> int:
        """Choose a value: rather one of this body's own, else one that it closes over."""
        return int(self.rng.integers(start if self.rng.random() < 0.65 else 0, len(shapes)))

    def apply(self, steps: list[Step], shapes: list[Shape], start: int) -> None:
        """Append an operation that fits the values."""
        while True:
            op = list(OPS)[int(self.rng.integers(len(OPS)))]
            args = tuple(self.pick(shapes, start) for _ in range(_arity(OPS[op]) - 1))
            if op in NEED_AXES and shapes[args[0]] == ():
                continue
            out = _shape_of(OPS[op], [shapes[i] for i in args])
            if out in SHAPES:
                steps.append(Apply(op, args))
                shapes.append(out)
                return

    def custom(self, steps: list[Step], shapes: list[Shape], start: int) -> None:
        """Append a custom rule that fits the values: equal shapes, or factors of a matrix product."""
        while True:
            name = list(RULES)[int(self.rng.integers(len(RULES)))]
            rule = RULES[name]
            args = tuple(self.pick(shapes, start) for _ in range(_arity(rule.forward) - 1))
            given = [shapes[i] for i in args]
            # a backward that is not linear is not the same for two halves of a cotangent: what runs twice would show
            if (rule.push is None and (self.forward_mode or self.in_checkpoints)) or (
                len(set(given)) > 1 and name != "wrong matmul"
            ):
                continue
            if name == "wrong matmul" and (min(map(len, given)) < 2 or given[0][-1] != given[1][-2]):
                continue
            out = rule.forward(_ON_NUMPY, *(np.ones(shape) for shape in given))[0]
            outs = [np.shape(o) for o in (out if isinstance(out, tuple) else (out,))]
            if all(shape in SHAPES for shape in outs):
                steps.append(Custom(name, args))
                shapes.extend(outs)
                self.rules.add(name)
                return

    def combine(self, steps: list[Step], shapes: list[Shape], numbers: range) -> None:
        """Append the sum of these values' elements, squashed: nothing grows, no higher derivative is zero."""
        total: int | None = None
        for i in numbers:
            steps.extend([Apply("soft", (i,)), Apply("sum", (len(shapes),))])
            shapes.extend([shapes[i], ()])
            if total is not None:
                steps.append(Apply("add", (total, len(shapes) - 1)))
                shapes.append(())
            total = len(shapes) - 1


def _arity(f: Any) -> int:
    return int(f.__code__.co_argcount)


def _shape_of(op: Any, shapes: list[Shape]) -> Shape | None:
    """Return the shape of an operation's result, as NumPy has it; None where it does not fit."""
    try:
        shape: Shape = np.shape(op(_ON_NUMPY, *(np.ones(shape) for shape in shapes)))
    except (ValueError, IndexError):
        return None
    return shape
