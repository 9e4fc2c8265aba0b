"""Which images make which batch: a pure function of the seed and the epoch.

So every side of a comparison sees the same batches, and a resumed run the ones that an unbroken run would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import neo_array as na


def epoch_order(key: na.Array, epoch: int, n: int, /) -> npt.NDArray[np.int64]:
    """Return the order in which an epoch visits `n` images."""
    order = na.random.permutation(na.random.fold_in(key, epoch), n, device="numpy")
    return np.array(order.numpy(), np.int64)


def batch_slices(n: int, batch_size: int, /, *, start: int, count: int) -> Iterator[slice]:
    """Yield the slices of an epoch's order for `count` batches from batch `start` on; its last batch may be smaller."""
    for first in range(start * batch_size, min(n, (start + count) * batch_size), batch_size):
        yield slice(first, min(first + batch_size, n))


def batch_count(n: int, batch_size: int, /) -> int:
    """Return how many batches make an epoch."""
    return -(-n // batch_size)
