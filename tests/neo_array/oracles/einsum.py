"""What contractions should be: one Python sum per element of the output."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from tests.neo_array.oracles.core import Oracle


def contract(x1: Any, x2: Any, *, subscripts: str) -> Any:
    inputs, out = subscripts.split("->")
    a, b = inputs.split(",")
    sizes = dict(zip(a + b, x1.shape + x2.shape, strict=True))
    summed = [c for c in sizes if c not in out]
    result = np.empty([sizes[c] for c in out], np.result_type(x1, x2))
    for place in np.ndindex(result.shape):
        terms = []
        for inner in itertools.product(*(range(sizes[c]) for c in summed)):
            at = dict(zip([*out, *summed], (*place, *inner), strict=True))
            terms.append(complex(x1[tuple(at[c] for c in a)] * x2[tuple(at[c] for c in b)]))
        total = complex(math.fsum(t.real for t in terms), math.fsum(t.imag for t in terms))
        result[place] = total if result.dtype.kind == "c" else total.real
    return result


ORACLES: dict[str, Oracle] = {"contract": contract}
