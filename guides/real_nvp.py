"""Coupling flows with affine steps."""

from pyro.distributions import TorchDistribution
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import masked_steps, scaled_flow
from pyro_vae.nn import require_positive


class RealNVP(Guide):
    r"""Noise through T affine couplings that see the image, then scaled and shifted,
    :math:`z = \mu + \sigma \odot f(\epsilon)`.

    A coupling scales and shifts one half of the dimensions by numbers computed from the other half and from a context
    from the encoder; the halves change from coupling to coupling. Here the first half is scaled and shifted too, by the
    context alone. Sampling costs one pass, scoring any z two.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and the context, P = 2 D + ``context_dim``.
        transforms: the number T of couplings.
        hidden_dims: widths of the network's hidden layers.
        context_dim: how many numbers the encoder passes to the couplings.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        Dinh, Sohl-Dickstein & Bengio 2017, Density Estimation using Real NVP, section 3.2; as an amortized
        posterior with a context: Papamakarios et al. 2021, Normalizing Flows for Probabilistic Modeling and Inference,
        section 3.1.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, RealNVP
        >>> guide = RealNVP(MLPEncoder((1, 8, 8)), latent_dim=2, transforms=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        transforms: int = 4,
        hidden_dims: list[int] = [128],  # noqa: B006 (read only; the command line shows it)
        context_dim: int = 64,
    ):
        require_positive(transforms=transforms, context_dim=context_dim)
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + context_dim)
        self.transforms = masked_steps(latent_dim, context_dim, transforms, hidden_dims, passes=2)

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, context = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        return scaled_flow(loc, raw_scale, [transform(context) for transform in self.transforms])
