"""What is seen of an evaluation in the terminal: its progress, and the table at its end."""

from math import ceil
from pathlib import Path
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pyro_vae.estimators.importance import LIMIT
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.heartbeat import Heartbeat, NotebookLine
from pyro_vae.tables import Column, Sheet
from pyro_vae.terminal import PlainConsole

Findings = dict[str, dict[str, Entry]]  #: by the images they were taken on, then by the measure


def table(runs: dict[str, Findings]) -> Sheet:
    """All figures, a column for each run; bounds carry their sign, errors are standard errors over images."""
    names = [Column(Path(run).name) for run in runs]
    counts = [Column("samples", 2), Column("images", 1)]
    by = Column("by", 3, left=True, wraps=24)
    sections = [
        [[source, *row] for name in entries for row in _rows([found[source][name] for found in runs.values()], name)]
        for source, entries in next(iter(runs.values())).items()
    ]
    return Sheet(
        [Column("on", left=True), Column("figure", left=True), *names, *counts, by],
        sections,
        "evaluation, nats per image where no unit is given",
        f"± standard error over images; ≥ a lower bound, ≤ an upper bound; ! k-hat above {LIMIT} for some images;"
        " metrics.json has all settings",
    )


def certified(found: Findings) -> str | None:
    """One sentence on log p(x) and what it is worth; None where it was not measured."""
    entry = found.get("test", {}).get("evidence")
    if entry is None or entry.not_defined is not None:
        return None
    figure, change = entry.figures["log_evidence"], entry.figures["evidence_change"]
    error = "" if figure.standard_error is None else f" ± {figure.standard_error:.2f}"
    words = f"log p(x) = {figure.value:.2f}{error}, {worth(found.get('simulated', {}).get('certificate'))}"
    spread = "" if change.standard_error is None else f" ± {change.standard_error:.2g}"
    words += f"; at five times the temperatures {change.value:+.2g}{spread}"
    if modes := entry.figures["several_modes"].value:
        words += f"; {modes:.0%} of images have a posterior of several modes"
    return words


def worth(certificate: Entry | None) -> str:
    """What a certificate says, in words; bounds are rounded upwards."""
    if certificate is None or certificate.not_defined is not None:
        return "not certified"
    reached = certificate.figures["certified_to"]
    words = f"certified to {ceil(100 * max(reached.value, 0.005)) / 100:.2f} on simulated images"
    return words if reached.value <= certificate.settings["tolerance"] else f"{words} and no closer"


def _rows(entries: list[Entry], name: str) -> list[list[str]]:
    """The rows of one measure: the figure, its value in each run, samples, images, and how it was obtained."""
    figures = {figure: estimate for entry in entries for figure, estimate in entry.figures.items()}
    reasons = "; ".join(dict.fromkeys(entry.not_defined for entry in entries if entry.not_defined))
    if not figures:
        return [[name, *("-" for _ in entries), "", "", reasons]]
    if name == "dimensions":  # a row for each dimension would fill the screen
        values = ["-" if entry.not_defined else "in metrics.json" for entry in entries]
        return [["kl of each dimension", *values, "", str(next(iter(figures.values())).images), reasons]]
    rows = []
    for figure, estimate in figures.items():
        values = [str(entry.figures[figure]) if figure in entry.figures else "-" for entry in entries]
        unit = "" if estimate.unit == "nats per image" else f"[{estimate.unit}] "
        cautions = [entry.figures[figure].caution for entry in entries if figure in entry.figures]
        caution = "; " + max(cautions) if any(cautions) else ""
        by = unit + estimate.estimator + caution + (f" (-: {reasons})" if reasons else "")
        rows.append([figure, *values, f"{estimate.samples:,}", f"{estimate.images:,}", by])
    return rows


#: what takes long in a measure, in words
WORK = {
    "gap": "the search for each image's best posterior",
    "ais": "annealing",
    "evidence": "annealing from each image's best Gaussian",
    "bracket": "annealing of simulated images, both ways",
    "gradient": "gradients of one batch, many times",
}


class Line:
    """A line for each finished measure, and in a terminal a bar for the one that is going on."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = PlainConsole(quiet=quiet)
        self.run = ""
        self.notebook = NotebookLine() if NotebookLine.possible() and not quiet else None
        self.heart = Heartbeat(self._say, lambda: self.now)
        self.now = ""
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=self.console, transient=True
        )
        self.task = self.bar.add_task("", total=1)
        self.shown = ""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bar.start()
        elif self.notebook is None and not self.console.quiet:
            self.heart.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()
        elif self.notebook is None and not self.console.quiet:
            self.heart.__exit__(*exception)

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def going(self, source: str, name: str, done: float, total: int) -> None:
        """So many images of so many are measured."""
        work = f" ({WORK[name]})" if name in WORK else ""
        words = f"{self.run}: {name}, {source}{work}"
        if words != self.shown:
            self.bar.reset(self.task, total=total, description=escape(words))
            self.shown = words
            self.heart.heard()
        self.bar.update(self.task, completed=done)
        self.now = f"{words}: {done:.0f} of {total} images"
        if self.notebook:
            self.notebook.show(done / max(1, total), words)

    def done(self, source: str, name: str, entry: Entry, images: int) -> None:
        """A measure is finished."""
        self._say(f"{self.run}: {name}, {source}: {entry.not_defined or f'{entry.seconds:.1f} s'}")
        self.now = f"{self.run}: {name}, {source} is done; its pictures and files are written"
        self.heart.heard()
