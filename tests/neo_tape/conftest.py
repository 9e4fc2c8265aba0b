"""Fixtures of these tests, and what must hold after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import neo_array as na
from tests.neo_tape.levels import assert_nothing_open


@pytest.fixture(autouse=True)
def no_level_is_left_open() -> Iterator[None]:
    """Fail a test that leaves a level open."""
    yield
    assert_nothing_open(nothing_retained=False)  # a failed test's traceback may hold a pullback


@pytest.fixture(params=["numpy", "torch:cpu"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend's place on the CPU, made the default."""
    name: str = request.param
    if name.startswith("torch"):
        pytest.importorskip("torch")
    with na.use_device(name):
        yield name
