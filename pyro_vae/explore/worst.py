"""The images where a guide does worst: by what evaluate has measured of the run, or of a few images on demand."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_vae.engine.precision import exact
from pyro_vae.estimators import NotDefined, elbo, importance, log_evidence
from pyro_vae.evaluate.ledger import Ledger
from pyro_vae.explore.look import ELBO_DRAWS, K_HAT_DRAWS
from pyro_vae.explore.opened import Opened

LISTED = 8  #: images of a list
FEW = {"inference_gap": 16, "k_hat": 64}  #: images that are measured on demand
METRICS = {"inference_gap": "gap", "k_hat": "importance"}  #: the metric of evaluate that has an estimate


class Listed(NamedTuple):
    """An estimate of the first test images.

    Attributes:
        values: ``(M,)``.
        how: where they are from, in words.
    """

    values: Tensor
    how: str

    def worst(self) -> dict[str, Any]:
        """The images with the largest values, as the page's JSON."""
        order = self.values.argsort(descending=True)[:LISTED].tolist()
        return {"how": self.how, "worst": [{"image": i, "value": self.values[i].item()} for i in order]}


def known(opened: Opened, estimate: str) -> Listed | None:
    """What evaluate has found of a run's very weights; None where it has not."""
    ledger, name = Ledger(opened.run.folder), METRICS[estimate]
    settings = ledger.pieces.get(f"test/{name}", {}).get("settings", {})
    if settings.get("weights") != opened.run.weights:
        return None
    values = ledger.per_image("test", name, settings, estimate)
    if values is None:
        return None
    values = values[: len(opened.subject.x)]
    return Listed(values, f"as evaluate measured them on the first {len(values):,} test images")


def measured(opened: Opened, estimate: str) -> Listed:
    """A few images measured now.

    Raises:
        NotDefined: where the guide has no density.
    """
    run, x = opened.run, opened.subject.x[: FEW[estimate]]
    with exact(x.device), torch.no_grad():
        if estimate == "k_hat":
            values = importance(run.model, run.guide, x, K_HAT_DRAWS).k_hat.per_image
        else:
            bound = elbo(run.model, run.guide, x, ELBO_DRAWS).elbo.per_image
            evidence = log_evidence(run.model, run.guide, x).per_image
            assert bound is not None
            assert evidence is not None
            values = evidence - bound
    assert values is not None
    return Listed(values, f"measured now on the first {len(x)} test images")


def worst(opened: Opened, measure: bool) -> dict[str, Any]:
    """Both lists; one that is neither known nor asked to be measured is None.

    Args:
        measure: what evaluate has not measured.
    """
    found: dict[str, Any] = {}
    for estimate in METRICS:
        listed = known(opened, estimate)
        try:
            listed = measured(opened, estimate) if listed is None and measure else listed
        except NotDefined as reason:
            found[estimate] = {"how": str(reason), "worst": []}
            continue
        found[estimate] = None if listed is None else listed.worst()
    return found
