"""The two libraries that run programs: neo, and JAX in float64 as the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

import neo_array as na
import neo_tape as nt
from neo_array import Array
from tests.neo_tape.compositions.description import Value
from tests.neo_tape.compositions.operations import RULES, CustomRule


class Neo:
    """neo, on one backend. Rules are Policies; with `bypass`, they are plain functions, as if a level lost them."""

    xp = na

    def __init__(self, device: str = "numpy", *, bypass: bool = False) -> None:
        self.device = device
        make = self._plain if bypass else self._policy
        self.rules: Mapping[str, Callable[..., Value]] = MappingProxyType({n: make(r) for n, r in RULES.items()})

    def constant(self, value: npt.NDArray[np.float64], /) -> Array:
        return na.asarray(value, device=self.device)

    def stop_gradient(self, x: Array, /) -> Array:
        return nt.stop_gradient(x)

    def value_and_grad(self, f: Callable[..., Array], argnums: tuple[int, ...], /) -> Callable[..., Value]:
        return nt.value_and_grad(f, list(argnums))

    def vjp(self, f: Callable[..., Array], /, *primals: Array) -> Value:
        return nt.vjp(f, *primals)

    def jvp(self, f: Callable[..., Array], primals: Value, tangents: Value, /) -> Value:
        return nt.jvp(f, primals, tangents)

    def linearize(self, f: Callable[..., Array], primals: Value, tangents: Value, /) -> Value:
        linearize: Any = nt.linearize
        out, push = linearize(f, *primals)
        return out, push(*tangents)

    def hvp(self, f: Callable[..., Array], primals: Value, vectors: Value, /) -> Value:
        return nt.hvp(lambda primals: f(*primals), primals, vectors)

    def vmap(self, f: Callable[..., Array], in_axes: tuple[int | None, ...], out_axis: int, /) -> Callable[..., Value]:
        return nt.vmap(f, in_axes, out_axis)

    def checkpoint(self, f: Callable[..., Array], budget_bytes: int | None, /) -> Callable[..., Value]:
        return nt.checkpoint(f, budget_bytes=budget_bytes)

    def _policy(self, rule: CustomRule) -> Callable[..., Value]:
        library = self

        @nt.function
        class Rule(nt.Policy):
            def forward(self, *args: Array) -> Any:
                out, saved = rule.forward(library, *args)
                self.ctx.save(*saved, *((out,) if rule.saves_output else ()))
                return out

            def backward(self, grad: Any) -> tuple[Any, ...]:
                return rule.backward(library, self.ctx.release, grad)

        return Rule

    def _plain(self, rule: CustomRule) -> Callable[..., Value]:
        return lambda *args: rule.forward(self, *args)[0]


class Jax:
    """JAX, without compiling whole programs.

    Rules are custom_vjp, or, where forward mode occurs, which custom_vjp refuses, custom_jvp with the transpose written
    by hand.
    """

    def __init__(self, *, forward_mode: bool) -> None:
        import jax

        self.jax = jax
        self.xp = jax.numpy
        self.stop_gradient = jax.lax.stop_gradient
        make = self._custom_jvp if forward_mode else self._custom_vjp
        self.rules: Mapping[str, Callable[..., Value]] = MappingProxyType({n: make(r) for n, r in RULES.items()})

    def constant(self, value: npt.NDArray[np.float64], /) -> Value:
        return self.xp.asarray(value)

    def value_and_grad(self, f: Callable[..., Value], argnums: tuple[int, ...], /) -> Callable[..., Value]:
        both: Callable[..., Value] = self.jax.value_and_grad(f, argnums)
        return both

    def vjp(self, f: Callable[..., Value], /, *primals: Value) -> Value:
        return self.jax.vjp(f, *primals)

    def jvp(self, f: Callable[..., Value], primals: Value, tangents: Value, /) -> Value:
        return self.jax.jvp(f, primals, tangents)

    linearize = jvp

    def hvp(self, f: Callable[..., Value], primals: Value, vectors: Value, /) -> Value:
        return self.jax.jvp(self.jax.grad(f, tuple(range(len(primals)))), primals, vectors)[1]

    def vmap(self, f: Callable[..., Value], in_axes: tuple[int | None, ...], out_axis: int, /) -> Callable[..., Value]:
        mapped: Callable[..., Value] = self.jax.vmap(f, in_axes, out_axis)
        return mapped

    def checkpoint(self, f: Callable[..., Value], budget_bytes: int | None, /) -> Callable[..., Value]:
        return f  # what is computed again is a matter of memory alone

    def _saved(self, rule: CustomRule, args: tuple[Value, ...], out: Value) -> tuple[Value, ...]:
        return (*rule.forward(self, *args)[1], *((out,) if rule.saves_output else ()))

    def _custom_vjp(self, rule: CustomRule) -> Callable[..., Value]:
        f = self.jax.custom_vjp(lambda *args: rule.forward(self, *args)[0])

        # out is f's own, so that an outer derivative meets the rule again
        def forward(*args: Value) -> Value:
            out = f(*args)
            return out, self._saved(rule, args, out)

        f.defvjp(forward, lambda saved, g: rule.backward(self, saved, g))
        return f

    def _custom_jvp(self, rule: CustomRule) -> Callable[..., Value]:
        f = self.jax.custom_jvp(lambda *args: rule.forward(self, *args)[0])
        push = rule.push
        if push is None:
            return f

        @f.defjvp
        def _(primals: Value, tangents: Value) -> Value:
            out = f(*primals)
            return out, push(self, self._saved(rule, primals, out), *tangents)

        return f
