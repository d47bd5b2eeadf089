"""The aggregate posterior q(z), the mean of q(z|x) over images, against the prior."""

from dataclasses import replace
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.estimators.estimate import Bound, Estimate
from pyro_vae.estimators.sampling import NotDefined, Progress, posterior_draws, prior_of, require, silent
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, batches, seeded

CEILING = 0.7  #: nats; so near to log N, an image's own term makes up half of the mixture at its z, and N says nothing


class AggregatePosterior(NamedTuple):
    """The KL of the ELBO taken apart: kl = mutual information + marginal KL, nats per image, each between two bounds.

    Attributes:
        kl: E_x KL(q(z|x) || p(z)).
        mutual_information: a lower bound on that of image and z under q; it cannot exceed log N.
        mutual_information_upper: an upper bound on it.
        marginal_kl: an upper bound on KL(q(z) || p(z)), what a better prior could still win: kl - mutual_information.
            Where the lower bound on the information has come to its ceiling (:data:`CEILING`), this is kl - log N,
            whatever q(z) is; ``estimator`` says so and there is no standard error.
        marginal_kl_lower: a lower bound on it: kl - mutual_information_upper, and 0 where that is negative.
    """

    kl: Estimate
    mutual_information: Estimate
    mutual_information_upper: Estimate
    marginal_kl: Estimate
    marginal_kl_lower: Estimate


@torch.no_grad()
def aggregate_posterior(
    model: Model,
    guide: Guide,
    x: Tensor,
    num_samples: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> AggregatePosterior:
    r"""The surgery of the ELBO, with q(z) the mixture over the N images given.

    Each draw of each image is scored under the posterior of every image, N^2 S densities, in chunks of images. With its
    own term in the mixture, the information is bounded from below in expectation; without it, from above. The two
    bounds part where N is small against the exponential of the information. Standard errors count what an image does as
    a term of the mixture, too.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: draws of z for each image, S.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density, or scores only its own samples, or the model has no prior.
        ValueError: for one image.

    References:
        Hoffman & Johnson 2016, ELBO surgery: yet another way to carve up the variational evidence lower bound,
        equations 4 and 6.
        Poole, Ozair, van den Oord, Alemi & Tucker 2019, On Variational Bounds of Mutual Information, section 2.1,
        equation 3 and the bound below it.
    """
    require(guide, "the aggregate posterior", any_z=True)
    n, prior = len(x), prior_of(model, "the aggregate posterior")
    lam = guide.amortize(x)
    if n < 2:
        raise NotDefined("the aggregate posterior needs two images or more")
    kls, informations, withouts = [], [], []
    weight_of = torch.zeros(n, dtype=torch.double, device=x.device)
    size = max(1, 1_000_000 // (n * num_samples * guide.latent_dim))
    for rows, own_seed in batches(n, size, seed, progress):
        with seeded(own_seed):
            z = guide.posterior(lam[rows]).sample(torch.Size([num_samples]))
        count = z.shape[1]
        itself = torch.arange(count), torch.arange(rows.start, rows.stop)  # each image's own part of the mixture
        everywhere = z.flatten(0, 1)[:, None].expand(-1, n, -1)
        log_q = guide.posterior(lam).log_prob(everywhere).unflatten(0, (num_samples, count)).double()
        own = log_q[:, *itself]
        total = log_q.logsumexp(-1, keepdim=True)
        informations.append(own - total[..., 0] + log(n))
        weight_of += (log_q - total).exp().sum((0, 1)) / num_samples
        log_q[:, *itself] = -torch.inf
        withouts.append(own - log_q.logsumexp(-1) + log(n - 1))
        kls.append(own - prior.log_prob(z).double())
    kl, information, without = (torch.cat(parts, 1).mean(0) for parts in (kls, informations, withouts))
    how = f"mean over draws of q, q(z) the mixture of {n} images"
    others = f"{how} but the own one"

    def part(values: Tensor, words: str, bound: Bound | None = None, sign: int = 0) -> Estimate:
        error = (values + sign * weight_of).std().item() / n**0.5  # by the infinitesimal jackknife over images
        return replace(Estimate.over(values, words, num_samples, bound), standard_error=error)

    upper = part(kl - information, how, "upper", 1)
    if information.mean() > log(n) - CEILING:
        words = f"kl - log {n}, whatever q(z) is: too few images for more"
        upper = replace(upper, standard_error=None, estimator=words)
    lower = part(kl - without, others, "lower", 1)
    if lower.value < 0:
        lower = replace(lower, value=0.0, standard_error=None, estimator="a KL is at least 0: too few images for more")
    return AggregatePosterior(
        part(kl, how),
        part(information, how, "lower", -1),
        part(without, others, "upper", -1),
        upper,
        lower,
    )


@torch.no_grad()
def mmd(model: Model, guide: Guide, x: Tensor, seed: int = 0) -> Estimate:
    r"""Squared maximum mean discrepancy between q(z) and the prior; only draws are needed, so that any guide will do.

    The unbiased estimate with one draw an image and the kernel :math:`\exp(-|z - z'|^2 / 2 D)`, whose width suits
    draws of a standard normal. Around 0, and at times below, where the two agree.

    Args:
        x: images ``(N, *image_shape)``, two or more.
        seed: of the draws.

    Raises:
        NotDefined: where the model has no prior.

    References:
        Gretton, Borgwardt, Rasch, Scholkopf & Smola 2012, A Kernel Two-Sample Test, lemma 6.
    """
    z = posterior_draws(guide, x, 1, seed)[0].double()
    with seeded(batch_seed(seed, len(x))):
        p = prior_of(model, "MMD").sample(torch.Size([len(x)])).double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (-torch.cdist(a, b).square() / (2 * a.shape[-1])).exp().fill_diagonal_(0)

    means = (kernel(z, z) + kernel(p, p) - kernel(z, p) - kernel(p, z)).sum(1) / (len(x) - 1)
    value = means.mean().item()
    # The variance of a U-statistic is, to first order, four times that of the mean of one argument's projections.
    error = 2 * means.std().item() / len(x) ** 0.5
    return Estimate(value, error, "unbiased MMD^2, Gaussian kernel of variance D", 1, len(x), unit="MMD^2")
