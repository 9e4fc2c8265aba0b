"""Train, measure and compare neo with its peers: the `neo-bench` command and the datasets it runs on."""

from neo_bench._version import __version__ as __version__
