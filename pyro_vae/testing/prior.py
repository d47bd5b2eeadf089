"""``check_prior``: whether a prior keeps its contract, and its density is that of its samples."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from guides import MeanField, MLPEncoder
from pyro_vae.models import Prior
from pyro_vae.seeds import forked
from pyro_vae.testing.context import looking_at, name_of, require, require_gradients, require_shape
from pyro_vae.testing.density import check_density

SHAPE = (1, 4, 4)


def check_prior(
    prior_class: Callable[..., Prior], *, latent_dims: Sequence[int] = (1, 2, 5), seed: int = 0, **options: Any
) -> None:
    """Raise an error that says what is wrong with a prior; return None if nothing is.

    Checked: shapes, finite densities, a gradient for every parameter, the number of decoded dimensions, and
    whether the density is that of the samples (:func:`pyro_vae.testing.density.check_density`).

    Args:
        prior_class: a subclass of :class:`~pyro_vae.models.Prior`, made by ``prior_class(latent_dim, **options)``.
        latent_dims: the numbers of latent dimensions to try.
        seed: of the random numbers. The tests of densities are random; a right prior fails one call in 1,000.
        options: the prior's own.

    Raises:
        AssertionError: if the prior breaks the contract.

    Example:
        >>> from pyro_vae.models import StandardNormal
        >>> check_prior(StandardNormal, latent_dims=[2])
    """
    for d in latent_dims:
        with looking_at(f"{name_of(prior_class)}, latent_dim {d}"), forked():
            torch.manual_seed(seed)
            prior = prior_class(d, **options)
            require(isinstance(prior, Prior), f"it makes a {type(prior).__name__}, which is no Prior")
            require(prior.latent_dim == d, f"latent_dim must be {d}, not {prior.latent_dim}")
            require(0 < prior.decoded_dim <= d, f"decoded_dim must be between 1 and {d}, not {prior.decoded_dim}")
            guide = MeanField(MLPEncoder(SHAPE, [8]), d)
            prior.bind(guide, SHAPE, torch.full(SHAPE, 0.5))
            with torch.no_grad():
                for parameter in prior.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
            p = prior()
            require(p.event_shape == (d,), f"event_shape must be ({d},), not {tuple(p.event_shape)}: .to_event(1)?")
            require(p.batch_shape == (), f"batch_shape must be (), not {tuple(p.batch_shape)}")
            z = p.sample(torch.Size((3, 5)))
            require_shape(z.shape, (3, 5, d), "samples of shape (3, 5)")
            log_prob = prior().log_prob(z.clone())
            require_shape(log_prob.shape, (3, 5), "log_prob of samples of shape (3, 5)")
            require(bool(log_prob.isfinite().all()), "log_prob of its own samples is not finite")
            if any(parameter.requires_grad for parameter in prior.parameters()):
                require_gradients(prior, log_prob.sum())
            with torch.no_grad():
                check_density(prior().expand((1,)))
