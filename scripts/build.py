"""Build the wheel and the source distribution of every package into dist/: `hatch run build`."""

import shutil

from scripts.workspace import ROOT, build, packages


def main() -> None:
    """Empty dist/, build into it and list what was made."""
    outdir = ROOT / "dist"
    shutil.rmtree(outdir, ignore_errors=True)
    for path in build(packages(), outdir, sdist=True):
        print(f"{path.stat().st_size:>9,}  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
