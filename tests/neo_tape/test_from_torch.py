"""Functions of torch as ops: their derivatives are torch's, in every composition, and what cannot be right raises."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")  # torch.func.jvp's own
X, Y = np.array([0.3, 0.7, 1.1]), np.array([1.3, -0.7, 0.1])


def on_torch(values: Any) -> Array:
    return na.asarray(np.asarray(values), device="torch:cpu")


def product(x: Any, y: Any) -> Any:
    """Return a scalar whose derivatives of all orders are neither zero nor symmetric."""
    return (torch.sin(x) * y**3).sum() + x[0] * x[1] * y[2]


class Transforms:
    """The same transforms by ours and by torch.func, for compositions to be written once."""

    def __init__(self, module: Any, f: Callable[..., Any]) -> None:
        self.f, self.grad, self.jacrev, self.jacfwd = f, module.grad, module.jacrev, module.jacfwd
        self.hessian, self.vjp = module.hessian, module.vjp
        self._jvp, self._vmap = module.jvp, module.vmap

    def push(self, f: Callable[..., Any], x: Any, t: Any) -> Any:
        return self._jvp(f, (x,), (t,))[1]

    def vmap(self, f: Callable[..., Any], *axes: int | None) -> Any:
        return self._vmap(f, axes or 0)


# Each is a function of (transforms, x, y), with vectors x and y.
COMPOSITIONS: dict[str, Callable[[Transforms, Any, Any], Any]] = {
    "value": lambda t, x, y: t.f(x, y),
    "grad": lambda t, x, y: t.grad(t.f)(x, y),
    "grad of both": lambda t, x, y: t.grad(lambda x: t.f(x, x * y))(x),
    "same array twice": lambda t, x, y: t.grad(lambda x: t.f(x, x))(x),
    "closure": lambda t, x, y: t.grad(lambda y: t.f(x, y))(y),
    "jvp": lambda t, x, y: t.push(lambda x: t.f(x, y), x, y),
    "hessian": lambda t, x, y: t.hessian(t.f)(x, y),
    "jacrev of jacrev": lambda t, x, y: t.jacrev(lambda y: t.jacrev(lambda x: t.f(x, y))(x))(y),
    "jacfwd of jacfwd": lambda t, x, y: t.jacfwd(lambda y: t.jacfwd(lambda x: t.f(x, y))(x))(y),
    "reverse over forward": lambda t, x, y: t.grad(lambda x: t.push(lambda x: t.f(x, y), x, y))(x),
    "third order": lambda t, x, y: t.grad(lambda x: t.grad(lambda x: t.grad(t.f)(x, y).sum())(x).sum())(x),
    "forward, three times": lambda t, x, y: t.push(
        lambda a: t.push(lambda a: t.push(lambda a: t.f(a, y), a, y), a, y), x, y
    ),
    "vmap": lambda t, x, y: t.vmap(lambda a: t.f(a * x, y))(x),
    "vmap of both": lambda t, x, y: t.vmap(lambda a, b: t.f(a * x, b * y))(x, y),
    "vmap of grad": lambda t, x, y: t.vmap(lambda a: t.grad(t.f)(a * x, y))(y),
    "vmap of grad by what all share": lambda t, x, y: t.vmap(lambda a: t.grad(lambda z: t.f(z * a, y))(x))(y),
    "vmap of grad of what has no batch": lambda t, x, y: t.vmap(lambda a: a * t.grad(t.f)(x, y))(y),
    "vmap of pullback": lambda t, x, y: t.vmap(t.vjp(lambda x: t.f(x, y) * x, x)[1])(t.vmap(lambda a: a * y)(x))[0],
    "vmap of tangents": lambda t, x, y: t.vmap(lambda a: t.push(lambda x: t.f(x, y), x, a * y))(y),
    "vmap of hessian": lambda t, x, y: t.vmap(lambda a: t.hessian(t.f)(a * x, y))(y),
    "vmap of jacrev of grad": lambda t, x, y: t.vmap(lambda a: t.jacrev(lambda z: t.grad(t.f)(z * a, y))(x))(y),
    "vmap of vmap": lambda t, x, y: t.vmap(lambda a: t.vmap(lambda b: t.f(a * b * x, y))(x))(y),
    "vmap of vmap of grad": lambda t, x, y: t.vmap(lambda a: t.vmap(lambda b: t.grad(t.f)(a * b * x, y))(x))(y),
    "grad of vmap": lambda t, x, y: t.grad(lambda z: t.vmap(lambda a: t.f(a * z, z))(y).sum())(x),
    "grad of vmap of grad": lambda t, x, y: t.grad(lambda z: t.vmap(lambda a: t.grad(t.f)(a * z, y).sum())(y).sum())(x),
    "jvp of vmap": lambda t, x, y: t.push(lambda z: t.vmap(lambda a: t.f(a * z, z))(y), x, y),
}


@pytest.mark.parametrize("batch", ["vmap", "loop"])
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_give_what_torch_gives(name: str, batch: Any) -> None:
    ours = COMPOSITIONS[name](Transforms(nt, nt.from_torch(product, batch=batch)), on_torch(X), on_torch(Y))
    expected = COMPOSITIONS[name](Transforms(torch.func, product), torch.tensor(X), torch.tensor(Y))
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-12, atol=1e-14)


def test_checkpoint_and_linearize_run_it_again() -> None:
    f, x, y = nt.from_torch(product), on_torch(X), on_torch(Y)
    gradient = torch.func.grad(product)(torch.tensor(X), torch.tensor(Y))
    np.testing.assert_allclose(nt.grad(nt.checkpoint(f))(x, y).numpy(), gradient, rtol=1e-12)
    pushforward = nt.linearize(lambda x: f(x, y), x)[1]
    np.testing.assert_allclose(pushforward(y).item(), gradient @ torch.tensor(Y), rtol=1e-12)
    np.testing.assert_allclose(nt.jacrev(pushforward)(y).numpy(), gradient, rtol=1e-12)
    np.testing.assert_allclose(nt.linear_transpose(pushforward, x)(na.ones_like(x[0]))[0].numpy(), gradient, rtol=1e-12)


def test_a_pullback_in_a_backward_is_transposed_for_forward_mode() -> None:
    cube = nt.from_torch(lambda x: x**3)

    @nt.function
    class Cube(nt.Policy):
        def forward(self, x: Array) -> Array:
            self.ctx.save(x)
            return x * x * x

        def backward(self, grad: Array) -> tuple[Array]:
            (x,) = self.ctx.release
            return nt.vjp(cube, x)[1](grad)

    tangent = nt.jvp(lambda x: Cube(x), (on_torch(X),), (on_torch(Y),))[1]
    np.testing.assert_allclose(tangent.numpy(), 3 * X**2 * Y, rtol=1e-12)


# --- What goes in and out ---
def test_a_module_is_differentiated_by_parameters_that_are_an_argument() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    parameters = {k: na.asarray(v) for k, v in module.named_parameters()}
    f = nt.from_torch(lambda parameters, x: torch.func.functional_call(module, parameters, (x,)).sum())
    gradients = nt.grad(f)(parameters, on_torch(X))
    module(torch.tensor(X)).sum().backward()
    for key, p in module.named_parameters():
        np.testing.assert_allclose(gradients[key].numpy(), p.grad.numpy(), rtol=1e-12)
    found = nt.grad(lambda x: nt.from_torch(module)(x).sum())(on_torch(X))
    x = torch.tensor(X, requires_grad=True)
    np.testing.assert_allclose(found.numpy(), torch.autograd.grad(module(x).sum(), x)[0], rtol=1e-12)


def test_pytrees_options_and_constants_pass_through() -> None:
    def fn(inputs: dict[str, Any], *, scale: float, at: Any) -> tuple[Any, dict[str, Any]]:
        a, b = inputs["pair"]
        return scale * a, {"picked": b[at], "none": None, "text": "x", "count": (b > 0).sum()}

    f = nt.from_torch(fn)
    at = on_torch(np.array([2, 0]))
    first, rest = f({"pair": [on_torch(X), on_torch(Y)]}, scale=3.0, at=at)
    assert first.numpy().tolist() == (3.0 * X).tolist()
    assert rest["picked"].numpy().tolist() == Y[[2, 0]].tolist()
    assert (rest["none"], rest["text"], rest["count"].item()) == (None, "x", 2)
    gradient = nt.grad(lambda y: f({"pair": [on_torch(X), y]}, scale=3.0, at=at)[1]["picked"].sum())(on_torch(Y))
    assert gradient.numpy().tolist() == [1.0, 0.0, 1.0]


def test_an_unused_output_and_an_unused_input() -> None:
    f = nt.from_torch(lambda x, y: (x * x, torch.exp(y), x.detach() * y))
    assert nt.grad(lambda x: f(x, x)[0].sum())(on_torch(X)).numpy().tolist() == (2 * X).tolist()
    assert nt.grad(lambda x: f(x, x)[2].sum())(on_torch(X)).numpy().tolist() == X.tolist()
    assert nt.grad(lambda x, y: f(x, y)[1].sum())(on_torch(X), on_torch(Y)).numpy().tolist() == [0.0] * 3
    _, tangent = nt.jvp(lambda x: f(x, on_torch(Y)), (on_torch(X),), (on_torch(Y),))
    np.testing.assert_allclose(tangent[0].numpy(), 2 * X * Y)
    assert tangent[1].numpy().tolist() == tangent[2].numpy().tolist() == [0.0] * 3


def test_integers_get_no_gradient_and_steps_a_gradient_of_zero() -> None:
    f = nt.from_torch(lambda x, n: torch.round(x) * n)
    n = on_torch(np.array([1, 2, 3]))
    gradients = nt.grad(lambda x, n: f(x, n).sum(), (0, 1))(on_torch(X), n)
    assert [g.numpy().tolist() for g in gradients] == [[0.0] * 3, [0] * 3]
    assert nt.jvp(lambda x: f(x, n), (on_torch(X),), (on_torch(Y),))[1].numpy().tolist() == [0.0] * 3
    assert nt.from_torch(torch.argmax)(on_torch(X)).item() == 2


@pytest.mark.parametrize("name", ["sin", "abs", "real", "conj"])
def test_complex_derivatives_are_those_of_our_own_ops(name: str) -> None:
    z = on_torch(X + 1j * Y)
    ours: Any = {"abs": na.abs, "sin": na.sin, "real": na.real, "conj": na.conj}[name]
    f = nt.from_torch(getattr(torch, name))
    out, pullback = nt.vjp(f, z)
    expected, expected_pullback = nt.vjp(ours, z)
    cotangent = na.astype(z * (0.3 + 1.7j), out.dtype)
    np.testing.assert_allclose(out.numpy(), expected.numpy())
    np.testing.assert_allclose(pullback(cotangent)[0].numpy(), expected_pullback(cotangent)[0].numpy(), rtol=1e-12)
    tangent, expected = (nt.jvp(g, (z,), (z * (0.3 + 1.7j),))[1] for g in (f, ours))
    np.testing.assert_allclose(tangent.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_empty_and_0_d_arrays(shape: tuple[int, ...]) -> None:
    x = on_torch(np.ones(shape))
    gradient = nt.grad(lambda x: nt.from_torch(lambda x: x**3)(x).sum())(x)
    np.testing.assert_array_equal(gradient.numpy(), np.full(shape, 3.0), strict=True)


def test_an_argument_handed_back_is_an_op_of_its_own() -> None:
    f = nt.from_torch(lambda x: (x, x.reshape(1, 3)))
    gradient = nt.grad(lambda x: (f(x)[0] * f(x)[1] * x).sum())(on_torch(X))
    np.testing.assert_allclose(gradient.numpy(), 3 * X**2)


# --- Randomness ---
def test_the_gradient_is_that_of_the_numbers_drawn() -> None:
    torch.manual_seed(0)
    f = nt.from_torch(lambda x: torch.nn.functional.dropout(x, 0.5))
    x = on_torch(np.arange(1.0, 101.0))
    out, pullback = nt.vjp(f, x)
    np.testing.assert_array_equal(pullback(na.ones_like(x))[0].numpy() * x.numpy(), out.numpy())
    out, tangent = nt.jvp(f, (x,), (x,))
    np.testing.assert_array_equal(tangent.numpy(), out.numpy())
    jacobian = nt.jacrev(f)(x).numpy()
    assert set(np.diag(jacobian)) == {0.0, 2.0}
    np.testing.assert_array_equal(jacobian, np.diag(np.diag(jacobian)))


def test_what_would_draw_other_numbers_raises() -> None:
    f = nt.from_torch(lambda x: torch.nn.functional.dropout(x, 0.5).sum())
    with pytest.raises(na.LevelError, match=r"draws random numbers.*pass them as an argument"):
        nt.grad(nt.checkpoint(f))(on_torch(X))


# --- Memory that others can write to ---
def test_results_are_safe_from_those_who_hold_the_tensors() -> None:
    held: list[Any] = []

    def fn(x: Any) -> Any:
        held.extend([x * 2, torch.tanh(x)])
        return tuple(held)

    outs = nt.from_torch(fn)(on_torch(X))
    for t in held:
        with torch.no_grad():
            t.zero_()
    np.testing.assert_allclose([x.numpy() for x in outs], [2 * X, np.tanh(X)])


def test_a_constant_overwritten_before_the_backward_pass_is_noticed() -> None:
    weight = torch.tensor(Y)
    out, pullback = nt.vjp(nt.from_torch(lambda x: x * weight), on_torch(X))
    weight.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        pullback(na.ones_like(out))


@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_writing_into_an_argument_raises(dtype: Any, *, differentiated: bool) -> None:
    def fn(x: Any, y: Any) -> Any:
        with torch.no_grad():
            y.mul_(2)
        return x * y

    f = nt.from_torch(fn)
    y = on_torch(np.ones(3, dtype))
    with pytest.raises(na.DTypeError, match=r"writes into its arguments.*x\.clone"):
        nt.grad(lambda x: f(x, y).sum())(on_torch(X)) if differentiated else f(on_torch(X), y)


# --- torch's modes, threads, failures ---
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_torchs_modes_make_no_difference_and_stay_as_they_are(mode: Any) -> None:
    f = nt.from_torch(product)
    expected = torch.func.grad(product)(torch.tensor(X), torch.tensor(Y)).numpy()
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        x, y = on_torch(X), on_torch(Y)
        np.testing.assert_allclose(nt.grad(f)(x, y).numpy(), expected, rtol=1e-12)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    np.testing.assert_allclose(nt.grad(f)(x, y).numpy(), expected, rtol=1e-12)


def test_results_belong_to_no_graph_of_torchs() -> None:
    raw = nt.from_torch(lambda x: x * torch.ones(3, requires_grad=True))(on_torch(X)).raw
    assert not raw.requires_grad
    assert type(raw) is torch.Tensor


def test_an_exception_passes_through_and_leaves_everything_closed() -> None:
    def fail(x: Any) -> Any:
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        nt.grad(nt.from_torch(fail))(on_torch(X))
    assert torch.is_grad_enabled()
    assert nt.grad(nt.from_torch(product))(on_torch(X), on_torch(Y)).shape == (3,)


def test_threads_each_get_their_own_gradient() -> None:
    f = nt.from_torch(lambda x, a: (torch.sin(x) * a).sum())
    found: dict[int, Any] = {}

    def work(n: int) -> None:
        for _ in range(20):
            found[n] = nt.grad(f)(on_torch(X), float(n)).numpy()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n in range(4):
        np.testing.assert_allclose(found[n], n * np.cos(X), rtol=1e-12)


def test_an_array_watched_in_another_context_raises() -> None:
    f = nt.from_torch(torch.sin)
    with pytest.raises(na.LevelError, match="another thread or context"):
        nt.grad(lambda x: contextvars.Context().run(f, x).sum())(on_torch(X))


# --- Errors ---
class LeavesTorch(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
    """x**3, whose backward leaves torch's autograd."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(3 * x.detach().numpy() ** 2 * g.detach().numpy())


def test_a_backward_that_torch_cannot_differentiate_raises_when_it_must() -> None:
    f = nt.from_torch(lambda x: LeavesTorch.apply(x).sum())
    np.testing.assert_allclose(nt.grad(f)(on_torch(X)).numpy(), 3 * X**2)
    for second in (nt.hessian(f), nt.grad(lambda x: nt.grad(f)(x).sum()), lambda x: nt.jvp(f, (x,), (x,))):
        with pytest.raises(na.DTypeError, match="leaves torch's autograd"):
            second(on_torch(X))


def test_what_torch_cannot_map_says_how_it_can_be_had() -> None:
    def fn(x: Any) -> Any:
        return x * 2 if x.sum() > 1 else -x

    rows = on_torch(np.array([[1.0, 2.0], [0.1, 0.2]]))
    with pytest.raises(na.DTypeError, match=r'cannot map.*batch="loop"'):
        nt.vmap(nt.from_torch(fn))(rows)
    looped = nt.vmap(nt.grad(lambda x: nt.from_torch(fn, batch="loop")(x).sum()))(rows)
    assert looped.numpy().tolist() == [[2.0, 2.0], [-1.0, -1.0]]
    batches: tuple[Any, ...] = ("vmap", "loop")
    for batch in batches:
        with pytest.raises(na.ShapeError, match="batch of size 0"):
            nt.vmap(nt.from_torch(torch.sin, batch=batch))(rows[:0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nt.from_torch(torch.sin)(na.asarray(X, device="numpy")), na.DeviceError, r'x\.to\("torch:cpu"\)'),
        (lambda: nt.from_torch(torch.sin)(torch.tensor(X)), na.DTypeError, "call it with Arrays"),
        (lambda: nt.from_torch(torch.sin)(X), na.DTypeError, "call it with Arrays"),
        (lambda: nt.from_torch(lambda x: X)(on_torch(X)), na.DTypeError, r"must return tensors.*numpy\.ndarray"),
        (lambda: nt.from_torch(lambda x: x.to_sparse())(on_torch(X)), na.DTypeError, "dense"),
        (lambda: nt.from_torch(3), na.DTypeError, "needs a function"),  # type: ignore[arg-type]
        (lambda: nt.from_torch(torch.sin, batch="no"), na.DTypeError, "batch must be"),  # type: ignore[arg-type]
    ],
)
def test_errors_say_what_to_write(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_traced_function_and_traced_gradient_run_again_on_other_values() -> None:
    """A Program runs with no level open: the derivative must be had all the same."""
    f: Any = lambda x, w: (nt.from_torch(lambda x, w: torch.sin(x) * w)(x, w) * x).sum()
    traced, other = (
        tuple(na.asarray(np.linspace(a, a + 1.0, 3), device="torch:cpu") for a in start)
        for start in ((0.2, 1.0), (0.7, -1.0))
    )
    gradient = nt.grad(f, (0, 1))
    x, w = (a.numpy() for a in other)
    expected = [np.cos(x) * w * x + np.sin(x) * w, np.sin(x) * x]
    recorded: Any = nt.trace(gradient)(*traced)
    program: Any = nt.trace(f)(*traced)
    for found in (recorded.eval(*other), nt.grad(program.eval, (0, 1))(*other)):
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(got.numpy(), wanted)
