"""Two stochastic layers, inferred upwards."""

import pyro.distributions as dist
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import diagonal
from pyro_vae.distributions.layered import Layered, product, split_layers
from pyro_vae.nn import Activation, GaussianLayer, softplus_scale


class BottomUp(Guide):
    r"""The lower layer from the image, then the upper from the lower, :math:`q(z_1|x)\, q(z_2|z_1, x)`.

    z is the vector (z1, z2). Each is a diagonal Gaussian given its condition. The network from z1 to z2 decides how the
    layers depend on each other. If z2 reaches the image only through z1, as with ``--prior HierarchicalPrior``, the
    exact posterior has this form with q(z2|z1).

    Args:
        encoder: the network from images to features.
        latent_dim: D, of both layers together. The variational parameters are D means and D raw scales, P = 2D, or only
            those of z1 if ``direct`` is false. All images share the network between the layers.
        top_dim: dimensions of z2; by default a third of D. With D = 1 there is only z1.
        hidden_dims: the width of each hidden layer of the network from z1 to z2; an empty list makes it linear.
        activation: the nonlinearity after each of these layers.
        direct: whether the image also informs z2 directly, by a Gaussian that multiplies the network's; if not,
            q(z2|z1) is Burda et al.'s.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if ``top_dim`` leaves a layer empty.

    References:
        Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders, section 2.

    Example:
        >>> import torch
        >>> from guides import BottomUp, MLPEncoder
        >>> guide = BottomUp(MLPEncoder((1, 8, 8)), latent_dim=6, top_dim=2)
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
        direct: bool = True,
    ):
        bottom, top = split_layers(latent_dim, top_dim)
        super().__init__(encoder, latent_dim, num_parameters=2 * (latent_dim if direct else bottom))
        self.bottom_dim, self.top_dim, self.direct = bottom, top, direct
        self.upwards = GaussianLayer(bottom, top, hidden_dims, activation) if top else None

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam.chunk(2, dim=-1)
        scale, bottom = softplus_scale(raw_scale), self.bottom_dim
        first = diagonal(loc[..., :bottom], scale[..., :bottom])
        if (upwards := self.upwards) is None:
            return first

        def then(z1: Tensor) -> dist.TorchDistribution:
            if not self.direct:
                return diagonal(*upwards(z1))
            return product(upwards(z1), (loc[..., bottom:], scale[..., bottom:]))

        return Layered(first, then, self.latent_dim)
