"""How well q stands in for the posterior, read off its importance weights: k-hat and effective sample size."""

from math import log10
from typing import NamedTuple

import numpy as np
import torch
from arviz_stats.base import array_stats
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import BLOCK, Progress, images_at_once, require, silent
from pyro_vae.estimators.scoring import chunks_of_weights
from pyro_vae.seeds import batch_seed, seeded

EQUAL = 1e-3  #: nats; weights that differ by less differ by the rounding of float32 log densities alone


class Importance(NamedTuple):
    """Of the weights p(x, z) / q(z|x) of each image.

    Attributes:
        k_hat: the shape of the weights' tail, the mean over images; below 0.5 their variance is finite, and up to 0.7
            estimates from them are usable.
        unreliable: the share of images whose k-hat exceeds min(1 - 1 / log10(S), 0.7).
        effective_samples: (sum w)^2 / sum w^2 as a share of the draws, the mean over images.
    """

    k_hat: Estimate
    unreliable: Estimate
    effective_samples: Estimate


def k_hat_limit(num_samples: int) -> float:
    """The k-hat above which so many draws do not estimate reliably (Vehtari et al. 2024, section 3.2.4)."""
    return min(1 - 1 / log10(num_samples), 0.7)


def pareto_k(log_weight: Tensor) -> Tensor:
    """Pareto-smoothed importance sampling's k-hat of each column, ``(S, N) -> (N,)``.

    Equal weights have no tail; their k-hat is given as 0.

    >>> torch.manual_seed(0); k = 0.4
    <torch._C.Generator object at ...>
    >>> generalised_pareto = ((1 - torch.rand(100_000, 1)) ** -k - 1) / k
    >>> abs(pareto_k(generalised_pareto.log()).item() - k) < 0.1
    True
    """
    columns = log_weight.detach().double().cpu().numpy().T
    varied = np.ptp(columns, axis=-1) > EQUAL
    k_hat = np.zeros(len(columns))
    if varied.any():
        _, k_hat[varied] = array_stats.psislw(-columns[varied])  # arviz takes minus the log weights, as its LOO does
    return torch.from_numpy(k_hat)


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
    if num_samples < 25:
        raise ValueError(f"k-hat needs at least 25 draws for each image, not {num_samples}")
    k_hats, shares = [], []
    size = images_at_once(x, BLOCK)
    for start in range(0, len(x), size):
        images = x[start : start + size]
        with seeded(batch_seed(seed, start)):
            log_weight = torch.cat(list(chunks_of_weights(model, guide, images, num_samples, chunk, "k-hat")))
        k_hats.append(pareto_k(log_weight))
        log_sum, log_squares = log_weight.logsumexp(0), (2 * log_weight).logsumexp(0)
        shares.append((2 * log_sum - log_squares).exp() / num_samples)
        progress(min(start + size, len(x)), len(x))
    k_hat, limit = torch.cat(k_hats), k_hat_limit(num_samples)
    above = (k_hat > limit).double()
    return Importance(
        Estimate.over(k_hat, "PSIS k-hat, mean over images", num_samples, unit="k-hat"),
        Estimate.over(above, f"share of images with k-hat above {limit:.2f}", num_samples, unit="share of images"),
        Estimate.over(torch.cat(shares), "effective sample size / draws", num_samples, unit="share of draws"),
    )
