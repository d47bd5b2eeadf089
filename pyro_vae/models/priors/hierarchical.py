"""The prior of two stochastic layers."""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor

from guides import Guide
from pyro_vae.distributions.flow import diagonal
from pyro_vae.distributions.layered import Layered, split_layers
from pyro_vae.models.priors.base import Prior
from pyro_vae.nn import Activation, GaussianLayer


class HierarchicalPrior(Prior):
    r"""z2 ~ N(0, I), then :math:`z_1 \sim N(\mu(z_2), \mathrm{diag}\,\sigma^2(z_2))`, and the decoder sees z1.

    z is the vector (z1, z2), so everything that works on a vector works on both layers: any guide, every bound, AIS.
    :class:`~guides.BottomUp` and :class:`~guides.TopDown` are guides for this prior. The two-layer networks of the
    paper, 100 and 50 dimensions, are

        --latent-dim 150 --prior HierarchicalPrior --guide BottomUp --encoder.hidden_dims [200,200]
        --encoder.activation tanh --decoder.hidden_dims [200,200] --decoder.activation tanh

    Args:
        latent_dim: D, of both layers together.
        top_dim: dimensions of z2; by default a third of D.
        hidden_dims: the width of each hidden layer of the network from z2 to z1; an empty list makes it linear.
        activation: the nonlinearity after each of these layers.

    Raises:
        ValueError: if there is only one dimension, or ``top_dim`` leaves a layer empty; by ``bind``, if the guide has
            two layers and divides z elsewhere.

    References:
        Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders, sections 2 and 5.

    Example:
        >>> prior = HierarchicalPrior(latent_dim=6, top_dim=2)
        >>> z = prior().sample((3,))
        >>> z.shape, prior().log_prob(z).shape, prior.decoded_dim
        (torch.Size([3, 6]), torch.Size([3]), 4)
    """

    zero: Tensor

    def __init__(
        self,
        latent_dim: int,
        top_dim: int | None = None,
        hidden_dims: list[int] = [100, 100],  # noqa: B006 (read only; the command line shows it)
        activation: Activation = "tanh",
    ):
        if latent_dim < 2:
            raise ValueError("HierarchicalPrior has two layers, and needs at least two dimensions")
        bottom, top = split_layers(latent_dim, top_dim)
        super().__init__(latent_dim)
        self.decoded_dim = bottom
        self.register_buffer("zero", torch.zeros(top), persistent=False)
        self.downwards = GaussianLayer(top, bottom, hidden_dims, activation)

    def bind(self, guide: Guide, image_shape: Sequence[int], mean_image: Tensor | None) -> None:
        theirs, ours = getattr(guide, "top_dim", None), len(self.zero)
        if theirs not in (None, ours):
            raise ValueError(
                f"the upper layer of HierarchicalPrior has {ours} dimensions, and that of {type(guide).__name__}"
                f" {theirs}: give both the same top_dim"
            )

    def forward(self) -> dist.TorchDistribution:
        top = diagonal(self.zero, torch.ones_like(self.zero))
        return Layered(top, lambda z2: diagonal(*self.downwards(z2)), self.latent_dim, top_first=True)
