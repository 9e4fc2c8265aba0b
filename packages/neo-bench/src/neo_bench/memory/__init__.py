"""How the peak memory of a run is measured."""
