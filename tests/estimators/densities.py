"""Densities over z whose integral is known, and linear-Gaussian models of several sizes."""

import math

import pyro.distributions as dist
import torch
from scipy import integrate
from torch import nn

from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal

NO_IMAGE = (1, 1, 1)


def linear_gaussian(latent_dim: int) -> LinearGaussian:
    shape = (1, 8, 8)
    model = LinearGaussian(
        LinearDecoder(latent_dim, shape), Gaussian(shape, 0.5, squash=False), StandardNormal(latent_dim)
    )
    nn.init.normal_(model.decoder.output.weight, std=0.5)
    return model.requires_grad_(False)


class Unnormalised(nn.Module):
    """A density over z whose integral is known, the same for every image; prior() says only where to look."""

    def __init__(self, latent_dim: int, width: float = 1.0):
        super().__init__()
        self.latent_dim, self.width = latent_dim, width

    def prior(self):
        return dist.Normal(torch.zeros(self.latent_dim), self.width).to_event(1)


class Rotated(Unnormalised):
    """Independent skewed and heavy-tailed dimensions under a fixed random rotation."""

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)
        generator = torch.Generator().manual_seed(1)
        self.rotation = torch.linalg.qr(torch.randn(latent_dim, latent_dim, generator=generator))[0]

    @staticmethod
    def parts():
        return [
            lambda y: 1.5 * y - torch.exp(1.5 * y),  # Gumbel: skewed
            lambda y: -3 * torch.log1p(y**2 / 5),  # Student's t with 5 degrees of freedom
            lambda y: -2 * (torch.nn.functional.softplus(2 * y) - y),  # logistic
            lambda y: -(y**2) / 2 - y**4 / 4,  # short tails
        ]

    def log_joint(self, x, z):
        y, parts = z @ self.rotation, self.parts()
        return sum(parts[d % len(parts)](y[..., d]) for d in range(self.latent_dim))

    def truth(self) -> float:
        def integral(part):
            def density(value):
                return part(torch.tensor(value, dtype=torch.double)).exp().item()

            return math.log(integrate.quad(density, -60, 60, points=[0.0], limit=400)[0])

        logs = [integral(part) for part in self.parts()]
        return sum(logs[d % len(logs)] for d in range(self.latent_dim))


class TwoBumps(Unnormalised):
    """``share`` N(c, s^2 I) + (1 - share) N(-c, s^2 I): log of its integral is 0."""

    def __init__(self, share: float, latent_dim: int = 2, distance: float = 2.0, scale: float = 0.1):
        super().__init__(latent_dim, width=2.0)
        self.centre = torch.full((latent_dim,), distance / latent_dim**0.5)
        self.share, self.scale = share, scale

    def log_joint(self, x, z):
        bumps = [dist.Normal(sign * self.centre, self.scale).to_event(1).log_prob(z) for sign in (1, -1)]
        return torch.logaddexp(bumps[0] + math.log(self.share), bumps[1] + math.log(1 - self.share))


class Curved(Unnormalised):
    """z_1 ~ N(0, 1), z_2 ~ N(z_1^2, 1/4): a bent ridge, which chains in one Gaussian's coordinates cross slowly."""

    def __init__(self):
        super().__init__(2, width=2.0)

    def log_joint(self, x, z):
        return dist.Normal(0.0, 1.0).log_prob(z[..., 0]) + dist.Normal(z[..., 0] ** 2, 0.5).log_prob(z[..., 1])


def images(n: int) -> torch.Tensor:
    return torch.zeros(n, *NO_IMAGE)
