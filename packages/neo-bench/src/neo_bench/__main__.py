"""Run the command line as `python -m neo_bench`."""

from neo_bench.cli import app

app(prog_name="neo-bench")
