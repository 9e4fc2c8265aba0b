"""Custom rules: a class with `forward` and `backward`, called like a function.

`Policy.__new__` returns forward's output, so calling the class *is* the differentiable call, and checkers see
forward's own signature. (A decorator could not do that: mypy ignores what class decorators return, python/mypy#3135.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, Protocol, TypeAlias, TypeVar, overload

from typing_extensions import ParamSpec, TypeVarTuple, Unpack

from neo_array import Array, PolicyError
from neo_tape._policy_call import call_policy
from neo_tape._policy_class import check_methods, signature

if TYPE_CHECKING:
    from neo_tape._check_policy import Samples

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Saved = TypeVarTuple("Saved", default=Unpack[tuple[Array, ...]])


class Context(Generic[*Saved]):
    """The residuals of one call: what forward keeps for backward."""

    __slots__ = ("_rule", "_saved")
    _saved: tuple[*Saved]
    _rule: str  # whose it is, once forward has run

    def save(self, *residuals: *Saved) -> None:
        """Keep these for backward: Arrays, pytrees of Arrays, or plain values. A second call replaces the first."""
        if hasattr(self, "_rule"):
            raise PolicyError(f"{self._rule}: ctx.save has no effect after forward; call it in forward, and return")
        self._saved = residuals

    @property
    def release(self) -> tuple[*Saved]:
        """The tuple that was saved."""
        if not hasattr(self, "_saved"):
            raise PolicyError(
                f"{getattr(self, '_rule', 'forward')}: ctx.release, but nothing was saved; call self.ctx.save(...) in "
                "forward first"
            )
        return self._saved


class _Forward(Protocol[P, R_co]):
    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class Policy(Generic[*Saved]):
    """Base of custom rules: define `forward` and `backward`, and call the class.

    - `forward(self, *arguments, **options)` computes the output from Arrays, pytrees of Arrays, numbers or None, and
      keeps what backward needs with `self.ctx.save(...)`. Options are keyword-only and are not differentiated.
    - `backward(self, grad)` gets the cotangent of the output, with the output's structure, and returns a tuple with one
      gradient per positional argument, each with that argument's structure, shapes, dtypes and device.
      `self.ctx.release` is the tuple that was saved; `self.needs_grad` says which arguments want a gradient: None may
      be returned for the others.
    - `jvp(self, *tangents)` (optional) gives forward mode: the output's tangent from the arguments' tangents. Without
      it, a backward that is linear in its cotangent is transposed.
    - `batch(self, size, args, axes, **options)` (optional) does under vmap what forward does, for all examples at once,
      and returns `(out, out_axes)`. `args` are forward's arguments with their batches in them, `axes` says for each
      leaf which axis holds them, or None. What it saves, arguments and outputs apart, holds the batch along axis 0.

    All get Arrays, so that a Policy runs on every backend, and differentiates to any order through its own backward.
    Under vmap all but `batch` run once, on arrays that look like one example; the result is that of a loop over the
    examples. `Policy` saves Arrays; `Policy[Array, int]` saves exactly one Array and one int, and types the residuals
    so.

    A derivative that is known to be zero need not be made: `backward` and `jvp` may return a `Zero` for any leaf. They
    may return `NoDerivative("why")` for one that has none: that raises where it is wanted. None says that it was not
    wanted.

    Attributes:
        symbolic_zeros: hand in, for what did not arrive, a `Zero` and not zeros, and a `NoDerivative` for integers and
            booleans.
        raw: hand in, and expect back, arrays of the backend's own library. NumPy's are read-only. Such a rule can be
            differentiated once, by backward; without a `jvp` it has no forward mode, and it has no vmap.

    Example:
        >>> @function
        ... class Cube(Policy):
        ...     def forward(self, x: Array) -> Array:
        ...         self.ctx.save(x)
        ...         return x * x * x
        ...     def backward(self, grad: Array) -> tuple[Array]:
        ...         (x,) = self.ctx.release
        ...         return (grad * 3 * x * x,)
    """

    ctx: Context[*Saved]
    needs_grad: tuple[bool, ...]
    symbolic_zeros: ClassVar[bool] = False
    raw: ClassVar[bool] = False
    _labels: ClassVar[Mapping[str, str]] = MappingProxyType({})  # what messages call its methods, if not by their names
    # in which arguments forward is linear: for these alone, backward gets None for the outputs that were saved
    _linear_in: ClassVar[tuple[int, ...]] = ()

    def __new__(cls: type[_Forward[P, R_co]], /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        check_class(cls)
        out: R_co = call_policy(cls, Context, args, kwargs)
        return out


# --- What `function` accepts: one Array out and its cotangent in, or a pytree out ---
class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


_Tree: TypeAlias = "tuple[object, ...] | list[Any] | dict[str, Any] | _Dataclass"


class _ArrayRule(Protocol):
    @property
    def forward(self) -> Callable[..., Array]: ...
    def backward(self, grad: Array, /) -> tuple[object, ...]: ...


class _TreeRule(Protocol):
    @property
    def forward(self) -> Callable[..., _Tree]: ...
    def backward(self, grad: Never, /) -> tuple[object, ...]: ...


F = TypeVar("F", bound="type[_ArrayRule] | type[_TreeRule]")


@overload
def function(*, check: bool | Samples) -> Callable[[F], F]: ...
@overload
def function(policy: F, /, *, check: bool | Samples = True) -> F: ...
def function(policy: Any = None, /, *, check: bool | Samples = True) -> Any:
    """Check a Policy when it is defined, and return it: calling the class then runs its rule.

    Use it as a decorator or as a call. `check=False` leaves the check of the class to its first call.
    With samples, `check_policy` also looks for wrong gradients, hidden state and other mistakes at once:

    - `check=(x, y)`: a tuple is the positional arguments of a call; `nt.samples((2, 3), (3, 5))` draws one;
    - `check=[(x, y), (z, w)]`: a list is several calls;
    - `check=lambda rng: [(asarray(rng.normal(size=3)),)]`: a function of a NumPy Generator gives calls.

    Take distinct primes for sizes, so that nothing broadcasts by luck. The checks run whenever the class is defined,
    and take about a tenth of a second. For options, or gradients that are meant to be others than forward's,
    call `check_policy` instead.

    Raises:
        PolicyError: for a class that is no Policy, misses forward or backward, defines `__init__`, or whose backward
        does not take exactly one cotangent; and for what the samples show.
    """

    def decorate(cls: Any) -> Any:
        if check is not False:
            check_class(cls)
        cls.__signature__ = signature(cls.forward)
        if not isinstance(check, bool):
            from neo_tape._check_policy import check_samples

            check_samples(cls, check)
        return cls

    return decorate if policy is None else decorate(policy)


@functools.cache
def check_class(cls: Any) -> None:
    """Raise PolicyError unless the class has the form of a Policy; `function` asks at once, a call at the latest."""
    if not (isinstance(cls, type) and issubclass(cls, Policy)):
        raise PolicyError(f"function: needs a subclass of neo_tape.Policy, got {cls!r}; write class F(nt.Policy)")
    if "__new__" in {name for base in cls.__mro__[: cls.__mro__.index(Policy)] for name in vars(base)}:
        raise PolicyError(f"{cls.__name__}: must not define __new__, which makes the call; write forward")
    check_methods(cls)
