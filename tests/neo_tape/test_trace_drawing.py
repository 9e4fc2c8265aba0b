"""Programs as text and as drawings."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import neo_array as na
import neo_tape as nt
from neo_array import Array

trace: Any = nt.trace


@dataclass(frozen=True)
class Layer:
    weight: Array
    bias: Array | None

    def __call__(self, x: Array) -> Array:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


@dataclass(frozen=True)
class Net:
    layers: tuple[Layer, ...]

    def __call__(self, x: Array) -> Array:
        for layer in self.layers[:-1]:
            x = na.tanh(layer(x))
        return self.layers[-1](x)


@dataclass(frozen=True)
class Doubled:
    def __call__(self, x: Array) -> Array:
        return x * 2.0


na.tree.register(Layer, lambda s: ((s.weight, s.bias), None, ("weight", "bias")), lambda _, c: Layer(*c))
na.tree.register(Net, lambda s: ((s.layers,), None, ("layers",)), lambda _, c: Net(*c))
na.tree.register(Doubled, lambda s: ((), None, ()), lambda _, c: Doubled())

NET = Net((Layer(na.ones((3, 4)), na.zeros(4)), Layer(na.ones((4, 2)), None)))
X = na.ones((5, 3))


def loss(net: Net, x: Array) -> Array:
    return (nt.name(net(x), "logits") ** 2.0).sum()


def scopes(program: nt.Program) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for e in program.equations:
        found.setdefault(e.scope, set()).add(e.op.__name__)
    return found


def test_scopes_are_the_paths_of_the_parts() -> None:
    assert scopes(trace(loss)(NET, X)) == {
        "net/layers.0": {"matmul", "add"},
        "net": {"tanh"},
        "net/layers.1": {"matmul"},
        "": {"named", "power", "reduce_sum"},
    }


@pytest.mark.parametrize(
    "f",
    [
        nt.grad(loss),
        lambda net, x: nt.grad(lambda net: nt.vmap(net)(x).sum())(net),
        lambda net, x: nt.grad(lambda part: loss(Net((part, net.layers[1])), x))(net.layers[0]),
        lambda net, x: trace(nt.grad(loss))(net, x).eval(net, x),
    ],
    ids=["grad", "grad of vmap", "grad of a part", "eval"],
)
def test_scopes_are_found_through_transforms(f: Any) -> None:
    found = scopes(trace(f)(NET, X))
    assert {"net/layers.0", "net/layers.1", "backward/net/layers.0", "backward/net/layers.1"} <= found.keys()


def test_backward_inside_a_vmap_is_backward() -> None:
    found = scopes(trace(lambda net, x: nt.vmap(nt.grad(loss), in_axes=(None, 0))(net, x[:, None]))(NET, X))
    assert {"net/layers.0", "net/layers.1", "backward"} <= found.keys()


def test_part_without_inputs_is_named_by_its_class() -> None:
    assert scopes(trace(lambda x: Doubled()(NET(x)))(X)).keys() == {"Net", "Net/Layer", "Doubled"}


def test_two_parts_of_one_class_are_told_apart_and_so_are_equal_arrays() -> None:
    layer = NET.layers[0]
    f: Any = lambda a, b, x: a(x) + b(x)
    assert scopes(trace(f)(layer, layer, X)).keys() == {"a", "b", ""}


TEXT = """\
program f:
    a: float32[5,3] = input x
    b: float32[3,4] = input w
    c: float32[5,4] = matmul a b # f
    d: float32[5,4] = multiply c 2.0 # f
    e: float32[5,4] = tanh d # f
    f: bool[5,4] = greater e -1.0 # f
    g: bool[] = reduce_all f axis=(0, 1) keepdims=False # f
    guard g is True # f
    h: float32[4] = reduce_sum e axis=(0,) keepdims=False # f
    return h=h"""


def test_text_is_one_equation_a_line() -> None:
    def f(x: Array, w: Array) -> dict[str, Array]:
        h = na.tanh(x @ w * 2.0)
        if (h > -1.0).all():
            h = na.sum(h, axis=0)
        return {"h": h}

    text = str(trace(f)(X, na.ones((3, 4))))
    assert re.sub(r" +# test_trace_drawing.py:\d+ \(f\)\n", " # f\n", text) == TEXT


def test_names_go_on_after_z() -> None:
    def f(x: Array) -> Array:
        for _ in range(60):
            x = x + 1.0
        return x

    text = str(trace(f)(X))
    assert "    z: float32[5,3] = add y 1.0" in text
    assert "    aa: float32[5,3] = add z 1.0" in text
    assert "    ba: float32[5,3] = add az 1.0" in text


def test_text_shows_scopes_captured_arrays_and_rules() -> None:
    @nt.function
    class Twice(nt.Policy):
        def forward(self, x: Array) -> Array:
            return x * 2.0

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad * 2.0,)

    text = str(trace(lambda net: nt.checkpoint(lambda x: na.sin(x))(Twice(net(X))))(NET))
    assert "# net/layers.0\n" in text
    assert "= captured\n" in text
    assert "policy_call" in text
    assert "Twice" in text
    assert "checkpoint_call" in text
    assert "of 1 ops" in text


def test_table_has_bytes_and_sources() -> None:
    lines = trace(nt.grad(loss))(NET, X).table().splitlines()
    assert lines[0].split() == ["op", "operands", "output", "bytes", "source", "scope"]
    matmul = next(line for line in lines if line.startswith("matmul"))
    assert re.search(
        r"a? ?\w+ \w+ +\w+: float32\[5,4\] +80 +test_trace_drawing.py:\d+ \(__call__\) +net/layers.0$", matmul
    )


def groups(dot: str) -> dict[str, set[str]]:
    """Return the titles in each group, by the path of labels."""
    found: dict[str, set[str]] = {}
    path: list[str] = []
    for line in dot.splitlines():
        label = re.search(r'graph \[label="([^"]*)"', line)
        title = re.search(r"label=<<b>(.*?)</b>", line)
        if "subgraph" in line:
            path.append("?")
        elif label and path:
            path[-1] = label[1]
        elif title:
            found.setdefault("/".join(path), set()).add(title[1])
        elif line.strip() == "}" and path:
            path.pop()
    return found


def test_dot_groups_by_parts_and_names() -> None:
    def f(net: Net, x: Array) -> Array:
        h = nt.name(na.exp(na.sin(net(x)) * 2.0), "hidden")
        return h.sum()

    found = groups(trace(f)(NET, X).to_dot())
    assert found["net/layers.0"] == {"matmul", "add"}
    assert found["hidden"] == {"sin", "multiply", "exp", "hidden"}
    assert found[""] == {"reduce_sum", "net.layers.0.weight", "net.layers.0.bias", "net.layers.1.weight", "x", "result"}
    both = groups(trace(nt.grad(f))(NET, X).to_dot())
    assert both["backward/net/layers.1"] >= {"matmul"}


def test_a_value_that_is_used_elsewhere_is_not_grouped_under_a_name() -> None:
    def f(x: Array) -> Array:
        shared = na.sin(x)
        return nt.name(na.exp(shared), "h") + shared

    assert groups(trace(f)(X).to_dot())["h"] == {"exp", "h"}


AWKWARD = 'a "quoted" <b>&\\ label'


def awkward(x: dict[str, Array]) -> dict[str, Array]:
    h = nt.name(x[AWKWARD] * 2.0, AWKWARD)
    return {AWKWARD: h if (h > 0.0).all() else -h}


@pytest.mark.parametrize("f", [awkward, nt.grad(lambda x: awkward(x)[AWKWARD].sum())])
def test_drawings_are_well_formed(f: Any) -> None:
    program = trace(f)({AWKWARD: X})
    assert all(line.count('"') in (0, 2) for line in program.to_mermaid().splitlines())
    if shutil.which("dot") is not None:
        svg = subprocess.run(["dot", "-Tsvg"], input=program.to_dot(), capture_output=True, text=True, check=True)
        assert svg.stderr == ""
        assert "quoted" in svg.stdout


def test_mermaid_has_each_op_once_and_balanced_groups() -> None:
    program = trace(nt.grad(loss))(NET, X)
    text = program.to_mermaid()
    assert text.startswith("flowchart TD\n")
    for number in range(len(program.equations)):
        assert len(re.findall(rf"^ *e{number}[\[({{]", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^ *subgraph ", text, re.MULTILINE)) == len(re.findall(r"^ *end$", text, re.MULTILINE))


class Page(HTMLParser):
    """Collects the rows of a page, and whatever it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, str | None]] = []
        self.loads: list[str] = []
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [k for k in given if k in ("src", "href")]
        if tag == "tr" and "data-makes" in given:
            self.rows.append(given)
        if tag != "meta":
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def test_page_stands_alone_and_links_values() -> None:
    program = trace(nt.grad(loss))(NET, X)
    page = Page()
    page.feed(program.html())
    assert page.stack == []
    assert page.loads == []
    assert len(page.rows) == len(program.inputs) + len(program.equations) + len(program.outputs)
    made: set[str] = set()
    for row in page.rows:
        assert set((row["data-uses"] or "").split()) <= made
        made |= set((row["data-makes"] or "").split())
    page = Page()
    page.feed(trace(awkward)({AWKWARD: X}).html())
    assert page.stack == []


def test_program_of_nothing_draws() -> None:
    program = trace(lambda: np.float64(3.0))()
    for text in (str(program), program.table(), program.to_dot(), program.to_mermaid(), program.html()):
        assert text
