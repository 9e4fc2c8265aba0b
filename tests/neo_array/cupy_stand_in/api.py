"""Reading `api.txt`: the parameters of CuPy's functions, and the loops of its ufuncs."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

TABLE: Final = Path(__file__).with_name("api.txt")
Loop = tuple[tuple[np.dtype[Any], ...], tuple[np.dtype[Any], ...]]


@dataclass(frozen=True)
class Ufunc:
    """A ufunc's full name, and its loops: the dtypes of inputs and outputs, in the order in which CuPy tries them."""

    name: str
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class Function:
    """A function's full name and its parameters."""

    name: str
    signature: inspect.Signature


def _bfloat16() -> np.dtype[Any] | None:
    if find_spec("ml_dtypes") is None:
        return None
    import ml_dtypes

    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


BFLOAT16: Final = _bfloat16()


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype is bfloat16, by its name: NumPy's float64 equals None, which BFLOAT16 may be."""
    return dtype.name == "bfloat16"


def dtypes(characters: str) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that NumPy's characters, and E, stand for."""
    return tuple(BFLOAT16 if c == "E" and BFLOAT16 is not None else np.dtype(c) for c in characters)


def signature(parameters: str) -> inspect.Signature:
    """Return the signature that a parameter list in parentheses stands for."""
    function = eval(f"lambda {parameters[1:-1]}: None")
    return inspect.signature(function)


@cache
def read() -> dict[str, Ufunc | Function]:
    """Return CuPy's functions by their full names."""
    found: dict[str, Ufunc | Function] = {}
    for line in TABLE.read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name == "#":
            continue
        if rest.startswith("ufunc "):
            loops = [loop.split("->") for loop in rest.split()[1:] if BFLOAT16 is not None or "E" not in loop]
            found[name] = Ufunc(name, tuple((dtypes(given), dtypes(got)) for given, got in loops))
        else:
            found[name] = Function(name, signature(rest))
    return found
