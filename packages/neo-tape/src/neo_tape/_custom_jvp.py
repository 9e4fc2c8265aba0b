"""`custom_jvp`: a function with a forward-mode rule of its own, transposed for reverse mode."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import ParamSpec

from neo_array import Array, PolicyError, tree, zeros_like
from neo_array._bind import is_differentiable
from neo_tape._custom_vjp import as_function, check_functions, name_of
from neo_tape._meta import Meta
from neo_tape._policy_returns import tangents_of
from neo_tape._transpose import NotLinearError, transpose

Q = ParamSpec("Q")
R = TypeVar("R")


def custom_jvp(f: Callable[Q, R], jvp: Callable[..., tuple[R, R]]) -> Callable[Q, R]:
    """Return f with a derivative of its own: one rule for both modes, since reverse mode transposes it.

    The rule must be linear in the tangents and may compute whatever it likes of the primals. As with `Policy`, options
    are keyword-only and get no gradient; derivatives of any order go through the rule; arrays that are being
    differentiated must be arguments, not closures.

    Args:
        f: what is computed. Any pytrees.
        jvp: `jvp(primals, tangents, **options) -> (output, tangent of the output)`. Both are tuples with one entry per
            positional argument of f: zeros for what is not being differentiated, None for what is no Array.

    Raises:
        PolicyError: for a rule that is not linear in its tangents, and for what it returns wrongly.

    Example:
        >>> import neo_array as na
        >>> from neo_tape import grad
        >>> def rule(primals, tangents):
        ...     (x,), (t,) = primals, tangents
        ...     return na.log1p(na.exp(x)), t / (1.0 + na.exp(-x))
        >>> softplus = custom_jvp(lambda x: na.log1p(na.exp(x)), rule)
        >>> grad(softplus)(na.asarray(0.0)).item()
        0.5
    """
    name = f"custom_jvp({name_of(f)})"
    check_functions(name, f=f, jvp=jvp)
    try:
        inspect.signature(jvp).bind((), (), **dict.fromkeys(_options(f)))
    except TypeError:
        raise PolicyError(
            f"{name}.jvp: must take the primals and the tangents, two tuples, and f's options {_options(f)}, got "
            f"parameters {list(inspect.signature(jvp).parameters)}; write def jvp(primals, tangents)"
        ) from None

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        self.ctx.save(args, options)
        return f(*args, **options)

    def pushed(self: Any, *tangents: Any) -> Any:
        primals, options = self.ctx.release
        pair: object = jvp(primals, tangents, **options)
        if not isinstance(pair, tuple) or len(pair) != 2:
            got = f"a tuple of {len(pair)}" if isinstance(pair, tuple) else type(pair).__name__
            raise PolicyError(f"{name}.jvp: must return (output, tangent of the output), got {got}")
        return pair[1]

    def backward(self: Any, grad: Any) -> Any:
        primals, _ = self.ctx.release
        leaves, in_tree = tree.flatten(primals)
        flags = [wants for p, wants in zip(primals, self.needs_grad, strict=True) for _ in tree.leaves(p)]
        tangents = [zeros_like(x) if type(x) is Array else None for x in leaves]
        places = [i for i, x in enumerate(leaves) if flags[i] and type(x) is Array and is_differentiable(x)]
        cotangents, out_tree = tree.flatten(grad)
        metas = [Meta(c) for c in cotangents]

        def linear(variables: list[Array]) -> list[Array | None]:
            given: list[Any] = list(tangents)
            for i, variable in zip(places, variables, strict=True):
                given[i] = variable
            return tangents_of(type(self), pushed(self, *tree.unflatten(in_tree, given)), out_tree, metas)

        try:
            arrived = [c if meta.differentiable else None for c, meta in zip(cotangents, metas, strict=True)]
            found = transpose(linear, [tangents[i] for i in places], arrived)  # type: ignore[misc]  # they are Arrays
        except NotLinearError as error:
            raise PolicyError(
                f"{name}.jvp: reverse mode transposes the rule, which is not linear in the tangents ({error}); "
                "use custom_vjp for a reverse rule of its own"
            ) from None
        gradients: list[Any] = [None] * len(leaves)
        for i, gradient in zip(places, found, strict=True):
            gradients[i] = gradient
        return tree.unflatten(in_tree, gradients)

    labels = {"forward": f"{name}.f", "backward": f"{name}.jvp", "jvp": f"{name}.jvp"}
    return as_function(f, {"forward": forward, "backward": backward, "jvp": pushed, "_labels": labels})


def _options(f: Any) -> list[str]:
    return [p.name for p in inspect.signature(f).parameters.values() if p.kind is p.KEYWORD_ONLY]
