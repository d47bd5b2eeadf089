"""The metrics of a model and a guide that are in no run folder, on images in memory."""

from collections.abc import Sequence
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.config import Config
from pyro_vae.engine.precision import settings
from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate
from pyro_vae.evaluate.bench import Bench
from pyro_vae.evaluate.choice import choose
from pyro_vae.evaluate.ledger import Ledger
from pyro_vae.evaluate.report import Findings, Line, table
from pyro_vae.evaluate.run import Request, as_certified, complete
from pyro_vae.evaluate.sentences import sentences
from pyro_vae.metrics import Finding, Metric, Options
from pyro_vae.models import Model
from pyro_vae.observation import observed, spoken
from pyro_vae.runs import Run, RunFolder
from pyro_vae.tables import print_table
from pyro_vae.waiting import considerate

#: what is measured if nothing is asked for: the ELBO, k-hat, certified log p(x), the split gap
USUAL = ("elbo", "importance", "certificate", "evidence", "gap")


class Evaluation(dict[str, Estimate]):
    """The estimates by name: ``found["elbo"]``, ``found["log_evidence"]``, ``found["approximation_gap"]``.

    Attributes:
        findings: the entries, by the images that they were measured on, then by metric.
        not_defined: why a metric has no estimates, by its name.
        sentences: what the estimates mean.
        one: what one x is, in a word.
    """

    def __init__(self, findings: Findings, one: str):
        entries = [(name, entry) for of in findings.values() for name, entry in of.items()]
        super().__init__({name: one for _, entry in entries for name, one in entry.estimates.items()})
        self.findings = findings
        self.not_defined = {name: entry.not_defined for name, entry in entries if entry.not_defined is not None}
        self.one, self.sentences = one, sentences(findings, one)

    def __missing__(self, name: str) -> Estimate:
        why = "; ".join(f"{metric}: {reason}" for metric, reason in self.not_defined.items())
        raise InputError(f"there is no {name!r}; there are {', '.join(self) or 'none'}{why and f' ({why})'}")

    def __repr__(self) -> str:
        estimates = [f"{name}: {one!r}" for name, one in self.items()]
        missing = [f"{name}: not defined: {reason}" for name, reason in self.not_defined.items()]
        return spoken("\n".join([*estimates, *missing]), self.one)


class _Bench(Bench):
    """Draws no pictures: there is no folder that keeps them."""

    def _draw(self, metric: Metric, found: Finding) -> None:
        pass


def evaluate_pair(
    model: Model,
    guide: Guide,
    x: Tensor,
    options: Options | None = None,
    metrics: Sequence[str | Metric] | None = USUAL,
    quiet: bool = False,
) -> Evaluation:
    """The metrics of ``evaluate`` for a model and a guide in memory; prints its table and sentences.

    Args:
        x: images as the model sees them, ``(N, *image_shape)``, on the device of both.
        options: how the metrics are estimated; as for a run, fewer images are taken on a CPU where much is computed.
        metrics: names, import paths or objects; None for all but those that are measured on demand.
        quiet: print nothing.

    Raises:
        InputError: for an unknown metric.
    """
    options = complete(options or Options(), x.device)
    asked = Request(options, choose(metrics), False, None, None, x.device)
    with TemporaryDirectory() as path, Line(quiet) as watch, settings("fp32", x.device), considerate():
        run = Run(model, guide, Config(), RunFolder(path), "in memory", None)
        watch.run = type(guide).__name__
        ledger, context = Ledger(run.folder), {"seed": options.seed}

        def bench(source: str, images: Tensor, options: Options) -> Bench:
            return _Bench(run, ledger, asked.table, options, source, images, context, watch)

        simulated = bench("simulated", torch.empty(1, 1, device=x.device), options)
        if "certificate" in asked.metrics:
            options = as_certified(options, simulated.measure("certificate"))
        test = bench("test", x[: options.images], options)
        found: Findings = {"test": {name: test.measure(name) for name in asked.on("test")}}
        found["simulated"] = {name: simulated.measure(name) for name in asked.on("simulated")}
        result = Evaluation(found, observed(model.image_shape))
        if not quiet:
            shown = {source: of for source, of in found.items() if of}
            print_table(watch.console, table({watch.run: shown}, result.one, "the findings of the result"))
            print("\n".join(result.sentences))
    return result
