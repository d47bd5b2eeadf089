"""Tests that a distribution's density is that of its samples, used by :func:`pyro_vae.testing.check_guide`.

Each compares two independent computations: a log-determinant with autograd's Jacobian; an integral, moments and draws
from only ``log_prob`` with samples from only ``rsample``. The random tests state their rate of false alarms for a right
distribution, at most 1 in 1000 for one call of :func:`check_density`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import MultivariateNormal

from pyro_vae.testing.context import require


def draw(q: TorchDistribution, sample_shape: Sequence[int]) -> Tensor:
    """Samples ``sample_shape + batch_shape + event_shape`` as Pyro's ``sample`` draws them."""
    return q.rsample(torch.Size(sample_shape)) if q.has_rsample else q.sample(torch.Size(sample_shape))


def check_log_determinants(q: Any, samples: int = 4, tolerance: float = 1e-2) -> None:
    """Hold the density of a transformed distribution's own samples against autograd's Jacobian.

    Args:
        q: batch_shape ``(N,)``, event_shape ``(D,)``. Only a distribution with a base and transforms is tested: the
            flows here and ``TransformedDistribution``.
        samples: their number for each row.
        tolerance: in nats.
    """
    base, transforms = getattr(q, "base", getattr(q, "base_dist", None)), getattr(q, "transforms", None)
    if base is None or transforms is None:
        return
    shape = torch.Size((samples,))
    state = torch.get_rng_state()
    noise = base.rsample(shape).detach().requires_grad_()
    torch.set_rng_state(state)
    z = q.rsample(shape)
    claimed = q.log_prob(z)
    image = noise
    for transform in transforms:
        image = transform(image)
    require(torch.allclose(image, z, rtol=1e-3, atol=1e-4), "samples are not the transforms of the base's samples")
    rows = [torch.autograd.grad(image[..., d].sum(), noise, retain_graph=True)[0] for d in range(image.shape[-1])]
    log_det = torch.linalg.slogdet(torch.stack(rows, -2).double()).logabsdet
    error = (base.log_prob(noise) - log_det - claimed).abs().max().item()
    require(error < tolerance, f"log_prob differs by {error:.3g} nats from the Jacobian's determinant by autograd")


@torch.no_grad()
def check_density(q: TorchDistribution) -> None:
    """Hold ``log_prob`` against samples, on the first row of q.

    In one and two dimensions by quadrature, moments and a two-sample test; in higher dimensions by overlaps with
    Gaussians.

    Args:
        q: batch_shape ``(N,)``, event_shape ``(D,)``.
    """
    z = draw(q, (4000,))[:, 0].double()
    fit, held_out = z[:2000], z[2000:]
    mean, root = fit.mean(0), torch.linalg.cholesky(torch.atleast_2d(fit.T.cov()))

    dtype = draw(q, ()).dtype

    def log_prob(points: Tensor) -> Tensor:  # (M, D) -> (M,), through row 0 of q
        spread = points.to(dtype).unsqueeze(1).expand(-1, *q.batch_shape, -1)
        return q.log_prob(spread)[:, 0].double()

    if z.shape[-1] <= 2:
        _check_by_quadrature(log_prob, held_out, mean, root)
    else:
        _check_by_overlap(log_prob, held_out, mean, root)


def _check_by_quadrature(log_prob: Any, z: Tensor, mean: Tensor, root: Tensor) -> None:
    """On a grid of +-8 standard deviations; all in coordinates in which the samples are white."""
    d = len(mean)
    step = 0.002 if d == 1 else 0.1
    axis = torch.arange(-8, 8, step, dtype=torch.double)
    grid = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    mass = (log_prob(mean + grid @ root.T) + root.logdet()).exp() * step**d
    require(bool(mass.isfinite().all()), "log_prob is not finite everywhere")
    total = mass.sum().item()
    require(abs(total - 1) < 0.01, f"log_prob integrates to {total:.4g} and not to 1")

    white = torch.linalg.solve_triangular(root, (z - mean).T, upper=False).T
    drawn = grid[mass.multinomial(len(z), replacement=True)] + step * (torch.rand_like(z) - 0.5)
    for name, power in [("mean", 1), ("second moment", 2)]:
        for i in range(d):
            a, b = white[:, i] ** power, drawn[:, i] ** power
            score = ((a.mean() - b.mean()) / ((a.var() + b.var()) / len(a)).sqrt()).abs().item()
            # Of 4 such scores one is above 4.5 once in 37,000 calls, in the normal approximation.
            require(score < 4.5, f"the samples' {name} is {score:.1f} standard errors from that of log_prob")
    p = energy_test(white[:800], drawn[:800])
    require(p > 1 / 2000, f"samples and log_prob are two distributions (energy test, p = {p:.2g})")


def energy_test(a: Tensor, b: Tensor, permutations: int = 1999) -> float:
    """The p-value of two samples ``(M, D)`` and ``(M, D)`` being of one distribution.

    The energy distance (Szekely & Rizzo 2004) with permutations of the pooled sample, which make the p-value exact: it
    falls below any p no more often than p.
    """
    distances = torch.cdist(torch.cat([a, b]), torch.cat([a, b]))
    signs = torch.cat([torch.ones(len(a)), -torch.ones(len(b))]).to(distances)
    shuffled = signs[torch.rand(permutations, len(signs)).argsort(-1)]
    every = torch.cat([signs[None], shuffled])
    statistic = -((every @ distances) * every).sum(-1)
    return (statistic >= statistic[0]).double().mean().item()


def _check_by_overlap(log_prob: Any, z: Tensor, mean: Tensor, root: Tensor) -> None:
    """E_q[min(1, r/q)] = E_r[min(1, q/r)] for every density r; here Gaussians around the first half of the samples.

    The left side uses the samples, the right side ``log_prob`` at other points. Both are means of numbers
    between 0 and 1, so the normal approximation is safe whatever q is: of 3 scores one is above 5 once in 580,000
    calls. A density that is not normalised, or not the samples', has a different right side.
    """
    log_q = log_prob(z)
    require(bool(log_q.isfinite().all()), "log_prob is not finite")
    for distance in (0.0, 0.5, 1.0):
        direction = torch.nn.functional.normalize(torch.randn_like(mean), dim=0)
        r = MultivariateNormal(mean + distance * root @ direction, scale_tril=root)
        left = (r.log_prob(z) - log_q).exp().clamp(max=1)
        points = r.sample(torch.Size((len(z),)))
        right = (log_prob(points) - r.log_prob(points)).exp().clamp(max=1)
        score = ((left.mean() - right.mean()) / ((left.var() + right.var()) / len(z)).sqrt()).abs().item()
        message = f"the overlap with a Gaussian is {left.mean():.3g} by the samples, {right.mean():.3g} by log_prob"
        require(score < 5, f"log_prob is not the density of the samples: {message}, {score:.1f} standard errors apart")
