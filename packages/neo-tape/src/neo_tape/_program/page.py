"""A Program as a page of HTML that needs nothing else: point at a value to see where it comes from and goes."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from neo_tape._program.drawing import LOOKS
from neo_tape._program.graph import kind_of
from neo_tape._program.text import call, names

if TYPE_CHECKING:
    from neo_tape._program.program import Program, Var

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.25rem; }
table { border-collapse: collapse; width: 100%; font: 13px/1.6 ui-monospace, monospace; }
th { text-align: left; font: 600 12px system-ui, sans-serif; color: #6b7280; }
td, th { padding: 0.1rem 0.75rem 0.1rem 0.5rem; vertical-align: top; }
td:first-child { border-left: 4px solid transparent; white-space: nowrap; }
td.bytes { text-align: right; }
td.bytes, td.source { color: #6b7280; white-space: nowrap; }
tr.scope td { padding-top: 0.6rem; font: 600 12px system-ui, sans-serif; color: #6b7280; }
tr.lit { background: #fde68a66; }
"""
_SCRIPT: Final = """
const rows = [...document.querySelectorAll("tr[data-uses]")];
const words = (row, key) => (row.dataset[key] || "").split(" ").filter(Boolean);
for (const row of rows) {
  row.onmouseenter = () => rows.forEach(other => other.classList.toggle("lit", other === row
    || words(other, "makes").some(v => words(row, "uses").includes(v))
    || words(other, "uses").some(v => words(row, "makes").includes(v))));
}
"""


def page(program: Program) -> str:
    """Write a Program as a page."""
    name = names(program)
    colors = "".join(
        f"tr.{kind} td:first-child {{ border-left-color: {look.line}; }}\n" for kind, look in LOOKS.items()
    )
    inputs = [(v, path, "input") for v, path in zip(program.inputs, program.arguments.array_paths, strict=True)]
    inputs += [(v, "captured", "captured") for v in program.hidden]
    rows = [_row(kind, [v], [], f"{kind} {path}" if kind == "input" else path, "", name) for v, path, kind in inputs]
    scope = ""
    for e in program.equations:
        if e.scope != scope:
            scope = e.scope
            rows.append(f'<tr class="scope"><td colspan="4">{html.escape(scope) or "&mdash;"}</td></tr>')
        rows.append(_row(kind_of(e), list(e.outputs), list(e.used), call(e, name), str(e.source), name))
    for v, path in zip(program.outputs, program.results.array_paths, strict=True):
        rows.append(_row("output", [], [v], f"return {path} {name[v]}".replace("  ", " "), "", name))
    title = html.escape(program.name)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f"<style>{_STYLE}{colors}</style></head>\n<body><h1>{title}</h1>\n"
        "<table><tr><th>value</th><th>equation</th><th>bytes</th><th>source</th></tr>\n"
        + "\n".join(rows)
        + f"\n</table><script>{_SCRIPT}</script></body></html>\n"
    )


def _row(kind: str, makes: list[Var], uses: list[Var], what: str, source: str, name: dict[Var, str]) -> str:
    made, used = (" ".join(name[v] for v in values) for values in (makes, uses))
    left = ", ".join(f"{name[v]}: {v!r}" for v in makes)
    size = f"{sum(v.size_in_bytes for v in makes):,}" if makes else ""
    return (
        f'<tr class="{kind}" data-makes="{made}" data-uses="{used}"><td>{html.escape(left)}</td>'
        f'<td>{html.escape(what)}</td><td class="bytes">{size}</td><td class="source">{html.escape(source)}</td></tr>'
    )
