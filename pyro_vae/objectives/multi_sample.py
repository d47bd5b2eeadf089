"""Bounds of K samples that are tighter than the ELBO."""

from math import isfinite, log

from torch import Tensor

from pyro_vae.objectives.base import Objective


def log_mean_exp(log_weight: Tensor) -> Tensor:
    """The logarithm of the mean over K, ``(..., K, N) -> (..., N)``."""
    return log_weight.logsumexp(-2) - log(log_weight.shape[-2])


class IWAE(Objective):
    r"""The importance-weighted bound, :math:`\log \frac1K \sum_k p(x, z_k) / q(z_k|x)`.

    In expectation it does not fall as K grows, and never exceeds log p(x); with K = 1 it is the ELBO.

    Args:
        num_particles: K; the paper trains with 5 and 50.
        free_bits: see :class:`Objective`. They act on the KL of q itself, before the importance weights.

    References:
        Burda, Grosse & Salakhutdinov 2015, Importance Weighted Autoencoders, equation 8.
    """

    def __init__(self, num_particles: int = 5, free_bits: float = 0.0):
        super().__init__(num_particles, free_bits)

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_mean_exp(log_weight)


class RenyiELBO(Objective):
    r"""The variational Renyi bound, :math:`\frac{1}{1-\alpha} \log \frac1K \sum_k w_k^{1-\alpha}`, image by image.

    It falls as alpha grows: 0 is IWAE, 1 is the ELBO (the limit, taken here exactly); negative alpha may exceed
    log p(x). Unlike ``pyro.infer.RenyiELBO`` the caller can differentiate it, and for guides that are not
    reparameterised its gradient is that of this K-sample bound.

    Args:
        alpha: the order of the divergence, any finite number.
        num_particles: K.
        free_bits: see :class:`Objective`.

    Raises:
        ValueError: if ``alpha`` is not finite.

    References:
        Li & Turner 2016, Renyi Divergence Variational Inference, sections 3 and 4.
    """

    def __init__(self, alpha: float = 0.0, num_particles: int = 2, free_bits: float = 0.0):
        super().__init__(num_particles, free_bits)
        if not isfinite(alpha):
            raise ValueError(f"alpha must be finite, not {alpha}")
        self.alpha = alpha
        self.additive = alpha == 1

    def bound_of(self, log_weight: Tensor) -> Tensor:
        if self.alpha == 1:
            return log_weight.mean(-2)
        return log_mean_exp((1 - self.alpha) * log_weight) / (1 - self.alpha)
