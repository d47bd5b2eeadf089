"""Semi-amortized inference: a few steps of gradient ascent improve the encoder's lambda for each image."""

from collections.abc import Callable
from importlib import import_module
from math import log
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.nn import require_positive


def _find(name: str) -> type[Guide]:
    import guides  # at call time: this module is imported while guides looks for its members

    if name in guides.GUIDES:
        return guides.GUIDES[name]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ValueError(f"there is no guide {name!r}; there are {', '.join(guides.GUIDES)}, or module.Class")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the family {name!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Guide)):
        raise ValueError(f"the family {name!r} is no guide: it must be a subclass of guides.Guide")
    return found


class SemiAmortized(Guide):
    r"""Another guide whose lambda takes a few steps up the ELBO of its own image,
    :math:`\lambda \leftarrow \lambda + a\, g`.

    g is the gradient of :math:`E_q[\log p(x, z) - \log q(z)]` in lambda by ``num_particles`` fresh samples, with the
    model that :meth:`bind` gave, clipped to a norm of ``clip_norm`` for each image. Training maximises the ELBO after
    the steps; its gradient flows back through them (by second derivatives, exact for the samples drawn) to the encoder,
    to the model and to the step sizes.

    The steps make the amortization gap smaller; the approximation gap is the inner family's. Lambda, and so
    ``amortize``, is random through the samples. The step sizes are learned because a step only adds noise if the
    encoder is already right. The inner ELBO always has KL weight 1. A sample of
    :class:`~guides.Mixture` has no second derivative, so with that family the gradient through the steps is
    approximate.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are those of the inner guide.
        family: the inner guide, by its name or as module.Class.
        family_options: options of the inner guide.
        steps: the number of steps of lambda; each costs three to four training steps without them (RESULTS.md, four
            steps of four particles around MeanField).
        step_size: the initial a of each step, for a gradient of 1 nat per unit of lambda; then a is learned.
        clip_norm: the largest norm of the gradient of one image; a longer gradient is shortened to it.
        num_particles: samples of z for each gradient.

    Shapes: as the inner guide's.

    Raises:
        ValueError: if there is no such guide, or it has no density, or a number is not positive.
        RuntimeError: by ``amortize``, before ``bind``.

    References:
        Kim, Wiseman, Miller, Sontag & Rush 2018, Semi-Amortized Variational Autoencoders, algorithm 1. Here without
        momentum, with learned step sizes, and with exact instead of finite-difference second derivatives.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, SemiAmortized
        >>> from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
        >>> model = VAE(MLPDecoder(2, (1, 8, 8)), Bernoulli((1, 8, 8)), StandardNormal(2))
        >>> guide = SemiAmortized(MLPEncoder((1, 8, 8)), latent_dim=2, family="FullRank", steps=3)
        >>> guide.bind(model.log_joint)
        >>> guide.posterior(guide.amortize(torch.ones(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        family: str = "MeanField",
        family_options: dict[str, Any] | None = None,
        steps: int = 4,
        step_size: float = 0.01,
        clip_norm: float = 5.0,
        num_particles: int = 4,
    ):
        require_positive(steps=steps, step_size=step_size, clip_norm=clip_norm, num_particles=num_particles)
        nn.Module.__init__(self)  # the inner guide has the encoder and the head; a second pair would never train
        self.inner = _find(family)(encoder, latent_dim, **(family_options or {}))
        if not self.inner.has_density:
            raise ValueError(f"{family} has no density, so its ELBO has no gradient to follow")
        self.latent_dim = latent_dim
        self.raw_steps = nn.Parameter(torch.full((steps,), log(step_size)))
        self.clip_norm, self.num_particles = clip_norm, num_particles
        self.scores_any_z = self.inner.scores_any_z
        self.contains_full_gaussian = self.inner.contains_full_gaussian
        self.log_joint: Callable[[Tensor, Tensor], Tensor] | None = None

    def bind(self, log_joint: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Keep the model's ``log_joint``: ``(N, *event), (S, N, D) -> (S, N)``, nats."""
        self.log_joint = log_joint
        self.inner.bind(log_joint)

    def posterior(self, lam: Tensor) -> TorchDistribution:
        return self.inner.posterior(lam)

    def amortize(self, x: Tensor) -> Tensor:
        """Images ``(N, *event)`` to refined variational parameters ``(N, P)``; works within ``torch.no_grad`` too."""
        if self.log_joint is None:
            raise RuntimeError(
                "SemiAmortized needs the model: call guide.bind(model.log_joint) once after building both"
            )
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            lam = self.inner.amortize(x)
            for step_size in self.raw_steps.exp():
                if not (training and lam.requires_grad):  # a new leaf, without the last step's graph
                    lam = lam.detach().requires_grad_()
                gradient = self._gradient(x, lam, training)
                norm = (gradient**2).sum(-1, keepdim=True).clamp_min(1e-12).sqrt()
                lam = lam + step_size * gradient * (self.clip_norm / norm).clamp_max(1.0)
        return lam if training else lam.detach()

    def _gradient(self, x: Tensor, lam: Tensor, training: bool) -> Tensor:
        """The ELBO's gradient in lambda, ``(N, P)``, nats per unit of lambda."""
        assert self.log_joint is not None
        q = self.inner.posterior(lam)
        z = q.rsample(torch.Size((self.num_particles,)))
        elbo = (self.log_joint(x, z) - q.log_prob(z)).mean(0).sum()
        return torch.autograd.grad(elbo, lam, create_graph=training)[0]
