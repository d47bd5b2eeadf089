"""What the table of the evidence says, in sentences: what is shown, orders, pairs that turn round, parts of gains."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from pyro_vae.compare.statistics import Interval, Values, differences

EVIDENCE, ELBO = "log p(x)", "ELBO"
ASKED = 0.1  #: nats: what the bracket's mean and two standard errors must be below
CORRELATED = "FullRank"  #: the control of the flows: Gaussian, with all correlations
FLOWS = ("IAF", "RealNVP", "NSF")


def in_words(values: Mapping[str, Values], certified: Mapping[str, float], baseline: str) -> list[str]:
    """The sentences.

    Args:
        values: of each figure (:data:`EVIDENCE`, :data:`ELBO`, others), of each guide, by seed, that of each image.
        certified: the mean and two standard errors of each guide's bracket, nats.
        baseline: the guide that differences are taken to.
    """
    means = {
        figure: {guide: float(np.mean([v.mean() for v in by_seed.values()])) for guide, by_seed in guides.items()}
        for figure, guides in values.items()
    }
    guides, seeds = list(certified), len(values[EVIDENCE][baseline])
    gains = {figure: differences(of, baseline) for figure, of in values.items()}
    sentences = [shown(figure, found, baseline) for figure, found in gains.items() if found]
    for figure, of in means.items():
        sentences.append(f"By {figure} the order is {', '.join(sorted(of, key=of.__getitem__, reverse=True))}.")
    pairs = len(guides) * (len(guides) - 1) // 2
    for figure in [figure for figure in values if figure != EVIDENCE]:
        changed = _changed(values[figure], values[EVIDENCE], pairs)
        sentences.append(
            f"{figure} turns {len(changed)} of {pairs} pairs round" + (f": {'; '.join(changed)}." if changed else ".")
        )
        below = [f"{means[EVIDENCE][guide] - value:.2f} ({guide})" for guide, value in means[figure].items()]
        sentences.append(f"{figure} is below log p(x) by {', '.join(below)}.")
    for guide, of_elbo in gains[ELBO].items():
        of_model = gains[EVIDENCE][guide]
        sentences.append(
            f"{guide}: ELBO {of_elbo.value:+.2f}, the sum of the model's gain in log p(x), {of_model.value:+.2f}"
            f" ({of_model.verdict}), and of inference's, {of_elbo.value - of_model.value:+.2f}."
        )
    sentences += _correlation_and_shape(values, baseline)
    unmet = [guide for guide, reached in certified.items() if reached > ASKED]
    sentences.append(
        f"The bracket's mean and two standard errors are at most {ASKED:g} nats for"
        + (f" all but {', '.join(unmet)}." if unmet else " every guide.")
    )
    if seeds == 1:
        sentences.append("One seed: all this is of these very trainings; another seed may turn any of it round.")
    return sentences


def shown(figure: str, gains: Mapping[str, Interval], baseline: str) -> str:
    """Which guides are shown to differ from the baseline, and how small a difference could have been shown."""
    groups: dict[str, list[str]] = {"higher": [], "lower": [], "no difference shown": []}
    for guide, found in gains.items():
        groups[found.verdict].append(f"{guide} ({found.value:+.2f})")
    parts = [f"{words} for {', '.join(of)}" for words, of in groups.items() if of]
    one = next(iter(gains.values()))
    how = f"{one.seeds} seeds" + (f", whose variance {one.pooled} arms know together," if one.pooled > 1 else "")
    smallest = [found.smallest for found in gains.values() if found.smallest is not None]
    if not smallest:
        how, could = "one seed", "; the intervals are over images alone"
    else:
        could = f"; a difference of {max(smallest):.2f} would have been shown for any of them four times in five"
    return f"{figure} against {baseline}'s, by {how} and {one.images:,} images: {'; '.join(parts)}{could}."


def _correlation_and_shape(values: Mapping[str, Values], baseline: str) -> list[str]:
    """How much of a flow's gain a Gaussian with all correlations has too; the rest is shape.

    Kingma et al. 2016 (IAF) have no such control.
    """
    sentences = []
    for figure, of in values.items():
        flows = [flow for flow in FLOWS if flow in of]
        if baseline == CORRELATED or CORRELATED not in of or not flows:
            continue
        beyond, control = differences(of, CORRELATED), differences(of, baseline)[CORRELATED]
        parts = [
            f"{flow} {beyond[flow].value:+.2f} [{beyond[flow].low:+.2f}, {beyond[flow].high:+.2f}]"
            f" ({beyond[flow].verdict})"
            for flow in flows
        ]
        sentences.append(
            f"{figure}: a Gaussian with all correlations ({CORRELATED}) has {control.value:+.2f} over {baseline}"
            f" ({control.verdict}). Flows beside {CORRELATED} (correlations do not explain what is beyond it):"
            f" {', '.join(parts)}."
        )
    return sentences


def _changed(figure: Values, evidence: Values, pairs: int) -> list[str]:
    """The pairs that a figure orders otherwise than log p(x) does, and whether both orders are shown."""
    found = []
    against = [{guide: differences(of, guide, comparisons=pairs) for guide in of} for of in (figure, evidence)]
    for one, other in combinations(figure, 2):
        ours, truth = (of[other][one] for of in against)
        if (ours.value > 0) != (truth.value > 0):
            shown = "no difference shown" not in (ours.verdict, truth.verdict)
            words = "both shown" if shown else "not both shown"
            found.append(f"{one} - {other} {ours.value:+.2f}, not {truth.value:+.2f} ({words})")
    return found
