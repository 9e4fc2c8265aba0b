"""Reductions of segments in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tests.neo_array.torch_rows.core import Row


def segments(f: Callable[[torch.Tensor, int], torch.Tensor]) -> Row:
    """Reduce the slices of one segment after the other: f takes a tensor and an axis."""

    def reduce(x: torch.Tensor, segment_ids: torch.Tensor, *, axis: int, size: int) -> torch.Tensor:
        parts = [x.index_select(axis, (segment_ids == k).nonzero().reshape(-1)) for k in range(size)]
        return torch.cat([x.narrow(axis, 0, 0), *(f(part, axis).unsqueeze(axis) for part in parts)], axis)

    return reduce


TORCH: dict[str, Row] = {
    "sum_segments": segments(torch.sum),
    "max_segments": segments(torch.amax),
    "min_segments": segments(torch.amin),
}
