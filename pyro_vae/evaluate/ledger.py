"""What evaluation has found of a run, kept after every piece of work, so that nothing is done twice."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate
from pyro_vae.files import remove_partial
from pyro_vae.metrics import Finding
from pyro_vae.runs import RunFolder

Settings = dict[str, Any]


class Entry(NamedTuple):
    """A measured metric as ``metrics.json`` has it: estimates, or the reason why it has none."""

    settings: Settings
    seconds: float
    estimates: dict[str, Estimate]
    not_defined: str | None


class Ledger:
    """The evaluation of one run.

    Metrics are in ``metrics.json``, under evaluation, the images that they were measured on, and their name. The file
    ``checkpoint.evaluation.safetensors`` has the estimates of each image, and the pieces of a metric that was stopped.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.pieces: dict[str, Any] = {}
        self._read: tuple[int, int] | None = None  # which file the pieces are from
        self._refresh()

    def entry(self, source: str, name: str, settings: Settings) -> Entry | None:
        """The metric as it was measured with these very settings; None where there is none."""
        metrics = self.folder.read_metrics()
        with self._as_written():
            found = metrics.get("evaluation", {}).get(source, {}).get(name)
            return None if found is None or found["settings"] != settings else entry_of(found)

    @contextmanager
    def _as_written(self) -> Iterator[None]:
        """
        Raises:
            InputError: if what is read in this context is something else than what an evaluation writes.
        """
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            path = self.folder.path
            what = f"{path / 'metrics.json'} or {self.folder.checkpoint('evaluation').name} beside it"
            raise InputError(f"{what} is not as evaluate writes it: remove its entry, or measure again") from error

    def begun(self, source: str, name: str, settings: Settings) -> tuple[list[Finding], float]:
        """The pieces that are there, made with these settings, and the seconds they took."""
        self._refresh()
        kept = self.pieces.get(f"{source}/{name}")
        if kept is None or kept["settings"] != settings:
            return [], 0.0
        with self._as_written():
            return [_finding(piece) for piece in kept["pieces"]], kept["seconds"]

    def per_image(self, source: str, name: str, settings: Settings, estimate: str) -> Tensor | None:
        """An estimate of each image that is measured with these settings, ``(N,)``; None where there is none."""
        pieces, _ = self.begun(source, name, settings)
        return joined(pieces).estimates[estimate].per_image if pieces else None

    def keep(self, source: str, name: str, settings: Settings, pieces: list[Finding], seconds: float) -> None:
        """Save the pieces there are, beside what another evaluation of the run has saved meanwhile."""
        key = f"{source}/{name}"
        with self.folder.writing():
            self._refresh()
            other = self.pieces.get(key)
            if other is not None and other["settings"] == settings and len(other["pieces"]) > len(pieces):
                return  # it makes the same, and is further
            plain = [_plain(piece) for piece in pieces]
            self.pieces[key] = {"settings": settings, "pieces": plain, "seconds": seconds}
            self.folder.save("evaluation", self.pieces)
            self._read = self._stamp()

    def clean(self) -> None:
        """Remove what killed evaluations have left."""
        path = self.folder.path
        with self.folder.writing():
            remove_partial(path, "metrics.json", self.folder.checkpoint("evaluation").name)
            remove_partial(self.folder.figures)

    def _refresh(self) -> None:
        """Read the pieces where another process has written them since."""
        if (stamp := self._stamp()) != self._read:
            self.pieces = {} if stamp is None else self.folder.checked("evaluation")[0]
            self._read = stamp

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self.folder.checkpoint("evaluation").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def finish(self, source: str, name: str, entry: Entry) -> None:
        """Write a metric into ``metrics.json``."""
        record: dict[str, Any] = {"settings": entry.settings, "seconds": entry.seconds}
        if entry.not_defined is None:
            record["figures"] = {key: estimate.to_dict() for key, estimate in entry.estimates.items()}
        else:
            record["not_defined"] = entry.not_defined

        def entered(metrics: dict[str, Any]) -> dict[str, Any]:
            with self._as_written():
                metrics.setdefault("evaluation", {}).setdefault(source, {})[name] = record
            return metrics

        self.folder.change_metrics(entered)


def entry_of(record: Mapping[str, Any]) -> Entry:
    """The entry of what ``metrics.json`` has of a metric."""
    estimates = {name: Estimate.from_dict(plain) for name, plain in record.get("figures", {}).items()}
    return Entry(record["settings"], record["seconds"], estimates, record.get("not_defined"))


def joined(pieces: list[Finding]) -> Finding:
    """One finding from the pieces of consecutive images."""
    if len(pieces) == 1:
        return pieces[0]
    return Finding({name: Estimate.join([p.estimates[name] for p in pieces]) for name in pieces[0].estimates})


def _plain(finding: Finding) -> dict[str, Any]:
    per_image = {name: e.per_image for name, e in finding.estimates.items() if e.per_image is not None}
    figures = {name: estimate.to_dict() for name, estimate in finding.estimates.items()}
    return {"figures": figures, "per_image": per_image, "arrays": finding.arrays}


def _finding(plain: dict[str, Any]) -> Finding:
    estimates = {}
    for name, record in plain["figures"].items():
        estimates[name] = replace(Estimate.from_dict(record), per_image=plain["per_image"].get(name))
    return Finding(estimates, plain["arrays"])
