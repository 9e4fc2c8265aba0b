"""The Python array API standard 2024.12: names, signatures and values, beside the consortium's array-api-strict."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import neo_array as na
from tests.neo_array.devices import every_device
from tests.neo_array.standard import BINARY, CALLS, UNARY

strict: Any = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
strict.set_array_api_strict_flags(api_version="2024.12")

DTYPES = {
    "b": ["bool"],
    "i": ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"],
    "f": ["float32", "float64"],
    "c": ["complex64", "complex128"],
}
TOLERANCE = {"float32": 2e-4, "complex64": 2e-4, "float64": 1e-10, "complex128": 1e-10}
NEWER = {"broadcast_shapes", "isin"}  # of the standard's next version


# --- Names and signatures ---
def functions() -> Iterator[tuple[str, Any, Any]]:
    """Go over the standard's functions: name, reference, ours (None where it is missing)."""
    for prefix, theirs, ours in (("", strict, na), ("linalg.", strict.linalg, na), ("fft.", strict.fft, na)):
        space = getattr(ours, prefix[:-1], None) if prefix else ours
        for name in sorted(theirs.__all__):
            reference = getattr(theirs, name)
            if inspect.isfunction(reference) and "flags" not in name and name not in NEWER:
                yield prefix + name, reference, getattr(space, name, None)


def _expand_dims(x: object, /, *, axis: int = 0) -> None:
    """Array-api-strict follows a later version of the standard here."""


FUNCTIONS = {name: (reference, ours) for name, reference, ours in functions()}
FUNCTIONS["expand_dims"] = _expand_dims, na.expand_dims
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def parameters(function: Any) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


def departures(reference: Any, ours: Any) -> list[str]:
    """Say where a call that the standard allows would fail, or mean something else."""
    found = []
    mine = parameters(ours)
    by_name = {p.name: p for p in mine if p.kind is not p.POSITIONAL_ONLY}
    places = [p for p in mine if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in mine)
    theirs = parameters(reference)
    for at, p in enumerate(theirs):
        if p.kind is p.VAR_POSITIONAL:
            found += [] if variadic else [f"*{p.name} is not taken"]
            continue
        if p.kind is not p.KEYWORD_ONLY and not variadic:
            if at >= len(places):
                found.append(f"{p.name} is not taken by position")
                continue
            own = places[at]
            if p.kind is p.POSITIONAL_OR_KEYWORD and own.name != p.name:
                found.append(f"{p.name} is called {own.name}")
        elif p.kind is p.KEYWORD_ONLY and p.name not in by_name:
            found.append(f"{p.name}= is not taken")
            continue
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in by_name:
            found.append(f"{p.name} is not taken by name")
            continue
        own = places[at] if p.kind is not p.KEYWORD_ONLY and not variadic else by_name.get(p.name, p)
        if p.default is not p.empty and own.default != p.default and type(p.default).__name__ != "Undef":
            found.append(f"{p.name} is {own.default} by default, not {p.default}")
    known = {p.name for p in theirs}
    found += [f"{p.name} has no default" for p in mine[len(theirs) :] if p.name not in known and p.default is p.empty]
    return found


@every_function
def test_every_function_has_the_standards_signature(name: str) -> None:
    reference, ours = FUNCTIONS[name]
    assert ours is not None, "missing"
    assert departures(reference, ours) == []


def test_the_array_has_the_standards_attributes() -> None:
    reference = type(strict.asarray(1))
    standard = {name for name in dir(reference) if name.startswith("__") or not name.startswith("_")}
    optional = {
        "__buffer__",
        "__setitem__",
        *(name for name in standard if f"__{name[3:]}" in standard),
    }  # `x += y` rebinds
    mine = set(dir(na.Array)) | set(dir(object))
    assert standard - set(dir(object)) - mine - optional <= {"__annotations__", "__dict__", "__module__"}
    methods: list[tuple[Any, Any]] = [
        (lambda *, api_version=None: 0, na.Array.__array_namespace__),
        (lambda *, stream=None, max_version=None, dl_device=None, copy=None: 0, na.Array.__dlpack__),
        (lambda: 0, na.Array.__dlpack_device__),
        (lambda device, /, *, stream=None: 0, na.Array.to_device),
    ]
    for method, ours in methods:
        assert departures(method, ours) == []


def test_constants_and_version() -> None:
    assert na.__array_api_version__ == "2024.12"
    assert (na.e, na.inf, na.pi, na.newaxis) == (strict.e, strict.inf, strict.pi, None)
    assert na.nan != na.nan
    for name in strict.__array_namespace_info__().dtypes():
        assert getattr(na, name).name == name


# --- Values ---
def variables(dtype: str, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Draw what the calls of a dtype are about, as NumPy arrays."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> npt.NDArray[Any]:
        kind = np.dtype(dtype).kind
        if kind == "b":
            return rng.random(shape) < 0.5
        if kind in "iu":
            return rng.integers(0 if kind == "u" else -5, 6, shape).astype(dtype)
        real = rng.normal(size=shape)
        return (real + 1j * rng.normal(size=shape) if kind == "c" else real).astype(dtype)

    matrix = draw(2, 3, 3) if np.dtype(dtype).kind in "biu" else draw(2, 3, 3) + np.eye(3, dtype=dtype) * 3
    return {
        "x": draw(3, 5),
        "y": draw(5),
        "z": draw(3, 1),
        "w": np.array([[1, 3, 3, 0, 1], [0, 0, 2, 2, 1], [1, 1, 1, 1, 1]]).astype(dtype),
        "s": draw(),
        "n": draw(0, 5),
        "m": matrix,
        "p": np.matmul(matrix, matrix.conj().mT) + np.eye(3).astype(dtype),
        "b": draw(2, 3, 2),
        "i": rng.integers(0, 5, 4),
        "j": rng.integers(0, 5, (3, 5)),
        "k": rng.random((3, 5)) < 0.5,
    }


def plain(value: Any) -> Any:
    """Return nested results with NumPy arrays in place of either library's."""
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "__array_namespace__"):
        return np.asarray(value.numpy() if isinstance(value, na.Array) else value._array)
    return value


def compare(call: str, expected: Any, found: Any) -> None:
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for each in zip(expected, found, strict=True):
            compare(call, *each)
    elif isinstance(expected, np.ndarray):
        loose = call.startswith("~")
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype or (loose and found.dtype.kind == expected.dtype.kind)
        near = TOLERANCE.get(str(found.dtype), 0)
        np.testing.assert_allclose(found, expected, rtol=near, atol=near)
        if expected.dtype.kind == "f":
            zeros = (expected == 0) & (found == 0)
            np.testing.assert_array_equal(np.signbit(found)[zeros], np.signbit(expected)[zeros])
    else:
        assert found == expected or found == pytest.approx(expected, rel=1e-6)


def evaluate(call: str, values: dict[str, npt.NDArray[Any]], device: str) -> tuple[Any, Any]:
    code = call.removeprefix("~")
    theirs = {name: strict.asarray(value) for name, value in values.items()}
    ours = {name: na.asarray(value, device=device) for name, value in values.items()}
    with np.errstate(all="ignore"):
        expected = plain(eval(code, {"xp": strict, **theirs}))
    with na.use_device(device):
        return expected, plain(eval(code, {"xp": na, **ours}))


def check(call: str, values: dict[str, npt.NDArray[Any]], device: str, dtype: str) -> None:
    """Make a call in both libraries."""
    try:
        expected, found = evaluate(call, values, device)
        compare(call, expected, found)
    except Exception as error:
        error.add_note(f"{call} with {dtype} on {device}")
        raise


ROWS = [
    pytest.param(call.strip(), kinds.strip(" -"), id=f"{family}: {call.strip()}")
    for family, rows in CALLS.items()
    for kinds, calls in (row.split(":", maxsplit=1) for row in rows.strip().splitlines())
    for call in calls.split(";")
]


@every_device
@pytest.mark.parametrize(("call", "kinds"), ROWS)
def test_calls_give_what_the_standard_says(call: str, kinds: str, device: str) -> None:
    for dtype in [d for kind in kinds for d in DTYPES[kind]] or ["float32"]:
        for seed in range(3 if kinds else 1):
            check(call, variables(dtype, seed), device, dtype)


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 2.5, 3.0, 1e-3, 80.0, np.inf, -np.inf, np.nan]
INTEGERS = {"bitwise_left_shift": range(6), "bitwise_right_shift": range(6), "pow": range(4)}


def operands(name: str, dtype: str, count: int) -> dict[str, npt.NDArray[Any]]:
    """Return every pair of remarkable values, as arrays that broadcast against each other, and random ones."""
    rng = np.random.default_rng(len(name))
    kind = np.dtype(dtype).kind
    if kind == "b":
        first = second = np.array([True, False])
    elif kind in "iu":
        numbers = INTEGERS.get(name, range(0 if kind == "u" else -6, 7))
        first = second = np.array(numbers).astype(dtype)
        second = second[second != 0] if name in ("floor_divide", "remainder") else second
    elif kind == "f":
        first = second = np.concatenate([SPECIAL, 3 * rng.normal(size=9)]).astype(dtype)
        first = first[~np.isinf(first)] if name == "floor_divide" else first  # below: NumPy departs from the standard
    else:
        first = (rng.normal(size=20) + 1j * rng.normal(size=20)).astype(dtype)
        second = first[::-1].copy()
    return {"x1": first[:, None], "x2": second} if count == 2 else {"x1": first}


@every_device
@pytest.mark.parametrize(
    ("name", "kinds", "count"),
    [
        (name, kinds, n)
        for n, table in ((1, UNARY), (2, BINARY))
        for names, kinds in table.items()
        for name in names.split()
    ],
)
def test_elementwise_functions_give_what_the_standard_says(name: str, kinds: str, count: int, device: str) -> None:
    call = f"xp.{name}({'x1, x2' if count == 2 else 'x1'})"
    for dtype in [d for kind in kinds for d in DTYPES[kind]]:
        values = operands(name, dtype, count)
        check(call, values, device, dtype)
        check(call, {key: value[:0] for key, value in values.items()}, device, dtype)
        check(call, {key: value.reshape(-1)[0] for key, value in values.items()}, device, dtype)
        if count == 2:
            number = {"b": True, "i": 2, "u": 2, "f": 1.5, "c": 2 - 1j}[np.dtype(dtype).kind]
            check(f"xp.{name}(x1, {number})", values, device, dtype)
            check(f"xp.{name}({number}, x2)", values, device, dtype)
    for low, high in [("int8", "int32"), ("uint8", "int16"), ("float32", "float64"), ("complex64", "complex128")]:
        if count == 2 and np.dtype(low).kind.replace("u", "i") in kinds and name not in INTEGERS:
            mixed = {"x1": operands(name, low, 2)["x1"], "x2": operands(name, high, 2)["x2"]}
            check(call, mixed, device, high)


@every_device
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinity_floor_divided_by_a_finite_number_is_infinite(dtype: str, device: str) -> None:
    infinite = na.asarray([[np.inf], [-np.inf]], dtype=dtype, device=device)
    finite = na.asarray([1.0, -1.0, 0.5, -2.5, 80.0], dtype=dtype, device=device)
    np.testing.assert_array_equal(na.floor_divide(infinite, finite).numpy(), (infinite / finite).numpy())
    assert na.all(na.isnan(na.floor_divide(infinite, infinite.T))).item()


PAIRS = list(itertools.product([d for names in DTYPES.values() for d in names], repeat=2))


def test_dtypes_promote_as_the_standard_says_and_where_it_says_nothing_by_kind_first() -> None:
    for a, b in PAIRS:
        try:
            expected = strict.result_type(getattr(strict, a), getattr(strict, b))._np_dtype
        except TypeError:
            kinds = "biufc"
            wider, other = sorted((np.dtype(a), np.dtype(b)), key=lambda d: kinds.index(d.kind), reverse=True)
            if {wider.kind, other.kind} == {"i", "u"}:
                with pytest.raises(na.DTypeError, match="no common integer dtype"):
                    na.result_type(a, b)
                continue
            expected = np.dtype("complex128" if {wider.name, other.name} == {"complex64", "float64"} else wider)
        assert na.result_type(getattr(na, a), getattr(na, b)) == expected


@every_device
def test_errors_are_of_the_standards_classes(device: str) -> None:
    x = na.ones((3, 2), device=device)
    for axis in (3, -4):
        with pytest.raises(IndexError):
            na.expand_dims(x, axis=axis)
    with pytest.raises(ValueError, match="squeeze"):
        na.squeeze(x, axis=0)
    for index in ((3,), (0, -3), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]
    with pytest.raises(IndexError):
        x[na.ones((2, 2), dtype=na.bool, device=device)]


@every_device
def test_assignment_to_an_index_is_the_one_thing_that_an_immutable_array_refuses(device: str) -> None:
    x: Any = na.zeros(3, device=device)
    with pytest.raises(TypeError, match=r"immutable.*\.at\[i\]\.set"):
        x[0] = 1.0
    before = x
    x += 1
    assert (before.sum().item(), x.sum().item()) == (0, 3)
