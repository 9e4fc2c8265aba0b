"""Compare programs with JAX: `python -m tests.neo_tape.compositions 3000`, and what is written down with `--write`."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.neo_tape.compositions.comparison import RECORD, Oracle, digest, error, outcome, recorded
from tests.neo_tape.compositions.description import describe
from tests.neo_tape.compositions.generator import random_program
from tests.neo_tape.compositions.libraries import Neo
from tests.neo_tape.jax_float64 import jax_in_float64


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.neo_tape.compositions", description=__doc__)
    parser.add_argument("programs", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--write", action="store_true", help="add JAX's outcomes to those that the tests read")
    options = parser.parse_args()
    neo, wrong, worst, values, start = Neo(), 0, 0.0, {}, time.monotonic()
    with jax_in_float64():
        oracle = Oracle()
        for seed in range(options.first, options.first + options.programs):
            program = random_program(seed)
            expected = values[digest(program)] = oracle.outcome(program)
            found = error(outcome(program, neo), expected)
            worst = max(worst, found)
            if found > 1e-10:
                wrong += 1
                sys.stdout.write(f"seed {seed} is off by {found:.3g}, from {expected}\n{describe(program.body)}\n")
    if options.write:
        before = recorded() if RECORD.exists() else {}
        RECORD.write_text(json.dumps(before | values, indent=0) + "\n")
    seconds = time.monotonic() - start
    sys.stdout.write(f"{options.programs} programs, {wrong} wrong, worst error {worst:.2g}, {seconds:.0f} s\n")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
