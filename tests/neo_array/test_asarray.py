"""Making Arrays: of numbers, lists, Arrays in lists, foreign memory; and what is refused."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device, needs_torch


# --- Numbers and lists ---
@every_device
@pytest.mark.parametrize("dtype", [None, "uint64"])
def test_integers_beyond_int64_keep_every_digit_beside_small_ones(dtype: str | None, device: str) -> None:
    values = [2**63 + 1, 1, 2**64 - 1]
    x = na.asarray(values, dtype=dtype, device=device)
    assert x.dtype == na.uint64
    assert x.numpy().tolist() == values


@every_device
@pytest.mark.parametrize("values", [[2**63, -1], [2**64, 1]])
def test_integers_that_no_dtype_holds_are_refused(values: list[int], device: str) -> None:
    with pytest.raises(na.DTypeError, match=r"no integer dtype|known dtype"):
        na.asarray(values, device=device)


@every_device
@pytest.mark.parametrize(
    ("values", "dtype", "shape"),
    [
        (True, "bool", ()),
        (7, "int64", ()),
        (1.5, "float32", ()),
        (2j, "complex64", ()),
        ([1, 2, 3], "int64", (3,)),
        ([1, 2.5], "float32", (2,)),
        ((1.0, 2.0), "float32", (2,)),
        ([[True], [False]], "bool", (2, 1)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        (range(3), "int64", (3,)),
    ],
    ids=repr,
)
def test_numbers_and_lists_get_the_default_dtypes(values: Any, dtype: str, shape: tuple[int, ...], device: str) -> None:
    x = na.asarray(values, device=device)
    assert (x.dtype, x.shape, str(x.device)) == (np.dtype(dtype), shape, device)
    np.testing.assert_array_equal(x.numpy(), np.array(values))


@every_device
def test_values_survive_the_trip(device: str) -> None:
    x = na.asarray([math.nan, math.inf, -math.inf, -0.0, 2**53 + 0.0], dtype=na.float64, device=device)
    np.testing.assert_array_equal(x.numpy(), [math.nan, math.inf, -math.inf, 0, 2**53])
    assert math.copysign(1, x[3].item()) == -1  # type: ignore[arg-type]  # a float
    assert na.asarray([2**63 - 1, -(2**63)], device=device)[1].item() == -(2**63)


@every_device
def test_lists_of_arrays_are_stacked_and_differentiable(device: str) -> None:
    x = na.asarray(np.array([1.0, 2.0]), device=device)

    def f(a: Array) -> Array:
        table = na.asarray([[a[0], a[1] * 3.0], [a.sum(), 4.0]])
        assert table.shape == (2, 2)
        return (table * table).sum()

    # a^2 + 9b^2 + (a + b)^2 + 16
    np.testing.assert_allclose(nt.grad(f)(x).numpy(), [2 * 1 + 2 * 3, 18 * 2 + 2 * 3])


@every_device
def test_numbers_beside_arrays_go_where_the_arrays_are(device: str) -> None:
    x = na.asarray([na.asarray(2.0, device=device), 1.0, 3])
    assert str(x.device) == device
    assert x.dtype == na.float32
    np.testing.assert_array_equal(x.numpy(), [2, 1, 3])


@every_device
@pytest.mark.parametrize("values", [[[1, 2], [3]], [[1], 2], [[1.0, 2.0], []]], ids=repr)
def test_ragged_lists_are_refused(values: Any, device: str) -> None:
    with pytest.raises(na.ShapeError, match=r"asarray|stack"):
        na.asarray(values, device=device)
    as_arrays = [[na.asarray(v, device=device) for v in row] if isinstance(row, list) else row for row in values]
    with pytest.raises(na.ShapeError, match=r"asarray|stack"):
        na.asarray(as_arrays, device=device)


@every_device
@pytest.mark.parametrize(
    "value",
    ["abc", None, object(), b"x", ["a", 1], [None], {"a": 1}, {1, 2}, [2**70], np.array(["a"]), np.array([object()])],
    ids=repr,
)
def test_what_is_no_number_is_refused(value: Any, device: str) -> None:
    with pytest.raises(na.DTypeError, match="needs numbers"):
        na.asarray(value, device=device)


@every_device
@pytest.mark.parametrize("kind", ["datetime64[s]", "timedelta64[s]", "S3", "U3", "f4,i4"])
def test_numpy_dtypes_that_are_no_numbers_are_refused(kind: str, device: str) -> None:
    with pytest.raises(na.DTypeError, match="needs numbers"):
        na.asarray(np.zeros(2, kind), device=device)


@every_device
@pytest.mark.parametrize("dtype", ["float31", "U3", "O", "datetime64[s]", 3, ["float32"], np.longdouble])
def test_dtypes_that_do_not_exist_are_refused(dtype: Any, device: str) -> None:
    with pytest.raises(na.DTypeError, match="use one of bool, int8"):
        na.zeros(2, dtype=dtype, device=device)


@every_device
@pytest.mark.parametrize(
    ("dtype", "name"),
    [(float, "float32"), (int, "int64"), (bool, "bool"), (complex, "complex64"), ("f8", "float64"), (np.int8, "int8")],
)
def test_dtypes_have_many_names(dtype: Any, name: str, device: str) -> None:
    assert na.zeros(2, dtype=dtype, device=device).dtype.name == name
    assert na.zeros(2, device=device).astype(dtype).dtype.name == name


# --- Foreign memory ---
@every_device
def test_foreign_memory_is_copied(device: str) -> None:
    owner = np.array([1.0, 2.0])
    x = na.asarray(owner, device=device)
    owner[0] = 99
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@every_device
def test_foreign_memory_is_shared_on_request(device: str) -> None:
    owner = np.array([1.0, 2.0])
    x = na.asarray(owner, device=device, copy=False)
    owner[0] = 99
    np.testing.assert_array_equal(x.numpy(), [99, 2])


@every_device
def test_sharing_is_refused_where_it_is_impossible(device: str) -> None:
    values: list[Any] = [[1.0, 2.0], 1.0]
    for value in values:
        with pytest.raises(ValueError, match="copy"):
            na.asarray(value, device=device, copy=False)
    with pytest.raises(ValueError, match="copy"):
        na.asarray(np.array([1.0]), dtype=na.float32, device=device, copy=False)
    with pytest.raises(ValueError, match="copy"):  # np.dtype("f8") == None
        na.asarray(np.array([1.0], np.float32), dtype=na.float64, device=device, copy=False)


@every_device
def test_an_array_is_returned_as_it_is(device: str) -> None:
    x = na.asarray([1.0], device=device)
    assert na.asarray(x) is x
    assert na.asarray(x, device=device, dtype=na.float32, copy=True) is x
    assert na.asarray(x, dtype=na.float64).dtype == na.float64


@every_device
@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", ">c8", "<i8"])
def test_bytes_in_another_order_become_native(dtype: str, device: str) -> None:
    x = na.asarray(np.array([1, 2], dtype), device=device)
    assert x.dtype == np.dtype(dtype).newbyteorder("=")
    assert x.dtype.isnative
    assert (x + x).dtype == x.dtype
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@every_device
def test_what_numpy_can_and_we_cannot_is_refused(device: str) -> None:
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(na.DTypeError, match=r"float128|float96|longdouble"):
            na.asarray(np.ones(2, np.longdouble), device=device)
    with pytest.raises(na.DTypeError, match="mask"):
        na.asarray(np.ma.MaskedArray([1.0, 2.0], mask=[False, True]), device=device)


@every_device
def test_strides_do_not_matter(device: str) -> None:
    base = np.arange(24.0).reshape(4, 6)
    for values in (base[::-1, ::-2], base.T, np.broadcast_to(base[0], (3, 6)), base[:0]):
        np.testing.assert_array_equal(na.asarray(values, device=device).numpy(), values)


# --- Tensors ---
@needs_torch
def test_a_tensor_stays_where_it_is_and_is_copied() -> None:
    import torch

    owner = torch.tensor([1.0, 2.0], dtype=torch.float64)
    x = na.asarray(owner)
    assert (str(x.device), x.dtype) == ("torch:cpu", na.float64)
    owner[0] = 99
    np.testing.assert_array_equal(x.numpy(), [1, 2])
    shared = na.asarray(owner, copy=False)
    owner[1] = 98
    np.testing.assert_array_equal(shared.numpy(), [99, 98])


@needs_torch
@pytest.mark.parametrize("device", [None, "numpy", "torch:cpu"])
def test_a_tensor_of_torchs_autograd_becomes_a_plain_one(device: str | None) -> None:
    import torch

    owner = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    for source in (owner, owner * 2):
        x = na.asarray(source, device=device)
        y = (x * x).sum()
        assert y.item() == (source.detach() ** 2).sum().item()
        if x.device.backend == "torch":
            assert type(x.raw) is torch.Tensor
            assert not y.raw.requires_grad
    assert owner.grad is None


@needs_torch
@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
def test_lazily_conjugated_and_negated_tensors_are_resolved(device: str) -> None:
    import torch

    z = torch.tensor([1 + 2j, 3 - 4j])
    np.testing.assert_array_equal(na.asarray(z.conj(), device=device).numpy(), [1 - 2j, 3 + 4j])
    np.testing.assert_array_equal(na.asarray(z.conj().imag, device=device).numpy(), [-2, 4])


@needs_torch
def test_tensors_that_are_no_plain_arrays_are_refused() -> None:
    import torch

    cases: list[Callable[[], torch.Tensor]] = [
        lambda: torch.eye(2).to_sparse(),
        lambda: torch.ones(2).to(torch.float8_e5m2),
        lambda: torch.ones(2, device="meta"),
    ]
    for make in cases:
        with pytest.raises(na.NeoError, match=r"torch|dtype|device|sparse|meta"):
            na.asarray(make())


# --- Buffers and DLPack ---
@every_device
def test_buffers_keep_their_dtype_and_are_copied(device: str) -> None:
    owner = array.array("d", [1.0, 2.0])
    for source in (owner, memoryview(owner)):
        x = na.asarray(source, device=device)
        assert (x.dtype, str(x.device)) == (na.float64, device)
        shared = na.asarray(source, device=device, copy=False)
        owner[0] += 1
        np.testing.assert_array_equal(x.numpy(), [owner[0] - 1, 2])
        np.testing.assert_array_equal(shared.numpy(), owner)


class Exporter:
    """An array of another library, known by nothing but its DLPack methods."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16", "float64", "complex64"])
def test_dlpack_exporters_become_arrays(dtype: str, device: str) -> None:
    values = np.array([[0, 1], [2, 3]]).astype(dtype)
    for x in (na.asarray(Exporter(values), device=device), na.from_dlpack(Exporter(values), device=device)):
        assert (x.dtype, str(x.device)) == (np.dtype(dtype), device)
        np.testing.assert_array_equal(x.numpy(), values)


@every_device
def test_dlpack_memory_is_shared_only_on_request(device: str) -> None:
    owner = np.array([1.0, 2.0])
    copied = na.from_dlpack(Exporter(owner), device=device)
    shared = na.from_dlpack(Exporter(owner), device=device, copy=False)
    owner[0] = 99
    np.testing.assert_array_equal(copied.numpy(), [1, 2])
    np.testing.assert_array_equal(shared.numpy(), [99, 2])


@needs_torch
@pytest.mark.parametrize("device", ["numpy", "torch:cpu"])
def test_dlpack_dtypes_that_numpy_lacks_come_by_way_of_torch(device: str) -> None:
    import torch

    x = na.asarray(Exporter(torch.tensor([1.0, 2.5], dtype=torch.bfloat16)), device=device)
    assert (x.dtype, str(x.device)) == (na.bfloat16, device)
    np.testing.assert_array_equal(x.astype(na.float32).numpy(), [1, 2.5])


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
@every_device
def test_jax_arrays_become_arrays(dtype: str, device: str) -> None:
    import jax.numpy as jnp

    theirs = jnp.asarray([[1, 0], [2, 3]]).astype(dtype)
    for x in (na.asarray(theirs, device=device), na.from_dlpack(theirs, device=device)):
        assert (x.dtype.name, str(x.device)) == (dtype, device)
        np.testing.assert_array_equal(x.astype(na.float32).numpy(), np.asarray(theirs, np.float32))


def test_from_dlpack_wants_an_exporter() -> None:
    values: Any = [1.0]
    with pytest.raises(na.DTypeError, match="has no __dlpack__"):
        na.from_dlpack(values)


@every_device
def test_an_array_is_shared_only_where_nothing_changes(device: str) -> None:
    x = na.ones((2,), device=device)
    assert na.asarray(x, copy=False) is x
    assert na.from_dlpack(x) is x
    with pytest.raises(ValueError, match="copy=False"):
        na.asarray(x, dtype=na.float64, copy=False)


@needs_torch
def test_an_array_of_another_device_is_not_shared() -> None:
    with pytest.raises(ValueError, match="copy=False"):
        na.asarray(na.ones((2,), device="numpy"), device="torch:cpu", copy=False)
