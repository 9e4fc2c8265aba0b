"""Print the peak memory of one side of a case: `python -m neo_bench.memory CASE BACKEND neo|peer`."""

from __future__ import annotations

import sys

from neo_bench.cases import CASES
from neo_bench.memory.peak import peak

name, backend, side = sys.argv[1:]
pair = CASES[name].build(backend, False)
print(peak(pair.neo.run if side == "neo" else pair.peer.run))
