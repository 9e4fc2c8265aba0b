"""A Program as a graph: nodes in nested groups, and edges. What is drawn, whatever draws it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from neo_tape._name import named
from neo_tape._program.origins import BACKWARD
from neo_tape._program.text import literals, params

if TYPE_CHECKING:
    from neo_tape._program.program import Equation, Program, Var

Kind = Literal["input", "captured", "forward", "backward", "guard", "name", "output"]
_LONGEST: Final = 28  # letters of an option
_DULL: Final = re.compile(r"(shape|dtype|device)=|.*=(False|None)$")  # options that a drawing leaves out


@dataclass(frozen=True)
class Node:
    """An input, an op, or an output."""

    id: str
    kind: Kind
    title: str
    details: tuple[str, ...]
    tip: str = ""


@dataclass
class Group:
    """Nodes that belong together: a part of the model, or what leads to a named value."""

    label: str
    nodes: list[Node] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)

    def at(self, path: str) -> Group:
        """Return the group at a path from here, making what is missing."""
        group = self
        for step in filter(None, path.split("/")):
            group = group.groups.setdefault(step, Group(step))
        return group


@dataclass(frozen=True)
class Edge:
    """A value's way from where it is made to where it is used; `kept` if that is from forward ops to backward ones."""

    start: str
    end: str
    kept: bool


@dataclass(frozen=True)
class Graph:
    """All nodes, in groups, and edges between their ids."""

    root: Group
    edges: tuple[Edge, ...]


def graph(program: Program) -> Graph:
    """Return the graph of a Program. Values that nothing uses are left out."""
    root = Group("")
    homes: dict[Var, str] = {}
    backward: set[Var] = set()
    edges: list[Edge] = []
    used = {v for e in program.equations for v in e.used} | set(program.outputs)
    captured = [f"captured {i}" for i in range(len(program.hidden))]
    inputs: list[tuple[Kind, Var, str]] = []
    inputs += [("input", v, path) for v, path in zip(program.inputs, program.arguments.array_paths, strict=True)]
    inputs += [("captured", v, path) for v, path in zip(program.hidden, captured, strict=True)]
    for number, (kind, v, path) in enumerate(inputs):
        if v in used:
            homes[v] = f"i{number}"
            root.nodes.append(Node(homes[v], kind, path, (repr(v),)))
    labels = _labels(program)
    for number, e in enumerate(program.equations):
        id = f"e{number}"
        root.at("/".join(filter(None, [e.scope, labels.get(e, "")]))).nodes.append(_node(id, e))
        back = kind_of(e) == BACKWARD
        edges += [Edge(homes[v], id, back and v not in backward) for v in dict.fromkeys(e.used)]
        backward.update(e.outputs if back else ())
        homes.update(dict.fromkeys(e.outputs, id))
    for number, (v, path) in enumerate(zip(program.outputs, program.results.array_paths, strict=True)):
        root.nodes.append(Node(f"o{number}", "output", path or "result", (repr(v),)))
        edges.append(Edge(homes[v], f"o{number}", kept=False))
    return Graph(root, tuple(edges))


def _node(id: str, e: Equation) -> Node:
    options = [*literals(e), *(p for p in params(e) if len(p) <= _LONGEST and not _DULL.match(p))]
    looks = [repr(v) for v in e.outputs[:3]] + (["..."] if len(e.outputs) > 3 else [])
    title = e.op.__name__
    if e.op is named:
        title, options = str(e.params["label"]), []
    return Node(id, kind_of(e), title, tuple(filter(None, [" ".join(options), *looks])), str(e.source))


def kind_of(e: Equation) -> Kind:
    """Return what kind of node an equation is."""
    if not e.outputs:
        return "guard"
    if e.op is named:
        return "name"
    return BACKWARD if e.scope.partition("/")[0] == BACKWARD else "forward"


def _labels(program: Program) -> dict[Equation, str]:
    """Return the label for each equation that leads to a named value, and to nothing else in its part of the model."""
    users: dict[Var, list[Equation]] = {}
    for e in program.equations:
        for v in e.used:
            users.setdefault(v, []).append(e)
    returned = set(program.outputs)
    found: dict[Equation, str] = {}
    for e in reversed(program.equations):
        if e.op is named:
            found[e] = str(e.params["label"])
            continue
        beside = [user for v in e.outputs for user in users.get(v, ()) if user.scope == e.scope]
        goals = {found.get(user, "") for user in beside}
        if len(goals) == 1 and "" not in goals and returned.isdisjoint(e.outputs):
            found[e] = goals.pop()
    return found
