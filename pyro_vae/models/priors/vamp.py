"""The prior that is a mixture of the guide's posteriors."""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.models.priors.base import Prior
from pyro_vae.nn import require_positive


class VampPrior(Prior):
    r"""A mixture of the guide's posteriors at learned pseudo-inputs, :math:`p(z) = \frac1K \sum_k q_\phi(z|u_k)`.

    The prior that maximises the ELBO is the aggregate posterior, the mean of q(z|x) over all training images; this
    prior is the same mean over K pseudo-inputs. These start around the mean training image, are learned, and may leave
    the range of pixels. The gradient of log p(z) also moves the guide.

    Args:
        latent_dim: D.
        components: the number K of pseudo-inputs.
        spread: the standard deviation, in units of a pixel, of the pseudo-inputs around the mean image at the start.

    Raises:
        ValueError: if ``components`` or ``spread`` is not positive; by ``bind``, if the guide's posterior cannot be
            scored at any z, or the guide needs the model, whose prior needs the guide.
        RuntimeError: if it is used before ``bind``.

    References:
        Tomczak & Welling 2018, VAE with a VampPrior, equation 9.

    Example:
        >>> from guides import MeanField, MLPEncoder
        >>> prior = VampPrior(latent_dim=2, components=5)
        >>> prior.bind(MeanField(MLPEncoder((1, 8, 8)), latent_dim=2), (1, 8, 8), torch.zeros(1, 8, 8))
        >>> prior().log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    def __init__(self, latent_dim: int, components: int = 100, spread: float = 0.1):
        require_positive(components=components, spread=spread)
        super().__init__(latent_dim)
        self.components, self.spread = components, spread
        # In a tuple, so that the guide's parameters are not registered as this module's too.
        self._guide: tuple[Guide, ...] = ()

    def bind(self, guide: Guide, image_shape: Sequence[int], mean_image: Tensor | None) -> None:
        """Keep the guide, and make the pseudo-inputs ``(K, *image_shape)``."""
        name = type(guide).__name__
        if not guide.scores_any_z:
            raise ValueError(
                f"VampPrior scores any z by the guide's posteriors, and {name} scores only its own samples"
            )
        if type(guide).bind is not Guide.bind:
            raise ValueError(
                f"{name} asks the model for log p(x, z), and VampPrior asks the guide: take another guide or prior"
            )
        start = torch.zeros(*image_shape) if mean_image is None else mean_image.cpu()
        self.pseudo_inputs = nn.Parameter(start + self.spread * torch.randn(self.components, *image_shape))
        self._guide = (guide,)

    def forward(self) -> dist.TorchDistribution:
        if not self._guide:
            raise RuntimeError("VampPrior needs the guide: call prior.bind(guide, image_shape, mean_image) first")
        (guide,) = self._guide
        posteriors = guide.posterior(guide.amortize(self.pseudo_inputs))
        return dist.MixtureSameFamily(
            dist.Categorical(logits=self.pseudo_inputs.new_zeros(self.components)), posteriors
        )
