"""What the tests of runs share."""

import csv

from pyro_vae.runs import RunFolder

CLOCK = ("seconds", "images_per_second")


def trace(folder: RunFolder) -> list[dict[str, str]]:
    """The rows of trace.csv as text, without the two columns that tell the time."""
    with open(folder.path / "trace.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in CLOCK} for row in csv.DictReader(file)]
