"""Training on the model whose answers are known: what is left of the gap is what the family cannot hold.

The gap is measured on 256 images with 200 samples each; tolerances are in nats per image.
"""

import math

import pytest
import torch
from closed_forms import Flat, best_diagonal_kl, linear_gaussian, mean_field, precision
from torch import Tensor

from guides import FullRank, Guide
from pyro_vae.engine import SVI, StepOptions
from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal
from pyro_vae.objectives import STL, Objective, Trace_ELBO, TraceMeanField_ELBO, elbo_terms

SHAPE = (1, 4, 2)


def full_rank() -> FullRank:
    return FullRank(Flat(8), 4).double()


def train(
    model: LinearGaussian, guide: Guide, objective: Objective, lr: float, steps: int, data: Tensor | None = None
) -> None:
    """SVI of model and guide on ``data``; without it, of the guide alone on fresh draws from the model."""
    parameters = [*guide.parameters(), *(model.parameters() if data is not None else [])]
    optim = torch.optim.Adam(parameters, lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, steps)
    svi = SVI(model, guide, optim, objective, options=StepOptions(per_image=True))
    for _ in range(steps):
        svi.step(model(n=128).detach() if data is None else data)
        schedule.step()


@torch.no_grad()
def gap(model: LinearGaussian, guide: Guide, x: Tensor) -> Tensor:
    """log p(x) - ELBO of each image, nats."""
    return model.log_evidence(x) - elbo_terms(model, guide, x, 200).log_weight.mean(0)


@pytest.mark.parametrize(
    ("objective", "lr", "tolerance"), [(Trace_ELBO(), 0.03, 0.01), (STL(), 0.03, 0.001)], ids=["Trace_ELBO", "STL"]
)
def test_full_rank_reaches_the_evidence(objective, lr, tolerance):
    torch.manual_seed(0)
    model, guide = linear_gaussian(4, SHAPE), full_rank()
    train(model, guide, objective, lr, 2400)
    assert gap(model, guide, model(n=256)).mean().abs() < tolerance
    assert best_diagonal_kl(model) > 0.3  # which the diagonal Gaussian would have kept


def test_mean_field_keeps_the_closed_form_kl():
    torch.manual_seed(0)
    model = linear_gaussian(4, SHAPE)
    guide = mean_field(model)
    train(model, guide, TraceMeanField_ELBO(), 0.03, 1500)
    x = model(n=256)
    assert gap(model, guide, x).mean().item() == pytest.approx(best_diagonal_kl(model), abs=0.01)
    q = guide.posterior(guide.amortize(x)).base_dist
    torch.testing.assert_close(q.scale.mean(0), precision(model).diagonal().rsqrt(), rtol=0.02, atol=0)


def most_evidence(x: Tensor, latent_dim: int) -> Tensor:
    """The mean log evidence that the best model reaches, by the eigenvalues of the images' covariance.

    Tipping & Bishop 1999, equation 8 (the noise takes the mean of the smallest eigenvalues), put into equation 4.
    """
    pixels = x.flatten(1)
    smallest_first = torch.linalg.eigvalsh(pixels.T.cov(correction=0))
    noise, kept = smallest_first[:-latent_dim], smallest_first[-latent_dim:]
    log_determinant = kept.log().sum() + len(noise) * noise.mean().log()
    return -(log_determinant + pixels.shape[1] * (1 + math.log(2 * math.pi))) / 2


def test_the_model_learned_with_its_guide():
    torch.manual_seed(0)
    x = linear_gaussian(4, SHAPE)(n=256).detach()
    model = LinearGaussian(
        LinearDecoder(4, SHAPE), Gaussian(SHAPE, "learned", squash=False), StandardNormal(4)
    ).double()
    with torch.no_grad():
        model.likelihood.log_scale.zero_()
    model.decoder.start_at(x.mean(0))
    guide = full_rank()
    train(model, guide, Trace_ELBO(), 0.02, 1200, x)
    assert most_evidence(x, 4) - 0.02 < model.log_evidence(x).mean() <= most_evidence(x, 4)
    assert gap(model, guide, x).mean().abs() < 0.01
    assert best_diagonal_kl(model) > 0.05  # which the diagonal Gaussian would have kept
