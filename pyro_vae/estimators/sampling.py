"""What the estimators share: seeds, batches of images that fit in memory, draws from a guide scored in chunks."""

from collections.abc import Callable, Iterator
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
from pyro_vae.objectives.terms import ElboTerms, sampled_terms
from pyro_vae.seeds import batch_seed, seeded

Progress = Callable[[int, int], None]  #: called with what is done and the total
BLOCK = 50  #: samples that a guide draws at once, whatever the chunk, so that the chunk changes no random number


class NotDefined(ValueError):
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
    suit a processor's cache, are under 100 MB; an accelerator wants larger pieces.
    """
    values = 4_000_000 if x.device.type == "cpu" else 256_000_000
    return max(1, values // (samples * max(prod(x.shape[1:]), 1024)))


def draw(guide: nn.Module, x: Tensor, num_samples: int) -> Trace:
    """The latent sites of ``num_samples`` passes of the guide, joined.

    Each node has its value ``(num_samples, N, ...)`` and its log density ``unscaled_log_prob`` ``(num_samples, N)``,
    which was taken right after the draw, as guides that score only their own last sample need it.
    """
    blocks = []
    for start in range(0, num_samples, BLOCK):
        with pyro.plate("samples", min(BLOCK, num_samples - start), dim=-2):
            blocks.append(prune_subsample_sites(poutine.trace(guide).get_trace(x)))
        blocks[-1].compute_log_prob()
    joined = Trace()
    for name in blocks[0].stochastic_nodes:
        sites: list[Any] = [block.nodes[name] for block in blocks]
        joined.add_node(
            name,
            **{
                **sites[0],
                "value": torch.cat([s["value"] for s in sites]),
                "unscaled_log_prob": torch.cat([s["unscaled_log_prob"] for s in sites]),
            },
        )
    return joined


@torch.no_grad()
def chunks_of_terms(
    model: nn.Module, guide: nn.Module, x: Tensor, num_samples: int, chunk: int = BLOCK
) -> Iterator[ElboTerms]:
    """The ELBO's terms of ``num_samples`` draws for each image, a chunk at a time: each ``(<= chunk, N)``, nats.

    The model and the guide are run as Pyro programs, so that any latent sites will do.

    Args:
        x: images ``(N, *image_shape)``.
        chunk: draws scored at once, rounded up to a multiple of :data:`BLOCK`. It bounds the memory and changes
            nothing else.
    """
    chunk = -(-chunk // BLOCK) * BLOCK
    for start in range(0, num_samples, chunk):
        size = min(chunk, num_samples - start)
        with pyro.validation_enabled(False):
            guide_trace = draw(guide, x, size)
            with pyro.plate("samples", size, dim=-2):
                replayed = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(x)
            model_trace = prune_subsample_sites(replayed)
            model_trace.compute_log_prob()
        terms = sampled_terms(model_trace, guide_trace)
        yield ElboTerms(*(t.expand(size, len(x)) for t in terms))


def flat_latents(trace: Trace) -> Tensor:
    """The values of all continuous latent sites side by side, ``(..., N, D)``, in the order of their names.

    A label that is inferred beside z is no coordinate: without it, the draws of z are those of its marginal.
    """
    sites: list[Any] = [trace.nodes[name] for name in sorted(trace.stochastic_nodes)]
    sites = [site for site in sites if site["value"].is_floating_point()]
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
    for start in range(0, len(x), size):
        with seeded(batch_seed(seed, start)), pyro.validation_enabled(False):
            with pyro.plate("samples", num_samples, dim=-2):
                trace = poutine.trace(guide).get_trace(x[start : start + size])
            parts.append(reduce(flat_latents(prune_subsample_sites(trace))))
        progress(min(start + size, len(x)), len(x))
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
        if name != "x":
            latents.add_node(name, **trace.nodes[name])
    return image, flat_latents(latents)
