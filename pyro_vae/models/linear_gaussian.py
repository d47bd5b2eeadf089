"""The model whose evidence and posterior are known in closed form: every estimator is tested on it."""

from math import log, pi

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.models.decoders.base import Decoder
from pyro_vae.models.decoders.linear import LinearDecoder
from pyro_vae.models.likelihoods.base import Likelihood
from pyro_vae.models.likelihoods.gaussian import Gaussian
from pyro_vae.models.priors.base import Prior
from pyro_vae.models.priors.standard_normal import StandardNormal
from pyro_vae.models.vae import VAE


class LinearGaussian(VAE):
    r"""Probabilistic PCA: z ~ N(0, I), x ~ N(Wz + b, s^2 I) (Tipping & Bishop 1999, equations 3 to 7).

    Args:
        decoder: a :class:`LinearDecoder`.
        likelihood: a :class:`Gaussian` with one standard deviation for all pixels and unsquashed means.
        prior: a :class:`StandardNormal`.

    Raises:
        ValueError: if the parts are others, because then there are no closed forms.
    """

    def __init__(self, decoder: Decoder, likelihood: Likelihood, prior: Prior):
        linear = isinstance(decoder, LinearDecoder) and isinstance(prior, StandardNormal)
        isotropic = isinstance(likelihood, Gaussian) and not (likelihood.squash or likelihood.decoded)
        if not (linear and isotropic):
            raise ValueError(
                "LinearGaussian is made of LinearDecoder, StandardNormal and Gaussian with squash false and one scale:"
                " --decoder LinearDecoder --likelihood Gaussian --likelihood.squash false"
            )
        super().__init__(decoder, likelihood, prior)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(self.decoder, LinearDecoder)
        assert isinstance(self.likelihood, Gaussian)
        return self.decoder.output.weight, self.decoder.output.bias, self.likelihood.scale

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) = log N(x; b, W W^T + s^2 I) in nats: ``(..., *image_shape) -> (...)``.

        Where values are missing (NaN), it is that of the values that are seen: the rows of W and b that belong to them.
        """
        weight, bias, scale = self._parts()
        if x.isnan().any():
            return self._evidence_of_seen(x.flatten(-len(self.image_shape)))
        evidence = dist.LowRankMultivariateNormal(bias, weight, (scale**2).expand_as(bias))
        return evidence.log_prob(x.flatten(-len(self.image_shape)))

    def exact_posterior(self, x: Tensor) -> dist.TorchDistribution:
        """p(z|x) = N(M^-1 W^T (x - b) / s^2, M^-1), M = I + W^T W / s^2: batch_shape ``(N,)``, event_shape ``(D,)``."""
        weight, bias, scale = self._parts()
        if x.isnan().any():
            precision, projected, _ = self._precision_of_seen(x.flatten(-len(self.image_shape)))
            mean = torch.linalg.solve(precision, projected[..., None])[..., 0]
            return dist.MultivariateNormal(mean, precision_matrix=precision)
        precision = torch.eye(self.latent_dim, dtype=weight.dtype, device=weight.device) + weight.mT @ weight / scale**2
        projected = (x.flatten(-len(self.image_shape)) - bias) @ weight / scale**2
        return dist.MultivariateNormal(torch.linalg.solve(precision, projected.mT).mT, precision_matrix=precision)

    def _precision_of_seen(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """M and W^T (x - b) / s^2 over the values of each row ``(..., P)`` that are seen, and their residuals."""
        weight, bias, scale = self._parts()
        seen = (~x.isnan()).to(weight.dtype)
        residual = torch.where(x.isnan(), 0.0, x - bias)
        eye = torch.eye(self.latent_dim, dtype=weight.dtype, device=weight.device)
        precision = eye + torch.einsum("...p,pi,pj->...ij", seen, weight, weight) / scale**2
        return precision, residual @ weight / scale**2, residual

    def _evidence_of_seen(self, x: Tensor) -> Tensor:
        """By the matrix determinant lemma and Woodbury's identity, with the values that are missing left out."""
        _, _, scale = self._parts()
        precision, projected, residual = self._precision_of_seen(x)
        count = (~x.isnan()).sum(-1)
        explained = (projected * torch.linalg.solve(precision, projected[..., None])[..., 0]).sum(-1)
        distance = residual.square().sum(-1) / scale**2 - explained
        return -0.5 * (distance + torch.logdet(precision) + count * (2 * scale.log() + log(2 * pi)))
