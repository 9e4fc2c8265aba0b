"""The table of layers: one file for each family, a list ROWS in each."""

from __future__ import annotations

import importlib
import pkgutil

from tests.neo_nn.layer_rows.core import Row

ROWS: list[Row] = []
for _info in pkgutil.iter_modules(__path__, f"{__name__}."):
    if not _info.name.endswith(".core"):
        ROWS += importlib.import_module(_info.name).ROWS
