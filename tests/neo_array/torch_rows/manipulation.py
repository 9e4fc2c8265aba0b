"""Changes of dtype, shape and order in torch."""

from __future__ import annotations

import torch

from tests.neo_array.torch_rows.core import Row


def on_diagonal(x: torch.Tensor, *, offset: int, shape: tuple[int, int]) -> torch.Tensor:
    """Make the smallest square matrix with this diagonal, and cut or pad it."""
    square = torch.diag_embed(x, offset)
    rows, columns = shape
    return torch.nn.functional.pad(square, (0, columns - square.shape[-1], 0, rows - square.shape[-2]))


TORCH: dict[str, Row] = {
    # --- Dtypes, places ---
    "cast": lambda x, *, dtype: (x if dtype.kind == "c" else x.real).to(getattr(torch, dtype.name)),
    "to_device": lambda x, *, device: x.clone(),
    # --- Shapes ---
    "view": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, axes: x.permute(axes),
    "matrix_transpose": lambda x: x.mT,
    "expand": lambda x, *, shape: x.expand(shape),
    "join": lambda *xs, axis: torch.cat(xs, axis),
    "parts": lambda x, *, sizes, axis: torch.split(x, sizes, axis),
    "slices": lambda x, *, axis: torch.unbind(x, axis),
    # --- Order ---
    "reverse": lambda x, *, axes: torch.flip(x, axes),
    "rotate": lambda x, *, shifts, axes: torch.roll(x, shifts, axes),
    # --- Triangles and diagonals ---
    "tril": lambda x, *, k: torch.tril(x, k),
    "triu": lambda x, *, k: torch.triu(x, k),
    "diagonal": lambda x, *, offset: torch.diagonal(x, offset, -2, -1),
    "on_diagonal": on_diagonal,
}
