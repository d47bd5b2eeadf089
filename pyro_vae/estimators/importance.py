"""How well q stands in for the posterior, read off its importance weights: k-hat and effective sample size."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import BLOCK, Progress, images_at_once, require, silent
from pyro_vae.estimators.scoring import chunks_of_weights
from pyro_vae.seeds import batches, seeded

LIMIT = 0.7  #: of k-hat; the mean of weights with a heavier tail does not settle in any number of draws one can afford
FEWEST = 25  #: draws that a tail can be fitted to
EQUAL = 1e-3  #: nats; weights that differ by less differ by the rounding of float32 log densities alone


class Importance(NamedTuple):
    """Of the weights p(x, z) / q(z|x) of each image.

    Attributes:
        k_hat: the shape of the weights' tail, the mean over images; below 0.5 their variance is finite, and up to 0.7
            estimates from them are usable.
        unreliable: the share of images whose k-hat exceeds :data:`LIMIT`, 0.7. (Vehtari et al. lower it to
            1 - 1 / log10(S) where S is below 2,200; here it is one limit everywhere.)
        effective_samples: (sum w)^2 / sum w^2 as a share of the draws, the mean over images.

    k-hat describes the tail that S draws reach, not the limit. The weights have a finite mean, p(x), so that their true
    index is at most 1: a k-hat above 1 is no tail index. It says only that S draws do not reach the tail.
    k-hat is biased upwards: for the weights of two Gaussians in 20 dimensions, with indices 0.3 and 0.5, it is 0.50 and
    0.85 on average with 2,000 draws, and still 0.45 and 0.78 with 200,000. Above 0.7 it warns; it does not prove that
    the index is above 0.7.
    """

    k_hat: Estimate
    unreliable: Estimate
    effective_samples: Estimate


def tail_length(count: int) -> int:
    """How many of ``count`` weights k-hat is fitted to, and one more, the threshold (Vehtari et al., appendix H)."""
    return min(int(0.2 * count), int(3 * count**0.5)) + 2


def pareto_k(log_weight: Tensor, count: int | None = None) -> Tensor:
    """Pareto-smoothed importance sampling's k-hat of each column, ``(S, N) -> (N,)``.

    Weights whose largest ones are equal have no tail; their k-hat is given as 0.

    Args:
        log_weight: log weights.
        count: where they are only the largest of so many, :func:`tail_length` of them at least.

    >>> torch.manual_seed(0); k = 0.4
    <torch._C.Generator object at ...>
    >>> generalised_pareto = ((1 - torch.rand(100_000, 1)) ** -k - 1) / k
    >>> abs(pareto_k(generalised_pareto.log()).item() - k) < 0.1
    True
    """
    from arviz_stats.base import array_stats  # whose imports take as long as a small command

    columns = log_weight.detach().double().cpu().numpy().T
    tail = min(tail_length(count or columns.shape[-1]), columns.shape[-1])
    varied = np.ptp(np.partition(columns, -tail, axis=-1)[:, -tail:], axis=-1) > EQUAL
    k_hat = np.zeros(len(columns))
    if varied.any():
        for i in varied.nonzero()[0]:  # arviz takes minus the log weights, as its LOO does; what lies below is not read
            below = np.full((count or len(columns[i])) - len(columns[i]), columns[i].min())
            _, k_hat[i] = array_stats.psislw(-np.concatenate([columns[i], below]))
    return torch.from_numpy(k_hat)


def unreliable(log_weight: Tensor, count: int) -> float | None:
    """The share of columns of :func:`pareto_k` above :data:`LIMIT`; None where there are too few weights for a tail."""
    return (pareto_k(log_weight, count) > LIMIT).double().mean().item() if count >= FEWEST else None


def importance(
    model: nn.Module,
    guide: Guide,
    x: Tensor,
    num_samples: int = 2000,
    chunk: int = BLOCK,
    seed: int = 0,
    progress: Progress = silent,
) -> Importance:
    """k-hat and effective sample size of the amortized guide, image by image.

    ``pyro.infer.importance.psis_diagnostic`` sums over the plate and gives one k-hat for all images.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: draws of z for each image, S; k-hat needs at least 25.
        chunk: draws scored at once.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density, or a site is scaled, or the guide does not draw it.
        ValueError: where ``num_samples`` is too small.

    References:
        Yao, Vehtari, Simpson & Gelman 2018, Yes, but Did It Work?: Evaluating Variational Inference.
        Vehtari, Simpson, Gelman, Yao & Gabry 2024, Pareto Smoothed Importance Sampling, section 3.2.4.
    """
    require(guide, "k-hat")
    if num_samples < FEWEST:
        raise ValueError(f"k-hat needs at least {FEWEST} draws for each image, not {num_samples}")
    k_hats, shares = [], []
    size = images_at_once(x, BLOCK)
    for rows, own in batches(len(x), size, seed, progress):
        images = x[rows]
        with seeded(own):
            log_weight = torch.cat(list(chunks_of_weights(model, guide, images, num_samples, chunk, "k-hat")))
        k_hats.append(pareto_k(log_weight))
        log_sum, log_squares = log_weight.logsumexp(0), (2 * log_weight).logsumexp(0)
        shares.append((2 * log_sum - log_squares).exp() / num_samples)
    k_hat = torch.cat(k_hats)
    above = (k_hat > LIMIT).double()
    how = "PSIS k-hat, biased upwards; above 1 it is no tail index; mean over images"
    return Importance(
        Estimate.over(k_hat, how, num_samples, unit="k-hat"),
        Estimate.over(above, f"share of images with k-hat above {LIMIT}", num_samples, unit="share of images"),
        Estimate.over(torch.cat(shares), "effective sample size / draws", num_samples, unit="share of draws"),
    )
