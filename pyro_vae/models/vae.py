"""The generative story of AEVB."""

import pyro
from torch import Tensor

from pyro_vae.models.base import Model
from pyro_vae.models.decoders.base import Decoder
from pyro_vae.models.likelihoods.base import Likelihood
from pyro_vae.models.priors.base import Prior
from pyro_vae.params import announce


class VAE(Model):
    r"""z ~ p(z), x ~ p(x|z) with the likelihood's parameters computed by a decoder (AEVB, section 2.1 and Figure 1).

    Args:
        decoder: the network from z, or from the first ``prior.decoded_dim`` of its dimensions, to the likelihood's
            parameters.
        likelihood: what these parameters mean.
        prior: p(z), N(0, I) in AEVB.

    Raises:
        ValueError: if the prior and the decoder have different numbers of dimensions.

    Example:
        >>> import torch
        >>> from pyro_vae.models import Bernoulli, MLPDecoder, StandardNormal, VAE
        >>> model = VAE(MLPDecoder(2, (1, 8, 8)), Bernoulli((1, 8, 8)), StandardNormal(2))
        >>> x = model(n=5)
        >>> x.shape, model.log_joint(x, torch.zeros(3, 5, 2)).shape
        (torch.Size([5, 1, 8, 8]), torch.Size([3, 5]))
    """

    def __init__(self, decoder: Decoder, likelihood: Likelihood, prior: Prior):
        super().__init__()
        if decoder.latent_dim != prior.decoded_dim:
            raise ValueError(f"the decoder has {decoder.latent_dim} latent dimensions, the prior {prior.decoded_dim}")
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.latent_dim = prior.latent_dim
        self.image_shape = likelihood.image_shape

    def decode(self, z: Tensor) -> Tensor:
        """The likelihood's parameters at z, ``(..., D)`` to ``(..., *output_shape)``."""
        return self.decoder(z[..., : self.decoder.latent_dim])

    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        announce(self)
        with pyro.plate("data", n if x is None else len(x), dim=-1):
            z = pyro.sample("z", self.prior())
            drawn = pyro.sample("x", self.likelihood(self.decode(z)), obs=x)
            return drawn if x is not None else drawn.detach()

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        return self.prior().log_prob(z) + self.likelihood(self.decode(z)).log_prob(x)
