"""A model whose answers are known in closed form, and guides that hold a chosen Gaussian."""

import torch
from torch import Tensor, nn

from guides import Encoder, FullRank, MeanField
from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal

SHAPE = (1, 3, 2)


class Flat(Encoder):
    """The image itself as features, so that a guide's head is a linear map of the image."""

    def __init__(self, out_features: int):
        super().__init__()
        self.out_features = out_features

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Table(FullRank):
    """One free row of variational parameters for each of ``n`` images.

    With the same image n times, the rows of the table's gradient are n independent estimates of one gradient.
    """

    def __init__(self, n: int, row: Tensor, latent_dim: int):
        super().__init__(Flat(1), latent_dim)
        self.table = nn.Parameter(row.detach().repeat(n, 1))

    def amortize(self, x: Tensor) -> Tensor:
        return self.table


def linear_gaussian(latent_dim: int = 2, shape: tuple[int, ...] = SHAPE, scale: float = 0.6) -> LinearGaussian:
    """A model in double precision whose weights are drawn from torch's generator."""
    model = LinearGaussian(
        LinearDecoder(latent_dim, shape), Gaussian(shape, scale, squash=False), StandardNormal(latent_dim)
    ).double()
    nn.init.normal_(model.decoder.output.weight)
    nn.init.normal_(model.decoder.output.bias)
    return model


def precision(model: LinearGaussian) -> Tensor:
    """The precision of p(z|x), the same for every x, (D, D)."""
    weight, scale = model.decoder.output.weight.detach(), model.likelihood.scale.detach()
    return torch.eye(model.latent_dim).double() + weight.T @ weight / scale**2


def best_diagonal_kl(model: LinearGaussian) -> float:
    """KL(q || p(z|x)) of the best diagonal Gaussian, whose precisions are the diagonal of the posterior's, nats."""
    exact = precision(model)
    return float(exact.diagonal().log().sum() - exact.logdet()) / 2


def raw_scale(scale: Tensor, floor: float = 1e-4) -> Tensor:
    """The inverse of ``guides.base.softplus_scale``."""
    soft = (scale - floor) / (1 - floor)
    return soft + torch.log(-torch.expm1(-soft)) - 0.5413248


def gaussian_row(loc: Tensor, scale_tril: Tensor) -> Tensor:
    """The variational parameters of FullRank for one Gaussian, (P,)."""
    scale = scale_tril.diagonal()
    below = (scale_tril / scale.unsqueeze(-1))[tuple(torch.tril_indices(len(loc), len(loc), -1))]
    return torch.cat([loc, raw_scale(scale), below * len(below) ** 0.5])


def exact_guide(model: LinearGaussian) -> FullRank:
    """FullRank set to the model's exact posterior for every image."""
    guide = FullRank(Flat(model.decoder.output.out_features), model.latent_dim).double()
    weight, bias, scale = model.decoder.output.weight, model.decoder.output.bias, model.likelihood.scale
    to_mean = torch.linalg.solve(precision(model), weight.detach().T / scale**2)
    tril = torch.linalg.cholesky(torch.linalg.inv(precision(model)))
    with torch.no_grad():
        guide.head.weight.zero_()
        guide.head.weight[: model.latent_dim] = to_mean
        guide.head.bias.copy_(gaussian_row(-to_mean @ bias, tril))
    return guide


def mean_field(model: LinearGaussian) -> MeanField:
    """MeanField on a linear encoder, as it is initialised."""
    return MeanField(Flat(model.decoder.output.out_features), model.latent_dim).double()
