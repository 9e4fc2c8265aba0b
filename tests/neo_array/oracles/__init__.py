"""What every op's result should be: one file for each family of ops, one row per op."""

from __future__ import annotations

import importlib
import pkgutil

from tests.neo_array.oracles.core import Oracle

ORACLES: dict[str, Oracle] = {}
NO_HALF: set[str] = set()  # ops that no backend computes in half precision
SCALED: set[str] = set()  # ops on matrices whose elements cannot change places: other examples are multiples
for _info in pkgutil.iter_modules(__path__, f"{__name__}."):
    _module = importlib.import_module(_info.name)
    ORACLES |= _module.ORACLES
    NO_HALF |= getattr(_module, "NO_HALF", set())
    SCALED |= getattr(_module, "SCALED", set())
