"""Functions of Arrays as functions of tensors: torch's autograd gets our derivatives, and never wrong ones."""

from __future__ import annotations

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


def vector(*values: float, requires_grad: bool = False) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad)


def product(x: Any, y: Any) -> Any:
    """Return a vector; written for both, in the operators that they share."""
    return (x * x * y + x @ y) * y


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "product": (product, product),
    "same twice": (lambda x, y: product(x, x) + y, lambda x, y: product(x, x) + y),
    "several results": (lambda x, y: (na.sin(x), {"a": x * y}), lambda x, y: (torch.sin(x), {"a": x * y})),
    "an argument handed back": (lambda x, y: (x, y * x), lambda x, y: (x.clone(), y * x)),
    "an unused argument": (lambda x, y: y**3, lambda x, y: y**3),
    "views": (lambda x, y: (na.reshape(x, (1, -1)), x[0], na.exp(y)), lambda x, y: (x.reshape(1, -1), x[0], y.exp())),
    "complex": (
        lambda x, y: na.abs(na.exp(x * (1 + 2j)) * y),
        lambda x, y: torch.abs(torch.exp(x * (1 + 2j)) * y),
    ),
}


@pytest.fixture(params=FUNCTIONS)
def pair(request: pytest.FixtureRequest) -> tuple[Callable[..., Any], Callable[..., Any]]:
    ours, theirs = FUNCTIONS[request.param]
    return nt.to_torch(ours), theirs


def total(out: Any) -> Any:
    return sum((leaf * leaf).sum() for leaf in na.tree.leaves(out))


X, Y = (0.3, -0.7, 1.1), (1.3, 0.4, -0.2)


# --- torch's own oracles ---
def test_gradcheck_and_gradgradcheck(pair: Any) -> None:
    def f(x: Any, y: Any) -> tuple[Any, ...]:
        return tuple(na.tree.leaves(pair[0](x, y)))

    inputs = vector(*X, requires_grad=True), vector(*Y, requires_grad=True)
    assert torch.autograd.gradcheck(f, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, inputs, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("name", ["exp", "multiply", "abs", "real", "matmul"])
def test_complex_gradients_are_torchs_conjugates(name: str) -> None:
    one = {"exp": na.exp, "abs": na.abs, "real": na.real}
    f = nt.to_torch(one.get(name, lambda z: z * z if name == "multiply" else z @ z))
    z = torch.complex(vector(*X), vector(*Y)).requires_grad_()
    assert torch.autograd.gradcheck(f, z)
    assert torch.autograd.gradgradcheck(f, z)


TRANSFORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "value": lambda f, x, y: f(x, y),
    "grad": lambda f, x, y: torch.func.grad(lambda x: total(f(x, y)))(x),
    "hessian": lambda f, x, y: torch.func.hessian(lambda x: total(f(x, y)))(x),
    "third": lambda f, x, y: torch.func.jacrev(torch.func.hessian(lambda x: total(f(x, y))))(x),
    "jacrev": lambda f, x, y: torch.func.jacrev(f, (0, 1))(x, y),
    "jacfwd": lambda f, x, y: torch.func.jacfwd(f, (0, 1))(x, y),
    "jvp": lambda f, x, y: torch.func.jvp(f, (x, y), (y, x)),
    "vmap": lambda f, x, y: torch.func.vmap(lambda a: f(a * x, y))(x),
    "vmap of the last axis": lambda f, x, y: torch.func.vmap(f, (1, None))(x[:, None] * y, y),
    "vmap of vmap": lambda f, x, y: torch.func.vmap(lambda a: torch.func.vmap(lambda b: f(a * x, b * y))(y))(x),
    "vmap of grad": lambda f, x, y: torch.func.vmap(torch.func.grad(lambda x, a: total(f(x, a * y))), (None, 0))(x, y),
    "grad of vmap": lambda f, x, y: torch.func.grad(
        lambda x: sum(a.sum() for a in na.tree.leaves(torch.func.vmap(lambda a: total(f(a * x, y)))(y)))
    )(x),
    "create_graph": lambda f, x, y: torch.autograd.functional.hessian(lambda x, y: total(f(x, y)), (x, y)),
    "functional jvp": lambda f, x, y: torch.autograd.functional.jvp(lambda x: total(f(x, y)), x, y),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_torchs_transforms_give_what_they_give_for_torchs_operations(pair: Any, name: str) -> None:
    x, y = vector(*X), vector(*Y)
    found, expected = (na.tree.leaves(TRANSFORMS[name](f, x, y)) for f in pair)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-12, atol=1e-13)


def test_it_stands_in_a_network_that_torch_trains() -> None:
    def gradients(activation: Callable[[Any], Any]) -> list[Any]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)).double()
        network[1](activation(network[0](vector(*X)))).backward()
        return [p.grad for p in network.parameters()]

    for a, b in zip(gradients(nt.to_torch(na.tanh)), gradients(torch.tanh), strict=True):
        torch.testing.assert_close(a, b)


def test_there_and_back_again() -> None:
    f = nt.from_torch(nt.to_torch(nt.from_torch(nt.to_torch(na.sin))))
    x = na.asarray(vector(*X))
    np.testing.assert_allclose(nt.grad(lambda x: nt.grad(lambda x: f(x).sum())(x).sum())(x).numpy(), -np.sin(X))
    np.testing.assert_allclose(nt.vmap(nt.grad(f))(x).numpy(), np.cos(X))


# --- requires_grad, integers, structures ---
@pytest.mark.parametrize("wanted", [(False, False), (True, False), (False, True), (True, True)])
def test_requires_grad_is_carried_on(wanted: tuple[bool, bool]) -> None:
    x, y = vector(*X, requires_grad=wanted[0]), vector(*Y, requires_grad=wanted[1])
    out = nt.to_torch(product)(x, y)
    assert out.requires_grad == any(wanted)
    if any(wanted):
        out.sum().backward()
    assert [x.grad is not None, y.grad is not None] == list(wanted)


def test_the_gradient_by_one_of_several() -> None:
    x, y = vector(*X, requires_grad=True), vector(*Y, requires_grad=True)
    out = nt.to_torch(product)(x, y).sum()
    found = torch.autograd.grad(out, [y], retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(product(x, y).sum(), [y]))
    assert torch.autograd.grad(out, [x])[0].shape == (3,)


def test_integers_and_other_things_pass_through() -> None:
    def f(tables: dict[str, Array], rows: Array, *, scale: float) -> dict[str, Any]:
        found = tables["a"][rows] * scale
        return {"found": found, "largest": na.argmax(found), "rows": rows, "name": "a", "none": None}

    table, rows = vector(*X, requires_grad=True), torch.tensor([2, 0, 2])
    out = nt.to_torch(f)({"a": table}, rows, scale=3.0)
    assert (out["name"], out["none"], out["largest"].item()) == ("a", None, 0)
    assert not out["largest"].requires_grad
    assert not out["rows"].requires_grad
    out["found"].sum().backward()
    assert table.grad.tolist() == [3.0, 0.0, 6.0]


def test_parameters_floats_and_no_tensors_at_all() -> None:
    p = torch.nn.Parameter(vector(*X))
    out = nt.to_torch(lambda p, a: p * a)(p, 2.0)
    assert type(out) is torch.Tensor
    out.sum().backward()
    assert p.grad.tolist() == [2.0, 2.0, 2.0]
    assert nt.to_torch(lambda n: na.ones(n, device="torch:cpu"))(2).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_empty_and_0_d_tensors(shape: tuple[int, ...]) -> None:
    x = torch.ones(shape, requires_grad=True)
    nt.to_torch(lambda x: x * x * 1.5)(x).sum().backward()
    assert x.grad.shape == shape
    assert (x.grad == 3).all()


# --- Memory ---
def test_arguments_are_not_copied() -> None:
    x = vector(*X)
    seen: list[int] = []

    def f(x: Array) -> Array:
        seen.append(x.raw.data_ptr())
        return x + 1

    nt.to_torch(f)(x)
    assert seen == [x.data_ptr()]


@pytest.mark.parametrize("name", ["an argument", "a result"])
def test_a_tensor_overwritten_before_the_backward_pass_is_noticed_or_harmless(name: str) -> None:
    x = vector(*X, requires_grad=True)
    y = vector(*Y)
    out, twice = nt.to_torch(lambda x, y: ((z := na.exp(x * y)), z * 2))(x, y)
    if name == "an argument":
        y.zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            twice.sum().backward()
    else:
        out.detach().zero_()
        twice.sum().backward()
        torch.testing.assert_close(x.grad, 2 * vector(*Y) * torch.exp(vector(*X) * vector(*Y)))


def test_results_share_no_memory_with_arguments_constants_or_each_other() -> None:
    constant = na.asarray(vector(*Y))
    x = vector(*X)
    outs = nt.to_torch(lambda x: (x, x[:2], constant, (y := x * 2), y[:2], na.broadcast_to(y[0], (3,))))(x)
    for t in outs:
        t.zero_()
    assert x.tolist() == list(X)
    assert constant.numpy().tolist() == list(Y)
    assert all(not t.any() for t in outs)
    assert len({t.untyped_storage().data_ptr() for t in outs}) == len(outs)


def test_gradients_may_be_written_to() -> None:
    x = vector(*X, requires_grad=True)
    out = nt.to_torch(lambda x: x + 0.0)(x)
    cotangent = vector(*Y)
    for _ in range(2):  # the second is added to the first, in place
        out.backward(cotangent, retain_graph=True)
    assert cotangent.tolist() == list(Y)
    assert x.grad.tolist() == [2 * y for y in Y]


def test_a_graph_is_used_up_by_its_backward_pass() -> None:
    x = vector(*X, requires_grad=True)
    out = nt.to_torch(na.sin)(x).sum()
    out.backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


# --- torch's modes, threads, failures ---
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_without_gradients(mode: Any) -> None:
    x = vector(*X, requires_grad=True)
    with mode():
        out = nt.to_torch(na.sin)(x)
        assert not torch.is_grad_enabled()
    assert not out.requires_grad
    torch.testing.assert_close(out.clone(), torch.sin(x.detach()))
    nt.to_torch(na.sin)(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.cos(x.detach()))


def test_an_exception_passes_through_and_leaves_everything_as_it_was() -> None:
    def fail(x: Array) -> Array:
        raise KeyError("mine")

    x = vector(*X, requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        nt.to_torch(fail)(x)
    assert torch.is_grad_enabled()

    @nt.function
    class Fails(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 1

        def backward(self, grad: Array) -> tuple[Array]:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        nt.to_torch(lambda x: Fails(x))(x).sum().backward()
    assert torch.is_grad_enabled()


def test_a_policy_is_differentiated_by_its_own_rule() -> None:
    @nt.function
    class Straight(nt.Policy):
        def forward(self, x: Array) -> Array:
            return na.round(x)

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

    x = vector(*X, requires_grad=True)
    nt.to_torch(lambda x: Straight(x))(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_threads() -> None:
    f = nt.to_torch(lambda x, a: na.sin(x) * a)
    found: dict[int, Any] = {}

    def work(n: int) -> None:
        for _ in range(20):
            x = vector(*X, requires_grad=True)
            f(x, float(n)).sum().backward()
            found[n] = x.grad

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n in range(4):
        torch.testing.assert_close(found[n], n * torch.cos(vector(*X)))


def test_what_an_open_transform_follows_is_not_lost() -> None:
    x = vector(*X)
    with pytest.raises(na.LevelError, match="derivative would be lost"):
        nt.grad(lambda w: na.asarray(nt.to_torch(lambda x: x * w)(x)).sum())(na.asarray(x))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nt.to_torch(na.sin)(np.ones(3)), na.DTypeError, r"numpy\.ndarray.*torch\.as_tensor"),
        (lambda: nt.to_torch(na.sin)(na.ones(3)), na.DTypeError, r"Array; call it with tensors"),
        (lambda: nt.to_torch(lambda x: na.ones(3, device="numpy"))(vector(*X)), na.DeviceError, "device=x.device"),
        (lambda: nt.to_torch(na.sin)(vector(*X).to_sparse()), na.DTypeError, "dense"),
        (
            lambda: torch.autograd.functional.jacobian(nt.to_torch(na.sin), vector(*X), vectorize=True),
            na.DTypeError,
            r"is_grads_batched.*torch\.func\.jacrev",
        ),
        (lambda: nt.to_torch(3), na.DTypeError, "needs a function"),  # type: ignore[arg-type]
    ],
)
def test_errors_say_what_to_write(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
