"""Making ops: what a registration refuses, when kernels are imported, and when "no derivative" raises."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, NoDerivative, Primitive, Shape, bind, primitive
from neo_array._primitive import REGISTRY
from tests.neo_array.devices import every_device


@pytest.fixture(autouse=True)
def _throw_away() -> Iterator[None]:
    """Take out again what a test registers."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def make(**options: Any) -> Primitive[[Array, Array], Array]:
    """Make an op of two arrays, x + 2y, without rules."""

    @primitive(**options)
    def mixed(x: Array, y: Array, /) -> Array:
        """Return x + 2y."""
        return bind(mixed, x, y)

    mixed.kernel("numpy", "torch")(lambda x, y: x + 2 * y)
    return mixed


# --- Registration ---
def test_an_op_keeps_name_docstring_and_signature() -> None:
    op = make()
    assert (op.__name__, op.__doc__, op.arrays, op.options) == ("mixed", "Return x + 2y.", ("x", "y"), ())
    assert repr(op) == "<primitive mixed>"
    assert REGISTRY["mixed"] is op
    assert pickle.loads(pickle.dumps(na.add)) is na.add


def test_parameters_must_be_positional_only_or_keyword_only() -> None:
    with pytest.raises(TypeError, match=r"\['axis'\] are neither positional-only .* nor keyword-only"):

        @primitive()
        def total(x: Array, /, axis: int) -> Array:
            """Sum."""
            return x


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        (lambda g, z: g, r"\['z'\]"),
        (lambda g, x, out, output: g, r"\['output'\]"),
        (lambda g, *, axis: g, r"\['axis'\]"),
    ],
)
def test_a_rule_that_names_what_the_op_has_not_is_refused_at_once(rule: Any, unknown: str) -> None:
    with pytest.raises(TypeError, match=rf"mixed\.vjp\(x\): unknown residuals {unknown}; name `out`, "):
        make().vjp(x=rule)


def test_a_rule_for_an_input_that_the_op_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match=r"mixed\.vjp: no array argument 'z', got arguments \['x', 'y'\]"):
        make().vjp(z=lambda g: g)


def test_a_forward_rule_needs_a_tangent_for_every_input() -> None:
    with pytest.raises(TypeError, match=r"mixed\.jvp: needs 2 tangents first"):
        make().jvp(lambda t: t)
    with pytest.raises(TypeError, match=r"mixed\.jvp: unknown residuals \['z'\]"):
        make().jvp(lambda t1, t2, z: t1)


# --- Kernels ---
def test_a_kernel_given_as_text_is_imported_when_first_needed() -> None:
    @primitive(kind="elementwise")
    def late(x: Array, /) -> Array:
        """Do as the kernel says."""
        return bind(late, x)

    late.kernel("numpy")("tests.neo_array.no_such_module:kernel")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        late(na.ones(2))
    late.kernel("numpy")("numpy:negative")
    np.testing.assert_array_equal(late(na.ones(2)).numpy(), [-1, -1])


@every_device
def test_a_backend_without_a_kernel_is_named(device: str) -> None:
    @primitive(kind="elementwise")
    def nowhere(x: Array, /) -> Array:
        """Run on CuPy alone."""
        return bind(nowhere, x)

    nowhere.kernel("cupy")(lambda x: x)
    with pytest.raises(na.DeviceError, match=f"nowhere: has no kernel for backend {device.partition(':')[0]}"):
        nowhere(na.ones(2, device=device))


@every_device
def test_a_kernel_that_fails_says_on_what(device: str) -> None:
    @primitive(kind="elementwise")
    def broken(x: Array, /, *, factor: int) -> Array:
        """Fail."""
        return bind(broken, x, factor=factor)

    @broken.kernel("numpy", "torch")
    def _(x: Any, *, factor: int) -> Any:
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside") as caught:
        broken(na.ones((2, 3), device=device), factor=4)
    (note,) = caught.value.__notes__
    assert note.startswith("broken: on shapes [(2, 3)] of ")
    assert "float32" in note
    assert "'factor': 4" in note


# --- Derivatives ---
@every_device
def test_no_derivative_raises_when_a_cotangent_arrives_and_not_before(device: str) -> None:
    op = make()
    op.vjp(x=lambda g: g, y=NoDerivative("nobody worked it out"))
    x, y = na.ones(3, device=device), na.ones(3, device=device)
    np.testing.assert_array_equal(nt.grad(lambda a: op(a, y).sum())(x).numpy(), [1, 1, 1])
    out, pullback = nt.vjp(lambda b: op(x, b), y)
    np.testing.assert_array_equal(out.numpy(), [3, 3, 3])
    with pytest.raises(na.DTypeError, match=r"mixed: no derivative with respect to y: nobody worked it out; .*stop_gr"):
        pullback(y)
    with pytest.raises(na.DTypeError, match="mixed: no derivative with respect to y"):
        nt.jvp(lambda b: op(x, b), (y,), (y,))


@every_device
def test_forward_mode_without_a_rule_says_so(device: str) -> None:
    op = make()
    op.vjp(x=lambda g: g, y=lambda g: 2 * g)
    x = na.ones(3, device=device)
    with pytest.raises(na.DTypeError, match=r"mixed: has no forward-mode rule; use reverse mode .* or give it one"):
        nt.jvp(lambda a: op(a, a), (x,), (x,))


@every_device
def test_a_rule_may_ask_for_shape_dtype_out_and_options(device: str) -> None:
    seen: list[Any] = []

    @primitive(kind="general")
    def scaled(x: Array, y: Array, /, *, factor: float, label: str) -> Array:
        """Return factor * x."""
        return bind(scaled, x, y, factor=factor, label=label)

    scaled.kernel("numpy", "torch")(lambda x, y, *, factor, label: factor * x)

    @scaled.vjp("x")
    def _(g: Array, x: Shape, y: na.DType, out: Array, *, factor: float) -> Array:
        seen.extend([x, y, out.numpy().tolist()])
        return factor * g

    @scaled.vjp("y")
    def _(g: Array, y: Array) -> Array:
        raise AssertionError("nobody watches y")

    x, y = na.ones((2, 1), device=device), na.ones(1, dtype=na.float64, device=device)
    got = nt.grad(lambda a: scaled(a, y, factor=3.0, label="a").sum())(x)
    np.testing.assert_array_equal(got.numpy(), [[3], [3]])
    assert seen == [(2, 1), na.float64, [[3], [3]]]


@every_device
def test_a_rule_for_several_inputs_shares_its_work(device: str) -> None:
    op = make(kind="elementwise")
    runs: list[int] = []

    @op.vjp("x", "y")
    def _(g: Array) -> tuple[Array, Array]:
        runs.append(1)
        return g, 2 * g

    x, y = na.ones((3, 2), device=device), na.ones(2, device=device)
    gx, gy = nt.grad(lambda a, b: op(a, b).sum(), (0, 1))(x, y)
    assert len(runs) == 1
    np.testing.assert_array_equal(gx.numpy(), np.ones((3, 2)))
    np.testing.assert_array_equal(gy.numpy(), [6, 6])


@every_device
def test_an_op_of_several_outputs_gets_none_for_cotangents_that_are_missing(device: str) -> None:
    seen: list[Any] = []

    @primitive(multi=True)
    def both(x: Array, /) -> tuple[Array, Array, Array]:
        """Return x + 1, 2x and where x is positive."""
        return bind(both, x)

    both.kernel("numpy", "torch")(lambda x: (x + 1, 2 * x, x > 0))

    @both.vjp("x")
    def _(g: tuple[Array | None, ...]) -> Array:
        plus, twice, positive = g
        seen.append([part is None for part in (plus, twice, positive)])
        parts = [p for p in (plus, None if twice is None else 2 * twice) if p is not None]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    x = na.asarray([1.0, -2.0], device=device)
    np.testing.assert_array_equal(nt.grad(lambda a: both(a)[1].sum())(x).numpy(), [2, 2])
    np.testing.assert_array_equal(nt.grad(lambda a: (both(a)[0] * both(a)[1]).sum())(x).numpy(), [6, -6])
    np.testing.assert_array_equal(nt.grad(lambda a: sum(both(a)[:2], a).sum())(x).numpy(), [4, 4])
    assert seen[0] == [True, False, True]
    assert seen[-1] == [False, False, True]


@every_device
def test_an_op_can_be_given_to_other_code_as_a_function(device: str) -> None:
    x = na.asarray([3.0, 1.0], device=device)
    assert [f(x).shape for f in (na.exp, na.negative, na.square)] == [(2,)] * 3
    assert max([na.add, na.multiply], key=lambda op: float(op(x, x).sum())) is na.multiply


def test_inputs_are_positional_and_options_go_by_name() -> None:
    call: Any = na.add_scaled
    with pytest.raises(TypeError, match="positional"):
        call(na.ones(2), x2=na.ones(2), scale=1.0)
    with pytest.raises(TypeError, match="positional"):
        call(na.ones(2), na.ones(2), 1.0)
