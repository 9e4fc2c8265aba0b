"""Tools of this repository, run through hatch; not part of any package."""
