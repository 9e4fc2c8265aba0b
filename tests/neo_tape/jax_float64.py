"""JAX as an oracle, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def jax_in_float64() -> Iterator[Any]:
    """Give JAX inside a `with` block, set to float64; skip the test where JAX is absent.

    Whole functions are not compiled, since each test runs its function once: that takes half the time, and with the
    compiler's optimizations off, half again.
    """
    jax = pytest.importorskip("jax")
    wanted = {"jax_enable_x64": True, "jax_disable_jit": True, "jax_disable_most_optimizations": True}
    before = {name: jax.config.values[name] for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
    try:
        yield jax
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
