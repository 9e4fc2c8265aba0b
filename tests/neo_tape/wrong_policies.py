"""Custom rules with one mistake each, and what a check must say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

import neo_array as na
import neo_tape as nt
from neo_array import Array


class Wrong(NamedTuple):
    """A rule with a mistake: the arguments that show it, the options of the check, and what it must say."""

    rule: Any
    shapes: tuple[tuple[int, ...], ...]
    says: str
    options: Mapping[str, Any]


WRONG: Final[dict[str, Wrong]] = {}
FORWARD: Final[Callable[..., Any]] = lambda self, x: (self.ctx.save(x), na.sin(x))[1]
BACKWARD: Final[Callable[..., Any]] = lambda self, grad: (grad * na.cos(self.ctx.release[0]),)


def sine(**members: Any) -> Any:
    """Return sin as a Policy, with some of its members replaced."""
    return nt.function(type("Sine", (nt.Policy,), {"forward": FORWARD, "backward": BACKWARD, **members}))


def wrong(mistake: str, says: str, *shapes: tuple[int, ...], **options: Any) -> Callable[[type], None]:
    """Enter a class of members that replace those of `sine`, or a whole Policy, into the table."""

    def enter(cls: type) -> None:
        if issubclass(cls, nt.Policy):
            rule: Any = nt.function(cls)  # type: ignore[type-var]
        else:
            rule = sine(**{k: v for k, v in vars(cls).items() if not k.startswith("__")})
        WRONG[mistake] = Wrong(rule, shapes or ((5,),), says, options)

    return enter


# --- Values ---
@wrong(
    "a factor", r"Sine: the gradient of argument 'x' is wrong: got -?\d\S+, by differences -?\d\S+ \(error .*values="
)
class AFactor:
    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.ctx.release[0]) * 1.0005,)


@wrong("a sign", "the gradient of argument 'x' is wrong")
class ASign:
    def backward(self: Any, grad: Array) -> Any:
        return (-grad * na.cos(self.ctx.release[0]),)


@wrong("zeros", "the gradient of argument 'x' is wrong")
class Zeros:
    def backward(self: Any, grad: Array) -> Any:
        return (na.zeros_like(grad),)


@wrong("one element", "the gradient of argument 'x' is wrong")
class OneElement:
    def backward(self: Any, grad: Array) -> Any:
        return ((grad * na.cos(self.ctx.release[0])).at[2].mul(0.99),)


@wrong("nan", "the gradient of argument 'x'.*nan", linear=False, pure=False)
class Nan:
    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.ctx.release[0]) * na.nan,)


@wrong("swapped gradients", "the gradient of argument 'x' is wrong", (3, 5), (3, 5))
class SwappedGradients(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(x, y)
        return x * y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, y = self.ctx.release
        return grad * x, grad * y


@wrong("one argument of two", "the gradient of argument 'weight' is wrong", (3, 5), (5,))
class OneArgumentOfTwo(nt.Policy):
    def forward(self, x: Array, weight: Array) -> Array:
        self.ctx.save(x, weight)
        return x @ weight

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, weight = self.ctx.release
        return na.linalg.outer(grad, weight), grad @ (x + 0.01)


@wrong("an option that backward forgets", "the gradient of argument 'x' is wrong")
class AnOptionThatBackwardForgets:
    def forward(self: Any, x: Array, *, scale: float = 3.0) -> Any:
        self.ctx.save(x)
        return na.sin(x) * scale


@wrong("an axis that is summed wrongly", "the gradient of argument 'bias' is wrong", (3, 3), (3,), sizes=False)
class AnAxisThatIsSummedWrongly(nt.Policy):
    def forward(self, x: Array, bias: Array) -> Array:
        return x + bias

    def backward(self, grad: Array) -> tuple[Array, Array]:
        return grad, grad.sum(axis=1)


@wrong("a leaf of a pytree", "the gradient of argument 'params.1' is wrong", (2, 3), (2, 3))
class ALeafOfAPytree(nt.Policy):
    def forward(self, *params: Array) -> Array:
        self.ctx.save(*params)
        return params[0] * params[1] ** 2

    def backward(self, grad: Array) -> tuple[Array, ...]:
        x, y = self.ctx.release
        return grad * y * y, grad * x * y


WRONG["a leaf of a pytree"] = WRONG["a leaf of a pytree"]._replace(
    says=r"the gradient of argument 'params\[1\]' is wrong"
)


@wrong("an output left out", "the gradient of argument 'x' is wrong")
class AnOutputLeftOut(nt.Policy):
    def forward(self, x: Array) -> tuple[Array, Array]:
        self.ctx.save(x)
        return na.sin(x), x * x

    def backward(self, grad: tuple[Array, Array]) -> tuple[Array]:
        return (grad[0] * na.cos(self.ctx.release[0]),)


@wrong("PyTorch's conjugate", "the gradient of argument 'z' is wrong", (3,))
class PyTorchsConjugate(nt.Policy):
    def forward(self, z: Array) -> Array:
        self.ctx.save(z)
        return z * (2.0 + 1j) * na.real(z)

    def backward(self, grad: Array) -> tuple[Array]:
        (z,) = self.ctx.release
        grad = na.conj(grad)
        return (na.real(grad * z * (2.0 + 1j)) + na.real(z) * na.real(grad * (2.0 + 1j)),)


@wrong("a half-precision step", "the gradient of argument 'x' is wrong")
class AHalfPrecisionStep:
    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.ctx.release[0]).astype(na.float16).astype(grad.dtype),)


# --- Forward mode ---
@wrong("jvp's values", "the tangent of argument 'x' is wrong")
class JvpsValues:
    def jvp(self: Any, tangent: Array) -> Any:
        return tangent * na.sin(self.ctx.release[0])


@wrong("jvp beside another backward", "jvp and backward disagree on the derivative.* argument 'x'", values=False)
class JvpBesideAnotherBackward:
    def jvp(self: Any, tangent: Array) -> Any:
        return tangent


@wrong("jvp not linear", "jvp is not linear in its tangents.*in the output")
class JvpNotLinear:
    def jvp(self: Any, tangent: Array) -> Any:
        return na.clip(tangent, -100.0, 100.0) * na.cos(self.ctx.release[0])


@wrong("jvp's own derivative", "the second derivative, that is jvp's .* with respect to argument 'x', is wrong")
class JvpsOwnDerivative:
    def jvp(self: Any, tangent: Array) -> Any:
        return tangent * na.cos(nt.stop_gradient(self.ctx.release[0]))


# --- Shapes, structures, dtypes ---
@wrong("a gradient that merely broadcasts", r"gradient of argument (1|'bias') .*\(3, 5\).*\(5,\)", (3, 5), (5,))
class AGradientThatMerelyBroadcasts(nt.Policy):
    def forward(self, x: Array, bias: Array) -> Array:
        return x + bias

    def backward(self, grad: Array) -> tuple[Array, Array]:
        return grad, grad


@wrong("a gradient that is too small", r"gradient of argument .*shape \(\).*shape \(5,\)")
class AGradientThatIsTooSmall:
    def backward(self: Any, grad: Array) -> Any:
        return ((grad * na.cos(self.ctx.release[0])).sum(),)


@wrong("a gradient of another dtype", "gradient of argument .*float32.*float64")
class AGradientOfAnotherDtype:
    def backward(self: Any, grad: Array) -> Any:
        return ((grad * na.cos(self.ctx.release[0])).astype(na.float32),)


@wrong("too few gradients", "must return a tuple with one gradient for each of forward's 2", (5,), (5,))
class TooFewGradients(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        return x + y

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad,)


@wrong("no tuple", "must return a tuple")
class NoTuple:
    def backward(self: Any, grad: Array) -> Any:
        return grad * na.cos(self.ctx.release[0])


# --- What is wanted ---
@wrong("None though wanted", "returned None for argument .*which wants a gradient", (5,), (5,))
class NoneThoughWanted(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        return x + y

    def backward(self, grad: Array) -> tuple[Array, None]:
        return grad, None


@wrong("needs_grad in the wrong order", "returned None for argument .*which wants a gradient", (5,), (5,))
class NeedsGradInTheWrongOrder(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        return x + y

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        return (grad if self.needs_grad[1] else None), (grad if self.needs_grad[0] else None)


@wrong("needs_grad changes a gradient", "the gradient of argument 'y' is another when it alone is wanted", (5,), (5,))
class NeedsGradChangesAGradient(nt.Policy):
    def forward(self, x: Array, y: Array) -> Array:
        self.ctx.save(x, y)
        return x * y

    def backward(self, grad: Array) -> tuple[Array, Array]:
        x, y = self.ctx.release
        shared = grad * y if self.needs_grad[0] else grad
        return shared, shared * x / y


# --- Linearity ---
@wrong("a constant added", "backward is not linear in its cotangent.*argument 'x'.*linear=False")
class AConstantAdded:
    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.ctx.release[0]) + 1e-3,)


@wrong("a clipped cotangent", "backward is not linear in its cotangent")
class AClippedCotangent:
    def backward(self: Any, grad: Array) -> Any:
        return (na.clip(grad, -10.0, 10.0) * na.cos(self.ctx.release[0]),)


@wrong("negative cotangents dropped", "backward is not linear in its cotangent")
class NegativeCotangentsDropped:
    def backward(self: Any, grad: Array) -> Any:
        return (na.maximum(grad, 0.0) * na.cos(self.ctx.release[0]),)


@wrong("a normalized cotangent", "backward is not linear in its cotangent", linear=True)
class ANormalizedCotangent:
    def backward(self: Any, grad: Array) -> Any:
        return (grad / (1.0 + na.sqrt((grad * grad).sum())) * na.cos(self.ctx.release[0]),)


# --- Second order ---
@wrong("detached residuals", "the second derivative, that is backward's .* with respect to argument 'x', is wrong")
class DetachedResiduals:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(nt.stop_gradient(x))
        return na.sin(x)


@wrong("residuals read as NumPy arrays", "the second derivative, that is backward's .* argument 'x', is wrong.*order=1")
class ResidualsReadAsNumPyArrays:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(np.array(nt.stop_gradient(x).numpy()))
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.asarray(np.cos(self.ctx.release[0]), device=grad.device),)


@wrong(
    "a detached cotangent",
    "the second derivative, that is backward's .* with respect to the cotangent, is wrong",
    modes=("rev",),
)
class ADetachedCotangent:
    def backward(self: Any, grad: Array) -> Any:
        return (nt.stop_gradient(grad) * na.cos(self.ctx.release[0]),)


@wrong("a raw cotangent", "differentiating backward raises .*order=1", modes=("rev",))
class ARawCotangent:
    def backward(self: Any, grad: Array) -> Any:
        return (na.asarray(grad.numpy() * 1.0, device=grad.device) * na.cos(self.ctx.release[0]),)


@wrong("forward mode of a detached cotangent", r"forward mode needs the transpose of backward, but .*define jvp")
class ForwardModeOfADetachedCotangent:
    def backward(self: Any, grad: Array) -> Any:
        return (nt.stop_gradient(grad) * na.cos(self.ctx.release[0]),)


# --- State ---
@wrong("residuals on the class", "another gradient of argument 'x' after another call of the rule: it depends on state")
class ResidualsOnTheClass:
    kept: Any = None

    def forward(self: Any, x: Array) -> Any:
        type(self).kept = nt.stop_gradient(x)
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.kept),)


STACK: Final[list[Any]] = []
KEPT: Final[dict[str, Any]] = {}


@wrong("residuals on a stack of the module", "a second call of backward raises IndexError")
class ResidualsOnAStackOfTheModule:
    def forward(self: Any, x: Array) -> Any:
        if self.needs_grad == (True,):
            STACK.append(nt.stop_gradient(x))
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(STACK.pop()),)


@wrong("residuals in a dict of the module", "another gradient of argument 'x' after another call of the rule")
class ResidualsInADictOfTheModule:
    def forward(self: Any, x: Array) -> Any:
        KEPT["x"] = nt.stop_gradient(x)
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(KEPT["x"]),)


@wrong("residuals changed by backward", "backward gives another gradient of argument 'x' when it is called again")
class ResidualsChangedByBackward:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x, np.ones(1))
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        x, factor = self.ctx.release
        factor *= 2.0
        return (grad * na.cos(x) * float(factor[0] / 2.0),)


@wrong("an attribute changed by backward", "backward gives another gradient of argument 'x' when it is called again")
class AnAttributeChangedByBackward:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        self.count = [1.0]
        return na.sin(x)

    def backward(self: Any, grad: Array) -> Any:
        self.count.append(1.0)
        return (grad * na.cos(self.ctx.release[0]) * (len(self.count) - 1.0),)


@wrong("a counter on the class", "a call changes the class attribute 'calls'.*pure=False")
class ACounterOnTheClass:
    calls = 0

    def forward(self: Any, x: Array) -> Any:
        type(self).calls += 1
        self.ctx.save(x)
        return na.sin(x)


@wrong("a list on the class", "a call changes the class attribute 'log'")
class AListOnTheClass:
    log: ClassVar[list[str]] = []

    def backward(self: Any, grad: Array) -> Any:
        self.log.append("backward")
        return (grad * na.cos(self.ctx.release[0]),)


def counting() -> Any:
    calls = 0

    def forward(self: Any, x: Array) -> Any:
        nonlocal calls
        calls += 1
        self.ctx.save(x)
        return na.sin(x)

    return sine(forward=forward)


WRONG["a counter around forward"] = Wrong(counting(), ((5,),), "a call changes 'calls', a variable around forward", {})


@wrong("a default that is filled", "a call changes the default of forward's 'cache'")
class ADefaultThatIsFilled:
    def forward(self: Any, x: Array, *, cache: list[int] = []) -> Any:  # noqa: B006
        cache.append(1)
        self.ctx.save(x)
        return na.sin(x)


def numbers() -> Iterator[float]:
    rng = np.random.default_rng(0)
    while True:
        yield float(rng.uniform(0.5, 1.5))


NOISE: Final = numbers()


@wrong(
    "a forward that draws", "forward gives other values for the same arguments when it is called again: got .* expected"
)
class AForwardThatDraws:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.sin(x) * next(NOISE)


@wrong(
    "a backward that draws",
    "gradient of argument 'x' (is another|when)|backward gives another gradient of argument 'x'",
)
class ABackwardThatDraws:
    def backward(self: Any, grad: Array) -> Any:
        return (grad * na.cos(self.ctx.release[0]) * next(NOISE),)


@wrong("a forward that differs when differentiated", "forward gives other values when it is differentiated")
class AForwardThatDiffersWhenDifferentiated:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.sin(x) if self.needs_grad[0] else na.sin(x) + 1.0


BUFFER: Final = np.zeros(5)


@wrong("one buffer for all outputs", "a later call writes into the output of an earlier one")
class OneBufferForAllOutputs:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        BUFFER[:] = np.sin(nt.stop_gradient(x).numpy())
        return na.asarray(BUFFER, copy=False, device="numpy").to(x.device) if "numpy" in str(x.device) else na.sin(x)


# --- Batches and precision ---
@na.primitive()
def sine_of_first(x: Array, /) -> Array:
    """Return sin, with a batching rule that takes every example for the first."""
    return na.bind(sine_of_first, x)


sine_of_first.kernel("numpy")(np.sin)
sine_of_first.kernel("torch")("torch:sin")
sine_of_first.vjp(x=lambda g, x: g * na.cos(x))
sine_of_first.jvp(lambda t, x: t * na.cos(x))
sine_of_first.batch(
    lambda size, args, axes: (
        na.broadcast_to(na.sin(na.take(args[0], na.asarray([0]), axis=axes[0])), args[0].shape),
        0,
    )
)


@wrong(
    "a wrong batching rule", "under vmap, the output of forward, with a batch of argument 'x', is not that of a loop"
)
class AWrongBatchingRule:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return sine_of_first(x)


@wrong("a value read", "under vmap, the rule raises .*batch=False")
class AValueRead:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.sin(x) if float(nt.stop_gradient(x).sum()) > -1e9 else x


@wrong("a constant in double precision", "with float32 arguments, the output has dtype float64, expected float32")
class AConstantInDoublePrecision:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.sin(x) * na.ones((1,), dtype=na.float64, device=x.device)

    def backward(self: Any, grad: Array) -> Any:
        (x,) = self.ctx.release
        return ((grad * na.cos(x)).astype(x.dtype),)


@wrong("a gradient in double precision", "with float32 arguments, the rule raises PolicyError.*float64.*dtypes=False")
class AGradientInDoublePrecision:
    def backward(self: Any, grad: Array) -> Any:
        return (grad.astype(na.float64) * na.cos(self.ctx.release[0]),)


@wrong(
    "a number that single precision lacks", "in float32, the gradient of argument 'x' is not that in float64|in float32"
)
class ANumberThatSinglePrecisionLacks:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.sqrt(x * x * 1e-60) * 1e30

    def backward(self: Any, grad: Array) -> Any:
        (x,) = self.ctx.release
        return (grad * na.sign(x),)


# --- Nothing to check ---
@wrong("an output of integers alone", "no output is a floating or complex Array: there is nothing to check")
class AnOutputOfIntegersAlone:
    def forward(self: Any, x: Array) -> Any:
        return x > 0


@wrong("nan at the arguments", "gives nan or inf at these arguments", linear=False, dtypes=False)
class NanAtTheArguments:
    def forward(self: Any, x: Array) -> Any:
        self.ctx.save(x)
        return na.log(-na.abs(x))


# --- The form of the class ---
class _NoBackward(nt.Policy):
    def forward(self, x: Array) -> Array:
        return x


class _WithInit(nt.Policy):
    def __init__(self) -> None: ...

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad,)


WRONG["no backward"] = Wrong(_NoBackward, ((5,),), "_NoBackward: defines no backward", {})
WRONG["an __init__"] = Wrong(_WithInit, ((5,),), "must not define __init__", {})
