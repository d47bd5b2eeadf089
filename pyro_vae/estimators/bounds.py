"""Bounds on log p(x) from draws of the guide: the ELBO, and the importance-weighted bound."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.estimate import Estimate, log_mean
from pyro_vae.estimators.importance import tail_length, unreliable
from pyro_vae.estimators.sampling import BLOCK, Progress, images_at_once, require, silent
from pyro_vae.estimators.scoring import chunks_of_traces, chunks_of_weights, terms_of
from pyro_vae.objectives.sites import is_scaled
from pyro_vae.seeds import batches, seeded


class ElboEstimate(NamedTuple):
    """The ELBO and its two parts (AEVB, equation 3): elbo = log_likelihood - kl."""

    elbo: Estimate
    log_likelihood: Estimate
    kl: Estimate


def elbo(
    model: nn.Module,
    guide: Guide,
    x: Tensor,
    num_samples: int = 100,
    chunk: int = BLOCK,
    seed: int = 0,
    progress: Progress = silent,
) -> ElboEstimate:
    r"""The ELBO of the amortized guide by sampling, :math:`E_q[\log p(x, z) - \log q(z|x)]` (AEVB, equation 2).

    What Pyro's handlers mask or scale counts as in ``pyro.infer.Trace_ELBO``; with a scale it is called no bound.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: draws of z for each image.
        chunk: draws scored at once; it bounds the memory and does not change the result.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density.
    """
    require(guide, "the ELBO")
    sums, squares, scaled = [], [], False
    size = images_at_once(x, BLOCK)
    for rows, own in batches(len(x), size, seed, progress):
        images = x[rows]
        total = torch.zeros(3, len(images), dtype=torch.double, device=x.device)
        square = torch.zeros_like(total)
        with seeded(own):
            for traces in chunks_of_traces(model, guide, images, num_samples, chunk):
                scaled = scaled or is_scaled(*traces)
                terms = terms_of(*traces, len(images))
                values = torch.stack([terms.log_weight, terms.log_likelihood, terms.kl]).double()
                total += values.sum(1)
                square += values.square().sum(1)
        sums.append(total)
        squares.append(square)
    mean = torch.cat(sums, -1) / num_samples
    variance = (torch.cat(squares, -1) / num_samples - mean.square()).clamp(min=0) / max(num_samples - 1, 1)
    how = "mean over draws of q"

    def part(i: int, bound: bool = False) -> Estimate:
        deviation = variance[i].sqrt().cpu() if num_samples > 1 else None
        return Estimate.over(mean[i], how, num_samples, "lower" if bound else None, deviation)

    return ElboEstimate(part(0, bound=not scaled), part(1), part(2))


def iwae(
    model: nn.Module,
    guide: Guide,
    x: Tensor,
    num_samples: int = 5000,
    chunk: int = BLOCK,
    seed: int = 0,
    progress: Progress = silent,
) -> Estimate:
    r"""The K-sample bound :math:`\log \frac1K \sum_k p(x, z_k) / q(z_k|x)`, a lower bound on log p(x) in expectation.

    Draws are scored in chunks and only their running logsumexp and the largest of them are kept, so that memory grows
    with the root of K. Its ``sampling_error`` is the jackknife's, from the spread of the weights; where the weights
    have no variance in truth (an index above 0.5) it is too small. ``unreliable`` is the share of images whose k-hat,
    from the same draws, is above 0.7.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: K.
        chunk: draws scored at once; it bounds the memory and does not change the result.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density, or a site is scaled, or the guide does not draw it.

    References:
        Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders, equation 8.
    """
    figure = "the importance-weighted bound"
    require(guide, figure)
    firsts, seconds, tails = [], [], []
    size, kept = images_at_once(x, BLOCK), tail_length(num_samples)
    for rows, own in batches(len(x), size, seed):
        images = x[rows]
        largest = torch.empty(0, len(images), dtype=torch.double, device=x.device)
        first = torch.full((len(images),), -torch.inf, dtype=torch.double, device=x.device)
        second = first.clone()
        with seeded(own):
            done = 0
            for log_weight in chunks_of_weights(model, guide, images, num_samples, chunk, figure):
                first = torch.logaddexp(first, log_weight.logsumexp(0))
                second = torch.logaddexp(second, (2 * log_weight).logsumexp(0))
                largest = torch.cat([largest, log_weight])
                largest = largest.topk(min(kept, len(largest)), 0).values
                done += len(log_weight)
                progress(rows.start + len(images) * done // num_samples, len(x))
        firsts.append(first)
        seconds.append(second)
        tails.append(largest)
    bound, deviation = log_mean(torch.cat(firsts), torch.cat(seconds), num_samples, torch.cat(tails, -1))
    found = Estimate.over(bound, f"iwae_{num_samples}", num_samples, "lower", deviation)
    return replace(found, unreliable=unreliable(torch.cat(tails, -1), num_samples))
