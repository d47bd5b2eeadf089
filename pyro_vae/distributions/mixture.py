"""A mixture of diagonal Gaussians with unbiased reparameterised gradients."""

from math import log, pi
from typing import Any

import pyro.distributions as dist
import torch
from torch import Size, Tensor


class MixtureOfNormals(dist.MixtureSameFamily):
    r"""A mixture of diagonal Gaussians whose samples carry gradients to all parameters, the weights included.

    A sample is drawn ancestrally, without a gradient. Its derivative is that of the distributional transform
    (Figurnov, Mohamed & Mnih 2018, section 4): :math:`S_d(z; \phi) = F(z_d | z_{<d})` maps z to uniform noise, the
    noise does not move with :math:`\phi`, hence
    :math:`dz/d\phi = -(\partial S/\partial z)^{-1} \partial S/\partial \phi`. With it
    :math:`\nabla_\phi E_q f(z) = E_q[f'(z)\, dz/d\phi]` exactly, so that gradients of the ELBO are unbiased. The matrix
    :math:`\partial S/\partial z` is lower triangular with the conditional densities on its diagonal.

    Only first derivatives: autograd takes the matrix as a constant, so a second derivative through a sample is wrong.
    """

    has_rsample = True

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples ``sample_shape + batch_shape + (D,)``.

        The component is the largest of its logits with Gumbel noise. ``torch.multinomial`` raises a device-side assert
        on NaN weights, which kills the CUDA context before divergence can be reported.
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
        moved = ((uniform - uniform.detach()) / density).unsqueeze(-1)  # zero, with a nonzero gradient
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
