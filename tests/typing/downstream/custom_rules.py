"""custom_vjp and custom_jvp keep the signature of the function; rules take Policies for ops."""

from __future__ import annotations

from typing import Any, reveal_type

import neo_array as na
import neo_nn.functional as F
import neo_tape as nt
from neo_array import Array


def scaled(x: Array, power: int, *, scale: float = 1.0) -> Array:
    return scale * x**power


def scaled_fwd(x: Array, power: int, *, scale: float = 1.0) -> tuple[Array, tuple[Array, int]]:
    return scale * x**power, (x, power)


def scaled_bwd(residuals: tuple[Array, int], grad: Array) -> tuple[Array, None]:
    x, power = residuals
    return grad * float(power) * x ** (power - 1), None


def scaled_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...], *, scale: float = 1.0) -> tuple[Array, Array]:
    x, power = primals
    return scale * x**power, scale * power * tangents[0]


f = nt.custom_vjp(scaled, scaled_fwd, scaled_bwd)
g = nt.custom_jvp(scaled, scaled_jvp)
straight_through = nt.custom_vjp(na.round, lambda x: (na.round(x), None), lambda _, grad: (grad,))


def use(x: Array) -> None:
    reveal_type(f(x, 3))  # R: Array
    reveal_type(g(x, 3, scale=2.0))  # R: Array
    reveal_type(straight_through(x))  # R: Array
    reveal_type(nt.vmap(f)(x, 3))  # R: Array
    with nt.rules({F.relu: straight_through, na.tanh: Guided, "reduce_sum": Guided}):
        F.relu(x)


def misuse(x: Array) -> None:
    f(x)  # E
    f(x, "3")  # E
    f(x, 3, 2.0)  # E
    g(x, 3, size=2.0)  # E
    text: str = f(x, 3)  # E
    nt.custom_vjp(scaled, scaled_fwd)  # E
    nt.custom_vjp(scaled, scaled, scaled_bwd)  # E
    nt.custom_jvp(scaled, scaled)  # E
    with nt.rules([(F.relu, Guided)]):  # E
        pass
    with nt.rules({F.relu: 3}):  # E
        pass
    with nt.rules({na.sum: Guided}):  # E
        pass


@nt.function
class Guided(nt.Policy):
    symbolic_zeros = True

    def forward(self, x: Array) -> Array:
        y = F.relu(x)
        self.ctx.save(y)
        return y

    def backward(self, grad: Array) -> tuple[Array | nt.Zero | nt.NoDerivative]:
        (y,) = self.ctx.release
        return (F.relu(grad) * y if y.ndim else nt.Zero.like(y),)

    def batch(self, size: int, args: tuple[Array], axes: tuple[int | None]) -> tuple[Array, int | None]:
        return F.relu(args[0]), axes[0]


class Raw(nt.Policy[Any]):
    raw = True

    def forward(self, x: Any) -> Any:
        self.ctx.save(x)
        return x * 2.0

    def backward(self, grad: Any) -> tuple[Any]:
        return (2.0 * grad,)
