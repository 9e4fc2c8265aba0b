"""What a trace writes down, and that running it gives what the function gives."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from neo_array._payloads import Donated
from neo_tape._recording import run_again
from tests.neo_tape.levels import assert_nothing_open

trace: Any = nt.trace


def ops(program: nt.Program) -> list[str]:
    return [e.op.__name__ for e in program.equations]


def ramp(n: int = 3) -> Array:
    return na.asarray(np.linspace(0.5, 1.5, n))


class Pair(NamedTuple):
    first: Array
    second: Array | None


# --- Structure ---
def test_program_lists_the_ops_with_their_looks(device: str) -> None:
    def f(x: Array, w: Array) -> dict[str, Array]:
        return {"h": na.tanh(x @ w * 2.0)}

    program = trace(f)(na.ones((2, 3)), na.ones((3, 4)))
    assert ops(program) == ["matmul", "multiply", "tanh"]
    product, scaled, _ = program.equations
    assert product.operands == program.inputs
    assert scaled.operands == (product.outputs[0], 2.0)
    assert [(v.shape, v.dtype, str(v.device)) for v in program.outputs] == [((2, 4), na.float32, device)]
    assert (program.name, program.captured, program.guarded) == ("f", (), False)


def test_source_is_the_users_line() -> None:
    def inner(x: Array) -> Array:
        return x.mean() + 1.0  # made of several ops in neo's own files

    program = trace(lambda x: inner(x))(ramp())
    line = inner.__code__.co_firstlineno + 1
    assert {(e.source.line, e.source.function) for e in program.equations} == {(line, "inner")}
    assert {e.source.file for e in program.equations} == {__file__}
    assert str(program.equations[0].source) == f"test_trace.py:{line} (inner)"


def test_backward_ops_have_the_line_that_they_differentiate() -> None:
    def f(x: Array) -> Array:
        a = na.sin(x)
        return (a * a).sum()

    program = trace(nt.grad(f))(ramp())
    start = f.__code__.co_firstlineno
    found = {e.op.__name__: (e.source.line - start, e.scope) for e in program.equations}
    assert found["sin"] == (1, "")
    assert found["cos"] == (1, "backward")
    assert found["expand"] == (2, "backward")
    again = trace(program.eval)(ramp())  # which run again what has a line already
    assert [(e.op, e.source, e.scope) for e in again.equations] == [
        (e.op, e.source, e.scope) for e in program.equations
    ]


def test_dead_equations_are_dropped_and_aliases_are_one_value() -> None:
    def f(x: Array) -> Array:
        na.exp(x)
        unused = na.sin(x)
        na.cos(unused)
        return nt.vjp(lambda x: x * 2.0, x)[0]

    assert ops(trace(f)(ramp())) == ["multiply"]


def test_eval_keeps_structures_and_constants(device: str) -> None:
    def f(a: dict[str, Any], *rest: Any, flag: str) -> Any:
        return {"out": Pair(a["x"] * rest[0], None), "n": 3, "flag": flag, "shape": a["x"].shape}

    x, y = na.asarray([1.0, 2.0]), na.asarray(3.0)
    program = trace(f)({"x": x, "n": None}, y, flag="yes")
    out = program.eval({"x": y * x, "n": None}, y, flag="yes")
    assert (out["n"], out["flag"], out["out"].second, out["shape"]) == (3, "yes", None, (2,))
    assert type(out["out"]) is Pair
    np.testing.assert_array_equal(out["out"].first.numpy(), [9.0, 18.0])
    assert program.arguments.array_paths == ("a.x", "rest.0")


@pytest.mark.parametrize("shape", [(), (0,), (0, 3)])
def test_scalars_and_empty_arrays(shape: tuple[int, ...], device: str) -> None:
    x = na.ones(shape)
    program = trace(lambda x: (x * 2.0, x.sum(), x.astype(na.int64)))(x)
    for got, dtype in zip(program.eval(x), (na.float32, na.float32, na.int64), strict=True):
        assert got.dtype == dtype


@pytest.mark.parametrize("dtype", [na.bool, na.int8, na.int64, na.float16, na.complex64])
def test_other_dtypes_are_inputs_too(dtype: Any, device: str) -> None:
    x, y = na.asarray([0, 1]).astype(dtype), na.asarray([1, 1]).astype(dtype)
    program = trace(lambda x: (x == 1, na.where(x == 0, x, x)))(x)
    same, chosen = program.eval(y)
    assert same.numpy().all()
    assert chosen.dtype == dtype


def test_program_of_no_arrays() -> None:
    program = trace(lambda n: na.zeros(n) + 1.0)(3)
    assert program.eval(3).shape == (3,)
    assert trace(lambda: 7)().eval() == 7


# --- What is captured and what is not ---
def test_closures_and_host_data_are_captured_and_creation_is_not() -> None:
    w = ramp()
    program = trace(lambda x: x * w + na.asarray([1.0, 2.0, 3.0]) + na.ones(3) + w)(ramp())
    assert program.captured[0] is w
    assert len(program.captured) == len(program.hidden) == 2
    assert "fill" in ops(program)


def test_captured_arrays_that_do_not_matter_are_not_reported() -> None:
    w = ramp()
    program = trace(lambda x: (x * w, x)[1])(ramp())
    assert (program.captured, program.equations) == ((), ())


def test_gradient_captures_no_constant_of_its_own() -> None:
    program = trace(nt.value_and_grad(lambda x: na.mean(na.softmax(x) ** 2.0)))(ramp())
    assert program.captured == ()


def test_captured_array_that_is_given_away() -> None:
    w = ramp() + 0.0
    before = w.numpy()
    program = trace(lambda x: (x * w, na.donate(na.add, Donated("f"), w, 1.0) + x))(ramp())  # during the trace
    np.testing.assert_array_equal(program.eval(ramp())[0].numpy(), ramp().numpy() * before)
    np.testing.assert_array_equal(program.eval(ramp())[1].numpy(), before + 1.0 + ramp().numpy())
    w = ramp() + 0.0
    program = trace(lambda x: x * w)(ramp())
    na.donate(na.add, Donated("the test"), w, 1.0)  # afterwards: a Program does not keep others from donating
    with pytest.raises(na.DonatedError, match="the test"):
        program.eval(ramp())


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: na.random.normal(key, (4,)),
        lambda key: na.random.uniform(na.random.split(key)[1], (4,), minval=-1.0),
        lambda key: na.random.randint(na.random.fold_in(key, 3), (4,), 0, 1000),
        lambda key: na.random.permutation(key, 9),
        lambda key: na.random.gamma(key, 2.0, (4,)),
        lambda key: na.random.categorical(key, na.zeros((4, 5))),
        lambda key: na.random.poisson(key, 20.0, (4,)),
    ],
)
def test_draws_are_of_the_key_that_eval_gets(draw: Any, device: str) -> None:
    first, second = na.random.key(0), na.random.key(1)
    program = trace(draw)(first)
    for key in (first, second):
        np.testing.assert_array_equal(program.eval(key).numpy(), draw(key).numpy())
    assert not np.array_equal(program.eval(first).numpy(), program.eval(second).numpy())


def test_keys_inside_a_model() -> None:
    def f(x: Array, key: Array) -> Array:
        for k in na.random.split(key, 3):
            x = x * na.random.bernoulli(k, 0.5, x.shape).astype(x.dtype) * 2.0
        return x.sum()

    x, keys = na.ones(50), [na.random.key(i) for i in range(2)]
    program = trace(nt.grad(f))(x, keys[0])
    np.testing.assert_array_equal(program.eval(x, keys[1]).numpy(), nt.grad(f)(x, keys[1]).numpy())


# --- Guards ---
def test_failed_guard_names_line_and_advice(device: str) -> None:
    def f(x: Array) -> Array:
        return x * 2.0 if x.sum() > 0 else -x

    program = trace(f)(na.asarray([1.0]))
    assert program.guarded
    assert program.eval(na.asarray([3.0])).item() == 6.0
    with pytest.raises(nt.GuardError, match=r"test_trace.py:\d+ \(f\).*True when.*False now.*where"):
        program.eval(na.asarray([-3.0]))


def newton(x: Array) -> Array:
    guess = x
    while (abs(guess * guess - x) > 1e-6).any():
        guess = 0.5 * (guess + x / guess)
    return guess


@pytest.mark.parametrize("start", [1.0, 2.0, 9.0, 50.0, 1000.0])
def test_loops_give_what_eager_gives_or_fail_their_guard(start: float) -> None:
    x = na.asarray(np.float64(start))
    program = trace(newton)(x)
    for value in (1.0, 2.0, 2.1, 9.0, 9.5, 50.0, 1000.0):
        y = na.asarray(np.float64(value))
        try:
            got = program.eval(y)
        except nt.GuardError:
            assert value != start
        else:
            assert got.item() == newton(y).item()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[0] > x[1] else -x,
        lambda x: x * 2.0 if bool(x[0]) and not x[1] > 0 else x,
        lambda x: max(x[0], x[1]),
        lambda x: sorted([x[0], x[1], na.asarray(0.5)])[0],
        lambda x: x * float(0.25 in x),
        lambda x: x if not (x > 0).all() else -x,
        lambda x: x * 3.0 if x.astype(na.int64)[0] else x,
    ],
)
def test_truth_values_in_all_disguises(f: Any) -> None:
    points = [na.asarray([a, b]) for a in (-1.0, 0.0, 0.25, 2.0) for b in (-2.0, 0.0, 0.25, 1.0)]
    for x in points:
        program = trace(f)(x)
        np.testing.assert_array_equal(program.eval(x).numpy(), f(x).numpy())
        for y in points:
            try:
                got = program.eval(y)
            except nt.GuardError:
                continue
            np.testing.assert_array_equal(got.numpy(), f(y).numpy())


def test_guard_of_an_unused_branch_is_kept() -> None:
    def f(x: Array) -> Array:
        if x[0] > 0:
            return x
        return -x

    with pytest.raises(nt.GuardError):
        trace(f)(na.asarray([1.0])).eval(na.asarray([-1.0]))


def test_numbers_read_from_captured_arrays_are_constants() -> None:
    w = na.asarray(2.0)
    program = trace(lambda x: x * float(w) if w > 0 else x)(ramp())
    np.testing.assert_allclose(program.eval(ramp()).numpy(), 2.0 * ramp().numpy())


@pytest.mark.parametrize(
    ("f", "how"),
    [
        (lambda x: x * float(x.sum()), r"float\(x\)"),
        (lambda x: x * int(x.sum()), r"int\(x\)"),
        (lambda x: x * x.sum().item(), r"x\.item\(\)"),
        (lambda x: x * complex(x.sum()).real, r"complex\(x\)"),
        (lambda x: x[int(x[0])], r"int\(x\)"),
        (lambda x: x[: x.astype(na.int64)[0]], r"int\(x\)"),
        (lambda x: na.zeros(x.astype(na.int64)[0]), r"int\(x\)"),
        (lambda x: (f"{x[0]:.2f}", x)[1], r"format\(x\)"),
        (lambda x: na.asarray(x.numpy()), r"x\.numpy\(\)"),
        (lambda x: na.asarray(np.asarray(x)), r"x\.numpy\(\)"),
        (lambda x: na.asarray(x.raw), r"x\.raw"),
        (lambda x: na.asarray(np.from_dlpack(x)), "DLPack"),
    ],
)
def test_reads_that_would_become_constants_raise(f: Any, how: str) -> None:
    with pytest.raises(na.LevelError, match=how + ".*constant of its Program.*where"):
        trace(f)(ramp())


def test_errors_inside_f_are_its_own() -> None:
    with pytest.raises(IndexError, match="indices from 0 to 5 are out of range"):
        trace(lambda x, i: na.take(x, i, axis=0))(ramp(), na.asarray([0, 5]))
    with pytest.raises(IndexError, match="segment_ids"):
        trace(lambda x, i: na.segment_sum(x, i, 2))(ramp(), na.asarray([0, 5, 1]))
    with pytest.raises(na.ShapeError, match="repeat"):
        trace(lambda x, i: na.repeat(x, i))(ramp(), na.asarray([0, -5, 1]))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x[x > 1.0],
        lambda x: na.nonzero(x > 1.0)[0],
        lambda x: na.argwhere(x > 1.0),
        lambda x: na.unique_values(na.floor(x)),
        lambda x: na.repeat(x, (x > 1.0).astype(na.int64)),
        lambda x: na.zeros(na.nonzero(x > 1.0)[0].shape[0]),  # the shape alone
    ],
)
def test_shapes_that_depend_on_values_are_guarded(f: Any, device: str) -> None:
    x, alike, other = (na.asarray(v) for v in ([0.5, 1.5, 1.25], [1.5, 0.75, 1.125], [0.5, 0.6, 0.7]))
    program = trace(f)(x)
    np.testing.assert_array_equal(program.eval(alike).numpy(), f(alike).numpy())
    with pytest.raises(nt.GuardError, match=r"shape depends on values.*where"):
        program.eval(other)


def test_guards_under_transforms() -> None:
    def f(x: Array) -> Array:
        return x * x if x > 0 else -x

    program = trace(f)(na.asarray(2.0))
    assert nt.grad(program.eval)(na.asarray(3.0)).item() == 6.0
    assert nt.jvp(program.eval, (na.asarray(3.0),), (na.asarray(1.0),))[1].item() == 6.0
    with pytest.raises(nt.GuardError):
        nt.grad(program.eval)(na.asarray(-3.0))
    outer = trace(lambda x: program.eval(x) + 1.0)(na.asarray(1.0))
    with pytest.raises(nt.GuardError):
        outer.eval(na.asarray(-1.0))
    with pytest.raises(na.LevelError, match="one value per example"):
        nt.vmap(program.eval)(na.asarray([1.0, 2.0]))
    with pytest.raises(na.LevelError, match="one value per example"):
        trace(nt.vmap(f))(na.asarray([1.0, 2.0]))
    inside = trace(nt.grad(f))(na.asarray(2.0))
    assert inside.eval(na.asarray(3.0)).item() == 6.0
    with pytest.raises(nt.GuardError):
        inside.eval(na.asarray(-3.0))


# --- Errors of eval ---
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, x: p.eval(x, 3), na.DTypeError, r"argument n is 3, and was 2 when it was traced.*constant"),
        (lambda p, x: p.eval(x, 2.0), na.DTypeError, r"argument n is 2.0, and was 2"),
        (lambda p, x: p.eval(x, x), na.DTypeError, r"argument n is an Array of shape \(3,\), and was 2"),
        (lambda p, x: p.eval(1.0, 2), na.DTypeError, r"argument x was an Array, got float"),
        (lambda p, x: p.eval(x[:2], 2), na.ShapeError, r"argument x has shape \(2,\), and was traced with \(3,\)"),
        (lambda p, x: p.eval(x.astype(na.float32), 2), na.DTypeError, r"x has dtype float32, .* float64; use .astype"),
        (lambda p, x: p.eval(x), na.TreeError, "structure"),
        (lambda p, x: p.eval((x,), 2), na.TreeError, "structure"),
        (lambda p, x: p.eval(x, n=2), na.TreeError, "structure"),
    ],
)
def test_arguments_must_look_as_traced(call: Any, error: Any, message: str) -> None:
    program = trace(lambda x, n: x * n)(ramp(), 2)
    with pytest.raises(error, match=message):
        call(program, ramp())


def test_device_must_be_as_traced() -> None:
    pytest.importorskip("torch")
    program = trace(lambda x: x * 2.0)(ramp())
    with pytest.raises(na.DeviceError, match="argument x has device torch:cpu"):
        program.eval(ramp().to("torch:cpu"))


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (1, True), (1, 1.0), ("a", "b"), (0j, -0j)])
def test_constants_that_only_look_equal_differ(a: Any, b: Any) -> None:
    program = trace(lambda x, c: x)(ramp(), a)
    assert program.eval(ramp(), a) is not None
    with pytest.raises(na.DTypeError, match="constant of the Program"):
        program.eval(ramp(), b)


def test_nan_is_the_same_constant() -> None:
    program = trace(lambda x, c: x * c)(ramp(), float("nan"))
    assert np.isnan(program.eval(ramp(), float("nan")).numpy()).all()


def test_what_cannot_be_traced_is_refused() -> None:
    with pytest.raises(na.DTypeError, match=r"argument x is a numpy.ndarray; wrap"):
        trace(lambda x: x)(np.ones(3))
    with pytest.raises(na.DTypeError, match="returns a function at '1'"):
        trace(lambda x: nt.vjp(na.sin, x))(ramp())


# --- Levels, threads, memory ---
def test_exception_midway_leaves_nothing_open() -> None:
    def f(x: Array) -> Array:
        raise KeyError("midway")

    for each in (f, nt.grad(f), nt.vmap(f), nt.checkpoint(f)):
        with pytest.raises(KeyError):
            trace(each)(ramp())
        assert_nothing_open()


def test_array_of_an_ended_trace_is_an_ordinary_array() -> None:
    kept: list[Array] = []
    trace(lambda x: kept.append(x * 2.0))(ramp())
    assert float(kept[0][0]) == 1.0
    assert nt.grad(lambda x: (x * kept[0]).sum())(ramp()).numpy().tolist() == [1.0, 2.0, 3.0]


def test_array_of_a_trace_in_another_thread_is_refused() -> None:
    errors: list[BaseException] = []

    def f(x: Array) -> Array:
        def work() -> None:
            try:
                x * 2.0
            except na.LevelError as error:
                errors.append(error)

        thread = threading.Thread(target=contextvars.Context().run, args=(work,))
        thread.start()
        thread.join()
        return x

    trace(f)(ramp())
    assert "Trace of another thread" in str(errors[0])


def test_threads_trace_and_run_at_the_same_time() -> None:
    program = trace(lambda x, y: na.sin(x) * y + x)(ramp(), ramp())
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        x = ramp() * float(i)
        mine = trace(nt.grad(lambda x: (na.sin(x) * float(i)).sum()))(x)
        found[i] = program.eval(x, x).numpy(), mine.eval(x).numpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        x = ramp().numpy() * i
        np.testing.assert_allclose(found[i][0], np.sin(x) * x + x)
        np.testing.assert_allclose(found[i][1], np.cos(x) * i)


def test_trace_holds_no_values_but_the_captured() -> None:
    refs: list[weakref.ref[Array]] = []

    def f(x: Array) -> Array:
        for _ in range(5):
            x = na.sin(x)
            refs.append(weakref.ref(x))
        assert [ref() is None for ref in refs] == [True] * 4 + [False]
        return x

    program = trace(f)(ramp())
    gc.collect()
    assert all(ref() is None for ref in refs)
    assert len(program.equations) == 5


def test_run_frees_values_after_their_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Array]] = []
    alive: list[int] = []

    def watched(*call: Any) -> tuple[Array, ...]:
        alive.append(sum(ref() is not None for ref in made))
        outs = run_again(*call)
        made.extend(map(weakref.ref, outs))
        return outs

    def f(x: Array) -> Array:
        for _ in range(6):
            x = na.sin(x) + 1.0
        return x

    program = trace(f)(ramp())
    monkeypatch.setattr("neo_tape._program.program.run_again", watched)
    program.eval(ramp())
    assert max(alive) == 1
    assert len(made) == 12


def test_long_programs_need_no_recursion() -> None:
    def f(x: Array) -> Array:
        for _ in range(20_000):
            x = x + 1.0
        return x

    program = trace(f)(na.asarray(0.0))
    assert program.eval(na.asarray(1.0)).item() == 20_001.0


def test_methods_and_callables_are_traced() -> None:
    class Scale:
        def __init__(self, by: float) -> None:
            self.by = by

        def __call__(self, x: Array) -> Array:
            return x * self.by

        def twice(self, x: Array) -> Array:
            return self(self(x))

    assert trace(Scale(2.0))(ramp()).name == "Scale"
    program = trace(Scale(2.0).twice)(ramp())
    np.testing.assert_allclose(program.eval(ramp()).numpy(), 4.0 * ramp().numpy())
