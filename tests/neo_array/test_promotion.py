"""How dtypes combine: torch's table, the same on every backend, whatever the number of axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
from neo_array import Array, DType
from tests.neo_array.devices import DEVICES, every_device, needs_torch

NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(["bfloat16"] if find_spec("ml_dtypes") else []),
)
# torch stores these, and can move and cast them, but has hardly any arithmetic for them
WIDE_UNSIGNED = {"uint16", "uint32", "uint64"}
PAIRS = list(itertools.combinations_with_replacement(NAMES, 2))
every_pair = pytest.mark.parametrize(("a", "b"), PAIRS)


def array(dtype: object, device: str = "numpy", shape: tuple[int, ...] = (2,)) -> Array:
    return na.ones(shape, dtype=dtype, device=device)


def torchs(a: str, b: str) -> DType | None:
    """Return torch's own answer for arrays with axes, None where it has none."""
    import torch

    try:
        found = torch.result_type(*(torch.ones(1, dtype=getattr(torch, name)) for name in (a, b)))
    except RuntimeError:
        return None
    return na.zeros((), dtype=str(found).removeprefix("torch.")).dtype


# --- Pairs of arrays ---
@needs_torch
@every_pair
def test_result_type_is_torchs(a: str, b: str) -> None:
    expected = torchs(a, b)
    if expected is None:
        assert {a, b} & WIDE_UNSIGNED
    else:
        assert na.result_type(array(a), array(b)) == expected
        assert na.result_type(array(b), array(a)) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("uint16", "int8", "int32"),
        ("uint32", "int32", "int64"),
        ("uint8", "uint64", "uint64"),
        ("bool", "uint16", "uint16"),
        ("uint32", "complex64", "complex64"),
    ],
)
def test_wide_unsigned_integers_promote_as_the_array_standard_says(a: str, b: str, expected: str) -> None:
    assert na.result_type(array(a), array(b)) == np.dtype(expected)


@every_device
@pytest.mark.parametrize("signed", ["int8", "int16", "int32", "int64"])
def test_uint64_with_a_signed_integer_has_no_common_dtype(signed: str, device: str) -> None:
    with pytest.raises(na.DTypeError, match=rf"uint64 with {signed}|{signed} with uint64|torch"):
        array("uint64", device) + array(signed, device)


OPS: dict[str, Callable[[Array, Array], Array]] = {
    "add": na.add,
    "multiply": na.multiply,
    "maximum": na.maximum,
    "where": lambda x, y: na.where(array("bool", str(x.device)), x, y),
    "concat": lambda x, y: na.concat([x, y]),
}


@every_device
@pytest.mark.parametrize("name", OPS)
def test_ops_give_the_result_type_or_say_that_they_cannot(name: str, device: str) -> None:
    for a, b in PAIRS:
        if name == "maximum" and "complex" in a + b:
            continue  # complex numbers have no order
        x, y = array(a, device), array(b, device)
        try:
            expected = na.result_type(x, y)
        except na.DTypeError:
            expected = None
        for p, q in ((x, y), (y, x)):
            try:
                out = OPS[name](p, q)
            except na.DTypeError:
                assert expected is None, f"{name} of {p.dtype} and {q.dtype}"
            else:
                assert out.dtype == expected, f"{name} of {p.dtype} and {q.dtype}"


@every_device
def test_comparisons_of_dtypes_that_combine_are_bool(device: str) -> None:
    signed = {"int8", "int16", "int32", "int64"}
    combined = [(a, b) for a, b in PAIRS if not ("uint64" in (a, b) and {a, b} & signed)]
    assert len(combined) >= 90
    for a, b in combined:
        x, y = array(a, device), array(b, device)
        assert [(x == y).dtype.name, (y != x).dtype.name] == ["bool", "bool"]


# --- Arrays without axes are arrays: torch lets them yield to arrays with axes, we do not ---
@every_device
@pytest.mark.parametrize(("a", "b"), [("float64", "float32"), ("int64", "int8"), ("float32", "float16")])
def test_zero_axes_make_no_difference(a: str, b: str, device: str) -> None:
    for left, right in itertools.product([(), (3,)], repeat=2):
        x, y = array(a, device, left), array(b, device, right)
        assert (x + y).dtype == (y * x).dtype == np.dtype(a)
        assert na.where(array("bool", device, ()), x, y).dtype == np.dtype(a)
        assert na.maximum(x, y).dtype == np.dtype(a)


@every_device
def test_complex_beside_a_real_of_no_axes(device: str) -> None:
    assert (array("float32", device) + array("complex128", device, ())).dtype == na.complex128


# --- Python numbers are weak ---
WEAK = [
    ("bool", True, "bool"),
    ("bool", 1, "int64"),
    ("bool", 1.0, "float32"),
    ("bool", 1j, "complex64"),
    ("int8", True, "int8"),
    ("int8", 1, "int8"),
    ("uint8", 1.5, "float32"),
    ("int64", 2, "int64"),
    ("int64", 0.5, "float32"),
    ("int32", 1j, "complex64"),
    ("float16", 1, "float16"),
    ("float16", 1.5, "float16"),
    ("float32", 1.5, "float32"),
    ("float32", 1j, "complex64"),
    ("float64", 1, "float64"),
    ("float64", 0.1, "float64"),
    ("float64", 1j, "complex128"),
    ("complex64", 1.5, "complex64"),
    ("complex128", 1j, "complex128"),
]


@every_device
@pytest.mark.parametrize(("dtype", "number", "expected"), WEAK)
def test_python_numbers_raise_the_kind_alone(dtype: str, number: complex, expected: str, device: str) -> None:
    for shape in ((), (2,)):
        x = array(dtype, device, shape)
        assert (x * number).dtype == (number * x).dtype == np.dtype(expected)
        assert na.result_type(x, number) == np.dtype(expected)


@every_device
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_beside_every_python_number(name: str, device: str) -> None:
    ranks = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
    x = array(name, device)
    own = ranks["f" if name == "bfloat16" else x.dtype.kind]
    for rank, number in enumerate((True, 2, 2.5, 2j)):
        expected = name if rank <= own else ("bool", "int64", "float32", "complex64")[rank]
        expected = "complex128" if (name, rank) == ("float64", 3) else expected
        assert na.result_type(x, number) == na.result_type(number, x.dtype) == na.zeros(1, dtype=expected).dtype
        for op in (na.add, na.multiply, na.equal, lambda x, y: na.where(array("bool", device), x, y)):
            for arguments in ((x, number), (number, x)):
                assert op(*arguments).dtype.name == ("bool" if op is na.equal else expected)


@needs_torch
@pytest.mark.parametrize(("dtype", "number", "expected"), WEAK)
def test_the_table_of_numbers_is_torchs(dtype: str, number: complex, expected: str) -> None:
    import torch

    assert torch.result_type(torch.ones(2, dtype=getattr(torch, dtype)), number) == getattr(torch, expected)


@every_device
@pytest.mark.parametrize("number", [np.float64(1.5), np.float32(1.5), np.float16(1.5)])
def test_numpy_scalars_count_as_python_numbers(number: Any, device: str) -> None:
    x = array("float32", device)
    assert (x + number).dtype == (number * x).dtype == na.float32
    assert na.result_type(x, number) == na.float32
    seven: Any = np.int8(7)
    assert (array("int64", device) + seven).dtype == na.int64


def test_numbers_alone_have_the_default_dtypes() -> None:
    assert [na.asarray(v).dtype.name for v in (True, 1, 1.0, 1j)] == ["bool", "int64", "float32", "complex64"]
    assert na.result_type(1, 2.0) == na.float32
    assert na.add(1, 2.5).dtype == na.float32


# --- Ops with rules of their own ---
@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8"])
def test_dividing_integers_gives_float32(dtype: str, device: str) -> None:
    x = array(dtype, device)
    for out in (x / x, x / 2, 2 / x, na.mean(x), na.exp(x), na.sqrt(x)):
        assert out.dtype == na.float32
    np.testing.assert_array_equal((x / 2).numpy(), [0.5, 0.5])


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "uint8"])
def test_integers_sum_to_64_bits_whatever_the_axes(dtype: str, device: str) -> None:
    x = array(dtype, device, (2, 3))
    for out in (x.sum(), x.sum(axis=0), x.sum(axis=()), array(dtype, device, ()).sum()):
        assert out.dtype == (na.uint64 if dtype[0] == "u" else na.int64)
    assert array(dtype, device, (300,)).sum().item() == 300
    assert x.sum(axis=0, keepdims=True).shape == (1, 3)
    assert na.sum(x, dtype=na.float32).dtype == na.float32


@every_device
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_floats_sum_and_average_to_their_own_dtype(dtype: str, device: str) -> None:
    assert array(dtype, device).sum().dtype == array(dtype, device).mean().dtype == np.dtype(dtype)


@every_device
def test_integers_raised_to_negative_powers_are_refused(device: str) -> None:
    x = na.asarray([2, 3], device=device)
    for exponent in (-1, na.asarray([1, -1], device=device)):
        with pytest.raises(na.NeoError, match=r"power: .*negative"):
            x**exponent
    np.testing.assert_array_equal((x**2).numpy(), [4, 9])
    np.testing.assert_array_equal((x**-1.0).numpy(), np.array([1 / 2, 1 / 3], np.float32))


@every_device
@pytest.mark.parametrize(
    "op",
    [
        lambda b: -b,
        lambda b: b - b,
        lambda b: b**b,
        lambda b: b @ b,
        na.sign,
    ],
    ids=["negative", "subtract", "power", "matmul", "sign"],
)
def test_booleans_are_no_numbers_to_calculate_with(op: Callable[[Array], Array], device: str) -> None:
    with pytest.raises(na.DTypeError, match="bool"):
        op(na.ones((2, 2), dtype="bool", device=device))


@every_device
def test_a_condition_that_is_not_boolean_is_refused(device: str) -> None:
    with pytest.raises(na.DTypeError, match="where"):
        na.where(na.asarray([0.0, 2.0], device=device), na.ones(2, device=device), na.zeros(2, device=device))


# --- result_type itself ---
def test_result_type_takes_dtypes_and_their_names() -> None:
    assert na.result_type("float32", 1) == na.result_type(na.float32, na.int64) == na.float32
    assert na.result_type(np.float64(1), na.float32) == na.float32


@pytest.mark.parametrize("operands", [(), ("float31",), (None,), ([1.0],)])
def test_result_type_refuses_what_has_no_dtype(operands: tuple[Any, ...]) -> None:
    with pytest.raises(na.NeoError, match=r"dtype|result_type"):
        na.result_type(*operands)


@pytest.mark.parametrize("device", DEVICES)
def test_a_dtype_is_numpys_object_on_every_backend(device: str) -> None:
    for name in ("bool", "int64", "float32", "complex128"):
        dtype = array(name, device).dtype
        assert dtype == np.dtype(name)
        assert type(dtype) is type(np.dtype(name))
