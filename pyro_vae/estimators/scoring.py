"""Draws from a guide, scored in chunks, with what Pyro's handlers make of the scores."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor, nn

from pyro_vae.errors import InputError
from pyro_vae.estimators.sampling import BLOCK, NotDefined, flat_latents
from pyro_vae.objectives.sites import is_plain, require_whole_images, sample_sites
from pyro_vae.objectives.terms import ElboTerms, for_each_image, sampled_terms
from pyro_vae.seeds import forked


def draw(guide: nn.Module, x: Tensor, num_samples: int) -> Trace:
    """The latent sites of ``num_samples`` passes of the guide, and its factors, joined.

    Each node has its value ``(num_samples, N, ...)`` and its log density ``unscaled_log_prob`` ``(num_samples, N)``,
    which was taken right after the draw, as guides that score only their own last sample need it.
    """
    blocks = []
    for start in range(0, num_samples, BLOCK):
        with pyro.plate("samples", min(BLOCK, num_samples - start), dim=-2):
            blocks.append(prune_subsample_sites(poutine.trace(guide).get_trace(x)))
        blocks[-1].compute_log_prob()
    joined = Trace()
    for name, _ in sample_sites(blocks[0], None):
        sites: list[Any] = [block.nodes[name] for block in blocks]
        joined.add_node(
            name,
            **{
                **sites[0],
                "value": torch.cat([s["value"] for s in sites]),
                "unscaled_log_prob": torch.cat([s["unscaled_log_prob"] for s in sites]),
                "mask": _joined("mask", sites),
                "scale": _joined("scale", sites),
            },
        )
    return joined


def _joined(part: str, sites: Sequence[Any]) -> Any:
    """The mask or the scale of all blocks, of which each may have its own."""
    if len(sites) == 1 or not isinstance(sites[0][part], Tensor):
        return sites[0][part]
    return torch.cat([site[part].expand(site["unscaled_log_prob"].shape) for site in sites])


@torch.no_grad()
def chunks_of_traces(
    model: nn.Module, guide: nn.Module, x: Tensor, num_samples: int, chunk: int = BLOCK
) -> Iterator[tuple[Trace, Trace]]:
    """The scored sites of model and guide, of ``num_samples`` draws for each image, a chunk at a time.

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
        yield model_trace, guide_trace


def terms_of(model_trace: Trace, guide_trace: Trace, num_images: int) -> ElboTerms:
    """The ELBO's terms of each image in a chunk of traces, ``(<= chunk, N)``, nats.

    Masks and scales count as in Pyro's ELBOs.

    Raises:
        NotDefined: where the model takes a part of the images only.
    """
    terms = sampled_terms(model_trace, guide_trace)
    try:
        return for_each_image(terms, len(terms.kl), num_images)
    except InputError as error:
        raise NotDefined(str(error)) from error


@torch.no_grad()
def chunks_of_weights(
    model: nn.Module, guide: nn.Module, x: Tensor, num_samples: int, chunk: int, figure: str
) -> Iterator[Tensor]:
    """The log importance weights p(x, z) / q(z|x) of :func:`chunks_of_traces`, ``(<= chunk, N)`` each, nats.

    Args:
        figure: what was asked for, for the message.

    Raises:
        NotDefined: where they are none: a site is scaled, or a latent site of the model is not drawn by the guide.
    """
    for model_trace, guide_trace in chunks_of_traces(model, guide, x, num_samples, chunk):
        _require_weights(figure, model_trace, guide_trace)
        yield terms_of(model_trace, guide_trace, len(x)).log_weight.double()


def _require_weights(figure: str, model_trace: Trace, guide_trace: Trace) -> None:
    try:
        require_whole_images(figure, model_trace, guide_trace)
    except InputError as error:
        raise NotDefined(str(error)) from error
    for name, site in sample_sites(model_trace):
        if name not in guide_trace and site["mask"] is not False:
            raise NotDefined(f"{figure} weighs draws of the guide, and the guide has no site {name!r} of the model")


@torch.no_grad()
def require_log_joint(model: nn.Module, x: Tensor, figure: str, guide: nn.Module | None = None) -> None:
    """Hold ``log_joint`` against the model's program where handlers mask or scale its sites.

    What follows z along a path or optimises q asks ``log_joint``, and q for its density, which the programs' handlers
    do not reach.

    Args:
        x: images ``(N, *image_shape)``.
        figure: what was asked for, for the message.
        guide: whose ``posterior`` is asked, too.

    Raises:
        NotDefined: where the two differ at one draw of z for each image, or the guide's program has a mask or a scale.
    """
    is_program = getattr(type(model), "forward", nn.Module.forward) is not nn.Module.forward
    if not is_program or getattr(model, "labels", "ignored") == "required":
        return  # log_joint is then all that there is, or is not asked without labels
    with forked(), pyro.validation_enabled(False):
        if guide is not None:
            for name, site in sample_sites(prune_subsample_sites(poutine.trace(guide).get_trace(x)), None):
                if not is_plain(site):
                    raise NotDefined(
                        f"{figure} asks the posterior of {type(guide).__name__}, which leaves out the mask or scale"
                        f" that the guide has around site {name!r}: take it away"
                    )
        trace = prune_subsample_sites(poutine.trace(model).get_trace(x))
        sites = sample_sites(trace, None)
        handled = [name for name, site in sites if site["cond_indep_stack"] and not is_plain(site)]
        if not handled:
            return
        trace.compute_log_prob()
        terms = sampled_terms(trace, Trace(), plates=1)
        expected = terms.log_likelihood + terms.log_prior
        found = model.log_joint(x, flat_latents(trace))  # type: ignore[operator]
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-3):
        raise NotDefined(
            f"{figure} asks {type(model).__name__}.log_joint, which leaves out the mask or scale that the model has"
            f" around site {handled[0]!r}: write it into log_joint, too"
        )
