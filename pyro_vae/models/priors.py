"""p(z)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.distributions.flow import Flow, diagonal, masked_steps
from pyro_vae.nn import require_positive


class Prior(nn.Module, ABC):
    """A distribution over the latent space.

    Args:
        latent_dim: the number D of latent dimensions.

    Attributes:
        decoded_dim: how many of them, the first, the decoder sees; all of them, but where z has layers.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = self.decoded_dim = latent_dim

    @abstractmethod
    def forward(self) -> dist.TorchDistribution:
        """p(z): batch_shape ``()``, event_shape ``(D,)``."""

    def bind(self, guide: Guide, image_shape: Sequence[int], mean_image: Tensor | None) -> None:
        """Show the prior the guide it will be trained with; called once, after both are built.

        Nothing happens here. :class:`VampPrior`, which is made of the guide's posteriors, keeps it.

        Args:
            guide: q(z|x).
            image_shape: channels, height, width.
            mean_image: of the training images, ``image_shape``; None where weights will be loaded.
        """


class StandardNormal(Prior):
    """N(0, I), AEVB's prior."""

    zero: Tensor

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> dist.TorchDistribution:
        return dist.Normal(self.zero, torch.ones_like(self.zero)).to_event(1)


class MixturePrior(Prior):
    r"""A learned mixture of diagonal Gaussians, :math:`p(z) = \sum_k \pi_k N(z; m_k, \mathrm{diag}\,s_k^2)`.

    It starts around N(0, I): equal weights, means drawn with a standard deviation of 1/2, and scales that bring the
    variance to 1.

    Args:
        latent_dim: D.
        components: the number K of Gaussians.

    Raises:
        ValueError: where ``components`` is not positive.

    References:
        Dilokthanakul et al. 2016, Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders; the
        "MoG" baseline of Tomczak & Welling 2018, section 4.
    """

    def __init__(self, latent_dim: int, components: int = 10):
        require_positive(components=components)
        super().__init__(latent_dim)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, latent_dim) / 2)
        self.log_scale = nn.Parameter(torch.full((components, latent_dim), log(0.75) / 2))

    def forward(self) -> dist.TorchDistribution:
        components = dist.Normal(self.loc, self.log_scale.exp()).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)


class FlowPrior(Prior):
    r"""A masked autoregressive flow over N(0, I) that is cheap to score, as training wants it.

    Noise is computed from z, all dimensions at once; a sample costs D passes of each transform.

    Args:
        latent_dim: D.
        transforms: how many affine autoregressive transforms.
        hidden_dims: widths of each transform's hidden layers.

    Raises:
        ValueError: where ``transforms`` is not positive, or there is but one dimension.

    References:
        Papamakarios, Pavlakou & Murray 2017, Masked Autoregressive Flow for Density Estimation, section 3; as the prior
        of a VAE: Chen et al. 2017, Variational Lossy Autoencoder, section 3.2.
    """

    zero: Tensor

    def __init__(
        self,
        latent_dim: int,
        transforms: int = 2,
        hidden_dims: list[int] = [64, 64],  # noqa: B006 (read only; the command line shows it)
    ):
        require_positive(transforms=transforms)
        if latent_dim < 2:
            raise ValueError("FlowPrior conditions dimensions on each other, and needs at least two dimensions")
        super().__init__(latent_dim)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)
        self.transforms = masked_steps(latent_dim, 0, transforms, hidden_dims)

    def forward(self) -> dist.TorchDistribution:
        # Each transform is direct, and so cheap, from z to noise.
        steps = [transform().inv for transform in self.transforms]
        return Flow(diagonal(self.zero, torch.ones_like(self.zero)), steps[::-1])
