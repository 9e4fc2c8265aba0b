"""Every mistake in the table is found and named, and right rules pass."""

from __future__ import annotations

import re
import warnings
from typing import Any, ClassVar, Final

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.wrong_policies import WRONG, sine

check: Final[Any] = nt.check_policy


# --- Mistakes ---
@pytest.mark.parametrize("mistake", WRONG)
def test_mistake_is_found_and_named(mistake: str, device: str) -> None:
    rule, shapes, says, options = WRONG[mistake]
    if "buffer" in mistake and device != "numpy":
        pytest.skip("the buffer is NumPy's")
    args = nt.samples(*shapes, device=device)
    with pytest.raises(na.PolicyError, match=says) as caught:
        check(rule, args, **options)
    assert str(caught.value).startswith(rule.__name__)


# --- Right rules ---
@nt.function
class Affine(nt.Policy[Array, Array, float]):
    def forward(self, X: Array, Y: Array, b: Array, *, scale: float = 1.0) -> Array:
        self.ctx.save(X, Y, scale)
        return scale * (X @ Y) + b

    def backward(self, grad: Array) -> tuple[Array, Array, Array]:
        X, Y, scale = self.ctx.release
        return scale * grad @ Y.T, scale * X.T @ grad, grad.sum(axis=0)


@nt.function
class WithJvp(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(x, y)
        return x * na.exp(y)

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, y = self.ctx.release
        return grad * na.exp(y), grad * x * na.exp(y)

    def jvp(self, dx: Array, dy: Array) -> Array:
        x, y = self.ctx.release
        return (dx + x * dy) * na.exp(y)


@nt.function
class SavedOutput(nt.Policy):
    def forward(self, x: Array) -> Array:
        out = na.exp(x)
        self.ctx.save(out)
        return out

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * self.ctx.release[0],)


@nt.function
class Trees(nt.Policy):
    def forward(self, params: dict[str, Any], x: Array) -> dict[str, Any]:
        self.ctx.save(params["w"], x)
        return {"y": params["w"] * x, "more": (params["b"][0] - x, None)}

    def backward(self, grad: dict[str, Any]) -> tuple[dict[str, Any], Array]:
        w, x = self.ctx.release
        gy, gm = grad["y"], grad["more"][0]
        return {"w": gy * x, "b": [gm, None]}, gy * w - gm


@nt.function
class IndexedWithCount(nt.Policy[Array, Array, int]):
    """Integers in and out."""

    def forward(self, x: Array, indices: Array, power: int) -> tuple[Array, Array]:
        self.ctx.save(x, indices, power)
        return na.take(x, indices, axis=0) ** power, na.sum(indices)

    def backward(self, grad: tuple[Array, Array]) -> tuple[Array, None, None]:
        x, indices, power = self.ctx.release
        g = power * grad[0] * na.take(x, indices, axis=0) ** (power - 1)
        return na.zeros_like(x).at[indices].add(g), None, None


@nt.function
class Wanted(nt.Policy):
    """Leaves out what is not wanted."""

    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(x, y)
        return x * y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        x, y = self.ctx.release
        return (grad * y if self.needs_grad[0] else None), (grad * x if self.needs_grad[1] else None)


@nt.function
class ConstantNumber(nt.Policy[Array, float]):
    """A Python number is a constant."""

    def forward(self, x: Array, slope: float = 0.5) -> Array:
        self.ctx.save(x, slope)
        return na.where(x > 0, x, slope * x)

    def backward(self, grad: Array) -> tuple[Array, None]:
        x, slope = self.ctx.release
        return na.where(x > 0, grad, slope * grad), None


@nt.function
class PartlyStopped(nt.Policy):
    """One argument is a constant, and says so by zeros; differences agree as forward stops it too."""

    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(y)
        return x * na.sign(y)

    def backward(self, grad: Array) -> tuple[Array, Array]:
        (y,) = self.ctx.release
        return grad * na.sign(y), na.zeros_like(y)


@nt.function
class ComplexProduct(nt.Policy):
    def forward(self, z: Array, w: Array) -> Array:
        self.ctx.save(z, w)
        return z * w

    def backward(self, grad: Array) -> tuple[Array, Array]:
        z, w = self.ctx.release
        return grad * w, grad * z


@nt.function
class Instance(nt.Policy):
    """Attributes of the instance are the call's own."""

    def forward(self, x: Array, *, power: int = 3) -> Array:
        self.ctx.save(x)
        self.power = power
        return x**power

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * self.power * self.ctx.release[0] ** (self.power - 1),)


@nt.function
class Nested(nt.Policy):
    """A Policy that calls others, in both directions."""

    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return SavedOutput(x) * WithJvp(x, x)

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release
        return (grad * SavedOutput(2.0 * x) * (1.0 + 2.0 * x),)


@nt.function
class Scalar(nt.Policy):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return (x * x).sum()

    def backward(self, grad: Array) -> tuple[Array]:
        return (2.0 * grad * self.ctx.release[0],)


@nt.function
class Inverse(nt.Policy):
    def forward(self, matrix: Array) -> Array:
        out = na.linalg.inv(matrix)
        self.ctx.save(out)
        return out

    def backward(self, grad: Array) -> tuple[Array]:
        (inverse,) = self.ctx.release
        return (-inverse.mT @ grad @ inverse.mT,)


@nt.function
class Variadic(nt.Policy):
    def forward(self, *xs: Array) -> Array:
        return sum(xs[1:], xs[0])

    def backward(self, grad: Array) -> tuple[Array, ...]:
        return (grad, grad, grad)


@nt.function
class Memo(nt.Policy):
    """What is remembered of the first call, and never changes, is no state."""

    table: ClassVar[dict[str, float]] = {}

    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return x * x * self.table.setdefault("half", 0.5)

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad * self.ctx.release[0],)


# deliberately other gradients, in three lines each
@nt.function
class StraightThrough(nt.Policy):
    def forward(self, x: Array) -> Array:
        return na.round(x)

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad,)


@nt.function
class Reversed(nt.Policy):
    def forward(self, x: Array, *, factor: float = 2.0) -> Array:
        self.factor = factor
        return x

    def backward(self, grad: Array) -> tuple[Array]:
        return (-self.factor * grad,)


@nt.function
class Spike(nt.Policy):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return (x > 0).astype(x.dtype)

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad / (1.0 + na.square(3.0 * self.ctx.release[0])),)


@nt.function
class Guided(nt.Policy):
    """Not linear in its cotangent."""

    def forward(self, x: Array) -> Array:
        self.ctx.save(x)
        return na.maximum(x, 0.0)

    def backward(self, grad: Array) -> tuple[Array]:
        return (na.where(self.ctx.release[0] > 0, na.maximum(grad, 0.0), 0.0),)


def right(device: str) -> dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """Return calls of right rules: rule, arguments, options of the check."""
    one, pair = nt.samples((5,), device=device), nt.samples((3, 5), (3, 5), device=device)
    weird = (pair[0] + 1j * pair[1], pair[1] - 0.5j * pair[0])
    square = nt.samples((3, 3), device=device)[0] + 3.0 * na.eye(3, dtype=na.float64, device=device)
    tree = {"w": pair[0], "b": [pair[1], None]}
    return {
        "several arguments": (Affine, nt.samples((2, 3), (3, 5), (5,), device=device), {}),
        "an option": (Affine, nt.samples((2, 3), (3, 5), (5,), device=device), {"kwargs": {"scale": 3.0}}),
        "third order": (WithJvp, one * 2, {"order": 3}),
        "its own jvp": (WithJvp, pair, {}),
        "a saved output": (SavedOutput, one, {}),
        "pytrees": (Trees, (tree, pair[1] * 2.0), {}),
        "integers": (IndexedWithCount, (pair[0], na.asarray([2, 0, 2, 1], device=device), 3), {}),
        "needs_grad": (Wanted, pair, {}),
        "a constant number": (ConstantNumber, one, {}),
        "a kink between the values": (ConstantNumber, (*one, 0.25), {}),
        "a zero gradient": (PartlyStopped, pair, {}),
        "complex numbers": (ComplexProduct, weird, {}),
        "attributes of the instance": (Instance, one, {"kwargs": {"power": 2}}),
        "Policies in Policies": (Nested, one, {}),
        "a scalar output": (Scalar, pair[:1], {}),
        "0-d": (Scalar, nt.samples((), device=device), {}),
        "empty": (Scalar, nt.samples((0, 3), device=device), {}),
        "a square matrix": (Inverse, (square,), {"sizes": False}),
        "any number of arguments": (Variadic, (*one, *one, *one), {}),
        "a memo": (Memo, one, {}),
        "single precision": (Affine, nt.samples((2, 3), (3, 5), (5,), dtype=na.float32, device=device), {}),
        "half precision": (Scalar, nt.samples((5,), dtype=na.float16, device=device), {"order": 1}),
        "all zeros": (WithJvp, (one[0] * 0.0, one[0] * 0.0), {}),
        "large values": (Scalar, (one[0] * 1e8,), {"dtypes": False}),
        "only some arguments": (Wanted, pair, {"argnames": ["y"]}),
        "reverse mode alone": (Wanted, pair, {"modes": ("rev",)}),
        "straight-through": (StraightThrough, one, {"values": False}),
        "reversed": (Reversed, one, {"values": False, "order": 3}),
        "surrogate": (Spike, one, {"values": False}),
        "guided": (Guided, one, {"values": False, "linear": False}),
        "a plain function": (lambda x, *, scale=2.0: na.sin(x) * scale, one, {}),
        "an operation": (na.sin, one, {}),
        "a transformed Policy": (nt.checkpoint(Nested), one, {}),
        "a mapped Policy": (nt.vmap(Scalar), pair[:1], {}),
    }


@pytest.mark.parametrize("case", right("numpy"))
def test_right_rule_passes(case: str, device: str) -> None:
    rule, args, options = right(device)[case]
    check(rule, args, **options)
    check(rule, args, **options, seed=1)


@pytest.mark.parametrize("rule", [StraightThrough, Reversed, Spike])
def test_another_gradient_on_purpose_is_an_error_that_names_the_option(rule: Any) -> None:
    with pytest.raises(
        na.PolicyError, match=r"the gradient of argument 'x' is wrong.*pass values=False if the gradient"
    ):
        check(rule, nt.samples((5,)))


# --- Options ---
@pytest.mark.parametrize(
    ("mistake", "options"),
    [
        ("a factor", {"values": False}),
        ("detached residuals", {"order": 1}),
        ("a detached cotangent", {"order": 1}),
        ("a clipped cotangent", {"linear": False, "order": 1}),
        ("a counter on the class", {"pure": False}),
        ("a counter around forward", {"pure": False}),
        ("a wrong batching rule", {"batch": False}),
        ("a value read", {"batch": False}),
        ("a constant in double precision", {"dtypes": False}),
        ("None though wanted", {"argnames": ["x"]}),
        ("jvp's values", {"modes": ("rev",)}),
    ],
)
def test_each_property_can_be_turned_off(mistake: str, options: dict[str, Any]) -> None:
    rule, shapes, _, given = WRONG[mistake]
    check(rule, nt.samples(*shapes), **{**given, **options})


def test_bad_calls_say_what_to_write() -> None:
    (x,) = nt.samples((5,))
    for call, says in (
        (lambda: check(sine(), x), r"check_policy: args must be a tuple, got Array; write \(x,\)"),
        (lambda: check(sine(), ()), r"Sine: missing a required argument: 'x'; forward is Sine\(x\)"),
        (lambda: check(sine(), (x,), {"scale": 1}), "Sine: got an unexpected keyword argument 'scale'"),
        (lambda: check(sine(), (3,)), "Sine: no argument to differentiate is a floating or complex Array"),
        (lambda: check(sine(), (x,), argnames=["y"]), r"argnames has \['y'\], but its arguments are \['x'\]"),
    ):
        with pytest.raises(na.PolicyError, match=says):
            call()  # type: ignore[no-untyped-call]
    for options in ({"order": 0}, {"modes": ()}, {"modes": ("forward",)}):
        with pytest.raises(ValueError, match='check_policy: modes must be among "fwd", "rev", and order at least 1'):
            check(sine(), (x,), **options)


@pytest.mark.parametrize("shape", [(1,), (3, 1), (3, 3), (2, 5, 2)])
def test_sizes_that_hide_a_wrong_axis_are_warned_of(shape: tuple[int, ...]) -> None:
    args = nt.samples(shape)
    with pytest.warns(UserWarning, match=rf"Sine: argument 'x' has shape {re.escape(str(shape))}, .*distinct primes"):
        check(sine(), args)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(sine(), args, sizes=False)
        check(sine(), nt.samples((2, 3, 5)))


def test_an_error_of_forward_itself_is_passed_on() -> None:
    def forward(self: Any, x: Array) -> Array:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        check(sine(forward=forward), nt.samples((5,)))


def test_global_random_state_is_left_alone() -> None:
    before = str(np.random.get_state())
    check(sine(), nt.samples((5,)))
    assert str(np.random.get_state()) == before


# --- At definition time ---
def test_samples_have_the_shapes_dtype_and_device_asked_for(device: str) -> None:
    x, y = nt.samples((2, 3), (), dtype=na.float32, device=device)
    assert [(a.shape, a.dtype, str(a.device)) for a in (x, y)] == [
        ((2, 3), na.float32, device),
        ((), na.float32, device),
    ]
    again, other = nt.samples((2, 3)), nt.samples((2, 3), seed=1)
    np.testing.assert_array_equal(again[0].numpy(), nt.samples((2, 3))[0].numpy())
    assert not np.array_equal(again[0].numpy(), other[0].numpy())
    assert np.all(np.abs(again[0].numpy()) >= 0.3)
    assert str(again[0].device) == device


@pytest.mark.parametrize(
    "samples",
    [
        nt.samples((5,)),
        [nt.samples((5,)), nt.samples((2, 3))],
        lambda rng: [(na.asarray(rng.normal(size=5)),)],
        lambda rng: ((na.asarray(rng.normal(size=n)),) for n in (3, 5)),
    ],
)
def test_samples_of_every_form_are_checked_when_a_policy_is_defined(samples: Any) -> None:
    sin = WRONG["a factor"].rule
    members = {"forward": sin.forward, "backward": sin.backward}
    with pytest.raises(na.PolicyError, match="Slip: the gradient of argument 'x' is wrong"):
        nt.function(type("Slip", (nt.Policy,), members), check=samples)
    decorated: Any = nt.function(check=samples)
    with pytest.raises(na.PolicyError, match="Slip: the gradient of argument 'x' is wrong"):
        decorated(type("Slip", (nt.Policy,), members))
    right_rule = sine()
    assert decorated(right_rule) is right_rule
    assert nt.function(right_rule, check=samples) is right_rule


def test_every_sample_is_checked() -> None:
    def backward(self: Any, grad: Array) -> tuple[Array]:
        return (grad * na.cos(self.ctx.release[0]) * (1.0 if grad.ndim == 1 else 2.0),)

    rule = sine(backward=backward)
    nt.function(rule, check=nt.samples((5,)))
    with pytest.raises(na.PolicyError, match="the gradient of argument 'x' is wrong"):
        nt.function(rule, check=[nt.samples((5,)), nt.samples((2, 3))])


@pytest.mark.parametrize("samples", [[], [na.ones(3)], (lambda rng: [])])
def test_samples_of_no_use_are_refused(samples: Any) -> None:
    with pytest.raises(na.PolicyError, match=r"function: check (must be a tuple|has no samples)"):
        nt.function(sine(), check=samples)


def test_sizes_are_warned_of_unless_another_sample_tells() -> None:
    with pytest.warns(UserWarning, match=r"Sine: argument 'x' has shape \(1,\)"):
        nt.function(sine(), check=nt.samples((1,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nt.function(sine(), check=[nt.samples((1,)), nt.samples((2, 3))])


def test_every_right_rule_is_found_wrong_when_its_gradient_is_off() -> None:
    found = []
    for name, (rule, args, options) in right("numpy").items():
        if not isinstance(rule, type) or name in ("empty", "only some arguments") or options.get("values") is False:
            continue

        def backward(self: Any, grad: Any, rule: Any = rule) -> Any:
            return na.tree.tree_map(lambda g: g * 3.0, rule.backward(self, grad))

        off = nt.function(type("Off", (rule,), {"backward": backward}))
        with pytest.raises(na.PolicyError, match=r"Off: the (gradient|tangent) of argument .* is wrong"):
            check(off, args, **options)
        found.append(name)
    assert len(found) >= 15
