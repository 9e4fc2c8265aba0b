"""Draw docs/images/mlp_gradient.svg, the gradient of a small network: `hatch run draw`.

It needs Graphviz's `dot` (Debian: `apt-get install graphviz`). The picture carries a digest of what it was drawn from,
which a test holds to what a Program gives now; so nothing but drawing anew needs Graphviz.
"""

import hashlib
import re
import subprocess

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_array import Array
from scripts.workspace import ROOT

PICTURE = ROOT / "docs" / "images" / "mlp_gradient.svg"
_DIGEST = re.compile(r"<!-- drawn from sha256:([0-9a-f]{64}) -->")


def loss(model: nn.MLP, images: Array, labels: Array) -> Array:
    """Return how wrong the model is."""
    return nn.losses.cross_entropy(model(images), labels)


def step(model: nn.MLP, images: Array, labels: Array) -> dict[str, object]:
    """Return what the picture shows."""
    value, gradient = nt.value_and_grad(loss)(model, images, labels)
    return {"loss": value, "gradient": gradient}


def source() -> str:
    """Return what the picture is drawn from."""
    with na.use_device("numpy"):
        model = nn.MLP.init(na.random.key(0), (784, 256, 10))
        images, labels = na.zeros((64, 784)), na.zeros(64, dtype=na.int64)
        text = nt.trace(step)(model, images, labels).to_dot()
    return re.sub(r', tooltip="[^"]*"', "", text)  # lines of this file, which would be out of date soon


def digest(text: str) -> str:
    """Return the digest of a drawing's source."""
    return hashlib.sha256(text.encode()).hexdigest()


def drawn_digest() -> str:
    """Return the digest that the picture carries."""
    found = _DIGEST.search(PICTURE.read_text())
    return found[1] if found else ""


def main() -> None:
    """Draw the picture."""
    text = source()
    svg = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True).stdout
    svg = re.sub(r"<!-- (?!drawn).*?-->\n?", "", svg, flags=re.DOTALL)  # Graphviz's comments, its version among them
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(svg.replace("<svg", f"<!-- drawn from sha256:{digest(text)} -->\n<svg", 1))
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
