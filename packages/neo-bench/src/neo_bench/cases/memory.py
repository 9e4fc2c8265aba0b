"""Peak memory of a training step: of a wide network, and of a chain of 50 layers.

The programs are those of `mlp_step`. What is there before a step, parameters and one batch, does not count; gradients
do, since neither side keeps any from one step to the next.
"""

from __future__ import annotations

from neo_bench.cases.case import Case
from neo_bench.cases.mlp_step import step_of
from neo_bench.timing.contender import Pair
from neo_nn.initializers import he_normal


def _wide(backend: str, quick: bool, /) -> Pair:
    """Set up 784-1024-1024-10 with a batch of 1,024, or a small network."""
    return step_of((12, 8, 4), 6, backend) if quick else step_of((784, 1024, 1024, 10), 1024, backend)


def _deep(backend: str, quick: bool, /) -> Pair:
    """Set up 50 layers of width 256 with a batch of 1,024, or 5 small ones."""
    sizes, batch = ((8,) * 6, 6) if quick else ((256,) * 51, 1024)
    # PyTorch's default initialization lets gradients vanish in so many layers. Rounding decides on which side of zero
    # a few of 13 million units are, which changes single weights' gradients in the third digit.
    return step_of(sizes, batch, backend, weight_init=he_normal, tolerance=1e-2)


MLP = Case(
    name="memory_mlp",
    summary="peak memory of an SGD step, 784-1024-1024-10, batch 1,024",
    peer="PyTorch eager",
    backends=("numpy", "torch"),
    build=_wide,
    unit="MB",
)
CHAIN = Case(
    name="memory_chain",
    summary="peak memory of an SGD step, 50 layers of width 256, batch 1,024",
    peer="PyTorch eager",
    backends=("numpy", "torch"),
    build=_deep,
    unit="MB",
)
