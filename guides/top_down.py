"""Two stochastic layers, inferred downwards."""

import pyro.distributions as dist
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import diagonal
from pyro_vae.distributions.layered import Layered, product, split_layers
from pyro_vae.nn import Activation, GaussianLayer, softplus_scale


class TopDown(Guide):
    r"""The upper layer from the image, then the lower from both, :math:`q(z_2|x)\, q(z_1|z_2, x)`.

    z is the vector (z1, z2). q(z1|z2, x) is the normalised product of two diagonal Gaussians, one predicted from z2 and
    one from the image; the exact posterior is likewise the product of prior and likelihood. In the ladder VAE the first
    of the two is the model's own p(z1|z2); here the guide has its own network, because a guide knows nothing of the
    model.

    Args:
        encoder: the network from images to features.
        latent_dim: D, of both layers together. The variational parameters are D means and D raw scales, P = 2D. All
            images share the network between the layers.
        top_dim: dimensions of z2; by default a third of D. With D = 1 there is only z1.
        hidden_dims: the width of each hidden layer of the network from z2 to z1; an empty list makes it linear.
        activation: the nonlinearity after each of these layers.

    Shapes: ``posterior`` takes ``(N, 2 D)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if ``top_dim`` leaves a layer empty.

    References:
        Sonderby, Raiko, Maaloe, Sonderby & Winther 2016, Ladder Variational Autoencoders, equations 18 and 19.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, TopDown
        >>> guide = TopDown(MLPEncoder((1, 8, 8)), latent_dim=6, top_dim=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 6])
    """

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        top_dim: int | None = None,
        hidden_dims: list[int] = [100, 100],  # noqa: B006 (read only; the command line shows it)
        activation: Activation = "tanh",
    ):
        bottom, top = split_layers(latent_dim, top_dim)
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim)
        self.bottom_dim, self.top_dim = bottom, top
        self.downwards = GaussianLayer(top, bottom, hidden_dims, activation) if top else None

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam.chunk(2, dim=-1)
        scale, bottom = softplus_scale(raw_scale), self.bottom_dim
        if (downwards := self.downwards) is None:
            return diagonal(loc, scale)

        def then(z2: Tensor) -> dist.TorchDistribution:
            return product(downwards(z2), (loc[..., :bottom], scale[..., :bottom]))

        return Layered(diagonal(loc[..., bottom:], scale[..., bottom:]), then, self.latent_dim, top_first=True)
