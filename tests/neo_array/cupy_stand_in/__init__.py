"""A stand-in for CuPy, backed by NumPy: what CuPy's backend file and the kernels can be run on where there is no GPU.

It is as strict as CuPy: it has only CuPy's functions with CuPy's parameters and dtypes (`api.txt`, written by
`survey.py` from a real CuPy), converts nothing to NumPy by itself, dispatches NumPy's functions as CuPy does, keeps 0-d
results arrays, wraps indices that are out of range, and warns when an array is not on the current device.

    with installed(devices=1):
        na.ones(3, device="cupy:0")
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from neo_array import _bind, backends
from neo_array._primitive import REGISTRY
from tests.neo_array.cupy_stand_in import arrays, functions, linear_algebra
from tests.neo_array.cupy_stand_in.devices import CUDARuntimeError, Device, check, get_device_count, machine


@contextmanager
def installed(devices: int = 1) -> Iterator[None]:
    """Put the stand-in where `import cupy` finds it, on a machine of so many GPUs; put everything back afterwards."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _ours(name)}
    loaded = backends._loaded.pop("cupy", None)
    sys.modules.update(modules())
    old = machine.count, machine.current
    machine.count, machine.current = devices, 0
    try:
        yield
    finally:
        machine.count, machine.current = old
        for name in list(sys.modules):
            if _ours(name):
                del sys.modules[name]
        sys.modules.update(before)
        backends._loaded.pop("cupy", None)
        _forget(arrays.ndarray)
        if loaded is not None:
            backends._loaded["cupy"] = loaded


def _ours(name: str) -> bool:
    return name.partition(".")[0] in ("cupy", "cupyx") or name.startswith("neo_array.backends.cupy")


def _forget(kind: type) -> None:
    """Drop what neo_array has kept for arrays of this type."""
    backends._by_type.pop(kind, None)
    for op in REGISTRY.values():
        op.kernels.pop(kind, None)
        op.inplace_kernels.pop(kind, None)
        op.inplace_each_kernels.pop(kind, None)
    for key in [key for key in _bind._CONSTANTS if isinstance(key[-1], tuple) and kind in key[-1]]:
        del _bind._CONSTANTS[key]


def modules() -> dict[str, ModuleType]:
    """Return CuPy's modules, made afresh and linked to each other."""
    made = {name: _module(name, contents) for name, contents in functions.namespaces().items()}
    linalg = vars(made["cupy.linalg"])
    linalg.update(linear_algebra.decompositions(linalg), LinAlgError=linear_algebra.LinAlgError)
    made["cupyx"].__dict__["errstate"] = linear_algebra.errstate
    made["cupyx.scipy"] = _module("cupyx.scipy", {})
    made["cupyx.scipy.linalg"] = _module(
        "cupyx.scipy.linalg", {"expm": linear_algebra.expm, "solve_triangular": linear_algebra.solve_triangular}
    )
    made["cupy.cuda"] = _module(
        "cupy.cuda",
        {
            "Device": Device,
            "get_current_stream": lambda: SimpleNamespace(synchronize=check),
            "is_available": lambda: machine.count > 0,
        },
    )
    made["cupy.cuda.runtime"] = _module(
        "cupy.cuda.runtime",
        {"CUDARuntimeError": CUDARuntimeError, "getDeviceCount": get_device_count},
    )
    made["cupy"].__dict__["ndarray"] = arrays.ndarray
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    arrays.installed.update(made)
    return made


def _module(name: str, contents: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    vars(module).update(contents)
    return module
