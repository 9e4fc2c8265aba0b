from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.neo_array.devices import HAS_TORCH


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Arrays this small only lose by more threads on a busy machine."""
    if not HAS_TORCH:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
