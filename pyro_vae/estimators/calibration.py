"""Simulation-based calibration: is the amortized posterior right on images that the model itself draws?

It is a necessary condition only: q(z|x) = p(z), which ignores x, has uniform ranks too. A pass says something where
:func:`~pyro_vae.estimators.active_units` shows that q depends on x.
"""

from typing import NamedTuple

import scipy  # its stats, which take a second to import, come when they are used
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.ranks import simulated
from pyro_vae.estimators.sampling import Progress, silent


class Calibration(NamedTuple):
    """Ranks of the true latents among draws of q.

    Attributes:
        ranks: for each image and latent dimension, how many of the L draws lie below the z that made the image,
            ``(N, D)``, 0 to L. Uniform where q is the posterior; heaped at both ends where q is too narrow, in the
            middle where it is too wide, on one side where it is shifted.
        p_values: of a chi-squared test of uniformity in each dimension, ``(D,)``.
        p_value: of all dimensions at once: the smallest times D, at most 1 (Bonferroni), so that the chance of a
            rejection at level alpha is at most alpha for the exact posterior, however the dimensions depend.
        num_samples: L.
    """

    ranks: Tensor
    p_values: Tensor
    p_value: float
    num_samples: int


def uniformity(ranks: Tensor, num_samples: int, bins: int = 16) -> Tensor:
    """p-values of a chi-squared test that ranks 0 to L are uniform: ``(N, D) -> (D,)``.

    Args:
        num_samples: L; the L + 1 ranks must fall into bins of one size.
        bins: at most a fifth of N, so that chi-squared holds.

    Raises:
        ValueError: where the bins do not divide L + 1, or hold too few images.
    """
    if (num_samples + 1) % bins:
        raise ValueError(f"{num_samples} + 1 ranks do not fall into {bins} equal bins")
    if len(ranks) < 5 * bins:
        raise ValueError(f"{bins} bins need at least {5 * bins} images, not {len(ranks)}")
    binned = torch.div(ranks * bins, num_samples + 1, rounding_mode="floor")
    counts = torch.stack([(binned == b).sum(0) for b in range(bins)])
    return torch.from_numpy(scipy.stats.chisquare(counts.cpu().numpy(), axis=0).pvalue.copy())


@torch.no_grad()
def calibration(
    model: nn.Module,
    guide: Guide,
    num_images: int = 1000,
    num_samples: int = 127,
    bins: int = 16,
    seed: int = 0,
    progress: Progress = silent,
) -> Calibration:
    """Simulation-based calibration of the amortized guide; no density is needed, only draws.

    A small p-value shows that q is not the posterior; a large one does not show that it is. The ranks compare q with
    p(z|x) on average over the model's images, and a guide that ignores x and gives the prior passes.

    Args:
        num_images: images drawn from the model, N.
        num_samples: draws of q for each image, L; L + 1 is a multiple of ``bins``.
        bins: of the test's histogram of ranks.
        seed: of images and draws.

    Raises:
        ValueError: where the bins do not divide L + 1, or hold fewer than five images each.

    References:
        Talts, Betancourt, Simpson, Vehtari & Gelman 2018, Validating Bayesian Inference Algorithms with
        Simulation-Based Calibration, Algorithm 1.
    """
    of = simulated(model, guide, num_images, num_samples, seed, progress)
    ranks = (of.draws < of.z).sum(0).cpu()
    p_values = uniformity(ranks, num_samples, bins)
    return Calibration(ranks, p_values, min(1.0, p_values.min().item() * len(p_values)), num_samples)
