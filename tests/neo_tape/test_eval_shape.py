"""What `eval_shape` says is what a call gives, for every op and through every transform; and it computes nothing."""

from __future__ import annotations

import operator
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array, testing
from neo_array._described import is_described
from tests.neo_array.calls import calls
from tests.neo_tape.descriptions import assert_described, assert_sample_described, described, ops_of

HUGE = 10**6


def huge(*shape: int, dtype: str = "float32") -> nt.ShapeDtype:
    return nt.ShapeDtype(shape, dtype, "numpy")


# --- Ops ---
@calls()
def test_every_sample_is_described(op: na.Primitive[..., Any], s: na.Sample, device: str) -> None:
    for dtype in (na.float64, na.float32):
        assert_sample_described(op, s, device, dtype)


@pytest.mark.parametrize("op", ops_of("neo_tape"), ids=lambda op: op.__name__)
def test_every_sample_of_our_own_ops_is_described(op: na.Primitive[..., Any], device: str) -> None:
    for s in testing.samples(op):
        assert_sample_described(op, s, device, na.float64)


VALUES: list[tuple[int, ...]] = [(3, 4), (3, 3), (3,), (), (0, 4)]
DTYPES = ["float64", "float32", "int64", "bool", "complex64"]
NAMES = (
    "add divide power equal atan2 matmul vecdot tensordot clip pad searchsorted sum mean max var argmin sort softmax "
    "exp cumulative_sum abs sign floor round real tril flip linalg.inv linalg.solve linalg.qr linalg.svd linalg.eigh "
    "linalg.cholesky linalg.slogdet linalg.pinv linalg.outer fft.fft fft.rfft fft.irfft fft.fftshift"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: operator.attrgetter(name)(na) for name in NAMES.split()},
    "where": lambda x, y: na.where(x != 0, x, y),
    "concat": lambda x, y: na.concat([x, y, x]),
    "stack": lambda x, y: na.stack([x, y], axis=-1),
    "take": lambda x, i: na.take(x, i % 3, axis=0),
    "getitem": lambda x, i: x[1, None, ..., i % 3],
}


def outcome(call: Callable[..., object], *args: Any) -> object:
    """Return a description of a call's results, or the type of error that it raises."""
    try:
        return described(call(*args))
    except na.NeoError as error:
        return type(error)
    except (TypeError, ValueError, IndexError, RuntimeError):
        return Exception


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_give_and_refuse_the_same(name: str, device: str) -> None:
    f = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    given = [na.asarray((rng.normal(size=s) + 3).astype(d)) for s in VALUES for d in DTYPES]
    cases: list[tuple[Any, ...]] = [(x,) for x in given]
    cases += [(x, y) for x in given[:: len(DTYPES)] for y in given[1:15:2]]
    cases += [(x, 2) for x in given[::3]]
    for args in cases:
        real = outcome(f, *args)
        if real is not na.LinAlgError:  # it depends on values
            assert outcome(nt.eval_shape, f, *args) == real, (name, args)
    assert nothing_has_values(f, *cases)


def nothing_has_values(f: Callable[..., Any], *cases: tuple[Any, ...]) -> bool:
    """Tell whether the results inside `eval_shape` had no values, so that no kernel can have run on them."""
    seen: list[bool] = []

    def look(*args: Any) -> None:
        try:
            seen.extend(is_described(x) for x in na.tree.leaves(f(*args)) if type(x) is Array)
        except Exception:  # noqa: BLE001  (the test before has compared what is raised)
            return

    for args in cases:
        nt.eval_shape(look, *args)
    return bool(seen) and all(seen)


def test_unsigned_integers_that_torch_leaves_to_numpy(device: str) -> None:
    for dtype in ("uint8", "uint16", "uint32"):
        x = na.asarray(np.ones((2, 3), dtype))
        assert_described(lambda x: (x + x, x * 2, x > 1, na.max(x), x @ na.matrix_transpose(x)), x)


# --- Transforms ---
def network(parameters: dict[str, Array], x: Array) -> Array:
    hidden = na.tanh(x @ parameters["w"] + parameters["b"])
    return (na.softmax(hidden, axis=-1) ** 2).sum(axis=0).mean()


@nt.function
class Cube(nt.Policy):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return x * x * x

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release
        return (grad * 3 * x * x,)


def elementwise(x: Array) -> Array:
    return na.sin(x) * x


def doubled(x: Array) -> Array:
    return nt.while_loop(lambda v: v.sum() < 100, lambda v: v * 2.0, na.abs(x) + 1.0).sum()


key = na.random.key(0)
TRANSFORMS: dict[str, Callable[[Any, Array], object]] = {
    "value_and_grad": nt.value_and_grad(network, argnums=(0, 1)),
    "grad of grad": lambda p, x: nt.grad(lambda p: sum(g.sum() for g in na.tree.leaves(nt.grad(network)(p, x))))(p),
    "has_aux": nt.value_and_grad(lambda p, x: (network(p, x), {"x": x, "n": 3}), has_aux=True),
    "vjp": lambda p, x: nt.vjp(lambda p: p["w"] * 2, p)[1](na.ones_like(p["w"])),
    "jvp": lambda p, x: nt.jvp(lambda x: network(p, x), (x,), (x,)),
    "jacrev": lambda p, x: nt.jacrev(lambda b: network(p | {"b": b}, x) * b)(p["b"]),
    "jacfwd": lambda p, x: nt.jacfwd(lambda b: network(p | {"b": b}, x) * b)(p["b"]),
    "hessian": lambda p, x: nt.hessian(lambda b: network(p | {"b": b}, x))(p["b"]),
    "hvp": lambda p, x: nt.hvp(lambda x: network(p, x), x, x),
    "linearize": lambda p, x: nt.linearize(lambda x: network(p, x), x)[1](x),
    "vmap": lambda p, x: nt.vmap(network, (None, 0), 0)(p, x[:, None, :]),
    "vmap of grad": lambda p, x: nt.vmap(nt.grad(network), (None, 0))(p, x[:, None, :]),
    "grad of vmap": lambda p, x: nt.grad(lambda p: nt.vmap(network, (None, 0))(p, x[:, None, :]).sum())(p),
    "checkpoint": lambda p, x: nt.grad(nt.checkpoint(network))(p, x),
    "policy": lambda p, x: (nt.grad(lambda x: Cube(x).sum())(x), nt.vmap(nt.grad(lambda x: Cube(x).sum()))(x)),
    "policy, forward": lambda p, x: nt.jvp(lambda x: Cube(x), (x,), (x,)),
    "fixed_point": lambda p, x: nt.grad(lambda x: nt.fixed_point(lambda y, x: na.cos(y) * 0.5 + x, x, x).sum())(x / 9),
    "fixed_point, forward": lambda p, x: nt.jvp(
        lambda x: nt.fixed_point(lambda y, x: na.cos(y) * 0.5 + x, x, x), (x,), (x,)
    ),
    "scan": lambda p, x: nt.grad(lambda x: nt.scan(lambda c, row: (c * row, None), p["w"][:, 0], x)[0].sum())(x),
    "scan, forward": lambda p, x: nt.jvp(lambda x: nt.scan(lambda c, row: (c * row, c), x[0], x), (x,), (x,)),
    "cond": lambda p, x: nt.grad(lambda x: nt.cond(x.sum() > 0, elementwise, na.cos, x).sum())(x),
    "while_loop": lambda p, x: nt.grad(doubled)(x),
    "while_loop, forward": lambda p, x: nt.jvp(nt.vmap(doubled), (x,), (x,)),
    "stop_gradient": lambda p, x: nt.grad(lambda x: (nt.stop_gradient(x) * x).sum())(x),
    "itself": lambda p, x: nt.eval_shape(elementwise, x).shape,
    "nested": lambda p, x: nt.vmap(lambda x: na.asarray(nt.eval_shape(elementwise, x).shape))(x),
    "random": lambda p, x: na.random.normal(key, (2, 3)) * na.random.uniform(na.random.split(key)[1], (3,)),
    "created": lambda p, x: (
        na.arange(5),
        na.linspace(0, 1, 7),
        na.eye(2, 3),
        na.zeros_like(x),
        na.one_hot(na.arange(3), 4),
    ),
    "updated": lambda p, x: (x.at[0].set(1.0), x.at[:, na.asarray([0, 1])].add(2.0), x[..., None, ::2], x[-1]),
    "iterated": lambda p, x: [row.sum() for row in x],
    "numbers and None": lambda p, x: {"n": 3, "none": None, "float": 1.5, "x": x},
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_described(name: str, device: str) -> None:
    rng = np.random.default_rng(0)
    parameters = {"w": na.asarray(rng.normal(size=(4, 3))), "b": na.asarray(rng.normal(size=3))}
    assert_described(TRANSFORMS[name], parameters, na.asarray(rng.normal(size=(5, 4))))


def test_inside_other_transforms_it_sees_one_example_and_changes_nothing() -> None:
    seen: list[nt.ShapeDtype] = []

    def f(x: Array) -> Array:
        seen.append(nt.eval_shape(elementwise, x))
        return (x * x).sum()

    gradients = nt.vmap(nt.grad(f))(na.ones((2, 3)))
    assert gradients.numpy().tolist() == [[2.0] * 3] * 2
    assert seen == [nt.ShapeDtype((3,))]


# --- Nothing of the arrays' size ---
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x @ x,
        lambda x: nt.value_and_grad(lambda x: na.softmax(x @ x).sum())(x),
        lambda x: nt.vmap(nt.grad(lambda r: (r * r).sum()))(x),
        lambda x: nt.jvp(lambda x: na.sort(x, axis=0) + x.T, (x,), (x,)),
        lambda x: na.concat([x, x], axis=1)[::2, None].at[0].set(0.0) + na.ones((2 * HUGE,)),
        lambda x: na.zeros((HUGE, HUGE)) + na.eye(HUGE) + na.arange(HUGE) + na.linspace(0, 1, HUGE),
        lambda x: na.random.normal(na.random.key(0), (HUGE, HUGE)) * na.random.permutation(na.random.key(1), HUGE),
        lambda x: na.linalg.svd(x)[0] + na.linalg.inv(x) + na.tril(x) + na.fft.fft(x),
        lambda x: na.einsum("ij,kj->ik", x, x) + na.take(x, na.arange(HUGE), axis=0) + na.pad(x, 0),
        lambda x: nt.jacrev(lambda v: na.sin(v) * v)(x[0]),
        lambda x: nt.grad(nt.checkpoint(lambda x: na.tanh(x @ x).sum()))(x),
    ],
)
def test_a_trillion_elements_take_no_memory(f: Callable[[Array], object]) -> None:
    tracemalloc.start()
    try:
        result = nt.eval_shape(f, huge(HUGE, HUGE))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert any(x.size >= HUGE**2 for x in na.tree.leaves(result))


def test_arguments_are_neither_copied_nor_read() -> None:
    x = na.ones(1_000_000)
    tracemalloc.start()
    try:
        assert nt.eval_shape(lambda x: x + x, x) == nt.ShapeDtype((1_000_000,), device=x.device)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# --- Reading, and what else cannot be ---
@pytest.mark.parametrize(
    "read",
    [
        bool,
        float,
        lambda x: x.item(),
        lambda x: x.numpy(),
        lambda x: x.raw,
        lambda x: np.asarray(x),
        lambda x: 1 if x > 0 else 2,
        lambda x: range(na.astype(x, na.int64)),
        lambda x: np.from_dlpack(x),
    ],
)
def test_reading_a_value_raises_and_says_what_to_write(read: Callable[[Array], object]) -> None:
    with pytest.raises(na.LevelError, match=r"eval_shape: this array of shape \(\) has no values.*where"):
        nt.eval_shape(lambda x: read(x), na.ones(()))


@pytest.mark.parametrize(
    "f",
    [na.nonzero, na.unique_values, lambda x: x[x > 0], lambda x: na.repeat(x, na.astype(x, na.int64)), na.argwhere],
)
def test_shapes_that_depend_on_values_raise(f: Callable[[Array], object]) -> None:
    with pytest.raises(na.ShapeError, match="eval_shape knows no values"):
        nt.eval_shape(f, na.ones(3))


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (na.add, [(3,), (4,)]),
        (na.matmul, [(3, 4), (3, 4)]),
        (na.linalg.solve, [(3, 3), (4, 2)]),
        (lambda x, y: na.concat([x, y]), [(3, 4), (3, 5)]),
        (lambda x, y: na.einsum("ij,jk->ik", x, y), [(3, 4), (3, 4)]),
        (lambda x: na.reshape(x, (7,)), [(3, 4)]),
        (lambda x: na.sum(x, axis=2), [(3, 4)]),
        (na.linalg.inv, [(3, 4)]),
        (lambda x: na.max(x, axis=0), [(0, 4)]),
        (lambda x: x[5], [(3, 4)]),
        (nt.grad(lambda x: x * 1.0), [(3,)]),
    ],
)
def test_errors_are_word_for_word_those_of_the_call(f: Callable[..., object], shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises((na.NeoError, IndexError)) as expected:
        f(*[na.ones(s) for s in shapes])
    with pytest.raises((na.NeoError, IndexError)) as found:
        nt.eval_shape(f, *[nt.ShapeDtype(s) for s in shapes])
    assert type(found.value) is type(expected.value)
    assert str(found.value) == str(expected.value)


def test_devices_that_differ_raise() -> None:
    pytest.importorskip("torch")
    with pytest.raises(na.DeviceError, match="numpy and torch:cpu"):
        nt.eval_shape(na.add, nt.ShapeDtype((3,), device="numpy"), nt.ShapeDtype((3,), device="torch:cpu"))
    moved = nt.eval_shape(lambda x: x.to("torch:cpu"), nt.ShapeDtype((3,), device="numpy"))
    assert str(moved.device) == "torch:cpu"


def test_from_torch_says_that_it_cannot_be_seen_through() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(na.LevelError, match="from_torch: eval_shape does not see"):
        nt.eval_shape(nt.from_torch(torch.sin), nt.ShapeDtype((3,), device="torch:cpu"))


def test_a_donated_array_is_refused() -> None:
    x = na.ones(3)
    na.donate(na.add, na.Donated("test"), x, 1.0)
    with pytest.raises(na.DonatedError):
        nt.eval_shape(lambda x: x, x)


def test_donation_gives_nothing_away() -> None:
    kept = na.ones(3)

    def f(x: Array) -> Array:
        return na.donate(na.add, na.Donated("test"), x, kept)  # type: ignore[no-any-return]

    assert nt.eval_shape(f, na.ones(3)).shape == (3,)
    assert kept.numpy().tolist() == [1.0] * 3


# --- Constants, and what is left behind ---
def test_constants_beside_arrays_without_values() -> None:
    w = na.ones((4, 5))
    assert nt.eval_shape(lambda x: x @ w + 1 + w[0] * 2.0, na.ones((3, 4))).shape == (3, 5)
    assert nt.eval_shape(lambda x: na.where(na.asarray([True, False]), x, 0), na.ones(2)).shape == (2,)
    assert nt.eval_shape(lambda x: na.stack([w[0], x, w[1]]), na.ones(5)).shape == (3, 5)
    assert nt.eval_shape(lambda x: na.asarray([x, 1.0, x]), na.ones(())).shape == (3,)


def test_checkpoint_keeps_no_description_for_later() -> None:
    f = nt.checkpoint(lambda x: na.sin(na.exp(x)).sum())
    x = na.ones((2, 3))
    expected = nt.grad(f)(x).numpy()
    nt.eval_shape(nt.grad(f), na.ones((2, 4)))
    assert nt.grad(f)(na.ones((2, 4))).numpy()[:, :3].tolist() == expected.tolist()


def test_an_exception_leaves_everything_as_it_was() -> None:
    def fail(x: Array) -> Array:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        nt.eval_shape(nt.grad(fail), na.ones(3))
    assert na.zeros(3).numpy().tolist() == [0.0] * 3


def test_another_thread_computes_meanwhile() -> None:
    found: list[Any] = []

    def f(x: Array) -> Array:
        thread = threading.Thread(target=lambda: found.append((na.zeros(2) + na.arange(2)).numpy().tolist()))
        thread.start()
        thread.join()
        return x

    nt.eval_shape(f, na.ones(3))
    assert found == [[0.0, 1.0]]


# --- ShapeDtype ---
def test_a_description_takes_what_arrays_are_described_by() -> None:
    x = nt.ShapeDtype(3, "float64", "numpy")
    assert (x.shape, x.dtype, str(x.device), x.ndim, x.size) == ((3,), na.float64, "numpy", 1, 3)
    assert x == nt.ShapeDtype((3,), na.float64, na.Device("numpy"))
    assert hash(x) == hash(nt.ShapeDtype((3,), na.float64, "numpy"))
    assert nt.ShapeDtype((2, 3)).dtype == na.float32
    for shape, dtype, device in (((-1,), "float32", "numpy"), ((2,), "text", "numpy"), ((2,), "float32", "?")):
        with pytest.raises(na.NeoError):
            nt.ShapeDtype(shape, dtype, device)
    with pytest.raises(na.DTypeError, match="needs a function"):
        nt.eval_shape(3)  # type: ignore[call-overload]


def test_an_array_without_values_can_be_printed() -> None:
    assert nt.eval_shape(lambda x: repr(x), na.ones((2, 3), device="numpy")) == (
        "Array(no values, shape=(2, 3), dtype=float32, device='numpy')"
    )
