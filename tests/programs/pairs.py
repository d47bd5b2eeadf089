"""Pyro pairs as their authors write them: none of them knows of this project."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import constraints

PIXELS = 64


class Encoder(nn.Module):
    def __init__(self, z_dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(PIXELS, hidden_dim)
        self.fc21 = nn.Linear(hidden_dim, z_dim)
        self.fc22 = nn.Linear(hidden_dim, z_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = nn.functional.softplus(self.fc1(x.reshape(-1, PIXELS)))
        return self.fc21(hidden), torch.exp(self.fc22(hidden))


class Decoder(nn.Module):
    def __init__(self, z_dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(z_dim, hidden_dim)
        self.fc21 = nn.Linear(hidden_dim, PIXELS)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.fc21(nn.functional.softplus(self.fc1(z))))


class TutorialVAE(nn.Module):
    """Pyro's tutorial on variational autoencoders, for images of 64 pixels."""

    def __init__(self, z_dim: int = 4, hidden_dim: int = 32):
        super().__init__()
        self.encoder = Encoder(z_dim, hidden_dim)
        self.decoder = Decoder(z_dim, hidden_dim)
        self.z_dim = z_dim

    def model(self, x: Tensor) -> Tensor:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            z_loc = x.new_zeros(torch.Size((x.shape[0], self.z_dim)))
            z_scale = x.new_ones(torch.Size((x.shape[0], self.z_dim)))
            z = pyro.sample("latent", dist.Normal(z_loc, z_scale).to_event(1))
            loc_img = self.decoder(z)
            pyro.sample("obs", dist.Bernoulli(loc_img, validate_args=False).to_event(1), obs=x.reshape(-1, PIXELS))
            return loc_img

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", x.shape[0]):
            z_loc, z_scale = self.encoder(x)
            pyro.sample("latent", dist.Normal(z_loc, z_scale).to_event(1))


class Principal:
    """Probabilistic PCA in plain Pyro: functions, parameters of ``pyro.param``, a plate called "rows"."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: float):
        self.weight, self.bias, self.scale = weight, bias, torch.tensor(scale).to(weight)

    def model(self, x: Tensor) -> None:
        weight = pyro.param("W", lambda: self.weight.clone())
        scale = pyro.param("s", lambda: self.scale.clone(), constraint=constraints.positive)
        latent_dim = weight.shape[1]
        with pyro.plate("rows", len(x)):
            code = pyro.sample("code", dist.Normal(torch.zeros(latent_dim).to(x), 1.0).to_event(1))
            pyro.sample("seen", dist.Normal(code @ weight.T + self.bias, scale).to_event(1), obs=x)

    def precision(self) -> Tensor:
        return torch.eye(self.weight.shape[1]).to(self.weight) + self.weight.T @ self.weight / self.scale**2

    def mean(self, x: Tensor) -> Tensor:
        return torch.linalg.solve(self.precision(), (x - self.bias) @ self.weight / self.scale**2, left=False)

    def exact(self, x: Tensor) -> None:
        """The true posterior."""
        with pyro.plate("rows", len(x)):
            pyro.sample("code", dist.MultivariateNormal(self.mean(x), precision_matrix=self.precision()))

    def diagonal(self, x: Tensor) -> None:
        """The best diagonal Gaussian, moved by 0.3, whose scales come from x by a factor of 0."""
        log_scale = -self.precision().diagonal().log() / 2 + 0 * x.sum(-1, keepdim=True)
        with pyro.plate("rows", len(x)):
            pyro.sample("code", dist.Normal(self.mean(x) + 0.3, log_scale.exp()).to_event(1))

    def log_evidence(self, x: Tensor) -> Tensor:
        diagonal = (self.scale**2).expand_as(self.bias)
        return dist.LowRankMultivariateNormal(self.bias, self.weight, diagonal).log_prob(x)


def counts_model(x: Tensor) -> None:
    """Two latent sites, one of them positive: x is a measurement of a level, and a count of a rate."""
    with pyro.plate("customers", len(x)):
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
        rate = pyro.sample("rate", dist.Gamma(3.0, 0.5))
        pyro.sample("measured", dist.Normal(level, 0.5), obs=x[:, 0])
        pyro.sample("count", dist.Poisson(rate), obs=x[:, 1])


def counts_guide(x: Tensor) -> None:
    """The exact posterior."""
    with pyro.plate("customers", len(x)):
        pyro.sample("level", dist.Normal(x[:, 0] * 0.8, 0.2**0.5))
        pyro.sample("rate", dist.Gamma(3.0 + x[:, 1], 1.5))


def counts_evidence(x: Tensor) -> Tensor:
    """log p(x): a Gaussian and a negative binomial."""
    negative_binomial = dist.NegativeBinomial(3.0, torch.tensor(1 / 1.5).to(x))
    return dist.Normal(0.0, 1.25**0.5).log_prob(x[:, 0]) + negative_binomial.log_prob(x[:, 1])


def chain_model(x: Tensor) -> None:
    """Two sites, the second given the first."""
    with pyro.plate("data", len(x)):
        top = pyro.sample("a_top", dist.Normal(0.0, 1.0))
        low = pyro.sample("b_low", dist.Normal(top, 1.0))
        pyro.sample("obs", dist.Normal(low, 1.0), obs=x)


def chain_guide(x: Tensor) -> None:
    """The exact posterior: the second site depends on the draw of the first."""
    with pyro.plate("data", len(x)):
        top = pyro.sample("a_top", dist.Normal(x / 3, (2 / 3) ** 0.5))
        pyro.sample("b_low", dist.Normal((x + top) / 2, 0.5**0.5))


class Shared:
    """A latent weight that all rows share, beside a latent of each row."""

    def model(self, x: Tensor) -> None:
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(slope * z, 1.0), obs=x)

    def guide(self, x: Tensor) -> None:
        loc = pyro.param("loc", torch.tensor(0.7))
        pyro.sample("slope", dist.Normal(loc, 0.1))
        factor = pyro.param("factor", torch.tensor(0.4))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(factor * x, 0.8))


class Pictures(nn.Module):
    """A decoder of convolutions, which takes one batch dimension, and a plate that says how many rows there are."""

    def __init__(self, num_rows: int = 1000):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 1, 8)
        self.down = nn.Conv2d(1, 6, 8)
        self.num_rows = num_rows

    def model(self, x: Tensor) -> None:
        pyro.module("pictures", self)
        with pyro.plate("batch", self.num_rows, subsample=x):
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), 3), 1.0).to_event(1))
            mean = self.up(z[:, :, None, None])
            pyro.sample("x", dist.Normal(mean, 0.5).to_event(3), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("pictures", self)
        with pyro.plate("batch", self.num_rows, subsample=x):
            loc, raw = self.down(x).flatten(1).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, raw.exp()).to_event(1))
