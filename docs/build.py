"""Build the site: ``python -m docs.build`` leaves it in build/site, which reads without a network.

Warnings are errors. Nothing is executed but a small comparison, whose report the site shows; it is made once.
"""

import argparse
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docs.builder import check
from pyro_vae.compare.command import main as compare

ROOT = Path(__file__).parent.parent
# Two guides on scikit-learn's digits: enough for every part of the report, and seconds of one core.
GRID = {
    "--guides": "MeanField,FullRank",
    "--seeds": "3",
    "--epochs": "40",
    "--engine": "eager",
    "--final-samples": "20",
    "--measures": "elbo,importance,units",
    "--evaluate.importance-samples": "500",
}


def report(folder: Path) -> Path:
    """The report of a small comparison, made unless it is there."""
    page = folder / "report.html"
    if not page.is_file():
        compare([word for option in GRID.items() for word in option] + ["--out", str(folder)])
    return page


def build(out: Path) -> int:
    """Build the site and check it; 0 where nothing is wrong with it."""
    page = report(out.parent / "comparison")
    options = ["-b", "html", "-c", "docs", "-d", str(out.parent / "doctrees"), "-j", "auto", "-W", "--keep-going", "-q"]
    if failed := sphinx([*options, str(ROOT), str(out)]):
        return failed
    (out / "docs" / "report").mkdir(exist_ok=True)
    shutil.copy(page, out / "docs" / "report")
    return check.main(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "build" / "site")
    sys.exit(build(parser.parse_args().out.resolve()))
