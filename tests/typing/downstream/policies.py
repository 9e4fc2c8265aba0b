"""Policies: calling the class is calling forward, and residuals have the types that were saved."""

from __future__ import annotations

from typing import NamedTuple, reveal_type

import neo_array as na
import neo_tape as nt
from neo_array import Array


@nt.function
class Affine(nt.Policy):
    def forward(self, X: Array, Y: Array, b: Array, *, scale: float = 1.0) -> Array:
        self.ctx.save(X, Y)
        return scale * (X @ Y) + b

    def backward(self, grad: Array) -> tuple[Array, Array, Array]:
        X, Y = self.ctx.release
        reveal_type(X)  # R: Array
        return grad @ Y.T, X.T @ grad, grad.sum(axis=0)


@nt.function(check=True)
class Power(nt.Policy[Array, int]):
    """Residuals of exactly these types."""

    def forward(self, x: Array, exponent: int) -> Array:
        self.ctx.save(x, exponent)
        return x**exponent

    def backward(self, grad: Array) -> tuple[Array, None]:
        x, exponent = self.ctx.release
        reveal_type(exponent)  # R: int
        return grad * float(exponent) * x ** (exponent - 1), None


class Moments(NamedTuple):
    mean: Array
    second: Array


class MomentsOf(nt.Policy):
    """Pytrees in and out; decorated by a call."""

    def forward(self, x: Array, weights: dict[str, Array] | None = None) -> Moments:
        self.ctx.save(x)
        return Moments(x.mean(), (x * x).mean())

    def backward(self, grad: Moments) -> tuple[Array, None]:
        (x,) = self.ctx.release
        reveal_type(self.needs_grad)  # R: tuple[bool, ...]
        n = float(x.size)
        return na.broadcast_to(grad.mean / n, x.shape) + grad.second * 2.0 * x / n, None


moments_of = nt.function(MomentsOf)


def loss(X: Array, Y: Array, b: Array) -> Array:
    return Affine(X, Y, b).sum()


def use(x: Array, exponent: int) -> None:
    reveal_type(Affine(x, x, x, scale=2.0))  # R: Array
    reveal_type(Power(x, 3))  # R: Array
    reveal_type(moments_of(x).second)  # R: Array
    reveal_type(MomentsOf(x, {"w": x}).mean)  # R: Array
    reveal_type(nt.grad(loss, (0, 1, 2))(x, x, x))  # R: tuple[Array, Array, Array]
    reveal_type(nt.vjp(Power, x, exponent)[1](x))  # R: tuple[Array, int]


@nt.function(check=nt.samples((2, 3)))
class Doubled(nt.Policy):
    def forward(self, x: Array) -> Array:
        return x + x

    def backward(self, grad: Array) -> tuple[Array]:
        return (grad + grad,)


def check(x: Array) -> None:
    nt.check_policy(Affine, (x, x, x))
    nt.check_policy(Affine, (x, x, x), {"scale": 2.0})
    nt.check_policy(Power, (x, 3), order=1, values=False, modes=("rev",), argnames=["x"])
    nt.check_policy(loss, (x, x, x), linear=False, pure=False, batch=False, dtypes=False, sizes=False, tolerance=1e-3)
    reveal_type(nt.samples((2, 3), (), dtype=na.float32))  # R: tuple[Array, ...]
    reveal_type(Doubled(x))  # R: Array
    reveal_type(nt.function(Power, check=[(x, 3), (x, 2)])(x, 3))  # R: Array
    nt.function(check=lambda rng: [(na.asarray(rng.normal(size=3)),)])(Doubled)
    nt.function(check="x")  # E
    nt.function(check=[x])  # E
    nt.function(check=lambda rng: x)  # E
    nt.check_policy(Affine, (x, x))  # E
    nt.check_policy(Power, (x, "3"))  # E
    nt.check_policy(Affine, (x, x, x), modes=("forward",))  # E
    nt.check_policy(Affine, (x, x, x), {"scale": 2.0}, vales=False)  # E
    nt.samples(2, 3)  # E


def misuse(x: Array) -> None:
    Affine(x, x)  # E
    Affine(x, x, 1.0)  # E
    Affine(x, x, x, 2.0)  # E
    Affine(x, x, x, size=2.0)  # E
    Power(x, "3")  # E
    MomentsOf(x, [x])  # E
    text: str = Power(x, 3)  # E
    Affine(x, x, x).backward  # E


# mypy reports a wrong decorated class at the class, pyright at the decorator.
@nt.function  # E:pyright
class NoBackward(nt.Policy):  # E:mypy
    def forward(self, x: Array) -> Array:
        return x


@nt.function  # E:pyright
class NoPolicy:  # E:mypy
    pass


class SavesWrong(nt.Policy[Array, int]):
    def forward(self, x: Array) -> Array:
        self.ctx.save(x)  # E
        self.ctx.save(x, "three")  # E
        return x

    def backward(self, grad: Array) -> tuple[Array]:
        (x,) = self.ctx.release  # E
        return (x,)
