"""A guide of your own, complete: a Student's t for each latent dimension.

Train it: ``PYTHONPATH=examples python -m pyro_vae.svi --guide my_guide.Mine --guide.degrees_of_freedom 3``.
Check it: ``python examples/my_guide.py``.
"""

import pyro.distributions as dist
from torch import Tensor

from guides import Encoder, Guide
from pyro_vae.nn import softplus_scale


class Mine(Guide):
    """Independent Student's t distributions, with heavier tails than AEVB's Gaussians.

    Args:
        encoder: the network from images to features.
        latent_dim: how many latent dimensions.
        degrees_of_freedom: fewer make heavier tails.
    """

    def __init__(self, encoder: Encoder, latent_dim: int, degrees_of_freedom: float = 5.0):
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim)
        self.degrees_of_freedom = degrees_of_freedom

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam.chunk(2, dim=-1)
        return dist.StudentT(self.degrees_of_freedom, loc, softplus_scale(raw_scale)).to_event(1)


if __name__ == "__main__":
    from pyro_vae.testing import check_guide

    check_guide(Mine)
    print("Mine keeps the contract of a guide.")
