"""Generate the hot path: a bind function per primitive, a record and a pull function per set of wanted inputs.

As the standard library's dataclasses does, each function is written out as source for exactly its argument names, so
that nothing is looped over, packed or looked up when it runs. What comes out for `multiply`, both inputs watched:

    def multiply(x1, x2, /):
        try:
            _r_x1 = x1._raw if type(x1) is _Array else _weak(x1, x2)
            _r_x2 = x2._raw if type(x2) is _Array else _weak(x2, x1)
            if _r_x1.dtype is not _r_x2.dtype:
                return _careful(x1, x2)
            _kind = type(_r_x1)
            _raw = _r_x1 * _r_x2 if _kind is _ndarray else _kernels[_kind](_r_x1, _r_x2)
        except Exception:
            _raw = _kernels
        if _raw is _kernels:
            return _careful(x1, x2)
        _out = ...  # a new Array around _raw
        if _OPEN: ...  # for each level that watches an input: record_3(_level, _watched, _out, x1, x2)
        return _out

    def record_3(_level, _watched, _out, x1, x2):
        _u = _out._id
        _watched.add(_u)
        _level.entries.append((pull_3, _u, x1._id, x2._id, x2, x1))

    def pull_3(_g, _entry, _grads):
        _, _, _i_x1, _i_x2, x2, x1 = _entry
        _c_x1 = _rule_0(_g, x2)
        if _c_x1._raw.shape != x1._raw.shape:
            _c_x1 = _undo_broadcast(_c_x1, x1._raw.shape)
        _grads[_i_x1] = _add(_grads[_i_x1], _c_x1) if _i_x1 in _grads else _c_x1
        ...  # likewise for x2

The bind function is optimistic: whatever is not the plain case goes to `careful`, which promotes, checks and explains.
Every name but the op's own begins with an underscore, and an op's own may not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from neo_array._rules import WHOLE, NoDerivative, Residual

if TYPE_CHECKING:
    from neo_array._primitive import Primitive


# what a NumPy kernel that is one of Python's operators is written as: calling it would take 20 ns longer
_OPERATORS: Final = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.eq: "==",
    operator.ne: "!=",
}


def signature(op: Primitive[..., Any]) -> str:
    """Return the parameters of an op, as they are written in a `def`."""
    return ", ".join([*op.arrays, "/", *(["*"] if op.options else []), *op.options])


def generate_bind(op: Primitive[..., Any], names: dict[str, Any], *, method: bool) -> Callable[..., Any]:
    """Write the function that runs the op: kernel, then levels. A method need not ask whether its first is an Array."""
    arrays, options = op.arrays, op.options
    keywords = "".join(f", {o}={o}" for o in options)
    everything = ", ".join(arrays) + keywords
    params = "{" + ", ".join(f"{o!r}: {o}" for o in options) + "}"
    arguments = f"({', '.join(arrays)},)"
    first = f"_r_{arrays[0]}"

    lines = [f"def {op.__name__}({signature(op)}):", "    try:"]
    sure = arrays[:1] if method or len(arrays) == 1 else ()
    for a in arrays:
        if a in sure:
            lines.append(f"        _r_{a} = {a}._raw")
        else:
            like = next((b for b in op.promoted if b != a), None) if a in op.promoted else None
            weak = f"_weak({a}, {like})" if like else f"{a}._raw"
            lines.append(f"        _r_{a} = {a}._raw if type({a}) is _Array else {weak}")
    for a, b in zip(op.promoted, op.promoted[1:], strict=False):
        lines += [f"        if _r_{a}.dtype is not _r_{b}.dtype:", f"            return _careful({everything})"]
    if op.floating:
        lines += [f"        if {first}.dtype not in _INEXACT:", f"            return _careful({everything})"]
    strange = [
        a for a in arrays[1:] if not (a in op.promoted and arrays[0] in op.promoted)
    ]  # dtypes say nothing of these
    lines += [
        f"        _kind = type({first})",
        *(
            line
            for a in strange
            for line in (f"        if type(_r_{a}) is not _kind:", f"            return _careful({everything})")
        ),
        f"        _raw = {_kernel_call(op, keywords)}",
        "    except Exception:",
        "        _raw = _kernels",  # never what a kernel gives
        "    if _raw is _kernels:",  # outside the handler: its error shall not carry the first one along
        f"        return _careful({everything})",
    ]
    if op.multi:
        lines.append("    _out = tuple([_wrap(r) for r in _raw])")
    else:
        lines += ["    if type(_raw) is not _kind:", "        _raw = _asraw(_raw)"]
        lines += ["    _out = _Array()", "    _out._raw = _raw"]  # inlines _wrap(_raw)
    ids = [
        f"                _i_{a} = {a}._id" + ("" if a in sure else f" if type({a}) is _Array else 0") for a in arrays
    ]
    bits = " | ".join(f"({1 << i} if _i_{a} in _watched else 0)" for i, a in enumerate(arrays))
    lines += [
        "    if _OPEN:",  # else no level is open anywhere
        *([] if op.multi else ["        _out._id = _next_id()"]),
        "        _stack = _current_stack()",
        "        if _stack.mark is not _COMPLETE[0]:",
        f"            _check_strangers(_stack, _op, {arguments})",
        "        if _stack.recorders:",
        "            if _stack.levels:",
        *ids,
        "            for _level in _stack.levels:",
        "                _watched = _level.watched",
        f"                _mask = {bits}",
        "                if _mask:",
        f"                    _records[_mask](_level, _watched, _out, {', '.join([*arrays, *options])})",
        "        else:",
        f"            return _show_or_replace(_stack, _op, {arguments}, {params}, _out)",
        "    return _out",
    ]
    return _compile(op.__name__, lines, names, op)


def _kernel_call(op: Primitive[..., Any], keywords: str) -> str:
    raws = [f"_r_{a}" for a in op.arrays]
    call = f"_kernels[_kind]({', '.join(raws)}{keywords})"
    sign = _OPERATORS.get(op.sources.get("numpy")) if len(raws) == 2 else None  # type: ignore[arg-type]
    return call if sign is None else f"{raws[0]} {sign} {raws[1]} if _kind is _ndarray else {call}"


def generate_donate(op: Primitive[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    """Write the function that runs the op in its first argument's buffer if it may, and else hands over.

    It may if no level is open or retained, the other arguments give no larger result and no other dtype, no memory was
    exported, and the backend proves that the two references here (the Array's and the local one) are the only ones.
    """
    first, *others = op.arrays
    keywords = "".join(f", {o}={o}" for o in op.options)
    checks = "".join(
        f" and type(_r_{a}) is _kind and _r_{a}.dtype is _raw.dtype and _r_{a}.shape in (_raw.shape, ())"
        for a in others
    )
    shown = "_OPEN or _RETAINED or _current_stack() is not _EMPTY"
    checks += " and _raw.dtype in _INEXACT" if op.floating else ""
    refusal = f"_kernel is None or {shown} or {first}._exported or not (_sole_owner(_raw, 2){checks})"
    lines = [
        f"def donate(_to, {signature(op)}):",
        f"    _raw = {first}._raw",
        "    _kind = type(_raw)",
        *(f"    _r_{a} = {a}._raw if type({a}) is _Array else None" for a in others),
        "    _kernel, _sole_owner = _inplace[_kind]",
        f"    if {refusal}:",
        f"        return _donate_carefully(_op, _to, {', '.join(op.arrays)}{keywords})",
        f"    _out = _wrap(_kernel({', '.join(['_raw', *(f'_r_{a}' for a in others)])}{keywords}))",
        f"    {first}._raw = _to",
        "    return _out",
    ]
    return _compile("donate", lines, names, op)


def generate_record(op: Primitive[..., Any], mask: int, names: dict[str, Any]) -> Callable[..., None]:
    """Write the function that appends a tape entry, and its pull function, for one set of wanted inputs."""
    wanted = {a for i, a in enumerate(op.arrays) if mask >> i & 1}
    rules = [r for r in op.vjp_rules if wanted & set(r.inputs)]
    blocked = [a for a in op.arrays if a in wanted and type(op.missing.get(a)) is NoDerivative]
    inputs = [a for r in rules for a in r.inputs if a in wanted] + blocked
    parameters = ", ".join(["_level", "_watched", "_out", *op.arrays, *op.options])
    if op.discrete or not inputs:
        return _compile("record", [f"def record({parameters}):", "    return"], {}, op)

    kept = list(dict.fromkeys(residual for r in rules for residual in r.residuals))
    whole = {k.name for k in kept if k.part == WHOLE}
    undo = inputs if op.broadcasts and len(op.arrays) > 1 else []
    kept += [Residual(a, "shape") for a in undo if a not in whole and Residual(a, "shape") not in kept]
    kept_options = list(dict.fromkeys(o for r in rules for o in r.options))
    layout = [f"_i_{a}" for a in inputs] + [_variable(k) for k in kept] + kept_options
    source = [f"{a}._id" for a in inputs] + [_source(k, inputs) for k in kept] + kept_options

    lines = ["def pull(_g, _entry, _grads):", f"    _, _, {', '.join(layout)}, = _entry"]
    for number, rule in enumerate(rules):
        arguments = ", ".join(["_g", *map(_variable, rule.residuals), *(f"{o}={o}" for o in rule.options)])
        targets = [a if a in wanted else None for a in rule.inputs]
        results = ", ".join("_" if a is None else f"_c_{a}" for a in targets) + ("," if len(targets) > 1 else "")
        lines.append(f"    {results} = _rule_{number}({arguments})")
        for a in targets:
            if a is None:
                continue
            if a in undo:
                shape = f"{a}._raw.shape" if a in whole else f"_{a}_shape"
                lines += [f"    if _c_{a}._raw.shape != {shape}:", f"        _c_{a} = _undo_broadcast(_c_{a}, {shape})"]
            indent = "    "
            if len(targets) > 1 or op.multi:
                lines.append(f"    if _c_{a} is not None:")
                indent = "        "
            lines.append(f"{indent}_grads[_i_{a}] = _add(_grads[_i_{a}], _c_{a}) if _i_{a} in _grads else _c_{a}")
    lines += [f"    _raise_no_derivative(_op, {a!r})" for a in blocked]

    lines += [f"def record({parameters}):"]
    if op.multi:
        lines += [
            "    _u = tuple([o._id if _is_differentiable(o) else 0 for o in _out])",
            "    _watched.update(filter(None, _u))",
        ]
    else:
        if op.may_be_discrete:
            lines += ["    if not _is_differentiable(_out):", "        return"]
        lines += ["    _u = _out._id", "    _watched.add(_u)"]
    lines.append(f"    _level.entries.append((pull, _u, {', '.join(source)}))")
    rule_names = {f"rule_{number}": rule.function for number, rule in enumerate(rules)}
    return _compile("record", lines, names | rule_names, op)


def _variable(kept: Residual) -> str:
    """Return the name that a residual has in generated code; `out` is the op's output, never an argument."""
    if kept.part != WHOLE:
        return f"_{kept.name}_{kept.part}"
    return "_out" if kept.name == "out" else kept.name


def _source(kept: Residual, watched: list[str]) -> str:
    whole = "_out" if kept.name == "out" else kept.name
    if kept.part == "shape" and kept.name in watched:
        return f"{whole}._raw.shape"
    return whole if kept.part == WHOLE else f"_{kept.part}_of({whole})"


def _compile(name: str, lines: list[str], names: dict[str, Any], op: Primitive[..., Any]) -> Callable[..., Any]:
    scope = {f"_{key}": value for key, value in names.items()} | {"_op": op}
    exec(compile("\n".join(lines), f"<neo_array {op.__name__}.{name}>", "exec"), scope)
    function: Callable[..., Any] = scope[name]
    return function
