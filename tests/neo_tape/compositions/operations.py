"""The operations and custom rules that programs are made of, each written once for all libraries.

Operations keep values moderate (a division by `2 + y * y`, an exponential of a tanh), so that programs of any depth
stay finite, and have no ties or jumps where two libraries could differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from tests.neo_tape.compositions.description import Library, Value


def _max(lib: Library, x: Value, **options: Any) -> Value:
    ramp = lib.xp.reshape(lib.xp.arange(x.size, dtype=lib.xp.float64), x.shape)  # no ties
    return lib.xp.max(x + 0.37 * ramp, **options)


OPS: Final = MappingProxyType[str, Callable[..., Value]](
    {
        # --- Two arguments that broadcast ---
        "add": lambda _, x, y: x + y,
        "sub": lambda _, x, y: x - y,
        "mul": lambda _, x, y: x * y,
        "div": lambda _, x, y: x / (2 + y * y),
        "power": lambda lib, x, y: (1.5 + x * x) ** lib.xp.tanh(y),
        "where": lambda lib, x, y: lib.xp.where(x > 0.1, x, y),
        # --- One argument, and Python numbers on either side ---
        "neg": lambda _, x: -x,
        "scale": lambda _, x: 0.5 * x,
        "from": lambda _, x: 5 - x,
        "over": lambda _, x: 1.5 / (2 + x * x),
        "square": lambda lib, x: lib.xp.sin(x) ** 2,
        "exponent": lambda lib, x: 2.0 ** lib.xp.tanh(x),
        "exp": lambda lib, x: lib.xp.exp(lib.xp.tanh(x)),
        "sin": lambda lib, x: lib.xp.sin(x),
        "tanh": lambda lib, x: lib.xp.tanh(x),
        "soft": lambda lib, x: lib.xp.tanh(0.3 * x),
        "stop": lambda lib, x: x * lib.stop_gradient(x),
        # --- Reductions ---
        "sum": lambda lib, x: lib.xp.sum(x),
        "sum rows": lambda lib, x: lib.xp.sum(x, axis=-1),
        "sum columns": lambda lib, x: lib.xp.sum(x, axis=0, keepdims=True),
        "max": _max,
        "max rows": lambda lib, x: _max(lib, x, axis=-1, keepdims=True),
        # --- Shapes ---
        "matmul": lambda _, x, y: x @ y,
        "transpose": lambda lib, x: lib.xp.permute_dims(x, (1, 0)),
        "wide": lambda lib, x: lib.xp.reshape(x, (2, 3)),
        "tall": lambda lib, x: lib.xp.reshape(x, (3, 2)),
        "flat": lambda lib, x: lib.xp.reshape(x, (3,)),
        "broadcast": lambda lib, x: lib.xp.broadcast_to(x, (2, 3)),
        "stack": lambda lib, x, y: lib.xp.stack([x, y]),
        "row": lambda _, x: x[-1],
    }
)


NEED_AXES: Final = frozenset({"sum rows", "sum columns", "max rows"})  # NumPy alone would take a 0-d array


@dataclass(frozen=True)
class CustomRule:
    """A function with a backward of its own, which is on purpose *not* its derivative: a bypass shows.

    `forward` returns the output and what it saves; with `saves_output`, the output itself is saved too, last.
    `push` is the transpose of `backward`, written by hand; None where backward is not linear in the cotangent.
    """

    forward: Callable[..., tuple[Value, tuple[Value, ...]]]
    backward: Callable[..., tuple[Value, ...]]
    push: Callable[..., Value] | None
    saves_output: bool = False


def _shifted_wave(lib: Library, x: Value) -> tuple[Value, tuple[Value, ...]]:
    wave = lib.xp.exp(lib.xp.tanh(x))
    return x * wave, (wave,)


def _doubled_sine(lib: Library, x: Value) -> tuple[Value, tuple[Value, ...]]:
    sine = lib.rules["wrong sine"](x)
    return sine * sine, (sine,)


# backward and push get the library, the tuple of what was saved, and the cotangent or tangents
RULES: Final = MappingProxyType[str, CustomRule](
    {
        "straight through": CustomRule(
            lambda lib, x: (lib.xp.where(x > 0.1, 1.0 + 0 * x, 0 * x), ()),
            lambda _lib, _saved, g: (0.7 * g,),
            lambda _lib, _saved, t: 0.7 * t,
        ),
        "identity": CustomRule(
            lambda lib, x: (x, (x,)),
            lambda lib, saved, g: (g * lib.xp.sin(saved[0]),),
            lambda lib, saved, t: t * lib.xp.sin(saved[0]),
        ),
        "wrong sine": CustomRule(
            lambda lib, x: (lib.xp.sin(x), (x,)),
            lambda lib, saved, g: (1.3 * g * lib.xp.sin(saved[0]),),
            lambda lib, saved, t: 1.3 * t * lib.xp.sin(saved[0]),
        ),
        "saves its output": CustomRule(
            lambda lib, x: (lib.xp.tanh(x), ()),
            lambda _lib, saved, g: (g * (2 - 0.5 * saved[-1] * saved[-1]),),
            lambda _lib, saved, t: t * (2 - 0.5 * saved[-1] * saved[-1]),
            saves_output=True,
        ),
        "saves an intermediate": CustomRule(
            _shifted_wave,
            lambda _lib, saved, g: (2 * g * saved[0],),
            lambda _lib, saved, t: 2 * t * saved[0],
        ),
        "calls another rule": CustomRule(
            _doubled_sine,
            lambda _lib, saved, g: (g * saved[0],),
            lambda _lib, saved, t: t * saved[0],
        ),
        "lopsided product": CustomRule(
            lambda _lib, x, y: (x * y, (x, y)),
            lambda _lib, saved, g: (2 * g * saved[1], -g * saved[0]),
            lambda _lib, saved, t, u: 2 * t * saved[1] - u * saved[0],
        ),
        "wrong matmul": CustomRule(
            lambda _lib, x, y: (x @ y, (x, y)),
            lambda _lib, saved, g: (1.5 * (g @ saved[1].mT), saved[0].mT @ g),
            lambda _lib, saved, t, u: 1.5 * (t @ saved[1]) + saved[0] @ u,
        ),
        "half norm": CustomRule(
            lambda lib, x: (lib.xp.sum(x * x), (x,)),
            lambda _lib, saved, g: (g * saved[0],),
            lambda lib, saved, t: lib.xp.sum(t * saved[0]),
        ),
        "two outputs": CustomRule(
            lambda lib, x: ((x * lib.xp.tanh(x), lib.xp.sin(x)), (x,)),
            lambda _lib, saved, g: (0.3 * g[0] + g[1] * saved[0],),
            lambda _lib, saved, t: (0.3 * t, t * saved[0]),
        ),
        "squashed gradient": CustomRule(
            lambda lib, x: (lib.xp.sin(x), (x,)),
            lambda lib, saved, g: (lib.xp.tanh(g) * saved[0],),
            None,
        ),
    }
)
