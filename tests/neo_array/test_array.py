"""An Array is a value: what it says of itself, what cannot be done to it, and how it reads as a Python object."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_array.devices import every_device


def anything(x: Array) -> Any:
    """Forget the type, for what the type checker refuses as well."""
    return x


# --- Attributes ---
@every_device
def test_attributes(device: str) -> None:
    x = na.zeros((2, 3, 4), dtype=na.float64, device=device)
    assert (x.shape, x.ndim, x.size, x.dtype, str(x.device)) == ((2, 3, 4), 3, 24, na.float64, device)
    assert type(x.shape) is tuple
    assert all(type(n) is int for n in x.shape)
    assert (x.mT.shape, x[0].T.shape) == ((2, 4, 3), (4, 3))
    assert na.zeros((), device=device).size == 1
    assert na.zeros((0, 5), device=device).size == 0


@every_device
def test_transposing_needs_two_axes(device: str) -> None:
    with pytest.raises(na.ShapeError, match=r"T: got shape \(2,\)"):
        na.zeros(2, device=device).T
    with pytest.raises(na.ShapeError, match="at least two axes"):
        na.zeros(2, device=device).mT


# --- Immutability ---
@every_device
def test_assigning_to_an_index_is_refused_and_names_the_updated_copy(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    with pytest.raises(TypeError, match=r"immutable.*x\.at\[i\]\.set\(v\)"):
        anything(x)[0] = 5.0
    with pytest.raises((TypeError, AttributeError)):
        del anything(x)[0]
    np.testing.assert_array_equal(x.numpy(), [1, 2])


@every_device
@pytest.mark.parametrize("name", ["shape", "dtype", "device", "ndim", "size", "T", "raw", "at", "grad", "anything"])
def test_attributes_cannot_be_assigned(name: str, device: str) -> None:
    with pytest.raises(AttributeError):
        setattr(na.zeros(2, device=device), name, 1)


@every_device
def test_in_place_operators_rebind_the_name(device: str) -> None:
    x = kept = na.asarray([4.0, 2.0], device=device)
    x += 1
    x *= na.asarray([2.0, 3.0], device=device)
    x -= 1
    x /= 3
    x **= 2
    np.testing.assert_array_equal(kept.numpy(), [4, 2])
    np.testing.assert_allclose(x.numpy(), [9, (8 / 3) ** 2], rtol=1e-6)


@every_device
def test_no_op_hands_out_memory_through_which_another_array_changes(device: str) -> None:
    x = na.asarray([[1.0, 2.0], [3.0, 4.0]], device=device)
    for view in (x.T, x[0], x.reshape(4), na.broadcast_to(x, (3, 2, 2)), na.stop_gradient(x)):
        with pytest.raises(ValueError, match="read-only"):
            view.numpy()[...] = 0
    np.testing.assert_array_equal(x.numpy(), [[1, 2], [3, 4]])


# --- Reading single values ---
@every_device
def test_one_element_reads_as_a_python_number(device: str) -> None:
    x = na.asarray([[2.5]], device=device)
    assert (x.item(), float(x), int(x), bool(x), complex(x)) == (2.5, 2.5, 2, True, 2.5 + 0j)
    assert type(x.item()) is float
    assert type(na.asarray(True, device=device).item()) is bool
    assert type(na.asarray(3, device=device).item()) is int
    assert na.asarray(1j, device=device).item() == 1j


@every_device
@pytest.mark.parametrize("shape", [(0,), (2,), (1, 2)])
def test_many_or_no_elements_do_not(shape: tuple[int, ...], device: str) -> None:
    x = na.zeros(shape, device=device)
    for read in (bool, float, int, complex, Array.item):
        with pytest.raises(na.ShapeError, match="exactly one element"):
            read(x)


@every_device
def test_an_integer_array_is_an_index_and_no_other(device: str) -> None:
    assert ["a", "b", "c"][na.asarray(1, device=device)] == "b"
    assert range(5)[na.asarray([3], dtype=na.uint8, device=device)] == 3
    for value in (1.0, True):
        with pytest.raises(TypeError, match="needs an integer array"):
            ["a", "b"][na.asarray(value, device=device)]


@every_device
def test_values_that_python_cannot_convert_raise_pythons_error(device: str) -> None:
    with pytest.raises(ValueError, match="NaN"):
        int(na.asarray(np.nan, device=device))
    with pytest.raises(OverflowError):
        int(na.asarray(np.inf, device=device))
    with pytest.raises(TypeError, match="complex"):
        float(na.asarray(1j, device=device))


# --- Sequences ---
@every_device
def test_length_iteration_and_membership(device: str) -> None:
    x = na.asarray([[1.0, 2.0], [3.0, 4.0]], device=device)
    assert len(x) == 2
    first, second = x
    np.testing.assert_array_equal(second.numpy(), [3, 4])
    assert first.shape == (2,)
    assert [v.item() for v in x[0]] == [1, 2]
    assert 3.0 in anything(x[1])
    assert 5.0 not in anything(x[1])
    assert len(na.zeros((0, 3), device=device)) == 0
    assert list(na.zeros((0, 3), device=device)) == []


@every_device
def test_an_array_without_axes_has_no_length(device: str) -> None:
    x = na.asarray(1.0, device=device)
    with pytest.raises(TypeError, match="0-d"):
        len(x)
    with pytest.raises(TypeError, match=r"0-d.*\.item\(\)"):
        iter(x)


# --- Identity and equality ---
@every_device
def test_arrays_hash_by_identity(device: str) -> None:
    x, y = na.ones(2, device=device), na.ones(2, device=device)
    table = {x: "x", y: "y"}
    assert (table[x], table[y], len({x, y, x})) == ("x", "y", 2)
    assert hash(x) != hash(y)


def test_ids_are_never_reused() -> None:
    seen = set()
    for _ in range(1000):
        x = na.zeros(1)
        assert x._id not in seen
        seen.add(x._id)
        del x


@every_device
def test_equality_is_elementwise_for_arrays_and_numbers(device: str) -> None:
    x = na.asarray([1.0, 2.0], device=device)
    for other in (1.0, 1, True, np.float32(1), np.int64(1), na.asarray([1.0, 0.0], device=device)):
        same: Any = x == other
        different: Any = x != other
        assert isinstance(same, Array)
        np.testing.assert_array_equal(same.numpy(), [True, False])
        np.testing.assert_array_equal(different.numpy(), [False, True])


@every_device
def test_equality_with_what_is_no_number_is_identity(device: str) -> None:
    x = na.asarray([1.0], device=device)
    for other in (None, "1", object(), {}):
        assert (anything(x) == other) is False
        assert (anything(x) != other) is True
        assert (other == anything(x)) is False


@every_device
def test_equality_with_a_foreign_array_is_refused(device: str) -> None:
    x, foreign = anything(na.asarray([1.0], device=device)), np.array([1.0])
    comparisons: list[Callable[[], object]] = [lambda: x == foreign, lambda: x != foreign, lambda: foreign == x]
    for compare in comparisons:
        with pytest.raises(na.DTypeError, match="asarray"):
            compare()


# --- Text, copies, lifetime ---
@every_device
def test_repr_shows_values_shape_dtype_and_device(device: str) -> None:
    options = np.get_printoptions()
    text = repr(na.asarray([[1.0, 2.5]], device=device))
    assert text == f"Array([[1. , 2.5]], shape=(1, 2), dtype=float32, device='{device}')"
    assert str(na.asarray(3, device=device)) == f"Array(3, shape=(), dtype=int64, device='{device}')"
    assert "..." in repr(na.zeros((100, 100), device=device))
    assert len(repr(na.zeros((100, 100), device=device))) < 1000
    assert np.get_printoptions() == options


@every_device
def test_repr_obeys_the_users_print_options_and_exports_nothing(device: str) -> None:
    x = na.asarray([1 / 3], device=device)
    with np.printoptions(precision=2):
        assert repr(x).startswith("Array([0.33],")
    assert not x._exported


@every_device
@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_pickling_keeps_values_dtype_and_device(shape: tuple[int, ...], dtype: str, device: str) -> None:
    x = na.ones(shape, dtype=dtype, device=device)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert (type(y), y.shape, y.dtype, y.device) == (Array, x.shape, x.dtype, x.device)
        assert y is not x
        np.testing.assert_array_equal(y.numpy(), x.numpy())


@every_device
def test_pickling_a_view_stores_its_own_elements_alone(device: str) -> None:
    x = na.zeros((1000, 1000), device=device)[0, :3]
    assert len(pickle.dumps(x)) < 1000
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x.reshape((1, 3)).T)).numpy(), [[0], [0], [0]])


@every_device
def test_a_pickle_of_an_array_that_is_being_differentiated_or_batched_is_refused(device: str) -> None:
    x = na.ones(2, device=device)
    for transform in (lambda f: nt.grad(f)(x), lambda f: nt.vmap(f)(x)):
        with pytest.raises(na.LevelError):
            transform(lambda a: (pickle.dumps(a * 2), a.sum())[1])


@pytest.mark.parametrize(("name", "device"), [("abacus", "abacus:0"), ("torch", "torch:cuda:77")])
def test_a_pickle_from_a_device_that_is_not_here_says_so(name: str, device: str) -> None:
    if name == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    restore, (values, _) = na.ones(2).__reduce__()
    with pytest.raises(na.DeviceError, match=rf'saved on {device}.*x\.to\("numpy"\)'):
        restore(values, device)


@pytest.mark.skipif(not find_spec("ml_dtypes"), reason="ml_dtypes is not installed")
@every_device
def test_pickling_and_text_of_bfloat16(device: str) -> None:
    x = na.asarray([1.5, -2.0], device=device).astype(na.bfloat16)
    y = pickle.loads(pickle.dumps(x))
    assert (y.dtype, str(y.device)) == (na.bfloat16, device)
    assert y.astype(na.float32).numpy().tolist() == [1.5, -2]
    assert repr(x).endswith(f"shape=(2,), dtype=bfloat16, device='{device}')")
    assert (float(x[0]), x[1].item()) == (1.5, -2)


@every_device
def test_text_of_large_arrays_is_numpys_of_the_corners(device: str) -> None:
    for shape in ((61,), (9, 10), (100, 2, 7, 8), (0, 100), (3, 3, 7)):
        values = np.arange(np.prod(shape)).reshape(shape)
        expected = np.array2string(values, separator=", ", prefix="Array(", threshold=60)
        assert repr(na.asarray(values, device=device)).startswith(f"Array({expected}, shape=")
    with np.printoptions(edgeitems=1):
        assert repr(na.arange(100, device=device)).startswith("Array([ 0, ..., 99],")


@every_device
def test_text_under_transforms_and_after_donation(device: str) -> None:
    texts = []
    x = na.asarray([[1.5, 2.5]], device=device)

    def look(a: Array) -> Array:
        texts.append(f"{a} {a!r}")
        return a.sum()

    nt.vmap(look)(x)
    assert texts.pop() == " ".join([f"Array(one value per example, shape=(2,), dtype=float32, device='{device}')"] * 2)
    nt.grad(look)(x)
    assert texts.pop() == f"{x} {x}"
    na.donate(na.add_scaled, na.Donated("a test"), y := na.ones(2, device=device), na.ones(2, device=device), scale=1.0)
    assert str(y).startswith("Array(donated to a test at ")


@every_device
def test_a_format_goes_to_the_only_element(device: str) -> None:
    x = na.asarray([[2.345]], device=device)
    assert (f"{x:.1f}", f"{x[0, 0]:5.1f}") == ("2.3", "  2.3")
    assert f"{na.asarray(7, device=device):04d}" == "0007"
    assert f"{x}" == str(x)
    with pytest.raises(na.ShapeError, match=r"format: '\.2f' needs exactly one element, got shape \(2,\)"):
        format(na.ones(2, device=device), ".2f")


@every_device
def test_membership_looks_at_every_element(device: str) -> None:
    x = anything(na.asarray([[1.0, 2.0], [3.0, np.nan]], device=device))
    assert 3 in x
    assert na.asarray([1.0, 2.0], device=device) in x
    assert 4.0 not in x
    assert math.nan not in x  # noqa: PLW0177
    assert None not in x
    assert 1.0 not in anything(na.zeros((0, 2), device=device))


@every_device
def test_copies_are_the_array_itself(device: str) -> None:
    x = na.ones(2, device=device)
    assert copy.copy(x) is x
    assert copy.deepcopy(x) is x
    assert copy.deepcopy({"a": [x]})["a"][0] is x


@every_device
def test_arrays_are_weakly_referable_and_die_at_once(device: str) -> None:
    gc.disable()
    try:
        x = na.ones(2, device=device)
        y = (x * 2).sum()
        ref = weakref.ref(x)
        del x
        assert ref() is None
        assert y.item() == 4
    finally:
        gc.enable()


@every_device
def test_the_namespace_is_the_array_api_way_to_find_the_functions(device: str) -> None:
    x = na.asarray([1.0, 4.0], device=device)
    xp: Any = x.__array_namespace__()
    assert xp is na
    np.testing.assert_array_equal(xp.sqrt(x).numpy(), [1, 2])
