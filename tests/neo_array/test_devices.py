"""Where arrays live: names of devices, defaults and their scope, moves, and errors that name both sides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, Device, _device
from tests.neo_array.devices import HAS_TORCH, every_device, needs_torch
from tests.neo_array.subprocesses import run_script

if HAS_TORCH:
    import torch

    HAS_CUDA = torch.cuda.is_available()
else:
    HAS_CUDA = False


@pytest.fixture
def default_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the default backend back to what it was, whatever the test sets."""
    monkeypatch.delenv("NEO_BACKEND", raising=False)
    before = list(_device._default_backend)
    yield
    _device._default_backend[:] = before


# --- Names ---
@pytest.mark.parametrize(
    ("name", "device", "text"),
    [
        ("numpy", Device("numpy"), "numpy"),
        ("numpy:cpu", Device("numpy"), "numpy"),
        ("cpu", Device("numpy"), "numpy"),
        ("torch", Device("torch", "cpu"), "torch:cpu"),
        ("torch:cpu", Device("torch", "cpu"), "torch:cpu"),
        ("torch:cuda", Device("torch", "cuda:0"), "torch:cuda:0"),
        ("torch:cuda:1", Device("torch", "cuda:1"), "torch:cuda:1"),
        ("cupy", Device("cupy", "0"), "cupy:0"),
        ("cupy:1", Device("cupy", "1"), "cupy:1"),
    ],
)
def test_names_of_devices(name: str, device: Device, text: str) -> None:
    found = _device.as_device(name)
    assert found == device
    assert hash(found) == hash(device)
    assert str(found) == text
    assert _device.as_device(found) is found
    assert _device.as_device(text) == device


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "numpy:1", "numpy:cuda", "torch:xla", "torch:cuda:x", "torch:cuda:-1", "cupy:x", "jax", "CPU", 5, 1.0],
)
def test_names_of_no_device_are_refused(name: Any) -> None:
    with pytest.raises(na.DeviceError, match=r"^(device|backend)"):
        na.zeros(2, device=name)
    with pytest.raises(na.DeviceError, match=r"^(device|backend)"):
        na.zeros(2, device="numpy").to(name)


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed")
def test_a_backend_that_is_not_installed_is_said_to_be_missing() -> None:
    with pytest.raises(na.DeviceError, match=r"'cupy': not available here; install neo-array\[cupy\]"):
        na.zeros(2, device="cupy")


@needs_torch
@pytest.mark.skipif(HAS_CUDA or find_spec("cupy") is not None, reason="there may be a CUDA device here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "torch:cuda:0"])
def test_a_device_that_this_machine_has_not_is_named_beside_those_it_has(name: str) -> None:
    with pytest.raises(na.DeviceError, match=r"torch:cuda:\d.*not on this machine, which has torch:cpu"):
        na.zeros(2, device=name)
    with pytest.raises(na.DeviceError, match="not on this machine"):
        na.zeros(2, device="torch:cpu").to(name)


def test_devices_lists_what_is_here() -> None:
    found = [str(d) for d in na.devices()]
    assert found[0] == "numpy"
    assert ("torch:cpu" in found) == HAS_TORCH
    assert any("cuda" in name for name in found) == HAS_CUDA
    for name in found:
        assert str(na.zeros(2, device=name).device) == name


# --- Defaults ---
@needs_torch
def test_use_device_holds_inside_its_block_alone() -> None:
    outside = na.default_device()
    with na.use_device("torch:cpu") as chosen:
        assert chosen == na.default_device() == Device("torch", "cpu")
        made = [na.zeros(2), na.asarray([1.0]), na.asarray(np.ones(2)), na.arange(3), na.eye(2), na.linspace(0, 1, 3)]
        made += [na.random.normal(na.random.key(0), (2,)), na.full((2,), 3)]
        assert {str(x.device) for x in made} == {"torch:cpu"}
        with na.use_device("numpy"):
            assert str(na.zeros(2).device) == "numpy"
        assert str(na.zeros(2).device) == "torch:cpu"
    assert na.default_device() == outside
    with pytest.raises(ZeroDivisionError), na.use_device("torch:cpu"):
        raise ZeroDivisionError
    assert na.default_device() == outside


@needs_torch
def test_use_device_refuses_what_is_no_device_and_changes_nothing() -> None:
    outside = na.default_device()
    with pytest.raises(na.DeviceError), na.use_device("tpu"):
        raise AssertionError
    assert na.default_device() == outside


@needs_torch
def test_use_device_is_not_seen_by_other_threads() -> None:
    seen: list[str] = []
    with na.use_device("torch:cpu"):
        thread = threading.Thread(target=lambda: seen.append(str(na.zeros(1).device)))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


@needs_torch
def test_threads_have_defaults_of_their_own_at_the_same_time() -> None:
    meet = threading.Barrier(2)
    seen: dict[str, set[str]] = {"numpy": set(), "torch:cpu": set()}

    def work(name: str) -> None:
        with na.use_device(name):
            for _ in range(50):
                meet.wait()
                seen[name].add(str(na.zeros(1).device))

    threads = [threading.Thread(target=work, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"numpy": {"numpy"}, "torch:cpu": {"torch:cpu"}}


@needs_torch
def test_use_device_stays_in_its_asyncio_task() -> None:
    async def task(name: str) -> str:
        with na.use_device(name):
            await asyncio.sleep(0.001)
            return str(na.zeros(1).device)

    async def both() -> list[str]:
        return list(await asyncio.gather(task("torch:cpu"), task("numpy"), task("torch:cpu")))

    assert asyncio.run(both()) == ["torch:cpu", "numpy", "torch:cpu"]


@needs_torch
@pytest.mark.usefixtures("default_backend")
def test_set_default_backend_says_what_cpu_means() -> None:
    na.set_default_backend("torch")
    assert str(na.zeros(2).device) == str(na.zeros(2, device="cpu").device) == "torch:cpu"
    assert str(_device.as_device("cuda")) == "torch:cuda:0"
    with na.use_device("numpy"):
        assert str(na.zeros(2).device) == "numpy"
    na.set_default_backend("numpy")
    assert str(na.zeros(2).device) == "numpy"


@pytest.mark.usefixtures("default_backend")
def test_set_default_backend_refuses_unknown_names() -> None:
    with pytest.raises(na.DeviceError, match="'jax'; use one of numpy, torch, cupy"):
        na.set_default_backend("jax")
    assert str(na.zeros(2).device) == "numpy"


@needs_torch
def test_the_environment_chooses_the_default_backend() -> None:
    script = """
import neo_array as na
print(na.zeros(2).device, na.asarray([1.0]).device)
na.set_default_backend("numpy")
print(na.zeros(2).device)
"""
    assert run_script(script, NEO_BACKEND="torch").split() == ["torch:cpu", "torch:cpu", "numpy"]
    assert run_script(script).split() == ["numpy", "numpy", "numpy"]


def test_an_unknown_backend_in_the_environment_is_refused_by_name() -> None:
    script = "import neo_array as na\ntry: na.zeros(2)\nexcept na.DeviceError as error: print(error)"
    assert "NEO_BACKEND" in run_script(script, NEO_BACKEND="tensorflow")


# --- Moving and mixing ---
@every_device
def test_moving_to_where_it_is_returns_the_array_itself(device: str) -> None:
    x = na.ones(2, device=device)
    assert x.to(device) is x
    assert x.to(x.device) is x
    assert x.to_device(device) is x


@needs_torch
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float16", "float32", "float64", "complex64"])
def test_moving_keeps_values_and_dtype_and_copies(dtype: str) -> None:
    x = na.asarray(np.array([[0, 1], [2, 3]], dtype))
    y = x.to("torch:cpu")
    back = y.to("numpy")
    assert (str(y.device), y.dtype, back.dtype) == ("torch:cpu", x.dtype, x.dtype)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    np.testing.assert_array_equal(back.numpy(), x.numpy())
    assert not np.shares_memory(y.numpy(), x.numpy())
    assert not np.shares_memory(back.numpy(), y.numpy())


@needs_torch
def test_moves_are_differentiable() -> None:
    x = na.asarray(np.array([1.0, -2.0, 3.0]))

    def f(a: Array) -> Array:
        there = a.to("torch:cpu")
        return (there * there * there).to("numpy") * a

    gradient = nt.grad(lambda a: f(a).sum())(x)
    assert str(gradient.device) == "numpy"
    np.testing.assert_allclose(gradient.numpy(), 4 * x.numpy() ** 3)
    nt.check_grads(f, (x,))


MIXTURES: dict[str, Callable[[Array, Array], object]] = {
    "add": lambda x, y: x + y,
    "equal": lambda x, y: x == y,
    "maximum": lambda x, y: na.maximum(x, y),
    "matmul": lambda x, y: x @ y,
    "lerp": lambda x, y: na.lerp(x, y, weight=0.5),
    "where, branches": lambda x, y: na.where(x > 0, x, y),
    "where, condition": lambda x, y: na.where(y > 0, x, x),
    "concat": lambda x, y: na.concat([x, y]),
    "stack": lambda x, y: na.stack([x, y]),
    "asarray": lambda x, y: na.asarray([x, y]),
    "take": lambda x, y: na.take(x, y.astype(na.int64)),
    "take_along_axis": lambda x, y: na.take_along_axis(x, y.astype(na.int64)),
    "index": lambda x, y: x[y.astype(na.int64)],
    "mask": lambda x, y: x[y > 0],
    "at": lambda x, y: x.at[0].set(y[0]),
    "donate": lambda x, y: na.donate(na.add_scaled, na.Donated("test"), x + 1, y, scale=1.0),
}


@needs_torch
@pytest.mark.parametrize("mixture", MIXTURES)
def test_mixing_devices_is_refused_and_names_both(mixture: str) -> None:
    mix = MIXTURES[mixture]
    here, there = na.zeros(2, device="numpy"), na.zeros(2, device="torch:cpu")
    for x, y in ((here, here), (there, there)):
        mix(x, y)  # an op that has run before takes its fast path
    for x, y in ((here, there), (there, here)):
        with pytest.raises(na.DeviceError, match=r"numpy.*torch:cpu|torch:cpu.*numpy"):
            mix(x, y)
        assert mix(x, y.to(x.device)) is not None
