"""A mixture of diagonal Gaussians with unbiased reparameterised gradients."""

import pyro.distributions as dist
import torch
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.mixture import MixtureOfNormals
from pyro_vae.nn import require_positive, softplus_scale


class Mixture(Guide):
    r"""A mixture of diagonal Gaussians, :math:`q(z|x) = \sum_k \pi_k(x)\, N(\mu_k(x), \mathrm{diag}\,\sigma_k^2(x))`.

    :math:`\mu_k = \mu + \sigma \odot \delta_k` and :math:`\sigma_k = \sigma \odot s_k`: all components move with one
    diagonal Gaussian; the differences from it are in units of its scale and are damped (:class:`guides.base.Head`).

    Gradients of the ELBO are unbiased, for the weights too, by implicit reparameterisation; see
    :class:`MixtureOfNormals`.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means and D raw scales, then K logits, K D offsets and K D raw
            relative scales, P = 2 D + K (1 + 2 D).
        components: the number K of Gaussians.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if ``components`` is not positive.

    References:
        Figurnov, Mohamed & Mnih 2018, Implicit Reparameterization Gradients, section 4.

    Example:
        >>> import torch
        >>> from guides import Mixture, MLPEncoder
        >>> guide = Mixture(MLPEncoder((1, 8, 8)), latent_dim=2, components=3)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(self, encoder: Encoder, latent_dim: int, components: int = 4):
        require_positive(components=components)
        own = components * (1 + 2 * latent_dim)
        super().__init__(encoder, latent_dim, 2 * latent_dim + own, num_couplings=own)
        self.components = components
        offsets = self.head.bias[2 * latent_dim + components :][: components * latent_dim]
        with torch.no_grad():  # components that start equal get equal gradients, and stay equal
            offsets.normal_(std=0.3 * own)

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        k, d = self.components, self.latent_dim
        loc, raw_scale, own = lam.unsqueeze(-2).tensor_split([d, 2 * d], dim=-1)
        logits, offsets, raw_relative = own.squeeze(-2).tensor_split([k, k + k * d], dim=-1)
        scale = softplus_scale(raw_scale)
        means = loc + scale * offsets.unflatten(-1, (k, d))
        components = dist.Normal(means, scale * softplus_scale(raw_relative.unflatten(-1, (k, d)))).to_event(1)
        return MixtureOfNormals(dist.Categorical(logits=logits), components)
