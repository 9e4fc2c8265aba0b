"""neo_array's own ops, and every call of theirs to test: op, sample, device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import neo_array as na
from neo_array import Primitive, Sample, testing
from neo_array._primitive import REGISTRY
from tests.neo_array.devices import needs_torch

Op: TypeAlias = Primitive[..., Any]

# other packages register theirs when they are imported, and tests define throw-away ones
OPS = [op for op in REGISTRY.values() if op.__module__.startswith("neo_array.")]

# What draws random numbers runs on the host, where the keys are: these ops need no other kernel.
HOST_ONLY = {"derive", "draw", "draw_integers", "draw_permutation", "draw_poisson", "gamma_quantile"}


def calls(choose: Callable[[Op, Sample], object] = lambda op, s: True) -> pytest.MarkDecorator:
    """Run a test of `(op, s, device)` on every sample that is chosen, on every device that the op has a kernel for."""
    cases = [
        pytest.param(op, s, device, id=f"{op.__name__}-{i}-{device}", marks=[needs_torch] if device != "numpy" else [])
        for op in OPS
        if op.sample_source is not None  # test_registry.py says so where it is missing
        for i, s in enumerate(testing.samples(op))
        if choose(op, s)
        for device in (["numpy"] if op.__name__ in HOST_ONLY else ["numpy", "torch:cpu"])
    ]
    return pytest.mark.parametrize(("op", "s", "device"), cases)


def options_on(s: Sample, device: str) -> dict[str, Any]:
    """Return the sample's options; an op that makes arrays makes them on the device under test."""
    return {**s.options, **({"device": na.zeros((), device=device).device} if not s.args else {})}
