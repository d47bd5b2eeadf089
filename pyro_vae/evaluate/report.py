"""What is seen of an evaluation in the terminal: its progress, and the table at its end."""

from pathlib import Path
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pyro_vae.estimators.certificate import rounded_up
from pyro_vae.estimators.importance import LIMIT
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.heartbeat import Heartbeat, NotebookLine
from pyro_vae.metrics import all_metrics
from pyro_vae.observation import spoken
from pyro_vae.tables import Column, Sheet
from pyro_vae.terminal import PlainConsole

Findings = dict[str, dict[str, Entry]]  #: by the images that they were measured on, then by metric


def table(runs: dict[str, Findings], one: str = "image", kept: str = "metrics.json") -> Sheet:
    """All metrics, a column for each run; bounds carry their sign, errors are standard errors over images.

    Args:
        one: what one x is, in a word.
        kept: where the estimates are kept with their settings.
    """
    names = [Column(Path(run).name) for run in runs]
    counts = [Column("samples", 2), Column(f"{one}s", 1)]
    by = Column("by", 3, left=True, wraps=24)
    sections = [
        [
            [source, *row[:-1], spoken(row[-1], one)]
            for name in entries
            for row in _rows([found[source][name] for found in runs.values()], name, kept)
        ]
        for source, entries in next(iter(runs.values())).items()
    ]
    return Sheet(
        [Column("on", left=True), Column("metric", left=True), *names, *counts, by],
        sections,
        f"evaluation, nats per {one} where no unit is given",
        f"± standard error over {one}s; ≥ a lower bound, ≤ an upper bound; ! k-hat above {LIMIT} for some {one}s;"
        f" all settings are in {kept}",
    )


def certified(found: Findings) -> str | None:
    """One sentence on log p(x) and what it is worth; None where it was not measured."""
    entry = found.get("test", {}).get("evidence")
    if entry is None or entry.not_defined is not None:
        return None
    evidence, change = entry.estimates["log_evidence"], entry.estimates["evidence_change"]
    error = "" if evidence.standard_error is None else f" ± {evidence.standard_error:.2f}"
    elbo = found["test"]["elbo"].estimates.get("elbo") if "elbo" in found["test"] else None
    fewer = elbo is not None and elbo.images > evidence.images
    of = f" of the first {evidence.images:,} test images" if fewer else ""
    words = f"log p(x){of} = {evidence.value:.2f}{error}, {worth(found.get('simulated', {}).get('certificate'))}"
    spread = "" if change.standard_error is None else f" ± {change.standard_error:.2g}"
    words += f"; at five times the temperatures {change.value:+.2g}{spread}"
    if modes := entry.estimates["several_modes"].value:
        words += f"; {modes:.0%} of images have a posterior of several modes"
    return words


def worth(certificate: Entry | None) -> str:
    """What a certificate says, in words; bounds are rounded upwards."""
    if certificate is None or certificate.not_defined is not None:
        return "not certified"
    reached = certificate.estimates["certified_to"]
    words = f"certified to {rounded_up(reached.value)} on simulated images"
    return words if reached.value <= certificate.settings["tolerance"] else f"{words} and no closer"


def _rows(entries: list[Entry], name: str, kept: str) -> list[list[str]]:
    """The rows of one metric: the estimate, its value in each run, samples, images, and how it was obtained."""
    every = {key: estimate for entry in entries for key, estimate in entry.estimates.items()}
    reasons = "; ".join(dict.fromkeys(entry.not_defined for entry in entries if entry.not_defined))
    if not every:
        return [[name, *("-" for _ in entries), "", "", reasons]]
    metric = all_metrics().get(name)
    if metric is not None and metric.one_row:
        values = ["-" if entry.not_defined else f"in {kept}" for entry in entries]
        return [[metric.one_row, *values, "", str(next(iter(every.values())).images), reasons]]
    rows = []
    for key, estimate in every.items():
        having = [entry.estimates[key] for entry in entries if key in entry.estimates]
        values = [str(entry.estimates[key]) if key in entry.estimates else "-" for entry in entries]
        unit = "" if estimate.unit == "nats per image" else f"[{estimate.unit}] "
        caution = max(one.caution for one in having)
        by = unit + estimate.estimator + (f"; {caution}" if caution else "") + (f" (-: {reasons})" if reasons else "")
        rows.append([key, *values, f"{estimate.samples:,}", f"{estimate.images:,}", by])
    return rows


class Line:
    """A line for each metric that is measured, and in a terminal a bar for the present one."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = PlainConsole(quiet=quiet)
        self.run = ""
        self.metrics = all_metrics()
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
        """So much of so much is measured: images, or what the metric counts."""
        long = self.metrics[name].takes_long if name in self.metrics else ""
        work = f" ({long})" if long else ""
        words = f"{self.run}: {name}, {source}{work}"
        if words != self.shown:
            self.bar.reset(self.task, total=total, description=escape(words))
            self.shown = words
            self.heart.heard()
        self.bar.update(self.task, completed=done)
        self.now = f"{words}: {done / max(1, total):.0%} is done"
        if self.notebook:
            self.notebook.show(done / max(1, total), words)

    def done(self, source: str, name: str, entry: Entry, images: int) -> None:
        """A metric is measured."""
        self._say(f"{self.run}: {name}, {source}: {entry.not_defined or f'{entry.seconds:.1f} s'}")
        self.now = f"{self.run}: {name}, {source} is done; its pictures and files are written"
        self.heart.heard()
