"""Drawings of a Program: Graphviz's dot, and Mermaid."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from neo_tape._program.graph import Group, Kind, Node, graph

if TYPE_CHECKING:
    from neo_tape._program.program import Program


class Look(NamedTuple):
    """How a kind of node is drawn."""

    fill: str
    line: str
    dot: str
    mermaid: tuple[str, str]


LOOKS: Final[dict[Kind, Look]] = {
    "input": Look("#e6f4ea", "#3d8b57", 'shape=box, style="filled,rounded"', ("([", "])")),
    "captured": Look("#f3f4f6", "#6b7280", 'shape=box, style="filled,rounded,dashed"', ("([", "])")),
    "forward": Look("#e8f0fe", "#4a6fa5", 'shape=box, style="filled,rounded"', ("[", "]")),
    "backward": Look("#fdf0e1", "#b8732e", 'shape=box, style="filled,rounded"', ("[", "]")),
    "guard": Look("#fde8ec", "#b8445b", "shape=octagon, style=filled", ("{{", "}}")),
    "name": Look("#f3e8fd", "#7d4aa5", "shape=cds, style=filled", ("(", ")")),
    "output": Look("#d5eadb", "#2c6b41", 'shape=box, style="filled,rounded", penwidth=2', ("([", "])")),
}
_TEXT: Final = "#1f2937"
_QUIET: Final = "#6b7280"
_KEPT: Final = 'style=dashed, color="#d9a766"'


# --- Graphviz ---
def dot(program: Program) -> str:
    """Write a Program in Graphviz's language."""
    drawn = graph(program)
    numbers = itertools.count()
    return "\n".join(
        [
            "digraph program {",
            f'  graph [rankdir=TB, nodesep=0.3, ranksep=0.4, fontname="Helvetica", fontsize=11, fontcolor="{_QUIET}"]',
            f'  node [fontname="Helvetica", fontsize=12, fontcolor="{_TEXT}", margin="0.14,0.07", height=0.3]',
            '  edge [color="#9ca3af", arrowsize=0.6]',
            *_dot_group(drawn.root, "  ", numbers),
            *(f"  {e.start} -> {e.end}" + (f" [{_KEPT}]" if e.kept else "") for e in drawn.edges),
            "}\n",
        ]
    )


def _dot_group(group: Group, indent: str, numbers: Iterator[int]) -> Iterator[str]:
    for node in group.nodes:
        yield f"{indent}{node.id} [{_dot_node(node)}]"
    for inner in group.groups.values():
        yield f"{indent}subgraph cluster_{next(numbers)} {{"
        style = 'style="rounded,filled", color="#d1d5db", fillcolor="#9ca3af14", labeljust=l, margin=12'
        yield f"{indent}  graph [label={_quoted(inner.label)}, {style}]"
        yield from _dot_group(inner, f"{indent}  ", numbers)
        yield f"{indent}}}"


def _dot_node(node: Node) -> str:
    look = LOOKS[node.kind]
    lines = "".join(f'<br/><font point-size="9" color="{_QUIET}">{html.escape(d)}</font>' for d in node.details)
    tip = f", tooltip={_quoted(node.tip)}" if node.tip else ""
    colors = f'fillcolor="{look.fill}", color="{look.line}"'
    return f"label=<<b>{html.escape(node.title)}</b>{lines}>, {look.dot}, {colors}{tip}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- Mermaid ---
def mermaid(program: Program) -> str:
    """Write a Program as a Mermaid flowchart."""
    drawn = graph(program)
    numbers = itertools.count()
    return "\n".join(
        [
            "flowchart TD",
            *_mermaid_group(drawn.root, "    ", numbers),
            *(f"    {e.start} {'-.->' if e.kept else '-->'} {e.end}" for e in drawn.edges),
            *(f"    classDef {kind} fill:{x.fill},stroke:{x.line},color:{_TEXT}" for kind, x in LOOKS.items()),
            "",
        ]
    )


def _mermaid_group(group: Group, indent: str, numbers: Iterator[int]) -> Iterator[str]:
    for node in group.nodes:
        left, right = LOOKS[node.kind].mermaid
        text = "<br/>".join([f"<b>{html.escape(node.title)}</b>", *map(html.escape, node.details)])
        yield f'{indent}{node.id}{left}"{text}"{right}:::{node.kind}'
    for inner in group.groups.values():
        yield f'{indent}subgraph g{next(numbers)}["{html.escape(inner.label)}"]'
        yield from _mermaid_group(inner, f"{indent}    ", numbers)
        yield f"{indent}end"
