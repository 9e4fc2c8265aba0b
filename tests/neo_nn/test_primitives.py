"""What every primitive of neo_nn must have, and must get right: all slots, on every backend, to second order."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_nn
import neo_tape as nt
from neo_array import Primitive, Sample
from neo_array._primitive import REGISTRY

for _module in pkgutil.walk_packages(neo_nn.__path__, "neo_nn."):
    importlib.import_module(_module.name)

OPS = [op for op in REGISTRY.values() if op.__module__.startswith("neo_nn.")]


def samples(op: Primitive[..., Any]) -> Iterator[Sample]:
    assert op.sample_source is not None, f"{op.__name__} has no samples"
    yield from op.sample_source(np.random.default_rng(0))


CASES = [pytest.param(op, s, id=f"{op.__name__}-{i}") for op in OPS for i, s in enumerate(samples(op))]


def split(s: Sample, device: str) -> tuple[Callable[..., Any], tuple[na.Array, ...]]:
    """Return a sample as a function of the arguments to differentiate, and those."""
    args = [na.asarray(a, device=device) if isinstance(a, np.ndarray) else a for a in s.args]
    floating = [i for i, a in enumerate(args) if isinstance(a, na.Array) and a.dtype.kind == "f"]
    wrt = floating if s.wrt is None else list(s.wrt)

    def merged(*chosen: na.Array) -> list[Any]:
        found = dict(zip(wrt, chosen, strict=True))
        return [found.get(i, a) for i, a in enumerate(args)]

    return merged, tuple(args[i] for i in wrt)


def test_the_primitives_are_found() -> None:
    assert {op.__name__ for op in OPS} >= {"affine", "project", "outer_sum", "relu", "sigmoid", "softmax_cross_entropy"}


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_every_slot_is_filled(op: Primitive[..., Any]) -> None:
    assert {"numpy", "torch"} <= op.sources.keys()
    ruled = {name for rule in op.vjp_rules for name in rule.inputs} | op.missing.keys()
    assert ruled == set(op.arrays)
    assert op.kind != "general" or op.jvp_rule is not None
    assert op.kind != "general" or op.batch_rule is not None or op.batch_missing is not None
    assert op.__doc__


@pytest.mark.parametrize(("op", "s"), CASES)
def test_derivatives_agree_with_differences_to_second_order(op: Primitive[..., Any], s: Sample, device: str) -> None:
    merged, inputs = split(s, device)
    check: Any = nt.check_grads
    check(lambda *chosen: op(*merged(*chosen), **s.options), inputs, order=2)


@pytest.mark.parametrize(("op", "s"), CASES)
def test_backends_agree(op: Primitive[..., Any], s: Sample) -> None:
    results = []
    for device in ("numpy", "torch:cpu"):
        merged, inputs = split(s, device)
        results.append(op(*merged(*inputs), **s.options))
    assert results[0].dtype == results[1].dtype
    np.testing.assert_allclose(results[0].numpy(), results[1].numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("op", "s"), CASES)
def test_single_precision_stays_single(op: Primitive[..., Any], s: Sample, device: str) -> None:
    args = [a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in s.args]
    args = [na.asarray(a, device=device) if isinstance(a, np.ndarray) else a for a in args]
    assert op(*args, **s.options).dtype == na.float32
