"""``check_likelihood``: whether a likelihood keeps its contract, and its density integrates to one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_vae.models import Likelihood
from pyro_vae.seeds import forked
from pyro_vae.testing.context import looking_at, name_of, require, require_shape
from pyro_vae.testing.network import SHAPES


def check_likelihood(
    likelihood_class: Callable[..., Likelihood],
    *,
    image_shapes: Sequence[tuple[int, ...]] = SHAPES,
    seed: int = 0,
    **options: Any,
) -> None:
    """Raise an error that says what is wrong with a likelihood; return None if nothing is.

    Checked: shapes; samples within ``pixel_range`` and finite densities of them; the mean at
    ``initial_output(mean_image)``; a gradient to the decoder's output; and, for an image of one pixel, that the density
    integrates to one over the pixel's values (a sum if ``binary`` or with ``levels``; otherwise quadrature, to 1e-3).

    Args:
        likelihood_class: a subclass of :class:`~pyro_vae.models.Likelihood`, made by
            ``likelihood_class(image_shape, **options)``.
        image_shapes: the shapes of one image to try.
        seed: of the random numbers.
        options: the likelihood's own.

    Raises:
        AssertionError: if the likelihood breaks the contract.

    Example:
        >>> from pyro_vae.models import Bernoulli
        >>> check_likelihood(Bernoulli)
    """
    with forked():
        torch.manual_seed(seed)
        for shape in image_shapes:
            with looking_at(f"{name_of(likelihood_class)}, images of shape {shape}"):
                _check_shape(likelihood_class(shape, **options), shape)
        with looking_at(f"{name_of(likelihood_class)}, an image of one pixel"):
            _check_mass(likelihood_class((1, 1, 1), **options))


def _check_shape(likelihood: Likelihood, shape: tuple[int, ...]) -> None:
    require(isinstance(likelihood, Likelihood), f"it makes a {type(likelihood).__name__}, which is no Likelihood")
    output = (0.5 * torch.randn(3, 5, *likelihood.output_shape)).requires_grad_()
    p = likelihood(output)
    require(p.event_shape == shape, f"event_shape must be {shape}, not {tuple(p.event_shape)}: .to_event(3)?")
    require_shape(p.batch_shape, (3, 5), "the batch_shape for outputs (3, 5, *output_shape)")
    x = p.sample()
    if likelihood.pixel_range is not None:
        low, high = likelihood.pixel_range
        require(bool(((x >= low) & (x <= high)).all()) or not likelihood.binary, f"samples leave [{low}, {high}]")
    if likelihood.binary:
        require(bool(((x == 0) | (x == 1)).all()), "binary is True, and samples are not zeros and ones")
    if likelihood.levels is not None:
        steps = x * (likelihood.levels - 1)
        require(bool((steps - steps.round()).abs().max() < 1e-3), f"samples are not on {likelihood.levels} levels")
    log_prob = p.log_prob(x)
    require(bool(log_prob.isfinite().all()), "log_prob of its own samples is not finite")
    log_prob.sum().backward()
    require(output.grad is not None and bool(output.grad.isfinite().all()), "the gradient to the output is not finite")
    mean_image = torch.linspace(0.2, 0.8, x[0, 0].numel()).reshape(shape)
    start = likelihood.initial_output(mean_image)
    require_shape(start.shape, tuple(likelihood.output_shape), "initial_output(mean_image)")
    error = (likelihood(start).mean - mean_image).abs().max().item()
    require(error < 0.02, f"at initial_output(mean_image) the mean is off by {error:.2g}")


def _check_mass(likelihood: Likelihood) -> None:
    output = torch.randn(likelihood.output_shape)
    if likelihood.levels is not None:
        values, step = torch.linspace(0, 1, likelihood.levels), 1.0
    elif likelihood.binary:
        values, step = torch.tensor([0.0, 1.0]), 1.0
    else:
        p = likelihood(output)
        width = 12 * p.variance.sqrt().item()
        low, high = likelihood.pixel_range or (p.mean.item() - width, p.mean.item() + width)
        if likelihood.pixel_range is not None and _lives_beyond(likelihood, output):
            low, high = p.mean.item() - width, p.mean.item() + width
        step = (high - low) / 20_000
        values = low + step * (torch.arange(20_000) + 0.5)
    log_prob = likelihood(output.expand(len(values), *output.shape)).log_prob(values.reshape(-1, 1, 1, 1))
    mass = (log_prob.double().exp().sum() * step).item()
    require(abs(mass - 1) < 1e-3, f"the density integrates to {mass:.4g} and not to 1")


def _lives_beyond(likelihood: Likelihood, output: Tensor) -> bool:
    """Whether samples leave ``pixel_range``: a density over all numbers whose means lie in the range."""
    assert likelihood.pixel_range is not None
    low, high = likelihood.pixel_range
    x = likelihood(output.expand(1000, *output.shape)).sample()
    return bool(((x < low) | (x > high)).any())
