"""Primitives: first-class ops that carry their kernels, their derivative and batching rules, and their samples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from neo_array import _bind, backends
from neo_array._array import Array
from neo_array._codegen import generate_bind, generate_donate, generate_record, signature
from neo_array._rules import NoDerivative, Parameters, VjpRule, parameters_of, parse_jvp, parse_vjp

if TYPE_CHECKING:
    from typing import Self

    from neo_array._dtypes import DType
    from neo_array._levels import Recorder

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
Kind: TypeAlias = Literal["elementwise", "linear", "general"]
BackendName: TypeAlias = Literal["numpy", "torch", "cupy"]

REGISTRY: Final[dict[str, Primitive[..., Any]]] = {}


@dataclass(frozen=True)
class Sample:
    """One call to test an op with: its arguments (arrays as NumPy arrays) and options, as a user writes them.

    `wrt` names the positions to differentiate; None means every floating argument.
    """

    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    wrt: tuple[int, ...] | None = None


def sample(*args: Any, wrt: tuple[int, ...] | None = None, **options: Any) -> Sample:
    """Write a Sample as the call itself."""
    return Sample(args, options, wrt)


class Primitive(Generic[P, R_co]):
    """An op. Calling it runs the body that was decorated, which ends in `bind`.

    Slots: `kernel` (per backend), `vjp` (per input), `jvp`, `batch`, `shape`, `samples`; each is filled by a rule or by
    saying why there is none. `kind="elementwise"` derives jvp and batching from vjp; `kind="linear"` makes the op its
    own jvp.
    """

    __name__: str
    __wrapped__: Callable[..., Any]

    def __init__(
        self,
        body: Callable[P, R_co],
        kind: Kind,
        parameters: Parameters,
        *,
        promoted: tuple[str, ...],
        floating: bool,
        discrete: str | None,
        may_be_discrete: bool,
        broadcasts: bool,
        multi: bool,
    ) -> None:
        functools.update_wrapper(self, body)
        self.kind: Final = kind
        self.arrays: Final = parameters.positional_only or parameters.rest
        self.variadic: Final = bool(parameters.rest)
        self.options: Final = parameters.keyword_only
        self.promoted: Final = promoted
        self.floating: Final = floating
        self.discrete: Final = discrete
        self.may_be_discrete: Final = may_be_discrete
        self.broadcasts: Final = broadcasts
        self.multi: Final = multi
        self.kernels: Final[dict[type, Callable[..., Any]]] = {}
        self.sources: Final[dict[str, Callable[..., Any] | str]] = {}
        self.inplace_sources: Final[dict[str, Callable[..., Any] | str]] = {}
        self.inplace_kernels: Final = _InPlace(self.inplace_sources)
        self.inplace_each_sources: Final[dict[str, Callable[..., Any] | str]] = {}
        self.inplace_each_kernels: Final = _InPlace(self.inplace_each_sources)
        self.vjp_rules: Final[list[VjpRule]] = []
        self.missing: Final[dict[str, NoDerivative]] = {}
        self.jvp_rule: VjpRule | None = None
        self.batch_rule: Callable[..., Any] | None = None
        self.batch_missing: str | None = None
        self.shape_rule: Callable[..., Any] | None = None
        self.shape_dtype: Callable[..., DType] | None = None
        self.shape_missing: str | None = None
        self.custom_record: Callable[..., None] | None = None
        self.explain_error: Callable[..., None] | None = None
        self.sample_source: Callable[..., Iterable[Sample]] | None = None
        self.records: Final = _Records(self)

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def __repr__(self) -> str:
        return f"<primitive {self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _lookup, (self.__name__,)

    @functools.cached_property
    def bind(self) -> Callable[..., Any]:
        """The function that runs the op, generated when it is first asked for: a program uses few of all ops."""
        return self._generated_bind(method=False)

    @functools.cached_property
    def method(self) -> Callable[..., Any]:
        """The same as a method of Array."""
        return self._generated_bind(method=True)

    def _generated_bind(self, *, method: bool) -> Callable[..., Any]:
        if self.variadic or not self.arrays:
            return functools.partial(_bind.bind_general, self)
        names = _bind.NAMES | {"kernels": self.kernels, "records": self.records}
        options = self.options
        names["careful"] = lambda *args, **params: _bind.careful(self, args, {o: params[o] for o in options})
        return generate_bind(self, names, method=method)

    def record(self, level: Recorder, args: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None:
        """Append a tape entry if the level watches an argument."""
        watched = level.watched
        wanted = [i for i, a in enumerate(args) if type(a) is Array and a._id in watched]
        if not wanted:
            return
        if self.custom_record is not None:
            self.custom_record(level, wanted, args, params, out)
        elif self.variadic:
            _bind.record_variadic(self, level, wanted, args, params, out)
        else:
            self.records[sum(1 << i for i in wanted)](level, watched, out, *args, *params.values())

    @property
    def sized_by_values(self) -> bool:
        """Whether the shape of what it returns depends on the values of its arguments."""
        return self.shape_missing is not None

    # --- Slots ---
    def kernel(self, *backends: BackendName) -> Callable[[F | str], F | str]:
        """Give the forward on raw arrays for these backends; a string `"module:attribute"` is imported lazily."""

        def fill(source: F | str) -> F | str:
            self.sources.update(dict.fromkeys(backends, source))
            return source

        return fill

    def inplace(self, *backends: BackendName, each: bool = False) -> Callable[[F | str], F | str]:
        """Give a forward that writes its result into the first argument's buffer and returns it, for donation.

        With `each`, it gets lists in place of arrays, all of one dtype and device, and does so row by row.
        """
        sources = self.inplace_each_sources if each else self.inplace_sources

        def fill(source: F | str) -> F | str:
            sources.update(dict.fromkeys(backends, source))
            return source

        return fill

    @functools.cached_property
    def donate(self) -> Callable[..., Any]:
        """The generated function behind `neo_array.donate`."""
        return generate_donate(self, _bind.NAMES | {"inplace": self.inplace_kernels})

    @overload
    def vjp(self, *inputs: str) -> Callable[[F], F]: ...
    @overload
    def vjp(self, **rules: Callable[..., Any] | NoDerivative) -> Self: ...
    def vjp(self, *inputs: str, **rules: Any) -> Any:
        """Give reverse rules: `sin.vjp(x=lambda g, x: g * cos(x))`, or `@total.vjp("x")` over a def that takes options.

        A rule gets the cotangent, then what its parameter names say: an argument, `out`, or (keyword-only) an option.
        """
        for name, rule in rules.items():
            self._fill_vjp((name,), rule)
        return functools.partial(self._fill_vjp, inputs) if inputs else self

    def _fill_vjp(self, inputs: tuple[str, ...], rule: Any) -> Any:
        if isinstance(rule, NoDerivative):
            self.missing.update(dict.fromkeys(inputs, rule))
        else:
            self.vjp_rules.append(parse_vjp(self.__name__, self.arrays, self.options, inputs, rule))
        self.records.clear()
        return rule

    def jvp(self, rule: F) -> F:
        """Give the forward-mode rule: one tangent (or None) per array argument, then residuals by name."""
        self.jvp_rule = parse_jvp(self.__name__, self.arrays, self.options, self.variadic, rule)
        return rule

    def batch(self, rule: F | None = None, *, missing: str | None = None) -> F | None:
        """Give the batching rule `(size, args, axes, /, **options) -> (out, axis)`, or say why there is none.

        `_batching` has what most rules are made of.
        """
        self.batch_rule, self.batch_missing = rule, missing
        return rule

    def shape(
        self, rule: F | None = None, *, dtype: Callable[..., DType] | None = None, missing: str | None = None
    ) -> F | None:
        """Give the rule `(*shapes, **options) -> shape` of what the op returns, or say why it depends on values.

        Elementwise ops need none: theirs is broadcasting. `dtype`, a function of the first array's dtype and the
        options, is for ops that cannot be tried out on arrays of one element. `_described` has what most rules are
        made of; they raise any error at all where shapes do not fit.
        """
        self.shape_rule, self.shape_dtype, self.shape_missing = rule, dtype, missing
        return rule

    def record_with(self, rule: F) -> F:
        """Give a function `(level, wanted, args, params, out)` that appends the entry, where names do not suffice."""
        self.custom_record = rule
        return rule

    def explain(self, rule: F) -> F:
        """Give a function `(*args, **options)` that raises a clear error; it runs only after a kernel has failed."""
        self.explain_error = rule
        return rule

    def samples(self, source: F) -> F:
        """Give a generator `(rng) -> Iterable[Sample]` of calls to test the op with; `rng` is a NumPy Generator."""
        self.sample_source = source
        return source


class _Records(dict[int, Callable[..., None]]):
    """The record functions of an op by the mask of wanted inputs, generated when first needed."""

    def __init__(self, op: Primitive[..., Any]) -> None:
        self._op = op

    def __missing__(self, mask: int) -> Callable[..., None]:
        record = self[mask] = generate_record(self._op, mask, _bind.NAMES)
        return record


class _InPlace(dict[type, "tuple[Callable[..., Any] | None, Callable[..., Any] | None]"]):
    """By raw array type: an in-place forward (None: there is none), and the proof of ownership it needs."""

    def __init__(self, sources: dict[str, Callable[..., Any] | str]) -> None:
        self._sources = sources

    def __missing__(self, kind: type) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
        backend = backends.of_type(kind)
        self[kind] = None, None
        source = None if backend is None else backends.kernel_source(backend, self._sources)
        if backend is not None and source is not None:
            self[kind] = backend.guard(_bind.import_kernel(source), False), backend.sole_owner
        return self[kind]


def _lookup(name: str) -> Primitive[..., Any]:
    return REGISTRY[name]


class Decorator(Protocol):
    """What `primitive(...)` returns: it keeps the body's signature."""

    def __call__(self, body: Callable[P, R], /) -> Primitive[P, R]: ...


def primitive(
    *,
    kind: Kind = "general",
    promote: tuple[str, ...] | None = None,
    floating: bool = False,
    discrete: str | None = None,
    may_be_discrete: bool = False,
    broadcasts: bool | None = None,
    multi: bool = False,
) -> Decorator:
    """Make a Primitive of a function: positional-only parameters are arrays, keyword-only ones are options.

    Args:
        kind: `"elementwise"`: jvp and batching follow from vjp; `"linear"`: jvp is the op itself; or `"general"`.
        promote: the arguments that are brought to a common dtype, and that may be Python numbers; default: all of
        them for an elementwise op of several arguments, else none.
        floating: integer and bool arguments are cast to the default float dtype first (as for `exp`).
        discrete: why no output has a derivative (comparisons, integer results); such an op is never recorded.
        may_be_discrete: the output's dtype depends on an option, so recording looks at it.
        broadcasts: the engine sums cotangents over broadcast axes; default: whether the op is elementwise.
        multi: the op returns a tuple of arrays.
    """

    def make(body: Callable[P, R], /) -> Primitive[P, R]:
        parameters = parameters_of(body)
        arrays = parameters.positional_only or parameters.rest
        stray = [*parameters.positional, *parameters.extra]
        if stray:
            raise TypeError(
                f"primitive {body.__name__}: parameters {stray} are neither positional-only (arrays) nor keyword-only "
                f"(options); write def {body.__name__}(x, /, *, option)"
            )
        names = (*arrays, *parameters.keyword_only)
        reserved = [name for name in names if name.startswith("_") or name in ("out", "wanted")]
        if reserved:
            raise TypeError(
                f"primitive {body.__name__}: parameters {reserved} have reserved names: `out` is the op's output, "
                "`wanted` what a rule is asked for, and a leading underscore is the generated code's"
            )
        default = arrays if kind == "elementwise" and len(arrays) > 1 else ()
        cls = type(body.__name__, (Primitive,), {"__call__": _first_call(body), "__doc__": body.__doc__})
        op: Primitive[P, R] = cls(
            body,
            kind,
            parameters,
            promoted=default if promote is None else promote,
            floating=floating,
            discrete=discrete,
            may_be_discrete=may_be_discrete,
            broadcasts=kind == "elementwise" if broadcasts is None else broadcasts,
            multi=multi,
        )
        REGISTRY[body.__name__] = op
        return op

    return make


def _first_call(body: Callable[..., Any]) -> Callable[..., Any]:
    """Choose, when an op is first called, what it is to be called by: its body, or the bind function right away.

    A body that does nothing but hand its arguments to `bind` would cost two more calls.
    """

    def call(self: Primitive[..., Any], /, *args: Any, **options: Any) -> Any:
        chosen = self.bind if _only_binds(self, body) else body
        type(self).__call__ = staticmethod(chosen)  # type: ignore[method-assign]
        return chosen(*args, **options)

    return call


def _only_binds(op: Primitive[..., Any], body: Callable[..., Any]) -> bool:
    """Tell whether a body is `return bind(op, x, y, option=option)`: whether it compiles to the same code as that."""
    code = getattr(body, "__code__", None)
    if code is None or op.variadic or not op.arrays:
        return False
    name = op.__name__
    handed = ", ".join([name, *op.arrays, *(f"{o}={o}" for o in op.options)])
    scope: dict[str, Any] = {}
    exec(f'def body({signature(op)}):\n    "A docstring."\n    return bind({handed})', scope)
    plain = scope["body"].__code__
    return bool(code.co_code == plain.co_code and code.co_names == plain.co_names)


def bind(op: Primitive[..., R], /, *args: Any, **params: Any) -> R:
    """Run a primitive: its kernel on the raw arrays, then show it to the open levels."""
    out: R = op.bind(*args, **params)
    return out
