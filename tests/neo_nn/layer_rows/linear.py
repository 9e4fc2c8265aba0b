from __future__ import annotations

import torch

import neo_nn as nn
from tests.neo_nn.layer_rows.core import Row, normal

ROWS = [
    *(
        Row(
            f"Linear-{'x'.join(map(str, shape))}",
            lambda key: nn.Linear.init(key, 5, 4),
            lambda: torch.nn.Linear(5, 4),
            (normal(*shape),),
        )
        for shape in [(3, 5), (1, 5), (5,), (0, 5), (2, 3, 5)]
    ),
    Row(
        "Linear-no-bias",
        lambda key: nn.Linear.init(key, 5, 4, bias=False),
        lambda: torch.nn.Linear(5, 4, bias=False),
        (normal(3, 5),),
    ),
]
