"""The inspection functions of the array API standard: versions, capabilities, devices, dtypes and their limits."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
from tests.neo_array.devices import every_device
from tests.neo_array.subprocesses import run_script

STANDARD = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
HALF = ("float16", *(["bfloat16"] if find_spec("ml_dtypes") else []))
INTEGERS = STANDARD["signed integer"] + STANDARD["unsigned integer"]
needs_ml_dtypes = pytest.mark.skipif(not find_spec("ml_dtypes"), reason="ml_dtypes is not installed")


# --- The namespace ---
def test_the_version_and_the_constants() -> None:
    assert na.__array_api_version__ == "2024.12"
    assert (na.e, na.pi, na.inf) == (math.e, math.pi, math.inf)
    assert math.isnan(na.nan)
    assert na.newaxis is None
    assert na.zeros(3)[:, na.newaxis].shape == (3, 1)


@every_device
@pytest.mark.parametrize("version", [None, "2021.12", "2022.12", "2023.12", "2024.12"])
def test_an_array_names_its_namespace(version: str | None, device: str) -> None:
    assert na.ones(2, device=device).__array_namespace__(api_version=version) is na


def test_a_version_that_is_not_kept_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'2031\.12'.*2024\.12"):
        na.ones(2).__array_namespace__(api_version="2031.12")


def test_capabilities() -> None:
    assert na.__array_namespace_info__().capabilities() == {
        "boolean indexing": True,
        "data-dependent shapes": True,
        "max dimensions": 64,
    }


@every_device
def test_arrays_of_as_many_dimensions_as_promised_can_be_calculated_with(device: str) -> None:
    x = na.ones((1,) * 63 + (3,), device=device)
    assert (x + x).ndim == 64
    assert (x * 2).sum().item() == 6


@every_device
def test_devices_and_the_default_device(device: str) -> None:
    info = na.__array_namespace_info__()
    assert info.devices() == na.devices()
    with na.use_device(device):
        assert str(info.default_device()) == device
        assert info.default_device() in info.devices()
        assert na.zeros(1).device == info.default_device()


@every_device
def test_default_dtypes_are_those_of_new_arrays(device: str) -> None:
    defaults = na.__array_namespace_info__().default_dtypes(device=device)
    assert defaults == {
        "real floating": na.asarray(1.0, device=device).dtype,
        "complex floating": na.asarray(1j, device=device).dtype,
        "integral": na.asarray(1, device=device).dtype,
        "indexing": na.argmax(na.zeros(2, device=device)).dtype,
    }


@every_device
def test_dtypes_are_the_standards_by_kind(device: str) -> None:
    info = na.__array_namespace_info__()
    for kind, names in STANDARD.items():
        found = info.dtypes(device=device, kind=kind)
        assert tuple(found) == names
        for name, dtype in found.items():
            assert na.zeros(1, dtype=dtype, device=device).dtype == getattr(na, name) == np.dtype(name)
    assert set(info.dtypes(kind="integral")) == set(INTEGERS)
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    assert set(info.dtypes()) == {name for names in STANDARD.values() for name in names}


def test_an_unknown_device_has_no_dtypes() -> None:
    for ask in (na.__array_namespace_info__().dtypes, na.__array_namespace_info__().default_dtypes):
        with pytest.raises(na.DeviceError, match="abacus"):
            ask(device="abacus")


def test_the_namespace_holds_its_own_modules_alone() -> None:
    modules = {name: value for name, value in vars(na).items() if inspect.ismodule(value) and name[0] != "_"}
    assert set(modules) <= {"backends", "fft", "linalg", "ops", "random", "testing", "tree"}
    for name, module in modules.items():
        assert module.__name__ == f"neo_array.{name}"


# --- Kinds ---
@pytest.mark.parametrize("name", [*(n for names in STANDARD.values() for n in names), *HALF])
def test_isdtype_knows_every_kind(name: str) -> None:
    dtype = na.zeros(1, dtype=name).dtype
    kinds = {kind for kind, names in STANDARD.items() if name in names} or {"real floating"}
    for kind in STANDARD:
        assert na.isdtype(dtype, kind) is (kind in kinds)
    assert na.isdtype(dtype, "integral") is (name in INTEGERS)
    assert na.isdtype(dtype, "numeric") is (name != "bool")
    assert na.isdtype(dtype, dtype)
    assert na.isdtype(dtype, (na.bool, ("complex floating", dtype)))
    assert not na.isdtype(dtype, ())


def test_isdtype_refuses_unknown_kinds_and_dtypes() -> None:
    wrong: list[Callable[[], bool]] = [
        lambda: na.isdtype(na.float32, "floating"),
        lambda: na.isdtype("float31", "numeric"),
        lambda: na.isdtype(na.float32, None),  # type: ignore[arg-type]
    ]
    for ask in wrong:
        with pytest.raises(na.DTypeError, match=r"kind|dtype"):
            ask()


# --- Limits ---
@every_device
@pytest.mark.parametrize("name", ["float16", "float32", "float64", "complex64", "complex128"])
def test_finfo_is_numpys_in_python_numbers(name: str, device: str) -> None:
    expected: Any = np.finfo(name)
    for asked in (name, np.dtype(name), na.zeros(3, dtype=name, device=device)):
        found = na.finfo(asked)
        assert (found.bits, found.dtype) == (expected.bits, expected.dtype)
        for limit in ("eps", "max", "min", "smallest_normal"):
            assert type(getattr(found, limit)) is float
            assert getattr(found, limit) == float(getattr(expected, limit))


@needs_ml_dtypes
def test_finfo_of_bfloat16() -> None:
    found = na.finfo(na.bfloat16)
    assert (found.bits, found.eps, found.smallest_normal) == (16, 2.0**-7, 2.0**-126)
    assert found.dtype == na.bfloat16
    assert found.max == -found.min == (2 - 2.0**-7) * 2.0**127


@every_device
@pytest.mark.parametrize("name", INTEGERS)
def test_iinfo_is_numpys(name: str, device: str) -> None:
    expected = np.iinfo(name)
    for asked in (name, np.dtype(name), na.zeros(3, dtype=name, device=device)):
        found = na.iinfo(asked)
        assert (found.bits, found.min, found.max, found.dtype) == (
            expected.bits,
            expected.min,
            expected.max,
            np.dtype(name),
        )


def test_limits_of_the_wrong_kind_are_refused() -> None:
    for ask, asked in ((na.finfo, "int32"), (na.finfo, na.bool), (na.iinfo, na.float32), (na.iinfo, "bool")):
        with pytest.raises(na.DTypeError, match=r"(finfo|iinfo): needs"):
            ask(asked)
    for value in (1.0, 3, None):
        with pytest.raises(na.DTypeError, match="dtype"):
            na.finfo(value)


# --- Casts ---
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("int8", "int64", True),
        ("int64", "int8", False),
        ("uint8", "int16", True),
        ("uint64", "int64", False),
        ("int64", "float32", True),
        ("float32", "int64", False),
        ("float64", "complex128", True),
        ("float64", "complex64", False),
        ("bool", "int8", True),
        ("float16", "float32", True),
    ],
)
def test_can_cast_follows_promotion(a: str, b: str, expected: bool) -> None:
    assert na.can_cast(np.dtype(a), np.dtype(b)) is expected
    assert na.can_cast(na.zeros(2, dtype=a), b) is expected
    assert na.can_cast(b, b)


@every_device
def test_astype_moves_as_well(device: str) -> None:
    x = na.asarray([1.5, 2.5])
    for y in (na.astype(x, na.int8, device=device), x.astype(na.int8, device=device)):
        assert (y.dtype, str(y.device)) == (na.int8, device)
        np.testing.assert_array_equal(y.numpy(), [1, 2])
    assert na.astype(x, na.float32, copy=True) is x


# --- bfloat16 ---
@needs_ml_dtypes
def test_bfloat16_is_an_attribute_that_loads_ml_dtypes_when_it_is_asked_for() -> None:
    script = """
import sys
import neo_array as na
assert "ml_dtypes" not in sys.modules
print(na.zeros(2, dtype=na.bfloat16).dtype)
"""
    assert run_script(script).strip() == "bfloat16"


def test_the_module_has_no_other_lazy_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bfloat17'"):
        na.bfloat17  # type: ignore[attr-defined]
