"""The ELBO of held-out images."""

import torch

from guides import Guide
from pyro_vae.data import Binarizer, Images, rows_at_once
from pyro_vae.models import Model
from pyro_vae.objectives import ElboTerms, elbo_terms
from pyro_vae.seeds import seeded


def held_out_terms(model: Model, guide: Guide, images: Images, binarizer: Binarizer, num_samples: int) -> ElboTerms:
    """The ELBO's terms for each held-out image, ``(N,)`` each in nats, the mean over ``num_samples`` draws of z.

    The binarisation and the noise are the same at every call, whatever the run's seed.
    """
    with seeded(0):
        size = max(1, min(20_000, rows_at_once(images.image_shape)) // num_samples)
        chunks = binarizer.held_out(images, size)
        if model.labels == "required" and images.labels is not None:
            pairs = zip(chunks, images.labels.split(size), strict=True)
            parts = [elbo_terms(model, guide, x, num_samples, y) for x, y in pairs]
        else:
            parts = [elbo_terms(model, guide, x, num_samples) for x in chunks]
    return ElboTerms(*(torch.cat([term.mean(0) for term in column]) for column in zip(*parts, strict=True)))
