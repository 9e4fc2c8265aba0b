"""Benchmark cases by name: a file each, and a row each in the table below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from neo_bench.cases.case import Case as Case
from neo_bench.cases.chain import CASE as CHAIN
from neo_bench.cases.dispatch import CASE as DISPATCH
from neo_bench.cases.maml import BATCHED as MAML_BATCHED
from neo_bench.cases.maml import LOOPED as MAML_LOOPED
from neo_bench.cases.maml import MAPPED as MAML
from neo_bench.cases.memory import CHAIN as MEMORY_CHAIN
from neo_bench.cases.memory import MLP as MEMORY_MLP
from neo_bench.cases.mlp_step import CASE as MLP_STEP
from neo_bench.cases.tape_cost import CASE as TAPE_COST

CASES: Final[Mapping[str, Case]] = MappingProxyType(
    {
        case.name: case
        for case in (MLP_STEP, CHAIN, DISPATCH, TAPE_COST, MAML, MAML_LOOPED, MAML_BATCHED, MEMORY_MLP, MEMORY_CHAIN)
    }
)
