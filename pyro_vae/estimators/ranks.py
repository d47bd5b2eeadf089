"""Calibration on images that the model itself draws: where does the z that made an image lie among draws of q(z|x)?

Each test ranks something of the true z among the same of L draws of q. Where q is the posterior, the rank is uniform on
0 to L. What is ranked decides what is seen:

- a dimension of z (simulation-based calibration): marginals that are too narrow, too wide, or shifted;
- the density q(z|x) (expected coverage): whether q's smallest regions hold the truth as often as they claim;
- the distance to a reference point (TARP): the joint posterior, and a q that ignores x where references know x;
- any function of x and z: what the reader cares for. log p(x, z) sees a q that ignores x.

For q(z|x) = p(z), which ignores x, the ranks of dimensions and of densities are uniform, and so is TARP with references
that know nothing of x.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import Progress, images_at_once, posterior_draws, require, silent, simulate
from pyro_vae.estimators.uniformity import RankTest, rank_test
from pyro_vae.seeds import batch_seed, batches, seeded

BATCH = 500  #: images that the model draws at once
Quantity = Callable[[Tensor, Tensor], Tensor]  #: x ``(N, *image_shape)`` and z ``(..., N, D)`` to numbers ``(..., N)``
References = Literal["images", "prior"]


class Simulation(NamedTuple):
    """Images that the model has drawn, and draws of q for them.

    Attributes:
        x: ``(N, *image_shape)``.
        z: the latents that made them, each an exact draw from the posterior of its image, ``(N, D)``.
        draws: of q(z|x), ``(L, N, D)``.
    """

    x: Tensor
    z: Tensor
    draws: Tensor


@torch.no_grad()
def simulated(
    model: nn.Module,
    guide: nn.Module,
    num_images: int = 1000,
    num_samples: int = 199,
    seed: int = 0,
    progress: Progress = silent,
) -> Simulation:
    """Images of the model with draws of the guide, for the tests of this module; no density is needed.

    Args:
        num_images: N.
        num_samples: L; where L + 1 is a multiple of 20, ranks hit the levels 50, 90 and 95 % exactly.
        seed: of images and draws.
    """
    parts = []
    for rows, own in batches(num_images, BATCH, seed, progress):
        with seeded(own):
            x, z = simulate(model, rows.stop - rows.start)
        parts.append((x, z, posterior_draws(guide, x, num_samples, own)))
    images, latents, draws = zip(*parts, strict=True)
    return Simulation(torch.cat(images), torch.cat(latents), torch.cat(draws, 1))


def rank_dimensions(of: Simulation) -> RankTest:
    """Simulation-based calibration: how many draws lie below the true z, in each dimension.

    The ECDF of the ranks minus the diagonal is S-shaped where q is too narrow (above on the left, below on the right),
    the reverse where it is too wide, and all on one side where it is shifted.

    References:
        Talts, Betancourt, Simpson, Vehtari & Gelman 2018, Validating Bayesian Inference Algorithms with
        Simulation-Based Calibration, Algorithm 1.
    """
    names = [f"z_{d + 1}" for d in range(of.z.shape[-1])]
    return rank_test(names, (of.draws < of.z).sum(0), len(of.draws))


@torch.no_grad()
def rank_quantities(of: Simulation, quantities: Mapping[str, Quantity], seed: int = 0) -> RankTest:
    """How many draws have a smaller value of each test quantity than the true z has; ties are broken at random.

    Args:
        quantities: by name, functions of x and z. ``model.log_joint`` is one: it finds a q that ignores x.
        seed: of the breaking of ties.

    Raises:
        ValueError: where a quantity gives another shape than one number for each z.

    References:
        Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman & Vehtari 2023, Simulation-Based Calibration Checking
        for Bayesian Computation: The Choice of Test Quantities Shapes Sensitivity.
    """
    columns = []
    size = images_at_once(of.x, len(of.draws))
    for name, quantity in quantities.items():
        parts = []
        for rows, own in batches(len(of.x), size, seed):
            both = torch.cat([of.z[None, rows], of.draws[:, rows]])
            values = quantity(of.x[rows], both)
            if values.shape != both.shape[:-1]:
                raise ValueError(
                    f"{name} gives {tuple(values.shape)} for z of shape {tuple(both.shape)}, not a number each"
                )
            parts.append(ranked(values[0], values[1:], own))
        columns.append(torch.cat(parts))
    return rank_test(list(quantities), torch.stack(columns, -1), len(of.draws))


@torch.no_grad()
def rank_densities(guide: Guide, of: Simulation, seed: int = 0) -> RankTest:
    """Expected coverage: how many draws of q have a higher density q(z|x) than the true z has.

    A share rank / (L + 1) is the mass of the smallest region of q that holds the true z, so that the ECDF at a level is
    how often q's smallest region of this level holds the truth: below the diagonal where q is overconfident.

    Args:
        of: of :func:`simulated`; its draws are not used, since a flow scores its own fresh draws far faster.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density, or scores only its own samples.

    References:
        Hermans, Delaunoy, Rozet, Wehenkel, Begy & Louppe 2022, A Trust Crisis in Simulation-Based Inference? Your
        Posterior Approximations Can Be Unfaithful, equation 5.
    """
    require(guide, "the expected coverage", any_z=True)
    parts, count = [], len(of.draws)
    size = images_at_once(of.x, count)
    for rows, own_seed in batches(len(of.x), size, seed):
        q = guide.posterior(guide.amortize(of.x[rows]))
        with seeded(own_seed):
            own = q.log_prob(q.sample(torch.Size([count])))
        parts.append(count - ranked(q.log_prob(of.z[rows]), own, batch_seed(seed + 1, rows.start)))
    return rank_test(["density"], torch.cat(parts)[:, None], count)


def tarp(model: nn.Module, of: Simulation, references: References = "images", seed: int = 0) -> RankTest:
    """Tests of accuracy with random points: how many draws lie nearer to a reference point than the true z does.

    The first column ranks the distance in all dimensions, in standard deviations of z, the others in each dimension.
    The reference may be any function of x, since it is fixed before z is looked at. Where it is drawn from the prior,
    q(z|x) = p(z) passes; where it is a guess of z from x, by ridge regression on other images of the model, it fails.

    Args:
        references: "images" for such guesses, "prior" for draws from the prior.
        seed: of the images of the regression, or of the draws.

    References:
        Lemos, Coogan, Hezaveh & Perreault-Levasseur 2023, Sampling-Based Accuracy Testing of Posterior Estimators for
        General Inference, ICML, Algorithm 2 and Theorem 3.
    """
    with seeded(batch_seed(seed, len(of.x) + 1)):
        x, z = simulate(model, len(of.x))
    points = z if references == "prior" else _guessed(x, z, of.x)
    spread = z.std(0).clamp(min=1e-12)
    own, theirs = ((of.z - points) / spread).square(), ((of.draws - points) / spread).square()
    joint = ranked(own.sum(-1), theirs.sum(-1), batch_seed(seed, 0))
    each = ranked(own, theirs, batch_seed(seed, 1))
    names = ["all dimensions", *(f"z_{d + 1}" for d in range(z.shape[-1]))]
    return rank_test(names, torch.cat([joint[:, None], each], 1), len(of.draws))


def coverage_at(test: RankTest, level: float, column: int = 0) -> Estimate:
    """How often a region of this level holds the true z, a share of images, of :func:`rank_densities` or :func:`tarp`.

    Args:
        level: rounded to the next multiple of 1 / (L + 1).
    """
    below = round(level * (test.num_samples + 1))
    inside = (test.ranks[:, column] < below).double()
    return Estimate.over(inside, f"share of z in regions of {level:.0%}", test.num_samples, unit="share of images")


def ranked(value: Tensor, among: Tensor, seed: int) -> Tensor:
    """How many of ``among`` ``(L, ...)`` are below ``value`` ``(...)``; equal ones are put on either side at random."""
    below, equal = (among < value).sum(0), (among == value).sum(0)
    with seeded(seed):
        share = torch.rand(value.shape, device=value.device, dtype=torch.double)
    return below + (share * (equal + 1)).floor().long().clamp(max=equal)


def _guessed(x: Tensor, z: Tensor, at: Tensor) -> Tensor:
    """z of other images, by ridge regression on the pixels of these; its strength is chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV

    regression = RidgeCV(alphas=np.logspace(-2, 4, 7))
    regression.fit(x.reshape(len(x), -1).cpu().double().numpy(), z.cpu().double().numpy())
    guess = regression.predict(at.reshape(len(at), -1).cpu().double().numpy())
    return torch.as_tensor(guess, dtype=z.dtype, device=z.device).reshape(len(at), -1)
