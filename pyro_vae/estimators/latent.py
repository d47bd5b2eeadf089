"""Is the latent used? Active units and directions, and the KL of each dimension."""

from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import (
    NotDefined,
    Progress,
    images_at_once,
    posterior_draws,
    prior_of,
    require,
    silent,
)
from pyro_vae.models import Model
from pyro_vae.seeds import batches

THRESHOLD = 0.01  #: Burda et al.'s: a dimension whose posterior mean varies less over images is not active
DRAWS = 4  #: of each image, by which the covariance of the aggregate posterior is known


class ActiveUnits(NamedTuple):
    """Which latent dimensions the images move.

    Attributes:
        activity: Cov_x(E_q[z_d | x]) of each dimension, ``(D,)``.
        active: how many exceed the threshold; its standard error is the bootstrap's over images.
        directions: how many directions the images move, between 0 and D, whatever the axes are: a direction counts by
            the part of its variance that is between images. Its standard error is the bootstrap's, too.
        collapsed: whether no unit is active. The threshold is in units of z: with a q of very small scale, images can
            still move directions. q(z|x) says nothing of x only if ``directions`` is near 0 too.
    """

    activity: Tensor
    active: Estimate
    directions: Estimate
    collapsed: bool


def active_units(
    guide: Guide,
    x: Tensor,
    num_samples: int = 100,
    threshold: float = THRESHOLD,
    seed: int = 0,
    progress: Progress = silent,
) -> ActiveUnits:
    r"""Active units by Burda et al.'s definition, and active directions, which do not depend on the axes.

    With :math:`m(x) = E_q[z|x]` a unit d is active where :math:`B_{dd}`, :math:`B = \mathrm{Cov}_x(m(x))`, exceeds the
    threshold. A posterior with correlations can collapse along a direction in which all dimensions take part, and each
    of them still looks active. The directions are therefore counted by
    :math:`\mathrm{tr}(\mathrm{Cov}(z)^{-1} B)`, with the covariance of the aggregate posterior,
    :math:`\mathrm{Cov}(z) = B + E_x[\mathrm{Cov}_q(z|x)]`: the sum of the squared canonical correlations of z and m(x),
    the same in any linear coordinates of z.

    The posterior mean is estimated twice, from either half of the draws, and the covariance of both over images is
    taken: the variance of one estimate alone would be too large by that of its draws.

    Args:
        x: images ``(N, *image_shape)``, two or more; for the directions more than D.
        num_samples: draws of z for each image, two or more.
        threshold: of the covariance.

    Raises:
        ValueError: where there are too few draws.
        NotDefined: where there is only one image.

    References:
        Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders, section 5.2.
    """
    if num_samples < 2:
        raise ValueError(f"a covariance needs two draws, not {num_samples}")
    if len(x) < 2:
        raise NotDefined("the covariance over images needs two images or more")

    def kept(z: Tensor) -> Tensor:
        return torch.cat([torch.stack([half.double().mean(0) for half in z.tensor_split(2)]), z[:DRAWS].double()])

    draws = posterior_draws(guide, x, num_samples, seed, progress, kept)

    def covariance(a: Tensor, b: Tensor) -> Tensor:
        return (a - a.mean(0)).T @ (b - b.mean(0)) / (len(a) - 1)

    def look(rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        one, other, *drawn = draws[:, rows]
        between = covariance(one, other)
        whole = torch.stack([covariance(z, z) for z in drawn]).mean(0)
        return between.diagonal(), (torch.linalg.pinv(whole, rtol=1e-10, hermitian=True) * between).sum()

    activity, directions = look(slice(None))
    generator = torch.Generator().manual_seed(seed)
    again = [look(torch.randint(len(x), (len(x),), generator=generator).to(x.device)) for _ in range(200)]
    active = int((activity > threshold).sum())

    def estimate(value: float, resampled: list[Tensor], estimator: str, unit: str) -> Estimate:
        error = torch.stack(resampled).double().std().item()
        return Estimate(value, error, estimator, num_samples, len(x), unit=unit)

    counts = [(resampled > threshold).sum() for resampled, _ in again]
    of_units = estimate(active, counts, f"dimensions with Cov_x(E_q[z|x]) > {threshold:g}", "dimensions")
    traces = [resampled for _, resampled in again]
    of_directions = estimate(directions.item(), traces, "squared correlations of z and E_q[z|x]", "directions")
    return ActiveUnits(activity.cpu(), of_units, of_directions, collapsed=active == 0)


@torch.no_grad()
def kl_of_dimensions(model: Model, guide: Guide, x: Tensor) -> list[Estimate]:
    """KL(q(z_d|x) || p(z_d)) of each dimension in closed form, D estimates, where q and p have independent ones.

    Args:
        x: images ``(N, *image_shape)``.

    Raises:
        NotDefined: where q or the prior has dependent dimensions, or the KL of one dimension is not known.
    """
    require(guide, "the KL of each dimension")
    p = prior_of(model, "the KL of each dimension")
    size = images_at_once(x, 1)
    parts = []
    for rows, _ in batches(len(x), size):
        q = guide.posterior(guide.amortize(x[rows]))
        if not all(isinstance(d, dist.Independent) and d.reinterpreted_batch_ndims == 1 for d in (q, p)):
            raise NotDefined(
                "the KL of each dimension needs independent dimensions in q and in the prior, and here they are"
                f" {type(q).__name__} and {type(p).__name__}"
            )
        try:
            parts.append(kl_divergence(q.base_dist, p.base_dist))
        except NotImplementedError as error:
            raise NotDefined(f"the KL of one dimension of {type(guide).__name__} has no closed form") from error
    return [Estimate.over(column, "closed form", 0) for column in torch.cat(parts).unbind(-1)]
