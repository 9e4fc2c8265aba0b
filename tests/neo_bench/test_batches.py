from __future__ import annotations

import numpy as np
import pytest

import neo_array as na
from neo_bench.training.batches import batch_count, batch_slices, epoch_order

KEY = na.random.key(7)


def test_the_order_is_a_permutation_that_seed_and_epoch_determine() -> None:
    first = epoch_order(KEY, 0, 100)
    assert sorted(first) == list(range(100))
    np.testing.assert_array_equal(first, epoch_order(na.random.key(7), 0, 100))
    assert (first != epoch_order(KEY, 1, 100)).any()
    assert (first != epoch_order(na.random.key(8), 0, 100)).any()


@pytest.mark.parametrize(("n", "batch_size", "count"), [(10, 3, 4), (9, 3, 3), (2, 5, 1)])
def test_batches_cover_an_epoch_once_however_it_is_cut(n: int, batch_size: int, count: int) -> None:
    assert batch_count(n, batch_size) == count
    whole = list(batch_slices(n, batch_size, start=0, count=count))
    parts = [part for start in range(count) for part in batch_slices(n, batch_size, start=start, count=1)]
    assert parts == whole
    assert [i for part in whole for i in range(part.start, part.stop)] == list(range(n))
    assert list(batch_slices(n, batch_size, start=count, count=50)) == []
