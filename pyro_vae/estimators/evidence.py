r"""log p(x) to a few hundredths of a nat: annealing from each image's own best Gaussian to its posterior.

1. Maxima of log p(x, z) are looked for from draws of the guide, of the prior, and of other images' codes.
2. A Gaussian of any covariance is fitted to each: the base is their mixture, with fixed weights.
3. Pilot chains choose step sizes and the number of temperatures; pilot draws, whether the base needs heavy tails.
4. Fresh chains go from the base to the posterior, with HMC in the coordinates of their component.

The mean of their weights is an unbiased estimate of p(x), since all that was chosen was chosen by other draws, and its
logarithm a lower bound on log p(x) in expectation. A mode that no start has found is all but unseen.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import pyro
import torch
from torch import Tensor, nn

from pyro_vae.estimators.ais import Bracket
from pyro_vae.estimators.annealing import Annealing, Path, Rescore
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.gaussian_fit import GaussianFit
from pyro_vae.estimators.hmc import LogJoint, Point
from pyro_vae.estimators.modes import Search
from pyro_vae.estimators.pilot import Plan, path_of, plan_for, started
from pyro_vae.estimators.proposal import Proposal, propose
from pyro_vae.estimators.sampling import Progress, images_at_once, require_unlabelled, silent
from pyro_vae.models import Model
from pyro_vae.seeds import batches, seeded

SIDE_BY_SIDE = 64  #: places that are scored at once for each image, or so
SEEN = 0.01  #: the share of the posterior that makes a mode one


@dataclass(frozen=True)
class Evidence:
    """How log p(x) is estimated.

    Attributes:
        annealing: from each image's base to its posterior; inverse temperatures are linear, and an image whose pilot
            chains disagree gets 4 or 16 times as many.
        search: for the modes that the base is made of.
        fit: of a Gaussian to each mode.
    """

    annealing: Annealing = field(
        default_factory=lambda: Annealing(chains=16, temperatures=10, leapfrog_steps=5, acceptance=0.9, pilot_chains=4)
    )
    search: Search = field(default_factory=Search)
    fit: GaussianFit = field(default_factory=GaussianFit)


class Annealed(NamedTuple):
    """What the chains of N images have found.

    Attributes:
        log_evidence: log p(x); ``per_image`` and ``per_image_error`` are those of each.
        modes: how many modes hold a hundredth of the posterior or more, ``(N,)``: above 1, chains that mix within one
            mode, and any guide of one bump, miss the others.
        temperatures: of each image, ``(N,)``.
        k_hat: of the Gaussian base, ``(N,)``.
        upper: from the exact draws that were given; None where there were none.
    """

    log_evidence: Estimate
    modes: Tensor
    temperatures: Tensor
    k_hat: Tensor
    upper: Estimate | None


def log_evidence(
    model: Model,
    guide: nn.Module | None,
    x: Tensor,
    settings: Evidence = Evidence(),
    seed: int = 0,
    progress: Progress = silent,
) -> Estimate:
    """log p(x) of each image, a lower bound in expectation that is close: see the head of this module.

    Args:
        model: anything with a ``log_joint``.
        guide: whose draws are among the starts; None where there is none.
        x: images ``(N, *image_shape)``.
        seed: of all draws.

    Returns:
        Its ``per_image_error`` is the standard error of each image's figure from the spread of its chains.

    Raises:
        NotDefined: where there is neither a guide nor a prior to start from.

    References:
        Neal 2001, Annealed Importance Sampling.
    """
    return anneal(model, guide, x, None, settings, seed, progress).log_evidence


def bracket_evidence(
    model: Model,
    guide: nn.Module | None,
    x: Tensor,
    z: Tensor,
    settings: Evidence = Evidence(),
    seed: int = 0,
    progress: Progress = silent,
) -> Bracket:
    """Bidirectional Monte Carlo around :func:`log_evidence` on simulated images; see :class:`Bracket`.

    Args:
        x: images ``(N, *image_shape)`` of :func:`~pyro_vae.estimators.simulate`.
        z: the latents that made them, ``(N, D)``. All choices are made without them.
    """
    found = anneal(model, guide, x, z, settings, seed, progress)
    assert found.upper is not None
    return Bracket.between(found.log_evidence, found.upper)


def anneal(
    model: Model,
    guide: nn.Module | None,
    x: Tensor,
    z: Tensor | None,
    settings: Evidence = Evidence(),
    seed: int = 0,
    progress: Progress = silent,
) -> Annealed:
    """:func:`log_evidence` with all that is known of it; from exact draws ``z`` the upper bound, too."""
    parts, size = [], images_at_once(x, SIDE_BY_SIDE)
    for rows, own in batches(len(x), size, seed, progress):
        with seeded(own), pyro.validation_enabled(False), torch.no_grad():
            plan = planned(model, guide, x[rows], settings, seed)
            parts.append(_weighed(model.log_joint, plan, x[rows], None if z is None else z[rows], settings.annealing))
    joined = _Weighed(*(torch.cat(column) for column in zip(*parts, strict=True)))
    shortest = settings.annealing.temperatures
    how = f"annealed from each image's best Gaussian, HMC, {shortest} temperatures or more"
    chains = settings.annealing.chains
    upper = f"the same in reverse: {how}"
    return Annealed(
        Estimate.over(joined.lower, how, chains, "lower", joined.error),
        joined.modes,
        joined.temperatures,
        joined.k_hat,
        None if z is None else Estimate.over(joined.upper, upper, chains, "upper"),
    )


def planned(model: Model, guide: nn.Module | None, x: Tensor, settings: Evidence, seed: int) -> Plan:
    """Base, step sizes and temperatures of a batch of images."""
    require_unlabelled(model)
    proposal = propose(model, guide, x, settings.search, settings.fit, settings.annealing.chains, seed)
    return plan_for(model.log_joint, proposal, x, settings.annealing)


class _Weighed(NamedTuple):
    lower: Tensor
    error: Tensor
    modes: Tensor
    temperatures: Tensor
    k_hat: Tensor
    upper: Tensor  #: 0 where there are no exact draws


class Chains(NamedTuple):
    """Chains of N images with paths of one length, annealed to the posterior.

    Attributes:
        path: from the base to the posterior.
        component: of the base, where each chain began, ``(C, N)``.
        at: where the chains end.
        rescore: scores other places of the same chains.
        log_weight: ``(C, N)``.
        log_evidence, error: log p(x) and its standard error, ``(N,)``, nats.
        modes: how many components hold :data:`SEEN` of the posterior or more, ``(N,)``.
    """

    path: Path
    component: Tensor
    at: Point
    rescore: Rescore
    log_weight: Tensor
    log_evidence: Tensor
    error: Tensor
    modes: Tensor


def annealed(log_joint: LogJoint, plan: Plan, x: Tensor, settings: Annealing) -> Chains:
    """Fresh chains for images of one group of the plan."""
    path = path_of(plan, int(plan.temperatures[0]), settings)
    component = plan.proposal.strata()
    at, rescore = started(log_joint, plan.proposal, x, component)
    log_weight, at = path.forward(at, rescore)
    lower, error, share = stratified_log_mean(log_weight, component, plan.proposal)
    return Chains(path, component, at, rescore, log_weight, lower, error, (share > SEEN).sum(-1))


def _weighed(log_joint: LogJoint, plan: Plan, x: Tensor, z: Tensor | None, settings: Annealing) -> _Weighed:
    """The chains of one batch, group by group of images that share the length of their path."""
    lower, error = torch.zeros(2, len(x), dtype=torch.double, device=x.device)
    modes, upper = torch.ones_like(plan.temperatures), torch.zeros_like(lower)
    groups = [(rows, plan.take(rows)) for rows in plan.groups()]
    paths = []
    for rows, own in groups:
        chains = annealed(log_joint, own, x[rows], settings)
        lower[rows], error[rows], modes[rows] = chains.log_evidence, chains.error, chains.modes
        paths.append(chains.path)
    if z is None:
        return _Weighed(lower, error, modes, plan.temperatures, plan.k_hat, upper)
    for (rows, own), path in zip(groups, paths, strict=True):
        exact = z[rows].expand(settings.chains, -1, -1)
        chosen = own.proposal.choose_at(exact)
        at = started(log_joint, own.proposal, x[rows], chosen, own.proposal.whiten(exact, chosen))
        upper[rows] = -_log_mean(-path.reverse(*at))
    return _Weighed(lower, error, modes, plan.temperatures, plan.k_hat, upper)


def _log_mean(log_weight: Tensor) -> Tensor:
    return log_weight.logsumexp(0) - torch.tensor(len(log_weight)).log()


def stratified_log_mean(log_weight: Tensor, component: Tensor, proposal: Proposal) -> tuple[Tensor, Tensor, Tensor]:
    """log of the mean weight, its standard error by the delta method, and the share of each component in it.

    The error is the standard deviation of Student's t with a degree of freedom for each chain but one a component: the
    spread of few chains is itself not known.

    Args:
        log_weight: of chains, ``(C, N)``, as many in each component as it has weight.

    Returns:
        ``(N,)``, ``(N,)`` and ``(N, S)``.
    """
    chains = len(log_weight)
    total = log_weight.logsumexp(0)
    part = (log_weight - total).exp()  # sums to 1
    variance, shares = torch.zeros_like(total), []
    for s in range(proposal.counts.shape[1]):
        own = component == s
        count = own.sum(0)
        share = torch.where(own, part, 0).sum(0)
        spread = torch.where(own, part - share / count.clamp(min=1), 0).square().sum(0)
        variance += spread * count / (count - 1).clamp(min=1)  # of a sum of `count` draws
        shares.append(share)
    freedom = (chains - proposal.modes).clamp(min=3)
    variance = variance * freedom / (freedom - 2)
    return total - torch.tensor(chains).log(), variance.sqrt(), torch.stack(shares, -1)
