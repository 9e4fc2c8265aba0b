"""Contractions in torch."""

from __future__ import annotations

import torch

from tests.neo_array.torch_rows.core import Row

TORCH: dict[str, Row] = {"contract": lambda a, b, *, subscripts: torch.einsum(subscripts, a, b)}
