"""Every differentiable op in torch: one file for each family of ops, one row per op; its autograd does the rest."""

from __future__ import annotations

import importlib
import pkgutil

from tests.neo_array.torch_rows.core import Row

TORCH: dict[str, Row] = {}
ELSEWHERE: dict[str, str] = {}  # ops that torch cannot express: where their derivatives are tested, and why there
for _info in pkgutil.iter_modules(__path__, f"{__name__}."):
    _module = importlib.import_module(_info.name)
    TORCH |= _module.TORCH
    ELSEWHERE |= getattr(_module, "ELSEWHERE", {})
