"""Values leaving for other libraries, and other libraries' arrays beside ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device, needs_torch, pointer


def calls(*functions: Callable[[], object]) -> tuple[Callable[[], object], ...]:
    """Return the functions: lambdas in a plain tuple have no type."""
    return functions


# --- NumPy ---
@every_device
def test_numpy_is_a_read_only_view_of_the_same_memory(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    view = x.numpy()
    assert type(view) is np.ndarray
    assert view.ctypes.data == pointer(x)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5


@every_device
def test_asarray_of_numpy_converts_and_shares_as_numpy_says(device: str) -> None:
    x = na.asarray([1.5, 2.5], device=device)
    assert np.asarray(x).ctypes.data == pointer(x)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.array(x).ctypes.data != pointer(x)
    np.testing.assert_array_equal(np.array(x, dtype=np.int64), [1, 2])
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)
    np.testing.assert_array_equal(np.stack([np.asarray(x), np.asarray(x)]), [[1.5, 2.5]] * 2)


@every_device
def test_raw_is_the_backends_own_array(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    assert type(x.raw).__module__.startswith(device.split(":", maxsplit=1)[0])
    assert x.raw is x.raw


@every_device
def test_a_foreign_array_beside_an_array_is_refused_with_advice(device: str) -> None:
    x: Any = na.asarray([1.0, 2.0], device=device)
    foreign = np.ones(2)
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "lt", "ge", "and", "or", "xor"):
        for reflected in ("", "r"):
            method = f"__{reflected}{name}__"
            if hasattr(Array, method):
                with pytest.raises(na.DTypeError, match=r"ndarray; wrap it in na\.asarray"):
                    getattr(x, method)(foreign)
    for operate in calls(lambda: foreign + x, lambda: foreign * x, lambda: foreign < x, lambda: foreign @ x):
        with pytest.raises(na.DTypeError, match=r"ndarray; wrap it in na\.asarray"):
            operate()


@needs_torch
@every_device
def test_a_tensor_beside_an_array_is_refused_with_advice(device: str) -> None:
    import torch

    x: Any = na.asarray([1.0, 2.0], device=device)
    for operate in calls(lambda: torch.ones(2) + x, lambda: x + torch.ones(2), lambda: x @ torch.ones(2)):
        with pytest.raises(na.DTypeError, match=r"Tensor; wrap it in na\.asarray"):
            operate()


@every_device
def test_numpy_functions_refuse_an_array_instead_of_looping_over_it(device: str) -> None:
    x: Any = na.asarray([1.0, 2.0], device=device)
    for function in (np.sin, np.exp, np.negative):
        with pytest.raises(TypeError, match="__array_ufunc__"):
            function(x)


@every_device
def test_numpys_other_functions_read_the_values_and_give_numpys_arrays(device: str) -> None:
    x: Any = na.asarray([[1.0, 2.0], [3.0, 5.0]], device=device)
    values = x.numpy()
    for found, expected in [
        (np.sum(x), values.sum()),
        (np.mean(x, axis=0), values.mean(axis=0)),
        (np.concatenate([x, values]), np.concatenate([values, values])),
        (np.stack((x, x), axis=-1), np.stack((values, values), axis=-1)),
        (np.linalg.inv(x), np.linalg.inv(values)),
        (np.where(values > 2, x, 0.0), np.where(values > 2, values, 0.0)),
        (np.einsum("ij,jk", x, x), values @ values),
    ]:
        assert type(found) is not Array
        np.testing.assert_array_equal(found, expected)
    assert (np.shape(x), np.ndim(x), np.allclose(x, values)) == ((2, 2), 2, True)
    for write in calls(lambda: np.copyto(x, 0), lambda: np.put(x, 0, 9.0), lambda: np.fill_diagonal(x, 0)):
        with pytest.raises(ValueError, match="read-only"):
            write()
    for transform in (nt.grad, nt.vmap):
        with pytest.raises(na.LevelError):
            transform(lambda a: na.asarray(np.sum(a)))(x)


@every_device
@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.uint8(2)])
def test_numpy_scalars_stand_on_either_side(number: Any, device: str) -> None:
    x: Any = na.asarray([1.0, 4.0], device=device)
    for got, expected in [
        (x + number, [3, 6]),
        (number - x, [1, -2]),
        (number * x, [2, 8]),
        (number / x, [2, 0.5]),
        (number**x, [2, 16]),
        (x < number, [True, False]),
        (number < x, [False, True]),
        (na.where(x > 2, number, x), [1, 2]),
    ]:
        assert type(got) is Array
        np.testing.assert_array_equal(got.numpy(), expected)


# --- DLPack ---
@every_device
def test_dlpack_export_is_a_copy_that_the_consumer_may_write_to(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    consumer = np.from_dlpack(x)
    consumer = consumer if consumer.flags.writeable else np.array(consumer)
    consumer[0] = 99
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@needs_torch
@every_device
def test_torch_writes_to_its_copy_and_not_to_the_array(device: str) -> None:
    from torch.utils.dlpack import from_dlpack

    x = na.asarray([1.0, 2.0], device=device)
    consumer = from_dlpack(x)
    consumer[0] = 99
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    view = na.asarray(np.arange(6.0).reshape(2, 3), device=device).T
    from_dlpack(view).zero_()
    np.testing.assert_array_equal(view.numpy(), np.arange(6.0).reshape(2, 3).T)


@every_device
def test_dlpack_export_shares_on_request(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    shared = np.from_dlpack(x, copy=False)
    assert shared.ctypes.data == pointer(x)
    assert x.__dlpack_device__() == (1, 0)


@every_device
@pytest.mark.parametrize("copy", [None, True, False])
@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (2, 0)])
def test_dlpack_export_takes_the_standards_options(
    version: tuple[int, int] | None, copy: bool | None, device: str
) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    for options in ({}, {"stream": None}, {"dl_device": (1, 0)}, {"dl_device": x.__dlpack_device__()}):
        capsule = x.__dlpack__(max_version=version, copy=copy, **options)
        assert "dltensor" in repr(capsule)
    with pytest.raises(BufferError, match=r"cannot export .* to device \(2, 0\)"):
        x.__dlpack__(dl_device=(2, 0))


@every_device
def test_dlpack_exports_what_is_read_only_where_the_consumer_can_be_told(device: str) -> None:
    x = na.broadcast_to(na.asarray([1.0], device=device), (3,))
    np.testing.assert_array_equal(np.from_dlpack(x), [1, 1, 1])
    np.testing.assert_array_equal(np.from_dlpack(x, copy=False), [1, 1, 1])
    np.testing.assert_array_equal(x.numpy(), [1, 1, 1])


@every_device
def test_dlpack_of_what_has_no_one_value_is_refused(device: str) -> None:
    x = na.ones(2, device=device)
    with pytest.raises(na.LevelError):
        nt.vmap(lambda a: na.asarray(a.__dlpack_device__()))(x)
    na.donate(na.add_scaled, na.Donated("a test"), x, na.ones(2, device=device), scale=1.0)
    for export in calls(x.__dlpack_device__, x.__dlpack__, lambda: np.asarray(x)):
        with pytest.raises(na.DonatedError):
            export()


@pytest.mark.skipif(not find_spec("ml_dtypes"), reason="ml_dtypes is not installed")
def test_numpys_bfloat16_does_not_fit_into_dlpack_and_says_so() -> None:
    with pytest.raises(BufferError, match=r"bfloat16.*astype"):
        na.ones(2, dtype=na.bfloat16).__dlpack__()


@every_device
def test_moving_takes_no_stream(device: str) -> None:
    x = na.ones(2, device=device)
    assert x.to_device(x.device) is x
    assert str(x.to_device("numpy", stream=None).device) == "numpy"
    with pytest.raises(na.DeviceError, match="no stream"):
        x.to_device(device, stream=7)  # type: ignore[arg-type]


@every_device
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float16", "float32", "float64", "complex64", "bool"])
def test_dlpack_round_trips_every_dtype(dtype: str, device: str) -> None:
    x = na.ones((2, 3), dtype=dtype, device=device)

    class Exporter:
        """Nothing but the protocol, as an array of an unknown library."""

        def __dlpack__(self, **options: Any) -> Any:
            return x.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return x.__dlpack_device__()

    for y in (na.from_dlpack(Exporter()), na.asarray(Exporter(), device=device)):
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        np.testing.assert_array_equal(y.numpy(), x.numpy())


@every_device
def test_dlpack_import_copies_unless_told_otherwise(device: str) -> None:
    owner = np.array([1.0, 2.0])

    class Exporter:
        def __dlpack__(self, **options: Any) -> Any:
            return owner.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return owner.__dlpack_device__()

    x = na.from_dlpack(Exporter(), device=device)
    shared = na.from_dlpack(Exporter(), device=device, copy=False)
    owner[0] = 99
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    np.testing.assert_array_equal(shared.numpy(), [99, 2])


def test_jax_arrays_come_and_go_through_dlpack() -> None:
    jax: Any = pytest.importorskip("jax")
    x = na.asarray(jax.numpy.arange(3.0))
    assert (x.dtype, str(x.device)) == (na.float32, "numpy")
    np.testing.assert_array_equal(jax.numpy.from_dlpack(x), [0, 1, 2])


# --- What a transform would lose ---
@every_device
def test_a_value_that_is_being_differentiated_does_not_leave(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    for leave in (Array.numpy, np.asarray, lambda a: a.raw, lambda a: a.__dlpack__(), np.from_dlpack):

        def f(a: Array, leave: Any = leave) -> Array:
            leave(a * 2)
            return a.sum()

        with pytest.raises(na.LevelError, match="stop_gradient"):
            nt.grad(f)(x)
    gradient = nt.grad(lambda a: (a * na.asarray(na.stop_gradient(a).numpy(), device=device)).sum())(x)
    np.testing.assert_array_equal(gradient.numpy(), [1, 2])


@needs_torch
@every_device
def test_torchs_autograd_is_left_alone(device: str) -> None:
    import torch

    before = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype())
    x = na.asarray([1.0, 2.0], device=device)
    with torch.enable_grad():
        nt.grad(lambda a: (a * a).sum())(x)
        assert torch.is_grad_enabled()
    weight = torch.tensor([3.0], requires_grad=True)
    (weight * float(x[1])).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.item() == 2
    assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()) == before
