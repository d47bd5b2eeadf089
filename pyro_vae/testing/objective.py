"""``check_objective``: whether an objective keeps its contract, and its gradient is that of its value."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from guides import MeanField, MLPEncoder
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.objectives import Objective
from pyro_vae.seeds import forked, seeded
from pyro_vae.testing.context import looking_at, name_of, require, require_shape

SHAPE, IMAGES, DRAWS = (1, 3, 3), 4, 200


def check_objective(
    objective_class: Callable[..., Objective], *, particles: Sequence[int] = (1, 3), seed: int = 0, **options: Any
) -> None:
    """Raise an error that says what is wrong with an objective; return None if nothing is.

    Checked with 1 and with 3 samples of z an image: a finite loss that is minus the sum of the bounds; terms of each
    sample and image; with beta = 0 a loss in which the KL does not count; and whether the mean gradient is that of the
    mean loss, along a random direction, by differences with the same noise: a right objective fails one call in
    300,000.

    Args:
        objective_class: a subclass of :class:`~pyro_vae.objectives.Objective`, made by
            ``objective_class(num_particles=K, **options)``.
        particles: the numbers K to try.
        seed: of the random numbers.
        options: the objective's own.

    Raises:
        AssertionError: if the objective breaks the contract.

    Example:
        >>> from pyro_vae.objectives import Trace_ELBO
        >>> check_objective(Trace_ELBO)
    """
    for k in particles:
        with looking_at(f"{name_of(objective_class)}, {k} sample(s) of z"), forked():
            torch.manual_seed(seed)
            model = VAE(MLPDecoder(2, SHAPE, [4]), Bernoulli(SHAPE), StandardNormal(2)).double()
            guide = MeanField(MLPEncoder(SHAPE, [4]), 2).double()
            x = torch.rand(IMAGES, *SHAPE).bernoulli().double()
            objective = objective_class(num_particles=k, **options)
            require(isinstance(objective, Objective), f"it makes a {type(objective).__name__}, which is no Objective")
            _check_value(objective, model, guide, x, k)
            _check_gradient(objective, model, guide, x)


def _check_value(objective: Objective, model: nn.Module, guide: nn.Module, x: Tensor, k: int) -> None:
    loss = objective.differentiable_loss(model, guide, x)
    require(bool(loss.isfinite()), "the loss is not finite")
    require(objective.terms is not None and objective.bound is not None, "terms and bound are not kept")
    assert objective.terms is not None
    assert objective.bound is not None
    require_shape(objective.bound.shape, (IMAGES,), "bound")
    require(torch.allclose(loss, -objective.bound.sum()), "the loss is not minus the sum of the bounds")
    for name, term in objective.terms._asdict().items():
        require(term.numel() == k * IMAGES, f"the term {name} has {term.numel()} values, not {k} x {IMAGES}")
    objective.kl_weight = 0.0
    with seeded(1):
        loss = objective.differentiable_loss(model, guide, x)
    alone = objective.bound_of(objective.terms.log_likelihood.reshape(k, -1))
    require(torch.allclose(loss, -alone.sum()), "with beta = 0 the loss is not the bound of the log-likelihood alone")
    objective.kl_weight = 1.0


def _check_gradient(objective: Objective, model: nn.Module, guide: nn.Module, x: Tensor) -> None:
    parameters = [*model.parameters(), *guide.parameters()]
    direction = [torch.randn_like(p) for p in parameters]
    step = 1e-4

    def loss(noise: int) -> Tensor:
        with seeded(noise):
            return objective.differentiable_loss(model, guide, x)

    def moved_loss(move: float, noise: int) -> float:
        with torch.no_grad():
            before = [p.clone() for p in parameters]
            for p, v in zip(parameters, direction, strict=True):
                p.add_(v, alpha=move)
            found = loss(noise).item()
            for p, old in zip(parameters, before, strict=True):
                p.copy_(old)
        return found

    errors, slopes = [], []
    for noise in range(DRAWS):
        gradients = torch.autograd.grad(loss(noise), parameters, allow_unused=True)
        slope = sum((g * v).sum().item() for g, v in zip(gradients, direction, strict=True) if g is not None)
        difference = (moved_loss(step, noise) - moved_loss(-step, noise)) / (2 * step)
        errors.append(slope - difference)
        slopes.append(abs(difference))
    error = torch.tensor(errors)
    allowed = 5 * (error.std() / DRAWS**0.5).item() + 1e-5 * sum(slopes) / DRAWS
    mean = error.mean().item()
    message = (
        f"the mean gradient differs from the slope of the mean loss by {mean:.3g}, and chance allows {allowed:.2g}"
    )
    require(abs(mean) <= allowed, message)
