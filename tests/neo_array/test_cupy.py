"""CuPy's backend file, run on the stand-in: places, copies, numbers, donation, several devices, and clear errors."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, Device, Donated
from neo_array.ops.reductions import reduce_argmax
from tests.neo_array.cupy_stand_in import arrays, installed, modules
from tests.neo_array.devices import HAS_TORCH, needs_torch
from tests.neo_array.subprocesses import run_script

HERE = "cupy:0"
needs_bfloat16 = pytest.mark.skipif(find_spec("ml_dtypes") is None, reason="ml_dtypes is not installed")


@pytest.fixture(autouse=True)
def _one_gpu() -> Iterator[None]:
    with installed():
        yield


def cupy() -> Any:
    return modules()["cupy"]


def on_gpu(values: Any, dtype: type = np.float64) -> Array:
    return na.asarray(np.array(values, dtype), device=HERE)


# --- Places ---
def test_the_device_is_listed_behind_the_other_libraries() -> None:
    names = [str(d) for d in na.devices()]
    assert names[0] == "numpy"
    assert names[-1] == HERE


@pytest.mark.parametrize("name", ["cupy", "cupy:0", "cupy:cuda:0", "cuda", "cuda:0"])
def test_names_that_mean_the_first_device(name: str) -> None:
    assert na.zeros(2, device=name).device == Device("cupy", "0")


def test_a_device_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(na.DeviceError, match=r"'cupy:3': not on this machine, which has cupy:0; use device='numpy'"):
        na.zeros(2, device="cupy:3")


def test_a_machine_without_a_gpu_says_so_and_lists_none() -> None:
    with installed(devices=0):
        assert not [d for d in na.devices() if d.backend == "cupy"]
        makes: list[Callable[[], Array]] = [lambda: na.zeros(2, device="cupy"), lambda: na.ones(2).to("cupy:0")]
        for make in makes:
            with pytest.raises(
                na.DeviceError, match=r"CuPy is installed, but finds no CUDA device \(cudaErrorNoDevice"
            ):
                make()


@pytest.mark.skipif(HAS_TORCH and bool([d for d in na.devices() if "cuda" in str(d)]), reason="torch has a GPU")
def test_cuda_means_torch_where_cupy_finds_no_device() -> None:
    with (
        installed(devices=0),
        pytest.raises(na.DeviceError, match=r"torch:cuda:0|neo-array\[torch\]"),
    ):
        na.zeros(2, device="cuda")


def test_use_device_makes_arrays_there() -> None:
    with na.use_device("cupy"):
        made = [na.zeros(2), na.asarray([1.0, 2.0]), na.arange(3), na.random.normal(na.random.key(0), (2,))]
    assert {str(x.device) for x in made} == {HERE}


def test_cupy_is_missing_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    na.backends._loaded.pop("cupy", None)
    monkeypatch.setattr(na.backends, "find_spec", lambda name: None if name == "cupy" else find_spec(name))
    assert HERE not in [str(d) for d in na.devices()]
    with pytest.raises(na.DeviceError, match=r"'cupy': not available here; install neo-array\[cupy\]"):
        na.zeros(2, device="cupy")


def test_a_cupy_that_does_not_load_says_why_and_is_not_listed(tmp_path: Path) -> None:
    package = tmp_path / "cupy"
    package.mkdir()
    (package / "__init__.py").write_text('raise ImportError("libcuda.so.1: cannot open shared object file")')
    script = """
import neo_array as na
print([str(d) for d in na.devices() if d.backend == "cupy"])
try:
    na.zeros(2, device="cupy")
except na.DeviceError as error:
    print(error)
"""
    listed, error = run_script(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{script}").splitlines()
    assert listed == "[]"
    assert "does not load: libcuda.so.1" in error


# --- Values in and out ---
DTYPES = [d.name for d in na._dtypes.DTYPES.values()]


@pytest.mark.parametrize("dtype", [*DTYPES, pytest.param("bfloat16", marks=needs_bfloat16)])
def test_values_and_dtypes_survive_the_way_there_and_back(dtype: str) -> None:
    x = na.astype(na.asarray(np.array([[0.0, 1.0], [2.0, 3.0]])), dtype)
    there = x.to(HERE)
    back = there.to("numpy")
    assert (str(there.device), there.dtype, back.dtype) == (HERE, x.dtype, x.dtype)
    np.testing.assert_array_equal(back.numpy(), x.numpy())
    assert na.zeros(2, dtype=dtype, device=HERE).dtype == na.full((2,), 1, dtype=dtype, device=HERE).dtype == x.dtype


@needs_torch
def test_arrays_move_between_the_libraries() -> None:
    x = na.asarray([1.0, 2.0], device="torch:cpu")
    there = x.to(HERE)
    assert str(there.device) == HERE
    assert there.to("torch:cpu").numpy().tolist() == [1.0, 2.0]
    gradient = nt.grad(lambda a: (a.to(HERE) ** 2).sum().to("torch:cpu"))(x)
    assert (str(gradient.device), gradient.numpy().tolist()) == ("torch:cpu", [2.0, 4.0])


def test_big_endian_numbers_are_taken_as_numbers() -> None:
    assert na.asarray(np.array([1, 2], ">i4"), device=HERE).numpy().tolist() == [1, 2]


def test_a_users_array_is_recognised_and_copied() -> None:
    raw = cupy().arange(3.0)
    x = na.asarray(raw)
    raw[0] = 9.0
    assert (str(x.device), x.dtype, x.numpy().tolist()) == (HERE, na.float64, [0.0, 1.0, 2.0])
    assert na.asarray(raw, dtype=na.float32).dtype == na.float32


def test_copy_false_shares_memory_or_says_why_it_cannot() -> None:
    raw = cupy().arange(3.0)
    x = na.asarray(raw, copy=False)
    raw[0] = 9.0
    assert x.numpy().tolist() == [9.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="another dtype or device needs a copy"):
        na.asarray(raw, dtype=na.float32, copy=False)
    with pytest.raises(ValueError, match="cannot share the host's memory"):
        na.asarray(np.ones(2), device=HERE, copy=False)


def test_a_subclass_becomes_a_plain_array() -> None:
    class Mine(arrays.ndarray):
        pass

    raw = cupy().arange(3.0).view(type=Mine)
    x = na.asarray(raw)
    assert type(x.raw) is arrays.ndarray
    assert (x + 1).numpy().tolist() == [1.0, 2.0, 3.0]


def test_a_dtype_of_cupys_that_is_not_ours_is_refused() -> None:
    with pytest.raises(na.DTypeError, match=r"CuPy's \|V4 is not one of neo's"):
        na.asarray(arrays.fresh(np.zeros(2, "V4")))


def test_numpy_gets_a_read_only_copy() -> None:
    x = on_gpu([1.0, 2.0])
    values = x.numpy()
    assert not values.flags.writeable
    assert np.asarray(x).tolist() == [1.0, 2.0]
    assert x.sum().item() == 3.0
    assert float(x[0]) == 1.0


def test_it_prints_and_pickles() -> None:
    x = on_gpu([1.5, 2.0])
    assert repr(x) == "Array([1.5, 2. ], shape=(2,), dtype=float64, device='cupy:0')"
    back = pickle.loads(pickle.dumps(x))
    assert (str(back.device), back.numpy().tolist()) == (HERE, [1.5, 2.0])


def test_dlpack_hands_the_host_a_copy() -> None:
    x = on_gpu([1.0, 2.0])
    assert x.__dlpack_device__() == (2, 0)
    assert np.from_dlpack(_Exporter(x, dl_device=(1, 0))).tolist() == [1.0, 2.0]


def test_dlpack_hands_a_gpu_a_copy_which_cupy_does_not_make_itself() -> None:
    x = on_gpu([1.0, 2.0])
    with pytest.raises(BufferError):
        x._raw.__dlpack__(copy=True)
    for copy in (None, False):
        assert np.from_dlpack(_Exporter(x, dl_device=None, copy=copy)).tolist() == [1.0, 2.0]


class _Exporter:
    """Let NumPy take what a consumer with other wishes would get."""

    def __init__(self, x: Array, **wishes: Any) -> None:
        self.x, self.wishes = x, wishes

    def __dlpack__(self, **options: Any) -> Any:
        return self.x.__dlpack__(**options | self.wishes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


# --- Numbers ---
def test_a_number_met_on_the_host_first_can_be_used_on_the_gpu() -> None:
    for where in ("numpy", HERE, "numpy"):
        x = na.ones(3, dtype=na.float64, device=where)
        assert str((x * 2.125 + 7.25).device) == where
        assert str((1.625 - x).device) == where


def test_numbers_that_do_not_fit_are_refused_and_large_ones_are_infinite() -> None:
    with pytest.raises(na.DTypeError, match="300 does not fit dtype int8"):
        on_gpu([1], np.int8) + 300
    assert (on_gpu([1.0], np.float32) * 1e300).numpy().tolist() == [np.inf]


def test_imaginary_parts_are_dropped_without_a_warning() -> None:
    assert na.astype(on_gpu([1 + 2j], np.complex128), na.float32).numpy().tolist() == [1.0]


# --- Donation ---
def address(x: Array) -> int:
    host: Any = x._raw._host
    location: int = host.ctypes.data
    return location


def give(x: Array, *others: Array, **options: Any) -> Array:
    out: Array = na.donate(na.add_scaled, Donated("test"), x, *others, **{"scale": 10.0} | options)
    return out


def test_a_donated_buffer_is_reused() -> None:
    x = on_gpu([1.0, 2.0])
    before = address(x)
    y = give(x, na.ones((2,), dtype=na.float64, device=HERE))
    assert address(y) == before
    assert y.numpy().tolist() == [11.0, 12.0]
    with pytest.raises(na.DonatedError):
        _ = x + 1


def test_a_buffer_that_somebody_else_sees_is_not_reused() -> None:
    one = na.ones((2,), dtype=na.float64, device=HERE)
    ways: list[Callable[[Array], Any]] = [
        lambda x: x._raw,
        lambda x: x._raw[:1],
        lambda x: x._raw.reshape(1, 2).T,
        lambda x: x.raw,
    ]
    for see in ways:
        x = on_gpu([1.0, 2.0])
        seen, before = see(x), address(x)
        y = give(x, one)
        assert address(y) != before
        assert seen.ravel()[0].item() == 1.0
    view = on_gpu([[1.0, 2.0], [3.0, 4.0]])[0]
    assert address(give(view, one)) != address(na.asarray(one))


# --- Values where CuPy differs from NumPy ---
def test_indices_out_of_range_raise_instead_of_coming_round() -> None:
    x = on_gpu([1.0, 2.0, 3.0])
    assert cupy().take(x._raw, cupy().array([3])).tolist() == [1.0]
    reads: list[Callable[[Array], Array]] = [
        lambda i: na.take(x, i, axis=0),
        lambda i: x[i],
        lambda i: na.take_along_axis(x, i, axis=0),
        lambda i: x.at[i].add(1.0),
        lambda i: x.at[i].set(1.0),
        lambda i: x.at[i].max(1.0),
    ]
    for read in reads:
        for bad in (3, -4):
            with pytest.raises(IndexError):
                read(na.asarray([bad], device=HERE))
    assert x[na.asarray([-3, 2], device=HERE)].numpy().tolist() == [1.0, 3.0]


def test_the_last_of_several_values_for_a_place_counts() -> None:
    x = na.zeros(3, device=HERE)
    assert x.at[[1, 1, 2]].set(na.asarray([5.0, 6.0, 7.0], device=HERE)).numpy().tolist() == [0.0, 6.0, 7.0]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float16", "float64", "complex64"])
def test_repeated_places_add_up_in_every_dtype(dtype: str) -> None:
    values = na.astype(na.asarray([1, 1, 1]), dtype)
    where = na.asarray([0, 2, 2])
    expected = na.zeros(3, dtype=dtype).at[where].add(values)
    found = na.zeros(3, dtype=dtype, device=HERE).at[where.to(HERE)].add(values.to(HERE))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_nan_wins_among_values_for_one_place() -> None:
    values = na.asarray([1.0, np.nan, 2.0], device=HERE)
    found = na.zeros(2, device=HERE).at[[0, 0, 1]].max(values)
    np.testing.assert_array_equal(found.numpy(), [np.nan, 2.0])


def test_matrices_that_cannot_be_decomposed_are_noticed() -> None:
    singular, negative = on_gpu([[1.0, 2.0], [2.0, 4.0]]), on_gpu([[-1.0, 0.0], [0.0, -1.0]])
    assert np.isnan(cupy().linalg.inv(singular._raw).get()).all()  # CuPy itself says nothing
    ways: list[Callable[[], Array]] = [
        lambda: na.linalg.inv(singular),
        lambda: na.linalg.solve(singular, singular),
        lambda: na.linalg.cholesky(negative),
    ]
    for decompose in ways:
        with pytest.raises(na.LinAlgError):
            decompose()
    with pytest.raises(na.ShapeError):
        na.linalg.solve(singular, on_gpu([[1.0, 2.0, 3.0]]))
    with pytest.raises(na.LinAlgError):
        na.linalg.solve_triangular(on_gpu([[1.0, 1.0], [0.0, 0.0]]), singular, lower=False)


DIVISIONS = np.array(
    [(1.0, 0.1), (-7.0, 2.0), (7.0, -2.0), (5.0, np.inf), (-5.0, np.inf), (0.0, -3.0), (1.0, 0.0), (np.inf, 2.0)]
)


@pytest.mark.parametrize("op", [na.floor_divide, na.remainder], ids=lambda op: op.__name__)
def test_division_with_a_remainder_is_numpys(op: Any) -> None:
    a, b = DIVISIONS.T.copy()
    np.testing.assert_array_equal(op(on_gpu(a), on_gpu(b)).numpy(), op(na.asarray(a), na.asarray(b)).numpy())
    with pytest.raises(na.DivisionError):
        op(on_gpu([1], np.int64), on_gpu([0], np.int64))


def test_integers_to_negative_powers_are_refused() -> None:
    with pytest.raises(na.DTypeError, match="no integers"):
        on_gpu([2], np.int64) ** on_gpu([-1], np.int64)
    np.testing.assert_array_equal((on_gpu([0j, 2], np.complex128) ** 2).numpy(), [0, 4])


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: na.max(x),
        lambda x: na.argmax(x),
        lambda x: na.cumlogsumexp(x),
        lambda x: na.cumulative_max(x),
        lambda x: na.searchsorted(x, x),
        lambda x: na.segment_max(x, na.asarray([0], device=HERE), 1),
        lambda x: na.polygamma(1, x),
        lambda x: x.at[[0]].max(x),
        lambda x: na.where(x, x, x),
        lambda x: na.floor_divide(x, x),
    ],
)
def test_complex_numbers_have_no_order(refused: Any) -> None:
    with pytest.raises(na.DTypeError):
        refused(on_gpu([1j], np.complex128))


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: x**x,
        lambda x: na.vecdot(x, x),
        lambda x: na.linalg.det(na.reshape(x, (1, 1))),
        lambda x: reduce_argmax(x, axis=0, keepdims=False),
    ],
)
def test_booleans_are_no_numbers(refused: Any) -> None:
    with pytest.raises(na.DTypeError):
        refused(on_gpu([True], np.bool_))


def test_nothing_to_choose_from_is_said() -> None:
    for choose in (na.max, na.min, na.argmax, na.argmin):
        with pytest.raises(na.ShapeError, match="no elements"):
            choose(na.zeros((0,), device=HERE))
    with pytest.raises(na.ShapeError, match="negative"):
        na.repeat(na.ones(2, device=HERE), na.asarray([1, -1], device=HERE))
    assert na.repeat(na.ones(0, device=HERE), na.asarray([], dtype=na.int64, device=HERE)).shape == (0,)
    assert na.unique_values(na.zeros(0, device=HERE)).shape == (0,)


def test_a_kernel_that_does_not_dispatch_is_an_error_not_a_copy_to_the_host() -> None:
    @na.primitive(discrete="for this test")
    def stubborn(x: Array, /) -> Array:
        """Return x."""
        return na.bind(stubborn, x)

    stubborn.kernel("numpy")(np.asarray)
    with pytest.raises(na.DTypeError, match="cupy does not compute this") as caught:
        stubborn(on_gpu([1.0]))
    assert "Implicit conversion" in str(caught.value.__cause__)


# --- Several devices ---
@pytest.fixture
def two_gpus() -> Iterator[None]:
    with installed(devices=2):
        yield


@pytest.mark.usefixtures("two_gpus")
def test_ops_run_where_their_arrays_are() -> None:
    assert [str(d) for d in na.devices()][-2:] == ["cupy:0", "cupy:1"]
    for where in ("cupy:1", "cupy:0", "cupy:1"):
        x = na.asarray([1.0, 2.0], device=where)
        results = [na.exp(x), x * 2.5 + 1, x @ x, 1.5 - x, x.at[0].set(3.0), na.zeros_like(x), na.astype(x, na.int64)]
        results += [na.where(x > 1, 0.5, x), na.concat([x, x]), nt.grad(lambda a: na.softmax(a)[0])(x)]
        assert {str(y.device) for y in results} == {where}
        assert (x + x).numpy().tolist() == [2.0, 4.0]


@pytest.mark.usefixtures("two_gpus")
def test_arrays_move_between_devices_and_do_not_mix() -> None:
    x, y = na.ones((2, 3), device="cupy:0"), na.ones((2, 3), device="cupy:1")
    for combine in (lambda a, b: a + b, lambda a, b: na.concat([a, b]), lambda a, b: na.where(a > 0, a, b)):
        combine(x, x)  # an op that has run before takes its fast path
        with pytest.raises(na.DeviceError, match=r"cupy:0.*cupy:1"):
            combine(x, y)
    assert str((x.to("cupy:1") + y).device) == "cupy:1"
    assert str(na.asarray(x.mT.raw, device="cupy:1").device) == "cupy:1"
    with pytest.raises(ValueError, match="another dtype or device needs a copy"):
        na.asarray(x.raw, device="cupy:1", copy=False)


@pytest.mark.usefixtures("two_gpus")
def test_donation_happens_on_the_arrays_device() -> None:
    x = na.asarray([1.0, 2.0], device="cupy:1")
    before = address(x)
    y = give(x, na.ones(2, device="cupy:1"))
    assert (address(y), str(y.device), y.numpy().tolist()) == (before, "cupy:1", [11.0, 12.0])


# --- The stand-in itself ---
def test_the_stand_in_is_as_strict_as_cupy() -> None:
    library = cupy()
    x = library.arange(3.0)
    for refused in (
        lambda: np.asarray(x),
        lambda: x + np.ones(3),
        lambda: np.ones(3) * x,
        lambda: np.concatenate([x, np.ones(3)]),
        lambda: np.max(x, initial=0.0),
        lambda: np.linalg.vecdot(x, x),
        lambda: library.exp("text"),
    ):
        with pytest.raises(TypeError):
            refused()
    with pytest.raises(NotImplementedError):
        np.maximum.reduce(x)
    assert np.add.reduce(x).shape == np.exp(x)[0].shape == ()
    assert type(np.sum(x)) is arrays.ndarray
    assert not hasattr(library, "vecdot")


def test_everything_is_put_back() -> None:
    before = {name for name in sys.modules if name.startswith("cupy")}
    with installed(devices=2):
        na.ones(2, device="cupy:1") + 1
    assert {name for name in sys.modules if name.startswith("cupy")} == before
    assert [str(d) for d in na.devices() if d.backend == "cupy"] == [HERE]
