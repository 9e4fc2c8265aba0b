"""Tell hatch's scripts which hatch is running them.

The scripts of the `default` environment hand over to the `dev` environment by calling hatch again. Hatch may have been
started as `python -m hatch`, or by its path from a virtual environment that is not active; then there is no command
`hatch`. Hatch loads this file into its own process, the one place that knows the interpreter.
"""

import os
import sys

from hatch.env.collectors.plugin.interface import EnvironmentCollectorInterface


class RunningHatch(EnvironmentCollectorInterface):
    """Export `NEO_HATCH`, the command line that starts this hatch again."""

    def finalize_config(self, config: dict[str, dict[str, object]]) -> None:
        """Set the variable; the environments' configuration stays as it is."""
        os.environ["NEO_HATCH"] = f'"{sys.executable}" -m hatch'
