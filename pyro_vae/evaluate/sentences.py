"""What the numbers of a run mean, and what to do: the sentence of each metric, and two that rest on several."""

from itertools import chain

from pyro_vae.evaluate.report import Findings, certified
from pyro_vae.metrics import all_metrics
from pyro_vae.observation import spoken

NOTABLE = 0.5  #: nats per image between training and test images, beyond two standard errors


def sentences(found: Findings, one: str = "image") -> list[str]:
    """What the findings of one run mean, in whole sentences.

    Args:
        one: what one x is, in a word.
        found: by the images that they were measured on ("test", "train", "simulated"), then by metric.
    """
    sources = [found.get(source, {}) for source in ("test", "simulated")]
    measured = {name: entry.estimates for source in sources for name, entry in source.items() if entry.estimates}
    estimates = {name: one for of_metric in measured.values() for name, one in of_metric.items()}
    said = (metric().sentences(estimates) for name, metric in all_metrics().items() if name in measured)
    evidence = certified(found)
    lines = [evidence and f"{evidence}.", _generalises(found), *chain(*said)]
    return [spoken(line, one) for line in lines if line]


def _generalises(found: Findings) -> str:
    both = [found.get(source, {}).get("elbo") for source in ("train", "test")]
    train, test = (entry.estimates.get("elbo") if entry else None for entry in both)
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
