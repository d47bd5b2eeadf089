"""What the figures of a run mean, and what to do: a sentence for each figure that decides something.

A sentence more is an entry more in :data:`SENTENCES`.
"""

from collections.abc import Callable, Mapping

from pyro_vae.estimators import Estimate
from pyro_vae.estimators.importance import LIMIT
from pyro_vae.evaluate.report import Findings, certified

Figures = Mapping[str, Estimate]  #: of the test images and of simulated ones, by name
Sentence = Callable[[Estimate, Figures], str]

FEW = 0.05  #: a share of images that is no more than this is no reason to distrust the rest
LEVEL = 0.01  #: of the test of calibration
NOTABLE = 0.5  #: nats per image between training and test images, beyond two standard errors


def _unreliable(share: Estimate, figures: Figures) -> str:
    if share.value <= FEW:
        return (
            f"k-hat is at most {LIMIT} for {1 - share.value:.0%} of the images: numbers from importance weights hold."
        )
    instead = "log_evidence" if "log_evidence" in figures else "log p(x) by annealing (--only evidence)"
    return (
        f"k-hat is above {LIMIT} for {share.value:.0%} of the images: iwae and other numbers from importance weights"
        f" cannot be trusted as log p(x) there. Use {instead}; a guide nearer to the posterior lowers k-hat."
    )


def _gap(gap: Estimate, figures: Figures) -> str:
    family, encoder = figures.get("approximation_gap"), figures.get("amortization_gap")
    if family is None or encoder is None:
        return ""
    error = 2 * (gap.standard_error or 0.0)
    if gap.value <= error:
        return f"No inference gap is shown ({gap.value:.2f} nats, within its error): a richer guide has little to win."
    cure = (
        "the larger part is the family's, so try a richer guide"
        if family.value > encoder.value
        else "the larger part is the encoder's, so try a larger encoder or a longer training before a richer guide"
    )
    return (
        f"q(z|x) loses {gap.value:.2f} nats to the posterior: {family.value:.2f} by its family (approximation gap),"
        f" {encoder.value:.2f} by its encoder (amortization gap); {cure}."
    )


def _settled(share: Estimate, figures: Figures) -> str:
    if share.value >= 1 - FEW:
        return ""
    return (
        f"The search for the best posterior was not at rest for {1 - share.value:.0%} of the images, so the family's"
        " part of the gap is too large by some of the encoder's: raise --local.max-steps."
    )


def _collapsed(collapsed: Estimate, figures: Figures) -> str:
    if collapsed.value:
        return "No latent dimension is active: q(z|x) is the prior for every image. Try --beta Linear."
    units, directions = figures.get("active_units"), figures.get("active_directions")
    if units is None or directions is None or directions.value >= units.value:
        return ""
    return (
        f"Images move about {directions.value:.0f} directions of z, although {units.value:.0f} dimensions look active:"
        " the others are hardly used. A longer training or --beta Linear may free them."
    )


def _calibration(p: Estimate, figures: Figures) -> str:
    if p.value >= LEVEL:
        return f"On simulated images no error of the posterior's calibration is shown (p = {p.value:.2g})."
    return f"On simulated images q(z|x) is not calibrated (p = {p.value:.2g}): see figures/calibration.png for where."


#: by the figure; an empty sentence is not said
SENTENCES: dict[str, Sentence] = {
    "unreliable": _unreliable,
    "inference_gap": _gap,
    "settled": _settled,
    "collapsed": _collapsed,
    "calibration": _calibration,
}


def sentences(found: Findings) -> list[str]:
    """What the findings of one run mean, in whole sentences.

    Args:
        found: by the images they were taken on ("test", "train", "simulated"), then by the measure.
    """
    figures: dict[str, Estimate] = {}
    for source in ("test", "simulated"):
        for entry in found.get(source, {}).values():
            figures.update(entry.figures)
    lines = [said(figures[name], figures) for name, said in SENTENCES.items() if name in figures]
    evidence = certified(found)
    return [line for line in [evidence and f"{evidence}.", _generalises(found), *lines] if line]


def _generalises(found: Findings) -> str:
    both = [found.get(source, {}).get("elbo") for source in ("train", "test")]
    train, test = (entry.figures.get("elbo") if entry else None for entry in both)
    if train is None or test is None:
        return ""
    apart = train.value - test.value
    error = ((train.standard_error or 0.0) ** 2 + (test.standard_error or 0.0) ** 2) ** 0.5
    if apart <= max(NOTABLE, 2 * error):
        return ""
    return (
        f"The ELBO of training images is {apart:.2f} nats above that of test images: the run overfits. Try --patience,"
        " fewer epochs or smaller networks."
    )
