"""The same on a GPU: every op's samples, their derivatives, and numbers that were met on the CPU first."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import testing
from tests.neo_array.calls import HOST_ONLY, OPS

if find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
GPU = "torch:cuda:0"


def test_every_sample_gives_the_same_on_the_gpu() -> None:
    for op in OPS:
        if op.__name__ in HOST_ONLY | {"fill", "to_device"}:
            continue
        for s in testing.samples(op):
            here, there = testing.run(op, s), testing.run(op, s, device=GPU)
            assert str(there.device) == GPU
            assert (here.dtype, here.shape) == (there.dtype, there.shape)
            np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-12, atol=1e-12, err_msg=op.__name__)


def test_derivatives_on_the_gpu() -> None:
    for op in OPS:
        for s in testing.samples(op):
            if testing.differentiated(op, s) and op.__name__ != "to_device":
                f, inputs = testing.differentiable(op, s, device=GPU)
                nt.check_grads(f, inputs)


def test_a_number_met_on_the_cpu_first_can_be_used_on_the_gpu() -> None:
    for where in ("torch:cpu", GPU, "torch:cpu"):
        x = na.ones(3, device=where)
        assert str((x * 2.125 + 7.25).device) == where


def test_a_host_array_without_axes_does_not_mix_with_the_gpu() -> None:
    with pytest.raises(na.DeviceError, match=r"torch:cpu.*cuda|cuda.*torch:cpu"):
        na.ones(3, device=GPU) + na.ones((), device="torch:cpu")
