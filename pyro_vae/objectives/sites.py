"""The sites of a trace for objectives and estimators: which of them count, with which mask and scale.

Pyro's handlers (``poutine.mask``, ``poutine.scale``, a subsampled plate, ``obs_mask``) mark a site and do not change
its ``unscaled_log_prob``. Only this module reads masks and scales.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from pyro.distributions.util import is_identically_one, scale_and_mask, sum_leftmost
from pyro.poutine import Trace
from torch import Tensor

from pyro_vae.errors import InputError


def sample_sites(trace: Trace, observed: bool | None = False) -> Iterator[tuple[str, Any]]:
    """Names and sites of the trace's samples, or of its observations, or, if ``observed`` is None, of both.

    ``pyro.deterministic`` makes a site that is a function of others and has no density; it is not included.
    """
    nodes: dict[str, Any] = dict(trace.nodes)
    for name, site in nodes.items():
        is_random = site["type"] == "sample" and not site["infer"].get("_deterministic")
        if is_random and observed in (None, site["is_observed"]):
            yield name, site


def is_shared(site: Any) -> bool:
    """Whether a site is outside the plate of the images, as weights shared by all images are (AEVB, Appendix F)."""
    return not any(frame.dim in (-1, None) for frame in site["cond_indep_stack"])


def is_plain(site: Any) -> bool:
    """Whether no handler has masked or scaled a site."""
    return site["mask"] is None and is_identically_one(site["scale"])


def counted(site: Any, value: Tensor, share: int = 1) -> Tensor:
    """A log density of a site, or a KL, as Pyro counts it: times the site's scale, and 0 under its mask.

    Args:
        value: with the shape of the site's log density; returned unchanged if the site has no mask or scale.
        share: divides the scale.

    Raises:
        InputError: if a mask or a scale has more elements than the site has log densities.
    """
    scale = site["scale"] / share if share > 1 else site["scale"]
    result = scale_and_mask(value, scale, site["mask"])
    if result.numel() != value.numel():
        raise InputError(
            f"the mask or scale around site {site['name']!r} changes the shape of its log densities from"
            f" {tuple(value.shape)} to {tuple(result.shape)}: give it one value an image, and mask parts of an image by"
            " Distribution.mask before to_event"
        )
    return result


def plate_shape(*traces: Trace, plates: int) -> torch.Size:
    """The sizes of the innermost ``plates`` plates over all sites of the traces; the images are the last."""
    sites = [site for trace in traces for _, site in sample_sites(trace, None)]
    return torch.broadcast_shapes(*(site["unscaled_log_prob"].shape[-plates:] for site in sites))


def per_image(site: Any, value: Tensor, shape: torch.Size, plates: int) -> Tensor:
    """The share of each image in a log density of a site, as Pyro counts it.

    A site in further plates (of pixels, say) is summed over them. A site that images or particles share is divided
    equally among them. So the sum over ``shape`` is Pyro's sum.

    Args:
        value: with the shape of the site's log density.
        shape: of the result, by :func:`plate_shape`.
        plates: 1 for images, or 2 for particles (left) and images.
    """
    own = value.shape[-plates:]
    value = counted(site, value, share=prod(shape) // max(1, prod(own)))
    return sum_leftmost(value, -plates) if value.dim() > plates else value


def is_scaled(*traces: Trace) -> bool:
    """Whether a handler has scaled a site in a plate; then the sum does not bound log p(x)."""
    sites = [site for trace in traces for _, site in sample_sites(trace, None)]
    return any(site["cond_indep_stack"] and not is_identically_one(site["scale"]) for site in sites)


def require_whole_images(what: str, model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse scaled or shared sites for a bound that is not a sum of log densities.

    One draw that all particles share (the weights of :class:`~pyro_vae.models.BayesianVAE`) multiplies all their
    importance weights by one number, so its scale is as exact as in the ELBO.

    Args:
        what: the name of the bound, for the message.

    Raises:
        InputError: if a site has a scale, or several images share a site of a particle.
    """
    images = plate_shape(model_trace, guide_trace, plates=1)
    for trace in (model_trace, guide_trace):
        for name, site in sample_sites(trace, None):
            if not site["cond_indep_stack"]:
                continue
            if not is_identically_one(site["scale"]):
                raise InputError(
                    f"{what} weighs whole images, and site {name!r} has a scale (of poutine.scale or a subsampled"
                    " plate): leave it out (--beta weighs the KL), or take the ELBO, which is a sum"
                )
            if is_shared(site) and prod(images) > 1:
                raise InputError(
                    f"{what} weighs image by image, and site {name!r} is drawn once for all images of a particle:"
                    " put it into their plate, or take the ELBO, which is a sum"
                )
