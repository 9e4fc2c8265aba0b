"""Write down CuPy's interface, for the stand-in to be no more generous: where CuPy is installed (no GPU is needed), run

    python tests/neo_array/cupy_stand_in/survey.py > tests/neo_array/cupy_stand_in/api.txt

A line per function gives its parameters (defaults left out); per ufunc, the dtypes of its loops.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

MODULES = ("cupy", "cupy.linalg", "cupy.fft", "cupyx", "cupyx.scipy.special")


def lines() -> Iterator[str]:
    """Go over what the modules export, ufuncs and functions alone."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in sorted(vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or inspect.ismodule(value) or isinstance(value, type) or not callable(value):
                continue
            if type(value).__name__ == "ufunc":
                yield f"{module_name}.{name} ufunc {' '.join(value.types)}"
            else:
                yield f"{module_name}.{name} {parameters(value)}"


def parameters(function: Callable[..., Any]) -> str:
    """Return a parameter list that `def` would take, with None for every default."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled
        return "(*args, **kwargs)"
    bare = [
        p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)
        for p in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


if __name__ == "__main__":
    version = importlib.import_module("cupy").__version__
    sys.stdout.write(f"# CuPy {version}, with ml_dtypes: E is bfloat16\n")
    sys.stdout.writelines(line + "\n" for line in lines())
