"""Generative stories with a label: p(x, z|y), and p(x, y, z)."""

from math import log

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from guides import Guide
from guides.base import LabelUse
from guides.labelled import LabelGuide, M2Guide
from pyro_vae.models.base import Model
from pyro_vae.models.decoders.base import Decoder
from pyro_vae.models.likelihoods.base import Likelihood
from pyro_vae.models.priors.base import Prior
from pyro_vae.nn import one_hot
from pyro_vae.params import announce


class ConditionalVAE(Model):
    r"""Images given their label: z ~ p(z), x ~ p(x|y, z), with y known in training and after it.

    The decoder takes z and the one-hot label; z holds what the label leaves open, the style.

    Args:
        decoder: the network from z and the label to the likelihood's parameters; its input has D + C numbers
            (``prior.decoded_dim`` instead of D if the prior has layers).
        likelihood: what these parameters mean.
        prior: p(z) over D dimensions.

    Raises:
        ValueError: if the decoder's input leaves no room for at least two classes.

    References:
        Sohn, Lee & Yan 2015, Learning Structured Output Representation using Deep Conditional Generative Models; with
        p(z) instead of their p(z|y), as in equation 2 of Kingma et al. 2014.

    Example:
        >>> from pyro_vae.models import Bernoulli, ConditionalVAE, MLPDecoder, StandardNormal
        >>> model = ConditionalVAE(MLPDecoder(2 + 10, (1, 8, 8)), Bernoulli((1, 8, 8)), StandardNormal(2))
        >>> model(y=torch.tensor([3, 3, 7])).shape
        torch.Size([3, 1, 8, 8])
    """

    labels: LabelUse = "required"

    def __init__(self, decoder: Decoder, likelihood: Likelihood, prior: Prior):
        super().__init__()
        self.num_classes = decoder.latent_dim - prior.decoded_dim
        if self.num_classes < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 classes, not {self.num_classes}")
        self.decoder, self.likelihood, self.prior = decoder, likelihood, prior
        self.latent_dim = prior.latent_dim
        self.image_shape = likelihood.image_shape

    def wrap_guide(self, guide: Guide) -> Guide:
        """The guide q(z|x, y) of this model, made from a guide without labels.

        Raises:
            ValueError: if the guide cannot be given labels; see :class:`~guides.labelled.LabelGuide`.
        """
        return LabelGuide(guide, self.num_classes)

    def given(self, z: Tensor, y: Tensor) -> dist.TorchDistribution:
        """p(x|y, z): ``(..., N, D)`` and labels that broadcast to ``(..., N)``, to a batch_shape ``(..., N)``."""
        label = one_hot(y, self.num_classes, z)
        shape = torch.broadcast_shapes(z.shape[:-1], label.shape[:-1])
        z = z[..., : self.prior.decoded_dim]
        return self.likelihood(self.decoder(torch.cat([z.expand(*shape, -1), label.expand(*shape, -1)], -1)))

    def forward(self, x: Tensor | None = None, n: int | None = None, y: Tensor | None = None) -> Tensor:
        """The Pyro model: in plate "data", z ~ p(z), x ~ p(x|y, z); returns x.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: not used: there are as many images as labels.
            y: labels ``(N,)``.

        Raises:
            ValueError: if ``y`` is None.
        """
        announce(self)
        if y is None:
            raise ValueError("ConditionalVAE is p(x|y): it needs the label y of each image")
        with pyro.plate("data", len(y), dim=-1):
            z = pyro.sample("z", self.prior())
            drawn = pyro.sample("x", self.given(z, y), obs=x)
            return drawn if x is not None else drawn.detach()

    def log_joint(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x, z|y) in nats: ``(..., N, *image_shape), (..., N, D)`` and labels ``(..., N)`` to ``(..., N)``.

        Raises:
            ValueError: if ``y`` is None.
        """
        if y is None:
            raise ValueError("ConditionalVAE is p(x|y): it needs the label y of each image")
        return self.prior().log_prob(z) + self.given(z, y).log_prob(x)


class M2(ConditionalVAE):
    r"""Images with few visible labels: y ~ 1/C, z ~ p(z), x ~ p(x|y, z).

    With :math:`L(x, y) = E_{q(z|x,y)}[\log p(x, y, z) - \log q(z|x, y)]`, TraceEnum_ELBO maximises the sum over the
    images of a step of

    .. math:: \sum_y q(y|x)\,(L(x, y) - \log q(y|x)) \quad\text{if the label is hidden, else}\quad
              L(x, y) + \alpha \log q(y|x),

    equations 7, 6 and 9 of the paper with the opposite sign; the sum over y is exact. In trace.csv, the log-likelihood
    of training rows includes the :math:`\alpha` term. Test rows show the first case, the bound on log p(x). The paper
    counts each image once, and its :math:`\alpha`, 0.1 times the number of all images, weighs the mean over the
    labelled ones. Here labelled images return in every step (``--labelled_batch_size``), with the weight of any image,
    and :math:`\alpha` weighs each of them.

    Args:
        decoder, likelihood, prior: see :class:`ConditionalVAE`.
        alpha: the weight of the classification term of a labelled image; without it, q(y|x) would learn only from
            unlabelled images.

    Raises:
        ValueError: if ``alpha`` is negative.

    References:
        Kingma, Rezende, Mohamed & Welling 2014, Semi-supervised Learning with Deep Generative Models, section 3.
    """

    labels = "optional"

    def __init__(self, decoder: Decoder, likelihood: Likelihood, prior: Prior, alpha: float = 1.0):
        super().__init__(decoder, likelihood, prior)
        if alpha < 0:
            raise ValueError(f"alpha must not be negative, not {alpha}")
        self.alpha = alpha
        # In a tuple, so that the guide's parameters are not registered as this module's too.
        self._guide: tuple[M2Guide, ...] = ()

    def wrap_guide(self, guide: Guide) -> Guide:
        """The guide of this model, q(y|x) q(z|x, y); the classification term asks it for q(y|x)."""
        self._guide = (M2Guide(guide, self.num_classes),)
        return self._guide[0]

    def forward(self, x: Tensor | None = None, n: int | None = None, y: Tensor | None = None) -> Tensor:
        """The Pyro model: in plate "data", y ~ 1/C, z ~ p(z), x ~ p(x|y, z); returns x.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: the number of images to draw if neither ``x`` nor ``y`` is given.
            y: labels ``(N,)``, -1 for a hidden one; if ``x`` is None, the labels of the images to draw.
        """
        announce(self)
        size = n if x is None and y is None else len(y if x is None else x)  # type: ignore[arg-type]
        logits = next(self.decoder.parameters()).new_zeros(self.num_classes)
        with pyro.plate("data", size, dim=-1):
            # If x is observed, the guide gives y: q(y|x) = 1 for a visible label.
            label = pyro.sample("y", dist.Categorical(logits=logits), obs=y if x is None else None)
            z = pyro.sample("z", self.prior())
            if x is not None and y is not None and self.alpha:
                pyro.factor("classification", self.alpha * self._log_seen(x, y))
            drawn = pyro.sample("x", self.given(z, label), obs=x)
            return drawn if x is not None else drawn.detach()

    def _log_seen(self, x: Tensor, y: Tensor) -> Tensor:
        """log q(y|x) of the visible labels, 0 for the others, ``(N,)``, nats."""
        if not self._guide:
            raise RuntimeError("M2 learns q(y|x) from labels: call model.wrap_guide(guide) for its guide first")
        log_label = self._guide[0].log_label(x)
        return (one_hot(y, self.num_classes, log_label) * log_label).sum(-1)

    def log_joint(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x, y, z) in nats; if ``y`` is None, log p(x, z), summed over all labels."""
        if y is not None:
            return super().log_joint(x, z, y) - log(self.num_classes)
        every = torch.arange(self.num_classes, device=z.device).reshape(-1, *[1] * (z.dim() - 1))
        return self.log_joint(x, z, every).logsumexp(0)
