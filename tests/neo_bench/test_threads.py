from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from neo_bench.threads import Pool, Threads, pool_of


def blas_threads() -> set[int]:
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


@pytest.mark.parametrize(("backend", "pool"), [("numpy", "blas"), ("torch", "torch")])
def test_each_backend_computes_with_one_pool(backend: str, pool: Pool) -> None:
    assert pool_of(backend) == pool


def test_only_the_pool_that_is_timed_keeps_its_threads() -> None:
    torch.set_num_threads(2)
    with threadpool_limits(2, user_api="blas"):
        threads = Threads()
        with threads.only("torch"):
            assert blas_threads() == {1}
            assert torch.get_num_threads() == 2
        with threads.only("blas"):
            assert blas_threads() == {2}
            assert torch.get_num_threads() == 1
        assert blas_threads() == {2}
        assert torch.get_num_threads() == 2


def test_thread_counts_are_reported_for_both_pools() -> None:
    counts = Threads().counts()
    assert counts["torch"] == torch.get_num_threads()
    assert counts["blas"] == max(blas_threads())
