"""The public test helpers, themselves tested with ops that are deliberately wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Sample, bind, primitive, sample, testing
from neo_array._primitive import REGISTRY
from tests.neo_array.devices import every_device


@primitive(kind="elementwise")
def cubed(x: na.Array, weight: na.Array, /, *, scale: float) -> na.Array:
    """Return scale * weight * x**3, with a right rule for the weight and a wrong one for x."""
    return bind(cubed, x, weight, scale=scale)


cubed.kernel("numpy", "torch")(lambda x, weight, *, scale: scale * weight * x**3)


@cubed.vjp("x")
def _(g: na.Array, x: na.Array, weight: na.Array, *, scale: float) -> na.Array:
    return g * (3.0015 * scale) * weight * x * x


@cubed.vjp("weight")
def _(g: na.Array, x: na.Array, *, scale: float) -> na.Array:
    return g * scale * x * x * x


@cubed.samples
def _(rng: np.random.Generator) -> Iterator[Sample]:
    yield sample(rng.uniform(1, 2, size=(3,)), rng.uniform(1, 2, size=(3,)), scale=2.0)
    yield sample(rng.uniform(1, 2, size=(3,)), rng.uniform(1, 2, size=(3,)), scale=2.0, wrt=(1,))


del REGISTRY["cubed"]  # thrown away: no other test is to meet it


def test_samples_depend_on_the_seed_alone() -> None:
    (first, _), (again, _), (other, _) = testing.samples(cubed), testing.samples(cubed), testing.samples(cubed, seed=1)
    np.testing.assert_array_equal(first.args[0], again.args[0])
    assert not np.array_equal(first.args[0], other.args[0])


def test_an_op_without_samples_says_so() -> None:
    @primitive(kind="elementwise")
    def bare(x: na.Array, /) -> na.Array:
        """Do nothing."""
        return bind(bare, x)

    del REGISTRY["bare"]
    with pytest.raises(LookupError, match=r"bare: has no samples; give it some with @bare\.samples"):
        testing.samples(bare)


@every_device
@pytest.mark.parametrize("dtype", [na.float32, na.float64])
def test_arguments_have_the_dtype_and_device_asked_for(device: str, dtype: na.DType) -> None:
    s = sample(np.ones(3), np.array([1, 2]), np.array([True]), 2.0, 3)
    floating, integers, mask, *numbers = testing.arguments(s, device=device, dtype=dtype)
    assert [str(a.device) for a in (floating, integers, mask)] == [device] * 3
    assert [a.dtype for a in (floating, integers, mask)] == [dtype, na.int64, na.bool]
    assert numbers == [2.0, 3]


@every_device
def test_run_calls_the_op_as_the_sample_says(device: str) -> None:
    out = testing.run(cubed, sample(np.array([2.0]), np.array([0.5]), scale=3.0), device=device)
    assert out.item() == 12.0


def test_wrt_says_what_is_differentiated() -> None:
    both, one = testing.samples(cubed)
    assert testing.differentiated(cubed, both) == (0, 1)
    assert testing.differentiated(cubed, one) == (1,)
    assert testing.differentiated(REGISTRY["equal"], sample(np.ones(2), np.ones(2))) == ()


@every_device
def test_a_wrong_rule_is_found_and_a_right_one_beside_it_is_not_blamed(device: str) -> None:
    both, one = testing.samples(cubed)
    f, inputs = testing.differentiable(cubed, one, device=device)
    nt.check_grads(f, inputs, order=1)
    f, inputs = testing.differentiable(cubed, both, device=device)
    with pytest.raises(AssertionError, match="fwd is wrong"):
        nt.check_grads(f, inputs, order=1)
    with pytest.raises(AssertionError, match="rev is wrong"):
        nt.check_grads(f, inputs, order=1, modes=("rev",))


@every_device
def test_a_rule_wrong_in_its_second_derivative_alone_is_found_at_order_two(device: str) -> None:
    @primitive(kind="elementwise")
    def squared(x: na.Array, /) -> na.Array:
        """Multiply by itself; its rule reads a value where it should use an op, and so hides from the outer level."""
        return bind(squared, x)

    del REGISTRY["squared"]
    squared.kernel("numpy", "torch")(lambda x: x * x)
    squared.vjp(x=lambda g, x: g * 2 * na.stop_gradient(x))
    x = na.asarray(np.array([1.0, -2.0]), device=device)
    nt.check_grads(squared, (x,), order=1)
    with pytest.raises(AssertionError, match=r"(fwd|rev) of (fwd|rev) is wrong"):
        nt.check_grads(squared, (x,), order=2)
