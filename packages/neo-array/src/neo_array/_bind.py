"""Running an op when the plain case does not apply: promotion, checks, explanations, batches, variadic ops."""

from __future__ import annotations

import contextlib
import importlib
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neo_array import _dtypes, backends
from neo_array._array import Array, next_id, wrap
from neo_array._described import Described, nothing_runs, payloads, shapes_of
from neo_array._device import Device
from neo_array._dtypes import DType, Scalar
from neo_array._errors import DeviceError, DTypeError, LevelError, NeoError, ShapeError
from neo_array._levels import (
    COMPLETE,
    EMPTY,
    OPEN,
    RETAINED,
    Args,
    Params,
    Recorder,
    check_strangers,
    current_stack,
    replacement,
    show,
    show_or_replace,
)
from neo_array._payloads import Batched, BatchLevel, Donated, donate_carefully
from neo_array._rules import WHOLE, NoDerivative, Residual

if TYPE_CHECKING:
    from typing import TypeAlias

    from neo_array._primitive import Primitive

    Op: TypeAlias = Primitive[..., Any]

_SCALARS: Final = (bool, int, float, complex)
_CONSTANTS: Final[dict[tuple[type, object, object, object], Any]] = {}
_MOST_CONSTANTS: Final = 4096
_UNSIGNED: Final = {"uint16", "uint32", "uint64"}
_RARE: Final = {
    "bool",
    "uint16",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
}  # which torch refuses with a RuntimeError


def weak(value: Scalar, like: Array) -> Any:
    """Return a Python number as a raw 0-d constant of like's dtype; raise if it would change the result's dtype.

    Constants are kept: making one takes longer than the op that uses it.
    """
    raw = backends.example(like._raw)
    name = repr(value) if type(value) is complex else value or repr(value)  # repr tells 0.0 from -0.0
    shared = np.ndarray if type(raw) is np.ndarray else backends.of(raw).constants_for(raw)
    key = (type(value), name, raw.dtype, shared)  # NumPy's and CuPy's dtypes are the same objects
    found = _CONSTANTS.get(key)
    if found is None:
        backend = backends.of(raw)
        if type(value) not in _SCALARS or _dtypes.result_type(backend.dtype_of(raw), value) != backend.dtype_of(raw):
            raise TypeError
        found = backend.constant(value, raw)
        if len(_CONSTANTS) >= _MOST_CONSTANTS:
            _CONSTANTS.clear()
        _CONSTANTS[key] = found
    return found


def careful(op: Op, args: Sequence[Any], params: Params) -> Any:
    """Run an op with everything checked, promoted and explained."""
    level = _batched_alike(op, args)
    if level is not None and replacement(op) is None:
        return level.bind(op, tuple(args), params)
    arrays = _as_arguments(op, args)
    _check_devices(op, arrays)
    arrays = _promote(op, arrays)
    instead = replacement(op) if OPEN else None
    if instead is not None:  # before the batch is taken apart: it is called on what looks like one example
        return instead(*arrays, **params)
    batched = top_batched(arrays)
    if batched is not None:  # after promotion: the levels above it see the dtypes that their rules expect
        return batched.bind(op, tuple(arrays), params)
    like: Array = next(
        a for a, name in _named(op, arrays) if type(a) is Array and (name in op.promoted or not op.promoted)
    )
    raws = [a._raw if type(a) is Array else _constant(op, a, like) for a in arrays]
    if any(type(r) is Described for r in raws):
        return _finish(op, tuple(arrays), params, _describe(op, raws, arrays, params))
    return _finish(op, tuple(arrays), params, _run(op, kernel_for(op, like._raw), raws, arrays, params))


def _batched_alike(op: Op, args: Sequence[Any]) -> BatchLevel | None:
    """Return the one vmap level of arguments that fit as they are, or None: then `careful` looks at each.

    Every op under vmap comes by here, and most have arguments of one dtype and device, perhaps beside a Python number.
    """
    level: BatchLevel | None = None
    like: Any = None
    beside = numbers = False  # promoted arrays, and numbers that take their dtype
    names = op.arrays * len(args) if op.variadic else op.arrays
    for a, name in zip(args, names, strict=True):
        promoted = name in op.promoted
        if type(a) is not Array:
            if not promoted or (type(a) is not float and type(a) is not int):
                return None
            numbers = True
            continue
        raw = a._raw
        if type(raw) is Batched:
            if level is None:
                level = raw.level
            elif raw.level is not level:
                return None
            raw = raw.example()
        elif type(raw) is Donated or type(raw) is Described:
            return None
        if like is None:
            like = raw
        elif type(raw) is not type(like) or (type(raw) is not np.ndarray and raw.device != like.device):
            return None
        if raw.dtype is not like.dtype and (promoted or op.floating):
            return None
        beside = beside or promoted
    if level is None or (numbers and not beside) or ((numbers or op.floating) and like.dtype not in backends.INEXACT):
        return None
    return level


def _constant(op: Op, value: Scalar, like: Array) -> Any:
    try:
        return weak(value, like)
    except (OverflowError, RuntimeError):
        raise DTypeError(
            f"{op.__name__}: the number {value} does not fit dtype {like.dtype}; cast the array with .astype(...) first"
        ) from None


def bind_general(op: Op, *args: Any, **params: Any) -> Any:
    """Run an op without generated code: one of `*arrays`, or of none (creation: the `device` option says where)."""
    if args:
        return careful(op, args, params)
    device: Device = params["device"]
    if nothing_runs():
        return _finish(op, (), params, _describe(op, [], [], params))
    backend = backends.named(device.backend)
    return _finish(op, (), params, _run(op, kernel_for(op, backend=backend), [], [], params))


def _finish(op: Op, args: Args, params: Params, raw: Any) -> Any:
    out = tuple(wrap(r) for r in raw) if op.multi else wrap(asraw(raw))
    stack = current_stack()
    if OPEN and stack.mark is not COMPLETE[0]:
        check_strangers(stack, op, args)
    show(stack, 0, op, args, params, out)
    return out


def _named(op: Op, args: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Go over the arguments with the names of their parameters."""
    return zip(args, op.arrays * len(args) if op.variadic else op.arrays, strict=True)


def _as_arguments(op: Op, args: Sequence[Any]) -> list[Any]:
    """Return Arrays, and Python numbers where a number may stay one; refuse anything else."""
    out: list[Any] = []
    for a, name in _named(op, args):
        if isinstance(a, np.generic):
            a = a.item()
        if type(a) is Array:
            if type(a._raw) is Donated:
                a._raw.require()
        elif type(a) not in _SCALARS:
            advice = (
                "wrap it in na.asarray(...)" if backends.is_raw(a) or isinstance(a, list | tuple) else "pass an Array"
            )
            raise DTypeError(
                f"{op.__name__}: argument {name} must be an Array or a Python number, got {type(a).__name__}; {advice}"
            )
        out.append(a)
    return _lift_numbers(op, out)


def _lift_numbers(op: Op, args: list[Any]) -> list[Any]:
    """Make Arrays of the numbers that have no promoted Array beside them to take their dtype from."""
    from neo_array import ops

    device = next((a.device for a in args if type(a) is Array), None)
    scalars = [a for a, name in _named(op, args) if type(a) in _SCALARS and name in op.promoted]
    weak_ones = any(type(a) is Array for a, name in _named(op, args) if name in op.promoted)
    dtype = _dtypes.result_type(*scalars) if scalars else None
    return [
        a
        if type(a) not in _SCALARS or (weak_ones and name in op.promoted)
        else ops.asarray(a, dtype=dtype if name in op.promoted else None, device=device)
        for a, name in _named(op, args)
    ]


def _check_devices(op: Op, arrays: Sequence[Any]) -> None:
    devices = [(i, a.device) for i, a in enumerate(arrays) if type(a) is Array]
    for i, device in devices[1:]:
        if device != devices[0][1]:
            raise DeviceError(
                f"{op.__name__}: arguments {devices[0][0]} and {i} live on {devices[0][1]} and {device}; "
                f'move one of them, x.to("{devices[0][1]}")'
            )


def _promote(op: Op, arrays: list[Any]) -> list[Any]:
    from neo_array import ops

    chosen = [i for i, (_, name) in enumerate(_named(op, arrays)) if name in op.promoted or op.floating]
    if not chosen:
        return arrays
    dtype = _dtypes.result_type(*(arrays[i].dtype if type(arrays[i]) is Array else arrays[i] for i in chosen))
    if op.floating and not _dtypes.is_inexact(dtype):
        dtype = _dtypes.float32
    out = list(arrays)
    for i in chosen:
        if type(out[i]) is Array and out[i].dtype != dtype:
            out[i] = ops.astype(out[i], dtype)
    return out


def kernel_for(op: Op, raw: Any = None, backend: backends.Backend | None = None) -> Callable[..., Any]:
    """Return the op's forward for a raw array's backend, importing it if this is its first call there."""
    backend = backend or backends.of(raw)
    kernel = op.kernels.get(backend.RAW)
    if kernel is None:
        source = backends.kernel_source(backend, op.sources)
        if source is None:
            raise DeviceError(f"{op.__name__}: has no kernel for backend {backend.NAME}; move the arrays, x.to(...)")
        found = import_kernel(source)
        kernel = op.kernels[backend.RAW] = backend.guard(found, len(op.arrays) > 1 or op.variadic)
    return kernel


def import_kernel(source: Callable[..., Any] | str) -> Callable[..., Any]:
    """Return a kernel, importing it where it is given as `"module:attribute"`."""
    if not isinstance(source, str):
        return source
    module, _, path = source.partition(":")
    kernel: Callable[..., Any] = operator.attrgetter(path)(importlib.import_module(module))
    return kernel


def _run(op: Op, kernel: Callable[..., Any], raws: list[Any], arrays: Sequence[Any], params: Params) -> Any:
    try:
        with np.errstate(all="ignore"):  # under `-W error`, NumPy's floating-point warnings lead here
            return kernel(*raws, **params)
    except NeoError:
        raise
    except Exception as error:
        if _UNSIGNED & {str(a.dtype) for a in arrays if type(a) is Array}:
            found = _by_numpy(op, raws, params)
            if found is not None:
                return found
        _explain(op, error, arrays, params)
        raise


def _describe(op: Op, raws: list[Any], arrays: Sequence[Any], params: Params) -> Any:
    """Return what stands for the results of an op that is not run."""
    try:
        shapes = shapes_of(op, raws, params)
    except NeoError:
        raise
    except Exception as error:
        _explain(op, error, arrays, params)
        raise

    def run(small: list[Any]) -> Any:
        made = _run(op, kernel_for(op, small[0]), small, arrays, params)
        return tuple(map(asraw, made)) if op.multi else asraw(made)

    return payloads(op, shapes, raws, params, run)


def _explain(op: Op, error: Exception, arrays: Sequence[Any], params: Params) -> None:
    """Raise an error that says more than the kernel's; or add to that what the op was called with."""
    if op.explain_error is not None:
        with contextlib.suppress(LevelError):  # it would read values, where there are none to be read
            op.explain_error(*arrays, **params)
    shapes = [a.shape for a in arrays if type(a) is Array]
    if op.kind == "elementwise":
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            raise ShapeError(
                f"{op.__name__}: shapes {' and '.join(map(str, shapes))} do not broadcast; "
                "sizes must be equal or 1, aligned at the last axis: reshape or expand_dims one side"
            ) from None
    dtypes = [str(a.dtype) for a in arrays if type(a) is Array]
    if isinstance(error, TypeError | NotImplementedError) or _RARE & set(dtypes):
        backend = next(a.device.backend for a in arrays if type(a) is Array)
        raise DTypeError(
            f"{op.__name__}: {backend} does not compute this for {' and '.join(dtypes)}; cast with .astype(...) first"
        ) from error
    error.add_note(f"{op.__name__}: on shapes {shapes} of {dtypes}" + (f" with {dict(params)}" if params else ""))


def _by_numpy(op: Op, raws: list[Any], params: Params) -> Any:
    """Run NumPy's kernel on the host's memory of another library, or return None if there is none or it fails too.

    torch stores unsigned integers of more than 8 bits, and has few kernels for them.
    """
    numpy, backend = backends.named("numpy"), backends.of(raws[0])
    place = backend.device_of(raws[0])
    if backend is numpy or numpy.NAME not in op.sources or place.place != "cpu":
        return None
    try:
        with np.errstate(all="ignore"):
            out = kernel_for(op, backend=numpy)(*map(backend.to_numpy, raws), **params)
    except Exception:  # noqa: BLE001  (the first error is the one to explain)
        return None
    made = [backend.asarray(asraw(r), None, place, True) for r in (out if op.multi else (out,))]
    return tuple(made) if op.multi else made[0]


def asraw(raw: Any) -> Any:
    """Return an ndarray where NumPy gave a scalar for a 0-d result."""
    return np.asarray(raw) if isinstance(raw, np.generic) else raw


def top_batched(args: Sequence[Any]) -> BatchLevel | None:
    """Return the innermost vmap level among the arguments, or None."""
    levels = [a._raw.level for a in args if type(a) is Array and type(a._raw) is Batched]
    return max(levels, key=lambda level: level.index, default=None)


def as_sizes(op: str, shape: Any) -> tuple[int, ...]:
    """Return a shape, given as one integer or several, as a tuple of ints."""
    try:
        return tuple(map(operator.index, shape if isinstance(shape, tuple | list) else (shape,)))
    except TypeError:
        raise DTypeError(f"{op}: a shape is an integer or a tuple of integers, got {shape!r}") from None


def need_arrays(op: str, *values: Any) -> None:
    """Refuse what is no Array, for functions that look at their argument before an op does."""
    for x in values:
        if type(x) is not Array:
            raise DTypeError(f"{op}: needs an Array, got {type(x).__name__}; wrap it in na.asarray(...)")


# --- Residuals, for generated code ---
def shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of an argument; a Python number has none."""
    return x.shape if type(x) is Array else ()


def dtype_of(x: Any) -> DType:
    """Return the dtype of an argument; a Python number has its default."""
    return x.dtype if type(x) is Array else _dtypes.result_type(x)


def residual(kept: Residual, op: Op, args: Args, out: Any) -> Any:
    """Return what a rule asked for by name."""
    if kept.name == "out":
        value = out
    else:
        value = args if op.variadic else args[op.arrays.index(kept.name)]
    if kept.part == WHOLE:
        return value
    part = shape_of if kept.part == "shape" else dtype_of
    return tuple(part(v) for v in value) if type(value) is tuple else part(value)


def is_differentiable(x: Array) -> bool:
    """Tell whether derivatives of the array make sense: its dtype is floating or complex."""
    try:
        dtype = x._raw.dtype
    except AttributeError:  # a batch
        dtype = x._raw.example().dtype
    return dtype in backends.INEXACT or getattr(dtype, "kind", "") == "V"  # ml_dtypes' bfloat16 on NumPy


def raise_no_derivative(op: Op, name: str) -> None:
    """Raise because a cotangent arrived where no rule can take it further."""
    reason: NoDerivative = op.missing[name]
    raise DTypeError(
        f"{op.__name__}: no derivative with respect to {name}: {reason.reason}; "
        f"write {op.__name__}(..., stop_gradient({name}), ...) if it is to count as a constant"
    )


def undo_broadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum a cotangent over the axes along which an argument of this shape was broadcast."""
    from neo_array import ops

    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)
    return ops.reshape(ops.sum(g, axis=axes), tuple(shape))


def record_variadic(op: Op, level: Recorder, wanted: list[int], args: Args, params: Params, out: Any) -> None:
    """Append an entry for an op of `*arrays`: its one rule gives a cotangent, or None, for each of them."""
    if op.discrete or (not op.multi and not is_differentiable(out)):
        return
    (rule,) = op.vjp_rules
    kept = tuple(residual(r, op, args, out) for r in rule.residuals)
    options = {o: tuple(wanted) if o == "wanted" else params[o] for o in rule.options}
    u: Any = tuple(o._id if is_differentiable(o) else 0 for o in out) if op.multi else out._id
    level.watched.update(filter(None, u) if op.multi else (u,))

    def pull(g: Any, entry: tuple[Any, ...], grads: dict[int, Array]) -> None:
        ids, *residuals = entry[2:]
        cotangents = rule.function(g, *residuals, **options)
        for i, target in zip(wanted, ids, strict=True):
            if cotangents[i] is not None:
                accumulate(grads, target, cotangents[i])

    level.entries.append((pull, u, tuple(args[i]._id for i in wanted), *kept))


def accumulate(grads: dict[int, Array], target: int, cotangent: Array) -> None:
    """Add a cotangent to what has arrived so far, out of place."""
    grads[target] = NAMES["add"](grads[target], cotangent) if target in grads else cotangent


NAMES: Final[dict[str, Any]] = {
    "Array": Array,
    "COMPLETE": COMPLETE,
    "EMPTY": EMPTY,
    "INEXACT": backends.INEXACT,
    "OPEN": OPEN,
    "RETAINED": RETAINED,
    "asraw": asraw,
    "check_strangers": check_strangers,
    "current_stack": current_stack,
    "donate_carefully": donate_carefully,
    "dtype_of": dtype_of,
    "is_differentiable": is_differentiable,
    "ndarray": np.ndarray,
    "next_id": next_id,
    "raise_no_derivative": raise_no_derivative,
    "shape_of": shape_of,
    "show_or_replace": show_or_replace,
    "undo_broadcast": undo_broadcast,
    "weak": weak,
    "wrap": wrap,
}


def install(add: Callable[[Array, Array], Array]) -> None:
    """Tell the generated code how to add: the op is defined after the machinery that it needs."""
    NAMES["add"] = add
