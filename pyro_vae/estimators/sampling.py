"""What the estimators share: what a figure needs, batches of images that fit in memory, draws."""

from collections.abc import Callable
from math import prod
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor, nn

from guides import Guide
from pyro_vae.errors import InputError
from pyro_vae.seeds import batches, seeded

Progress = Callable[[int, int], None]  #: called with what is done and the total
BLOCK = 50  #: samples that a guide draws at once, whatever the chunk, so that the chunk changes no random number


class NotDefined(InputError):
    """A figure that has no meaning for this guide or model; the message says why in one line."""


def silent(done: int, total: int) -> None:
    """The progress callback that shows nothing."""


def require(guide: Guide, figure: str, any_z: bool = False) -> None:
    """Refuse what the guide's posterior cannot give.

    Args:
        figure: what was asked for, for the message.
        any_z: whether densities are needed at points that the distribution did not draw itself.

    Raises:
        NotDefined: where the guide has no density, or scores only its own samples and ``any_z`` is set.
    """
    name = type(guide).__name__
    if not guide.has_density:
        raise NotDefined(f"{figure} needs a density, and the posterior of {name} has none (has_density = False)")
    if any_z and not guide.scores_any_z:
        raise NotDefined(f"{figure} scores any z, and {name} scores only its own samples (scores_any_z = False)")


def require_unlabelled(model: nn.Module) -> None:
    """Refuse a model that says nothing of an image without its label.

    Raises:
        NotDefined: where the model is one.
    """
    if getattr(model, "labels", "ignored") == "required":
        name = type(model).__name__
        raise NotDefined(f"{name} says nothing of an image without its label, and here images have none")


def prior_of(model: nn.Module, figure: str) -> dist.TorchDistribution:
    """The model's p(z).

    Raises:
        NotDefined: where it has no prior over one z.
    """
    prior = getattr(model, "prior", None)
    if not callable(prior):
        raise NotDefined(f"{figure} needs the prior p(z), and {type(model).__name__} has no `prior()`")
    return prior()


def images_at_once(x: Tensor, samples: int) -> int:
    """How many images of ``x`` to take at once where each is decoded ``samples`` times side by side.

    A decoded value is held about five times over (output, log-likelihood, gradients), so that 4 million values, which
    suit a processor's cache, are under 100 MB. A GPU takes as long for a small piece as for a large one, and gets
    pieces for a tenth of its memory.
    """
    if x.is_cuda:
        values = torch.cuda.get_device_properties(x.device).total_memory // 200
    else:
        values = 4_000_000 if x.device.type == "cpu" else 256_000_000
    return max(1, values // (samples * max(prod(x.shape[1:]), 1024)))


def flat_latents(trace: Trace) -> Tensor:
    """The values of all continuous latent sites side by side, ``(..., N, D)``, in the order of their names.

    A label that is inferred beside z is no coordinate: without it, the draws of z are those of its marginal.

    Raises:
        NotDefined: where no latent site is continuous.
    """
    sites: list[Any] = [trace.nodes[name] for name in sorted(trace.stochastic_nodes)]
    names = [site["name"] for site in sites]
    sites = [site for site in sites if site["value"].is_floating_point()]
    if not sites:
        raise NotDefined(f"z has no coordinates: the latent site {', '.join(names) or '(there is none)'} is discrete")
    parts = []
    for site in sites:
        value, event_dim = site["value"], site["fn"].event_dim
        parts.append(value.flatten(-event_dim) if event_dim else value[..., None])
    return torch.cat(parts, -1)


@torch.no_grad()
def posterior_draws(
    guide: nn.Module,
    x: Tensor,
    num_samples: int,
    seed: int = 0,
    progress: Progress = silent,
    reduce: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    """Draws of the amortized guide, all latent sites side by side: ``(num_samples, N, D)``.

    Args:
        reduce: applied to the draws of each batch of images, to keep less than all; the images stay at dimension 1.
    """
    parts = []
    size = images_at_once(x, num_samples)
    for rows, own in batches(len(x), size, seed, progress):
        with seeded(own), pyro.validation_enabled(False):
            with pyro.plate("samples", num_samples, dim=-2):
                trace = poutine.trace(guide).get_trace(x[rows])
            parts.append(reduce(flat_latents(prune_subsample_sites(trace))))
    return torch.cat(parts, 1)


@torch.no_grad()
def simulate(model: nn.Module, n: int) -> tuple[Tensor, Tensor]:
    """Images of the model with the latents that made them: ``(n, *image_shape)``, ``(n, D)``.

    Each latent is an exact draw from the posterior of its image.
    """
    with pyro.validation_enabled(False):
        trace = prune_subsample_sites(poutine.trace(model).get_trace(None, n))
    latents, image = Trace(), trace.nodes["x"]["value"]
    assert isinstance(image, Tensor)
    for name in trace.stochastic_nodes:
        if name not in ("x", "x_observed", "x_unobserved"):  # the latter two of obs_mask
            latents.add_node(name, **trace.nodes[name])
    return image, flat_latents(latents)
