"""Generate the hot path: a bind function per primitive, a record and a pull function per set of wanted inputs.

As the standard library's dataclasses does, each function is written out as source for exactly its argument names, so
that nothing is looped over, packed or looked up when it runs. What comes out for `multiply`, both inputs watched:

    def bind(x1, x2):
        try:
            r_x1 = x1._raw if type(x1) is Array else weak(x1, x2)
            r_x2 = x2._raw if type(x2) is Array else weak(x2, x1)
            if r_x1.dtype is not r_x2.dtype:
                return careful(x1, x2)
            kind = type(r_x1)
            raw = kernels[kind](r_x1, r_x2)
        except Exception:
            kind = None
        if kind is None:
            return careful(x1, x2)
        out = ...  # a new Array around raw
        if stack is not EMPTY: ...  # for each level that watches an input: record_3(level, watched, out, x1, x2)
        return out

    def record_3(level, watched, out, x1, x2):
        u = out._id
        watched.add(u)
        level.entries.append((pull_3, u, x1._id, x2._id, x2, x1))

    def pull_3(g, entry, grads):
        _, _, i_x1, i_x2, x2, x1 = entry
        c_x1 = rule_0(g, x2)
        if c_x1._raw.shape != x1._raw.shape:
            c_x1 = undo_broadcast(c_x1, x1._raw.shape)
        grads[i_x1] = add(grads[i_x1], c_x1) if i_x1 in grads else c_x1
        ...  # likewise for x2

The bind function is optimistic: whatever is not the plain case goes to `careful`, which promotes, checks and explains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from neo_array._rules import WHOLE, NoDerivative, Residual

if TYPE_CHECKING:
    from neo_array._primitive import Primitive


def generate_bind(op: Primitive[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    """Write the function that runs the op: kernel, then levels."""
    arrays, options = op.arrays, op.options
    signature = ", ".join([*arrays, *(["*"] if options else []), *options])
    keywords = "".join(f", {o}={o}" for o in options)
    everything = ", ".join(arrays) + keywords
    params = "{" + ", ".join(f"{o!r}: {o}" for o in options) + "}"
    first = f"r_{arrays[0]}"

    lines = [f"def bind({signature}):", "    try:"]
    if len(arrays) == 1:
        lines.append(f"        {first} = {arrays[0]}._raw")
    else:
        for a in arrays:
            like = next((b for b in op.promoted if b != a), None) if a in op.promoted else None
            weak = f"weak({a}, {like})" if like else f"{a}._raw"
            lines.append(f"        r_{a} = {a}._raw if type({a}) is Array else {weak}")
    for a, b in zip(op.promoted, op.promoted[1:], strict=False):
        lines += [f"        if r_{a}.dtype is not r_{b}.dtype:", f"            return careful({everything})"]
    if op.floating:
        lines += [f"        if {first}.dtype not in INEXACT:", f"            return careful({everything})"]
    lines += [
        f"        kind = type({first})",
        f"        raw = kernels[kind]({', '.join('r_' + a for a in arrays)}{keywords})",
        "    except Exception:",
        "        kind = None",
        "    if kind is None:  # outside the handler: its error shall not carry the first one along",
        f"        return careful({everything})",
    ]
    if op.multi:
        lines.append("    out = tuple([Array(r) for r in raw])")
    else:
        lines += ["    if type(raw) is not kind:", "        raw = asraw(raw)"]
        lines += [
            "    out = new(Array)",
            "    out._raw = raw",
            "    out._id = next_id()",
        ]  # Array(raw), without the call
    tuple_of_args = f"({', '.join(arrays)},)"
    lines += [
        "    stack = current_stack()",
        "    if stack is not EMPTY:",
        "        if CROWD:",
        f"            check_strangers(stack, op, {tuple_of_args})",
        "        if stack.recorders:",
        *(
            f"            i_{a} = {a}._id" + ("" if len(arrays) == 1 else f" if type({a}) is Array else 0")
            for a in arrays
        ),
        "            for level in stack.levels:",
        "                watched = level.watched",
        f"                mask = {' | '.join(f'({1 << i} if i_{a} in watched else 0)' for i, a in enumerate(arrays))}",
        "                if mask:",
        f"                    records[mask](level, watched, out, {', '.join([*arrays, *options])})",
        "        else:",
        f"            show(stack, 0, op, {tuple_of_args}, {params}, out)",
        "    elif OPEN:",
        f"        check_strangers(stack, op, {tuple_of_args})",
        "    return out",
    ]
    return _compile("bind", lines, names, op)


def generate_record(op: Primitive[..., Any], mask: int, names: dict[str, Any]) -> Callable[..., None]:
    """Write the function that appends a tape entry, and its pull function, for one set of wanted inputs."""
    wanted = {a for i, a in enumerate(op.arrays) if mask >> i & 1}
    rules = [r for r in op.vjp_rules if wanted & set(r.inputs)]
    blocked = [a for a in op.arrays if a in wanted and isinstance(op.missing.get(a), NoDerivative)]
    inputs = [a for r in rules for a in r.inputs if a in wanted] + blocked
    signature = ", ".join(["level", "watched", "out", *op.arrays, *op.options])
    if op.discrete or not inputs:
        return _compile("record", [f"def record({signature}):", "    return"], {}, op)

    kept = list(dict.fromkeys(residual for r in rules for residual in r.residuals))
    whole = {k.name for k in kept if k.part == WHOLE}
    undo = inputs if op.broadcasts and len(op.arrays) > 1 else []
    kept += [Residual(a, "shape") for a in undo if a not in whole and Residual(a, "shape") not in kept]
    kept_options = list(dict.fromkeys(o for r in rules for o in r.options))
    layout = [f"i_{a}" for a in inputs] + [k.variable for k in kept] + kept_options
    source = [f"{a}._id" for a in inputs] + [_source(k, inputs) for k in kept] + kept_options

    lines = ["def pull(g, entry, grads):", f"    _, _, {', '.join(layout)}, = entry"]
    for number, rule in enumerate(rules):
        arguments = ", ".join(["g", *(k.variable for k in rule.residuals), *(f"{o}={o}" for o in rule.options)])
        targets = [a if a in wanted else "_" for a in rule.inputs]
        results = ", ".join("_" if a == "_" else f"c_{a}" for a in targets) + ("," if len(targets) > 1 else "")
        lines.append(f"    {results} = rule_{number}({arguments})")
        for a in targets:
            if a == "_":
                continue
            if a in undo:
                shape = f"{a}._raw.shape" if a in whole else f"{a}_shape"
                lines += [f"    if c_{a}._raw.shape != {shape}:", f"        c_{a} = undo_broadcast(c_{a}, {shape})"]
            indent = "    "
            if len(targets) > 1 or op.multi:
                lines.append(f"    if c_{a} is not None:")
                indent = "        "
            lines.append(f"{indent}grads[i_{a}] = add(grads[i_{a}], c_{a}) if i_{a} in grads else c_{a}")
    lines += [f"    raise_no_derivative(op, {a!r})" for a in blocked]

    lines += [f"def record({signature}):"]
    if op.multi:
        lines += [
            "    u = tuple([o._id if is_differentiable(o) else 0 for o in out])",
            "    watched.update(filter(None, u))",
        ]
    else:
        if op.may_be_discrete:
            lines += ["    if not is_differentiable(out):", "        return"]
        lines += ["    u = out._id", "    watched.add(u)"]
    lines.append(f"    level.entries.append((pull, u, {', '.join(source)}))")
    rule_names = {f"rule_{number}": rule.function for number, rule in enumerate(rules)}
    return _compile("record", lines, names | rule_names, op)


def _source(kept: Residual, watched: list[str]) -> str:
    if kept.part == "shape" and kept.name in watched:
        return f"{kept.name}._raw.shape"
    return kept.name if kept.part == WHOLE else f"{kept.part}_of({kept.name})"


def _compile(name: str, lines: list[str], names: dict[str, Any], op: Primitive[..., Any]) -> Callable[..., Any]:
    scope = {**names, "op": op}
    exec(compile("\n".join(lines), f"<neo_array {op.__name__}.{name}>", "exec"), scope)
    function: Callable[..., Any] = scope[name]
    return function
