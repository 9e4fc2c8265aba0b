"""`rules`: other rules for built-in ops, in a scope."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from neo_array import Array, LevelError, PolicyError, Primitive
from neo_array._levels import Replacing, current_stack, replacing, set_stack
from neo_array._primitive import REGISTRY
from neo_tape._policy import Context, Policy, check_class
from neo_tape._policy_call import call_policy
from neo_tape._policy_class import signature

Rule: TypeAlias = "type[Policy[*tuple[Any, ...]]] | Callable[..., Any]"
Op: TypeAlias = "Primitive[..., Any]"


def rules(table: Mapping[Op | str, Rule], /) -> AbstractContextManager[None]:
    """Replace ops by Policies inside a `with` block, in this context alone: no model has to be changed for it.

    Wherever a function calls the op in the block, as a function, an operator or a method, the Policy is called instead,
    with the op's arguments (Python numbers as they are) and all of its options by keyword. Its output takes the place
    of the op's, and its rule that of the op's derivative, in every transform, whether that is outside of the block or
    inside. Under vmap it is called on what looks like one example.

    Nothing is replaced in what an op or a Policy does itself: not in a Policy's forward, which may so call the op that
    it stands for, nor in a backward or any other derivative or batching rule. Blocks may be nested: the inner one
    counts. Threads and tasks that run on their own see none of it.

    Args:
        table: a Policy, or what `custom_vjp` or `custom_jvp` returned, for each op. An op is a `Primitive`, or its
            name, such as `"reduce_sum"`, which `sum` calls.

    Raises:
        PolicyError: for what is no op, and for a Policy that does not take the op's arguments.

    Example:
        >>> import neo_array as na
        >>> from neo_tape import custom_vjp, grad
        >>> straight = custom_vjp(na.sign, lambda x: (na.sign(x), None), lambda _, g: (g,))
        >>> f = lambda x: na.sign(x) * x
        >>> grad(f)(na.asarray(3.0)).item()
        1.0
        >>> with rules({na.sign: straight}):
        ...     grad(f)(na.asarray(3.0)).item()
        4.0
    """
    if not isinstance(table, Mapping):
        raise PolicyError(
            f"rules: needs a dict from ops to Policies, got {type(table).__name__}; write rules({{op: P}})"
        )
    return _scope(dict(_entry(key, rule) for key, rule in table.items()))


@contextmanager
def _scope(table: dict[Op, Callable[..., Any]]) -> Iterator[None]:
    outer = current_stack()
    around = {} if outer.replacing is None else outer.replacing.table
    scope = Replacing({**around, **table})
    inner = replacing(scope)
    try:
        set_stack(inner)
        yield
    finally:
        if current_stack() is inner:
            set_stack(outer)
        else:  # a generator's block, say: its frame is left where other levels are open
            scope.close()
            raise LevelError(
                "rules: the block ends where other transforms are open than where it began; do not yield inside it"
            )


def _entry(key: Any, rule: Any) -> tuple[Op, Callable[..., Any]]:
    op = _op(key)
    policy = rule if isinstance(rule, type) else getattr(rule, "policy", None)
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise PolicyError(
            f"rules: {op.__name__} must be replaced by a Policy, or by what custom_vjp or custom_jvp returns, got "
            f"{rule!r}"
        )
    cls: Any = policy
    check_class(cls)
    names = op.arrays if not op.variadic else ("x", "y")
    try:
        signature(cls.forward).bind(*names, **dict.fromkeys(op.options))
    except TypeError as error:
        takes = [
            *(f"*{name}" if op.variadic else name for name in op.arrays),
            *(["*"] if op.options else []),
            *op.options,
        ]
        raise PolicyError(
            f"rules: {op.__name__} is called with ({', '.join(takes)}), and {cls.__name__}.forward takes "
            f"{signature(cls.forward)}: {error}; write def forward(self, {', '.join(takes)})"
        ) from None

    def instead(*args: Any, **options: Any) -> Any:
        out = call_policy(cls, Context, args, options, replaces=op.__name__)
        if (type(out) is not tuple) if op.multi else (type(out) is not Array):
            wanted = "a tuple of Arrays" if op.multi else "one Array"
            raise PolicyError(
                f"{cls.__name__}.forward: stands for {op.__name__}, so it must return {wanted}, got "
                f"{type(out).__name__}"
            )
        return out

    return op, instead


def _op(key: Any) -> Op:
    """Return the op that a key of the table means, or say what to write."""
    op = REGISTRY.get(key) if isinstance(key, str) else key
    if isinstance(op, Primitive):
        if not op.sources:
            raise PolicyError(f"rules: {op.__name__} stands for calls of other ops, and has no rule to replace")
        if not op.arrays:
            raise PolicyError(f"rules: {op.__name__} takes no arrays, so it has no derivative to replace")
        return op
    if isinstance(key, str):
        raise PolicyError(f"rules: there is no op {key!r}; the ops are listed in docs/operations.md")
    made_of = _made_of(key)
    advice = f"it calls {', '.join(map(repr, made_of))}: replace that" if made_of else "replace the ops that it calls"
    name = getattr(key, "__name__", None) or repr(key)
    raise PolicyError(f"rules: {name} is no op{f', but a function; {advice}' if callable(key) else ''}")


def _made_of(f: Any) -> list[str]:
    """Return the names of the ops that a function's code mentions."""
    f = inspect.unwrap(f) if callable(f) else f
    names = getattr(getattr(f, "__code__", None), "co_names", ())
    found = (getattr(f, "__globals__", {}).get(name) for name in names)
    return [op.__name__ for op in found if isinstance(op, Primitive)]
