"""The aggregate posterior q(z), the mean of q(z|x) over images, against the prior."""

from typing import NamedTuple

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import Progress, posterior_draws, prior_of, require, silent
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, seeded


class AggregatePosterior(NamedTuple):
    """The KL of the ELBO taken apart: kl = mutual_information + marginal_kl, nats per image.

    Attributes:
        kl: E_x KL(q(z|x) || p(z)).
        mutual_information: of image and z under q; not above log N, hence a lower bound where many images would do.
        marginal_kl: KL(q(z) || p(z)): what a better prior could still win; an upper bound for the same reason.
    """

    kl: Estimate
    mutual_information: Estimate
    marginal_kl: Estimate


@torch.no_grad()
def aggregate_posterior(
    model: Model,
    guide: Guide,
    x: Tensor,
    num_samples: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> AggregatePosterior:
    r"""The surgery of the ELBO, with q(z) the mixture over all N images given.

    Each draw of each image is scored under the posterior of every image, N^2 S densities, in chunks of images.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: draws of z for each image, S.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density, or scores only its own samples, or the model has no prior.

    References:
        Hoffman & Johnson 2016, ELBO surgery: yet another way to carve up the variational evidence lower bound,
        equations 4 and 6.
    """
    require(guide, "the aggregate posterior", any_z=True)
    n, prior = len(x), prior_of(model, "the aggregate posterior")
    lam = guide.amortize(x)
    kls, informations = [], []
    size = max(1, 1_000_000 // (n * num_samples * guide.latent_dim))
    for start in range(0, n, size):
        with seeded(batch_seed(seed, start)):
            z = guide.posterior(lam[start : start + size]).sample(torch.Size([num_samples]))
        rows = z.shape[1]
        everywhere = z.flatten(0, 1)[:, None].expand(-1, n, -1)
        log_q = guide.posterior(lam).log_prob(everywhere).unflatten(0, (num_samples, rows)).double()
        own = log_q[:, torch.arange(rows), torch.arange(start, start + rows)]
        mixture = log_q.logsumexp(-1) - torch.tensor(n).log()
        informations.append(own - mixture)
        kls.append(own - prior.log_prob(z).double())
        progress(min(start + size, n), n)
    kl, information = torch.cat(kls, 1), torch.cat(informations, 1)
    how = f"mean over draws of q, q(z) the mixture of {n} images"

    def part(values: Tensor, bound: str | None = None) -> Estimate:
        deviation = values.std(0) / num_samples**0.5 if num_samples > 1 else None
        return Estimate.over(values.mean(0), how, num_samples, bound, deviation)  # type: ignore[arg-type]

    return AggregatePosterior(part(kl), part(information, "lower"), part(kl - information, "upper"))


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
