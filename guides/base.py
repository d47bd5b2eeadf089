"""The contract of every guide: q(z|x) = posterior(amortize(x))."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from guides.encoders import Encoder
from pyro_vae.nn import require_positive
from pyro_vae.params import announce

LabelUse = Literal["ignored", "optional", "required"]  #: what a model or a guide does with the labels of images


class Head(nn.Linear):
    """The encoder's features ``(..., F)`` to lambda ``(..., P)``, whose last entries, the couplings, are damped.

    Coupling parameters are divided by their number C. Adam moves every weight at the same rate and the effects of
    couplings on a sample add up, so undamped they would move a sample C times as fast as a scale does. The damping is
    meant to keep the posterior from becoming correlated, and from collapsing along directions, before the decoder uses
    all of z. RESULTS.md shows for the digits that directions and ELBO are correlated, and not why; no undamped run is
    published. Only the path from features to lambda is damped; optimising lambda directly (the inference gap) sees
    couplings in their own units.

    Args:
        in_features: F.
        num_parameters: P.
        num_couplings: the number of couplings; they are the last parameters.
        groups: the number of transforms that share the couplings equally; C = ``num_couplings`` / ``groups``.
    """

    pace: Tensor | None

    def __init__(self, in_features: int, num_parameters: int, num_couplings: int = 0, groups: int = 1):
        super().__init__(in_features, num_parameters)
        pace = torch.ones(num_parameters)
        pace[num_parameters - num_couplings :] = groups / max(1, num_couplings)
        self.register_buffer("pace", pace if num_couplings else None, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        lam = super().forward(features)
        return lam if self.pace is None else lam * self.pace


class Guide(nn.Module, ABC):
    r"""An amortized approximate posterior :math:`q_\phi(z|x)`, a Pyro guide (AEVB, section 2.2).

    Amortization and family are two methods, so that the inference gap of every guide can be split
    (Cremer, Li & Duvenaud 2018): :meth:`amortize` maps images to variational parameters, :meth:`posterior` maps these
    to a distribution. A new guide is a subclass that gives the number of variational parameters and the distribution
    that they make; this class does the rest.

    Args:
        encoder: the network from images to features; see :mod:`guides.encoders`.
        latent_dim: the number of latent dimensions D.
        num_parameters: the number P of variational parameters of one image.
        num_couplings: this many of the last parameters couple dimensions and are damped; see :class:`Head`.
        groups: the number of transforms that share these couplings equally.

    Raises:
        ValueError: if ``latent_dim`` is not positive.

    A guide's rows are independent: q(z|x_i) does not depend on the other images of the batch.
    """

    #: whether ``posterior(lam).log_prob(z)`` holds for any z, and not only for the distribution's own last sample
    scores_any_z: bool = True
    #: whether q has a density; a point mass has none
    has_density: bool = True
    #: whether the family contains every Gaussian over z, with any covariance; may depend on the options
    contains_full_gaussian: bool = False
    #: whether q(z|x) ignores the label y of an image, takes it if given, or needs it
    labels: LabelUse = "ignored"
    #: whether ``--guide NAME`` finds the class; models make the others around the chosen guide
    chosen_by_name: bool = True

    def __init__(self, encoder: Encoder, latent_dim: int, num_parameters: int, num_couplings: int = 0, groups: int = 1):
        super().__init__()
        require_positive(latent_dim=latent_dim)
        self.encoder = encoder
        self.latent_dim = latent_dim
        self.head = Head(encoder.out_features, num_parameters, num_couplings, groups)

    def amortize(self, x: Tensor) -> Tensor:
        """Images ``(N, *event)`` to variational parameters lambda ``(N, P)``."""
        return self.head(self.encoder(x))

    @abstractmethod
    def posterior(self, lam: Tensor) -> TorchDistribution:
        """Variational parameters ``(N, P)`` to q: batch_shape ``(N,)``, event_shape ``(latent_dim,)``."""

    def bind(self, log_joint: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Give the guide the model that it is trained with; called once, after both are built.

        Here it does nothing. A guide that improves lambda with the model's own gradient
        (:class:`~guides.SemiAmortized`) keeps ``log_joint``: ``(N, *event), (S, N, D) -> (S, N)``, nats.
        """

    def forward(self, x: Tensor) -> Tensor:
        """The Pyro guide: in plate "data", site "z" ~ posterior(amortize(x)); returns z, ``(..., N, latent_dim)``."""
        announce(self)
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", self.posterior(self.amortize(x)))
