"""Guides that break the contract, each in one way."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from guides import Encoder, Guide, MeanField


class Renamed(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("latent", self.posterior(self.amortize(x)))


class Unplated(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        return pyro.sample("z", self.posterior(self.amortize(x)).to_event(1))


class Halved(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", self.posterior(self.amortize(x)))[..., :1]


class SiteHalved(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        loc = self.amortize(x)[..., :1]
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))


class NoEvent(MeanField):
    def posterior(self, lam: Tensor) -> Any:
        return super().posterior(lam).base_dist


class OneForAll(MeanField):
    def posterior(self, lam: Tensor) -> Any:
        return super().posterior(lam.mean(0))


class Flattened(MeanField):
    def amortize(self, x: Tensor) -> Tensor:
        return super().amortize(x).flatten()


class FixedShape(dist.Normal):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample()


class NotANumber(dist.Normal):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape) / 0 * 0


class Flat(dist.Normal):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value)[..., 0]


class Infinite(dist.Normal):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + torch.inf


class Doubled(dist.Normal):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 0.1


class Shifted(dist.Normal):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value - 0.3)


class Widened(dist.Normal):
    def log_prob(self, value: Tensor) -> Tensor:
        return dist.Normal(self.loc, 1.3 * self.scale).log_prob(value)


class TwoHumps(dist.Normal):
    """Samples with the mean and variance of log_prob's Gaussian, from another distribution."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = super().rsample(sample_shape) - self.loc
        return self.loc + 0.8**0.5 * self.scale * torch.randn_like(noise).sign() + 0.2**0.5 * noise


class Repeated(dist.Normal):
    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Repeated(self.loc.expand(batch_shape), self.scale.expand(batch_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        one = torch.randn(self.loc.shape[-2:])
        return self.loc + self.scale * one.expand(*sample_shape, *self.loc.shape)


def of_normals(base: type[dist.Normal]) -> type[Guide]:
    class Broken(MeanField):
        def posterior(self, lam: Tensor) -> Any:
            normal = super().posterior(lam).base_dist
            return base(normal.loc, normal.scale, validate_args=False).to_event(1)

    return Broken


class WrongDeterminant(dist.transforms.AffineTransform):
    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -super().log_abs_det_jacobian(x, y)


class WrongInverse(dist.transforms.AffineTransform):
    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) * self.scale


class SecretNoise(dist.TransformedDistribution):
    """Adds something to what its transforms give."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape) + 0.1


class Transformed(Guide):
    def __init__(self, encoder: Encoder, latent_dim: int, transform: Any, distribution: Any = None):
        super().__init__(encoder, latent_dim, 2 * latent_dim)
        self.transform, self.distribution = transform, distribution or dist.TransformedDistribution

    def posterior(self, lam: Tensor) -> Any:
        loc, scale = lam.chunk(2, -1)
        base = dist.Normal(torch.zeros_like(loc), torch.ones_like(loc)).to_event(1)
        return self.distribution(base, [self.transform(loc, 2 * scale.exp(), event_dim=1, cache_size=1)])


class Spare(MeanField):
    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim)
        self.spare = nn.Parameter(torch.ones(3))


class Kinked(MeanField):
    """Its gradient is not a number: the derivative of a root at 0, times 0."""

    def posterior(self, lam: Tensor) -> Any:
        return super().posterior(lam + (lam - lam).sqrt())


class InfiniteElbo(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        z = self.posterior(self.amortize(x)).rsample()
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", dist.Delta(z, torch.full((len(x),), torch.inf), event_dim=1))


class Normalised(MeanField):
    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim)
        self.norm = nn.BatchNorm1d(encoder.out_features)

    def amortize(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.encoder(x))) if len(x) > 1 else self.head(self.encoder(x))


class Centred(MeanField):
    def posterior(self, lam: Tensor) -> Any:
        return super().posterior(lam - lam.mean(0))


class Unsaved(MeanField):
    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim)
        self.offset = torch.randn(2 * latent_dim)

    def amortize(self, x: Tensor) -> Tensor:
        return super().amortize(x) + self.offset


class Growing(MeanField):
    count = 0

    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim)
        Growing.count += 1
        self.extra = nn.Parameter(torch.ones(Growing.count))

    def amortize(self, x: Tensor) -> Tensor:
        return super().amortize(x) * self.extra.mean()


class SaysNoDensity(MeanField):
    has_density = False


class SaysOwnOnly(MeanField):
    scores_any_z = False
