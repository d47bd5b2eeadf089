"""A guide against the true posterior, image by image: divergences both ways, coverage, moments, and a classifier."""

from typing import NamedTuple

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.posterior import TruePosterior
from pyro_vae.estimators.sampling import require
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, seeded

OUTSIDE = 0.999  #: of q's mass lies in the region whose outside is looked at


class Judgement(NamedTuple):
    """What is wrong with q(z|x), each a mean over images of a figure of each image.

    For the true posterior each is 0, but mass_50 is 0.5, mass_90 is 0.9 and c2st is 0.5.

    Attributes:
        kl_to_q: KL(p || q), nats: large where q misses what p has.
        kl_from_q: KL(q || p) = log p(x) - ELBO, nats: large where q has what p misses; what the ELBO pays.
        coverage_50, coverage_90: how far the posterior's mass in the smallest region with half, or 90 %, of q's mass is
            from that. Image by image: the average over simulated images is exact for a guide that ignores x.
        mass_50, mass_90: that mass itself: above the level where q is too wide, below it where q is too narrow, or in
            another place.
        outside: the posterior's mass outside the smallest region with 99.9 % of q's, minus the 0.1 % that is expected.
        means: the distance of the means, in posterior standard deviations, mean over dimensions.
        scales: the logarithm of q's standard deviation over the posterior's; below 0 where q is too narrow.
        correlations: the distance of the correlations of two dimensions, mean over the pairs.
        c2st: how often a classifier tells draws of q from draws of p; 0.5 where it cannot, 1 where always.
    """

    kl_to_q: Estimate
    kl_from_q: Estimate
    coverage_50: Estimate
    coverage_90: Estimate
    mass_50: Estimate
    mass_90: Estimate
    outside: Estimate
    means: Estimate
    scales: Estimate
    correlations: Estimate
    c2st: Estimate


@torch.no_grad()
def judge(
    model: Model, guide: Guide, x: Tensor, true: TruePosterior, num_samples: int = 2000, seed: int = 0
) -> Judgement:
    """Hold the amortized guide against draws of the true posterior of the same images.

    Args:
        x: images ``(N, *image_shape)``.
        true: of :func:`~pyro_vae.estimators.posterior` for the same images.
        num_samples: draws of q for each image.
        seed: of these draws.

    Raises:
        NotDefined: where the guide has no density, or scores only its own samples.

    References:
        Lopez-Paz & Oquab 2017, Revisiting Classifier Two-Sample Tests.
    """
    require(guide, "the comparison with the true posterior", any_z=True)
    q = guide.posterior(guide.amortize(x))
    with seeded(batch_seed(seed, len(x))):
        z = q.sample(torch.Size([num_samples]))
    own, theirs = q.log_prob(z).double(), q.log_prob(true.z).double()
    evidence = true.log_evidence.per_image
    assert evidence is not None
    evidence, weight = evidence.to(x.device), true.weight.double()
    log_p = torch.cat([model.log_joint(x, part).double() for part in z.split(50)])
    moments = _moments(z.double(), torch.full_like(own, 1 / num_samples)), _moments(true.z.double(), weight)
    (mean_q, sd_q, corr_q), (mean_p, sd_p, corr_p) = moments
    pairs = max(1, corr_q.shape[-1] * (corr_q.shape[-1] - 1))

    def inside(level: float) -> Tensor:
        """The posterior's mass where q is above what a share ``level`` of its own draws is above, ``(N,)``."""
        threshold = own.quantile(1 - level, 0)
        return (weight * (theirs >= threshold)).sum(0)

    def figure(values: Tensor, how: str, unit: str = "nats per image") -> Estimate:
        return Estimate.over(values, how, num_samples, unit=unit)

    half, most = inside(0.5), inside(0.9)
    kl_to_q = (weight * (true.log_joint.double() - theirs)).sum(0) - evidence
    return Judgement(
        figure(kl_to_q, "KL(p || q) by draws of p"),
        figure(evidence - (log_p - own).mean(0), "KL(q || p), log p(x) - ELBO"),
        figure((half - 0.5).abs(), "|coverage - 0.5| of q's densest half", "probability"),
        figure((most - 0.9).abs(), "|coverage - 0.9| of q's densest 90%", "probability"),
        figure(half, "mass of p in q's densest half", "probability"),
        figure(most, "mass of p in q's densest 90%", "probability"),
        figure(OUTSIDE - inside(OUTSIDE), "mass of p outside q's 99.9%, minus 0.1%", "probability"),
        figure(((mean_q - mean_p) / sd_p).abs().mean(-1), "|mean of q - of p|", "posterior sd"),
        figure((sd_q / sd_p).log().mean(-1), "log of sd of q / of p", "log ratio"),
        figure((corr_q - corr_p).abs().sum((-1, -2)) / pairs, "|correlation of q - of p|", "correlation"),
        figure(_told_apart(true, z, seed), "classifier, quadratic, by halves", "probability"),
    )


def _moments(z: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means, standard deviations and correlations of weighted draws, ``(N, D)`` twice and ``(N, D, D)``."""
    mean = (weight[..., None] * z).sum(0)
    centred = z - mean
    covariance = torch.einsum("sn,snd,sne->nde", weight, centred, centred)
    deviation = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=1e-30).sqrt()
    return mean, deviation, covariance / (deviation[..., None] * deviation[:, None])


def _told_apart(true: TruePosterior, z: Tensor, seed: int) -> Tensor:
    """How often a classifier, trained on half of the draws of p and q, is right about the other half, ``(N,)``.

    Logistic regression on the draws, their squares and products: all that two Gaussians can differ in.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    count = int(min(len(z), max(100, true.effective.min().item())))
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    real = true.resampled(count, seed)[shuffled].cpu()
    rows = torch.cat([real, z[:count].cpu()]).double().numpy()
    labels = torch.cat([torch.zeros(count), torch.ones(count)]).numpy()
    first = torch.arange(2 * count).numpy() % 2 == 0
    found = []
    for i in range(rows.shape[1]):
        classifier = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(C=0.1, max_iter=200))
        classifier.fit(rows[first, i], labels[first])
        found.append(classifier.score(rows[~first, i], labels[~first]))
    return torch.tensor(found, dtype=torch.double)


def planes(true: Tensor, draws: Tensor) -> Tensor:
    """The two dimensions of z in which q differs most from the true posterior, for each image: ``(N, 2)``.

    By KL(p || q) of Gaussians with the moments of both, in each pair of dimensions.

    Args:
        true: draws of the true posterior without weights, ``(S, N, D)``.
        draws: of q, ``(S, N, D)``.

    Raises:
        ValueError: where z has one dimension.
    """
    d = true.shape[-1]
    if d < 2:
        raise ValueError("a plane needs two dimensions, and z has one")
    pairs = torch.combinations(torch.arange(d, device=true.device))  # (P, 2)

    def moments(z: Tensor) -> tuple[Tensor, Tensor]:
        centred = z.double() - z.double().mean(0)
        covariance = torch.einsum("snd,sne->nde", centred, centred) / len(z)
        covariance = covariance + 1e-9 * torch.eye(d, dtype=torch.double, device=z.device)
        return z.double().mean(0)[:, pairs], covariance[:, pairs[:, :, None], pairs[:, None]]

    (mean_p, cov_p), (mean_q, cov_q) = moments(true), moments(draws)
    p, q = (torch.distributions.MultivariateNormal(*m, validate_args=False) for m in ((mean_p, cov_p), (mean_q, cov_q)))
    return pairs[torch.distributions.kl_divergence(p, q).argmax(-1)]
