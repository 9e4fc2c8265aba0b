"""The same on a GPU, through torch and through CuPy: every op's samples, their derivatives, and numbers met before."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import backends, testing
from tests.neo_array.calls import HOST_ONLY, OPS
from tests.neo_array.cupy_stand_in import survey
from tests.neo_array.cupy_stand_in.api import TABLE

GPUS = {"torch:cuda:0": "torch", "cupy:0": "cupy"}
# relative to the largest value: CUDA's own functions are off by a few units in the last place
TOLERANCE = 1e-12


def reason(name: str) -> str:
    """Return why tests on a GPU are skipped, or nothing."""
    library = GPUS[name]
    if find_spec(library) is None:
        return f"{library} is not installed"
    return "" if name in map(str, backends.devices_of(library)) else f"{library} finds no CUDA device here"


pytestmark = pytest.mark.gpu
every_gpu = pytest.mark.parametrize(
    "gpu", [pytest.param(name, marks=pytest.mark.skipif(bool(reason(name)), reason=reason(name))) for name in GPUS]
)


SAMPLES = [(op, s) for op in OPS if op.sample_source for s in testing.samples(op) if "device" not in s.options]


@every_gpu
def test_every_sample_gives_the_same_on_the_gpu(gpu: str) -> None:
    for op, s in SAMPLES:
        if op.__name__ in HOST_ONLY:
            continue
        here, there = (na.tree.leaves(testing.run(op, s, device=device)) for device in ("numpy", gpu))
        for a, b in zip(here, there, strict=True):
            assert str(b.device) == gpu
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            values = a.numpy()
            finite = np.abs(values[np.isfinite(values)]) if values.dtype.kind in "fc" else 0.0
            scale = float(np.max(finite, initial=1.0))
            np.testing.assert_allclose(b.numpy(), values, rtol=0, atol=TOLERANCE * scale, err_msg=op.__name__)


@every_gpu
def test_derivatives_on_the_gpu(gpu: str) -> None:
    for op, s in SAMPLES:
        if testing.differentiated(op, s):
            f, inputs = testing.differentiable(op, s, device=gpu)
            nt.check_grads(f, inputs)


@every_gpu
def test_a_number_met_on_the_cpu_first_can_be_used_on_the_gpu(gpu: str) -> None:
    host = "torch:cpu" if gpu.startswith("torch") else "numpy"
    for where in (host, gpu, host):
        x = na.ones(3, device=where)
        assert str((x * 2.125 + 7.25).device) == where


@every_gpu
def test_gradients_of_numbers_live_on_the_gpu(gpu: str) -> None:
    x = na.ones(3, device=gpu)
    value, gradient = nt.value_and_grad(lambda a: (a * a).sum())(x)
    assert {str(value.device), str(gradient.device)} == {gpu}


@every_gpu
def test_a_host_array_without_axes_does_not_mix_with_the_gpu(gpu: str) -> None:
    host = "torch:cpu" if gpu.startswith("torch") else "numpy"
    with pytest.raises(na.DeviceError, match=rf"{host}.*{gpu}|{gpu}.*{host}"):
        na.ones(3, device=gpu) + na.ones((), device=host)


@every_gpu
def test_arrays_move_through_dlpack(gpu: str) -> None:
    x = na.asarray([1.0, 2.0], device=gpu)
    assert np.from_dlpack(x.to("numpy")).tolist() == [1.0, 2.0]
    library = pytest.importorskip(GPUS[gpu])
    assert library.from_dlpack(x).tolist() == [1.0, 2.0]


@pytest.mark.skipif(find_spec("cupy") is None, reason="cupy is not installed")
def test_the_stand_in_knows_the_cupy_that_is_installed() -> None:
    import cupy

    first, *lines = TABLE.read_text().splitlines()
    if f"CuPy {cupy.__version__}," not in first:
        pytest.skip(f"the table is of {first.removeprefix('# ')}; run cupy_stand_in/survey.py")
    assert list(survey.lines()) == lines
