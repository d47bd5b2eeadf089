"""The generative story of AEVB's Appendix F: the decoder's weights are latent variables too."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import log, prod
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.messenger import block_messengers
from torch import Tensor, nn
from torch.func import functional_call

from guides import Guide
from pyro_vae.models.decoders.base import Decoder
from pyro_vae.models.likelihoods.base import Likelihood
from pyro_vae.models.priors.base import Prior
from pyro_vae.models.vae import VAE
from pyro_vae.nn import require_positive
from pyro_vae.params import announce


class BayesianVAE(VAE):
    r"""theta ~ N(0, s^2 I), and for each image z ~ p(z), x ~ p(x|z, theta): full variational Bayes.

    Each weight and bias of the decoder is a Pyro site, "decoder.NAME", with a mean-field Gaussian posterior q(theta)
    that is learned with q(z|x). The bound on the evidence of all N training images, divided by N, is per image

    .. math:: E_{q(\theta)}\Big[ E_{q(z|x)}[\log p_\theta(x|z)] - KL(q(z|x)\,\|\,p(z)) \Big]
              - \tfrac1N KL(q(\theta)\,\|\,p(\theta)),

    whose last term is part of the training rows' KL. The weights are drawn once a minibatch and shared by all its
    images and particles, so the bound also holds for objectives of several particles.

    In evaluation mode the decoder has the posterior means as weights: held-out rows of the trace, pictures,
    ``log_joint`` and every estimator describe p(x|theta) at that theta, without the KL of the weights; within
    :meth:`drawn`, they describe one draw from q(theta). Other learned parameters (a likelihood's scale, a prior) are
    points.

    Args:
        decoder: the network from z to the likelihood's parameters; its own parameters are the posterior means.
        likelihood: what these parameters mean.
        prior: p(z).
        prior_scale: the standard deviation s of every weight under p(theta), 1 in AEVB.
        initial_scale: the standard deviation of every weight under q(theta) at the start.

    Raises:
        ValueError: if a scale is not positive.

    References:
        Kingma & Welling 2013, Auto-Encoding Variational Bayes, Appendix F.

    Example:
        >>> from pyro_vae.models import BayesianVAE, Bernoulli, MLPDecoder, StandardNormal
        >>> model = BayesianVAE(MLPDecoder(2, (1, 8, 8)), Bernoulli((1, 8, 8)), StandardNormal(2)).eval()
        >>> with model.drawn():
        ...     x = model(n=5)
    """

    num_images: Tensor

    def __init__(
        self,
        decoder: Decoder,
        likelihood: Likelihood,
        prior: Prior,
        prior_scale: float = 1.0,
        initial_scale: float = 0.05,
    ):
        require_positive(prior_scale=prior_scale, initial_scale=initial_scale)
        super().__init__(decoder, likelihood, prior)
        self.prior_scale = prior_scale
        start = {_key(name): torch.full_like(mean, log(initial_scale)) for name, mean in decoder.named_parameters()}
        self.log_scale = nn.ParameterDict(start)
        self.register_buffer("num_images", torch.ones(()))

    def set_num_images(self, num_images: int) -> None:
        self.num_images.fill_(num_images)

    def wrap_guide(self, guide: Guide) -> Guide:
        """The same guide; in training mode its Pyro program first draws the weights."""
        guide.register_forward_pre_hook(self._before_guide, with_kwargs=True)
        return guide

    def _before_guide(self, _: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.training:
            self._sample(self.weight_posterior(), len(args[0] if args else kwargs["x"]))

    def weight_posterior(self) -> dict[str, dist.TorchDistribution]:
        """q(theta), one independent Gaussian for each of the decoder's parameters, of their shapes."""
        return {
            name: dist.Normal(mean, self.log_scale[_key(name)].exp()).to_event(mean.dim())
            for name, mean in self.decoder.named_parameters()
        }

    def weight_prior(self) -> dict[str, dist.TorchDistribution]:
        """p(theta), likewise."""
        return {
            name: dist.Normal(torch.zeros_like(mean), self.prior_scale).to_event(mean.dim())
            for name, mean in self.decoder.named_parameters()
        }

    def weight_kl(self) -> Tensor:
        """KL(q(theta) || p(theta)) in nats, of all weights together."""
        pairs = zip(self.weight_posterior().values(), self.weight_prior().values(), strict=True)
        return torch.stack([torch.distributions.kl_divergence(q, p) for q, p in pairs]).sum()

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """In this context, in evaluation mode, the decoder is one draw from q(theta) instead of the means."""
        parameters = dict(self.decoder.named_parameters())
        with torch.no_grad():
            means = {name: mean.clone() for name, mean in parameters.items()}
            for name, q in self.weight_posterior().items():
                parameters[name].copy_(q.sample())
        try:
            yield
        finally:
            with torch.no_grad():
                for name, mean in means.items():
                    parameters[name].copy_(mean)

    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        if not self.training:
            return super().forward(x, n)
        announce(self)
        count = len(x) if x is not None else n
        assert count is not None, "either the images or their number must be given"
        theta = self._sample(self.weight_prior(), count)
        with pyro.plate("data", count, dim=-1):
            z = pyro.sample("z", self.prior())
            output = functional_call(self.decoder, theta, (z[..., : self.decoder.latent_dim],))
            drawn = pyro.sample("x", self.likelihood(output), obs=x)
            return drawn if x is not None else drawn.detach()

    def _sample(self, weights: Mapping[str, dist.TorchDistribution], count: int) -> dict[str, Tensor]:
        """Draw the weights for a minibatch of ``count`` images, which takes its share of their log density."""
        # Particles are a plate around the program; hidden from it, they share one draw.
        with block_messengers(lambda handler: isinstance(handler, pyro.plate)) as plates:
            rows = count * prod(plate.size for plate in plates)  # type: ignore[attr-defined]
            with poutine.scale(scale=rows / self.num_images):
                return {name: pyro.sample(f"decoder.{name}", q) for name, q in weights.items()}


def _key(name: str) -> str:
    return name.replace(".", "-")  # a ParameterDict allows no dots
