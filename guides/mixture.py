"""A mixture of diagonal Gaussians with unbiased reparameterised gradients."""

from math import log, pi
from typing import Any

import pyro.distributions as dist
import torch
from torch import Size, Tensor

from guides.base import Guide, require_positive, softplus_scale
from guides.encoders import Encoder


class MixtureOfNormals(dist.MixtureSameFamily):
    r"""A mixture of diagonal Gaussians whose samples carry the gradient of everything, the weights included.

    A sample is drawn by ancestry, which no gradient passes. Its derivative is that of the distributional transform
    (Figurnov, Mohamed & Mnih 2018, section 4): :math:`S_d(z; \phi) = F(z_d | z_{<d})` maps z to uniform noise, the
    noise does not move with :math:`\phi`, hence
    :math:`dz/d\phi = -(\partial S/\partial z)^{-1} \partial S/\partial \phi`. With it
    :math:`\nabla_\phi E_q f(z) = E_q[f'(z)\, dz/d\phi]` exactly, so that gradients of the ELBO are unbiased. The matrix
    :math:`\partial S/\partial z` is lower triangular with the conditional densities on its diagonal.

    First derivatives only: the matrix is a constant to autograd, so a second derivative through a sample is wrong.
    """

    has_rsample = True

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples ``sample_shape + batch_shape + (D,)``.

        The component is the largest of its logits with Gumbel noise. ``multinomial``, the way of torch's own, ends the
        process's use of a CUDA device where a weight is NaN, before anybody can say that the run diverged.
        """
        components = self.component_distribution.base_dist
        logits = self.mixture_distribution.logits.expand(*sample_shape, *self.batch_shape, -1)
        noise = torch.empty_like(logits).exponential_().log()
        chosen = (logits - noise).argmax(-1, keepdim=True).unsqueeze(-1)  # (..., 1, 1)
        loc, scale = (
            p.expand(*logits.shape, -1).take_along_dim(chosen, -2).squeeze(-2)
            for p in (components.loc, components.scale)
        )
        return loc + scale * torch.randn_like(loc)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples ``sample_shape + batch_shape + (D,)``, with gradients."""
        z = self.sample(Size(sample_shape))
        if not torch.is_grad_enabled():
            return z
        uniform, jacobian, density = self._distributional_transform(z)
        moved = ((uniform - uniform.detach()) / density).unsqueeze(-1)  # zero, but its gradient is not
        step = torch.linalg.solve_triangular(jacobian, moved, upper=False, unitriangular=True)
        return z - step.squeeze(-1)

    def _distributional_transform(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S(z) with gradients to the parameters; dS/dz with its rows divided by its diagonal, and that diagonal."""
        components = self.component_distribution.base_dist
        standardised = (z.unsqueeze(-2) - components.loc) / components.scale  # (..., K, D), as all that follows
        log_normal = -(standardised**2) / 2 - components.scale.log() - log(2 * pi) / 2
        before = torch.nn.functional.pad(log_normal[..., :-1].cumsum(-1), (1, 0))
        # p(component | z_1 .. z_{d-1}), the weights of the conditional of z_d
        weights = (self.mixture_distribution.logits.unsqueeze(-1) + before).softmax(-2)
        cdf = torch.special.ndtr(standardised)
        uniform = (weights * cdf).sum(-2)
        with torch.no_grad():
            density = (weights * log_normal.exp()).sum(-2).clamp_min(torch.finfo(z.dtype).tiny ** 0.5)
            score = -standardised / components.scale
            below = torch.einsum("...kd,...ke->...de", weights * (cdf - uniform.unsqueeze(-2)), score)
            jacobian = (below / density.unsqueeze(-1)).tril(-1)
        return uniform, jacobian, density


class Mixture(Guide):
    r"""A mixture of diagonal Gaussians, :math:`q(z|x) = \sum_k \pi_k(x)\, N(\mu_k(x), \mathrm{diag}\,\sigma_k^2(x))`.

    :math:`\mu_k = \mu + \sigma \odot \delta_k` and :math:`\sigma_k = \sigma \odot s_k`: all components move with one
    diagonal Gaussian, and what sets each apart from it counts in units of its scale and is damped
    (:class:`guides.base.Head`). Components that each had to find the posterior by themselves end worse than one.

    Gradients of the ELBO are unbiased, for the weights too, by implicit reparameterisation; see
    :class:`MixtureOfNormals`.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means and D raw scales, then K logits, K D offsets and K D raw
            relative scales, P = 2 D + K (1 + 2 D).
        components: the number K of Gaussians.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: where ``components`` is not positive.

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
        with torch.no_grad():  # components that start at one place get one gradient, and never part
            offsets.normal_(std=0.3 * own)

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        k, d = self.components, self.latent_dim
        loc, raw_scale, own = lam.unsqueeze(-2).tensor_split([d, 2 * d], dim=-1)
        logits, offsets, raw_relative = own.squeeze(-2).tensor_split([k, k + k * d], dim=-1)
        scale = softplus_scale(raw_scale)
        means = loc + scale * offsets.unflatten(-1, (k, d))
        components = dist.Normal(means, scale * softplus_scale(raw_relative.unflatten(-1, (k, d)))).to_event(1)
        return MixtureOfNormals(dist.Categorical(logits=logits), components)
