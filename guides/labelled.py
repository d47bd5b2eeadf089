"""q(z|x, y) and q(y, z|x): any guide, given the label or with the label inferred beside z.

A model of labels makes these around the chosen guide; no option can choose them.
"""

import copy

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from guides.base import Guide, LabelUse
from pyro_vae.nn import one_hot
from pyro_vae.params import announce

#: log q of every label other than the observed one. Finite, because 0 * -inf is NaN; exp(-1e4) is exactly 0.
NEVER = -1e4


class LabelGuide(Guide):
    r"""q(z|x, y) by the family of another guide: one more layer joins the label to the encoder's features.

    :meth:`~pyro_vae.models.ConditionalVAE.wrap_guide` makes it from the chosen guide. Only this layer and the head
    depend on the label, so ten classes cost one pass of the encoder.

    Args:
        family: the guide whose encoder, head and ``posterior`` it uses.
        num_classes: C; labels are 0, ..., C - 1.

    Raises:
        ValueError: if ``family`` does not compute lambda as head(encoder(x)).
    """

    labels: LabelUse = "required"
    chosen_by_name = False

    def __init__(self, family: Guide, num_classes: int):
        nn.Module.__init__(self)  # the family has the encoder and the head; a second pair would never train
        name = type(family).__name__
        if not isinstance(family, Guide):
            raise ValueError(f"{type(self).__name__} is made by models of labels around a guide, not around {name}")
        if (type(family).amortize, type(family).forward) != (Guide.amortize, Guide.forward):
            raise ValueError(f"{name} cannot be given labels: its amortize or forward is not that of every guide")
        self.family, self.num_classes, self.latent_dim = family, num_classes, family.latent_dim
        width = family.encoder.out_features
        self.of_image, self.of_label = nn.Linear(width, width), nn.Linear(num_classes, width, bias=False)
        self.scores_any_z, self.has_density = family.scores_any_z, family.has_density
        self.contains_full_gaussian = family.contains_full_gaussian

    def given(self, x: Tensor, y: Tensor) -> TorchDistribution:
        """q(z|x, y): ``(N, *event), (..., N)`` or ``(..., 1)`` to a batch_shape ``(..., N)``, event_shape ``(D,)``."""
        return self.family.posterior(self._lam(self.family.encoder(x), y))

    def _lam(self, features: Tensor, y: Tensor) -> Tensor:
        label = self.of_label(one_hot(y, self.num_classes, features))
        return self.family.head(F.elu(self.of_image(features) + label))

    def amortize(self, x: Tensor) -> Tensor:
        """Raises ValueError: without y there is no q(z|x)."""
        raise ValueError("q(z|x, y) is asked for z without the label y of each image")

    def posterior(self, lam: Tensor) -> TorchDistribution:
        return self.family.posterior(lam)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The Pyro guide: in plate "data", site "z" ~ q(z|x, y)."""
        announce(self)
        if y is None:
            return self.amortize(x)
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", self.given(x, y))


class M2Guide(LabelGuide):
    r"""q(y, z|x) = q(y|x) q(z|x, y), with a classifier q(y|x) that has its own encoder.

    As a guide of z alone it is the mixture :math:`q(z|x) = \sum_y q(y|x)\,q(z|x, y)`. ``amortize`` and ``posterior``
    give this mixture, and so does :func:`pyro_vae.features`.

    Args:
        family: see :class:`LabelGuide`; the classifier's encoder begins as a copy of its encoder.
        num_classes: C.

    Shapes: ``amortize`` gives C log probabilities, then C times the family's parameters, ``(N, C + C P)``.

    References:
        Kingma, Rezende, Mohamed & Welling 2014, Semi-supervised Learning with Deep Generative Models, equation 4.
    """

    labels = "optional"

    def __init__(self, family: Guide, num_classes: int):
        super().__init__(family, num_classes)
        self.classifier = nn.Sequential(
            copy.deepcopy(family.encoder), nn.Linear(family.encoder.out_features, num_classes)
        )

    def log_label(self, x: Tensor) -> Tensor:
        """log q(y|x) of each label: ``(N, *event) -> (N, C)``, nats. The discriminative classifier."""
        return self.classifier(x).log_softmax(-1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The Pyro guide: in plate "data", "y" ~ q(y|x), enumerated where the ELBO enumerates, and "z" ~ q(z|x, y).

        Args:
            x: images ``(N, *event)``.
            y: labels ``(N,)``, -1 for a hidden one; a visible label gets q(y|x) = 1.
        """
        announce(self)
        logits = self.log_label(x)
        if y is not None:
            certain = NEVER * (1 - one_hot(y, self.num_classes, logits))
            logits = torch.where((y >= 0)[:, None], certain, logits)
        with pyro.plate("data", len(x), dim=-1):
            label = pyro.sample("y", dist.Categorical(logits=logits), infer={"enumerate": "parallel"})
            return pyro.sample("z", self.given(x, label))

    def amortize(self, x: Tensor) -> Tensor:
        every = torch.arange(self.num_classes, device=x.device)[:, None]
        rows = self._lam(self.family.encoder(x), every).transpose(0, 1)
        return torch.cat([self.log_label(x), rows.flatten(1)], -1)

    def posterior(self, lam: Tensor) -> TorchDistribution:
        logits, rows = lam[..., : self.num_classes], lam[..., self.num_classes :]
        components = self.family.posterior(rows.unflatten(-1, (self.num_classes, -1)))
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)
