"""Which label, by Bayes' rule: p(y|x) from the joint p(x, y) of a model of labels."""

import math

import torch
from torch import Tensor

from guides.labelled import LabelGuide
from pyro_vae.estimators.sampling import Progress, images_at_once, silent
from pyro_vae.models import ConditionalVAE
from pyro_vae.seeds import batches, seeded


@torch.no_grad()
def label_bounds(
    model: ConditionalVAE,
    guide: LabelGuide,
    x: Tensor,
    num_samples: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> Tensor:
    r"""The importance-weighted bound on log p(x, y) for each label, ``(N, C)``, nats.

    It is :math:`\log \frac1K \sum_k p(x, y, z_k) / q(z_k|x, y)` with K draws of q(z|x, y), the ELBO where K is 1. Its
    softmax over the labels is the classification by Bayes' rule, p(y|x) = p(x, y) / p(x), as far as the bounds of all
    labels are equally tight. For :class:`~pyro_vae.models.ConditionalVAE`, which has no p(y), all are equally likely.

    Args:
        x: images ``(N, *image_shape)``.
        num_samples: K.
        seed: of the draws.
    """
    classes = model.num_classes
    every = torch.arange(classes, device=x.device)[:, None]
    size = images_at_once(x, num_samples * classes)
    bounds = []
    for rows, own in batches(len(x), size, seed, progress):
        images = x[rows]
        with seeded(own):
            q = guide.given(images, every)  # batch_shape (C, size)
            z = q.sample(torch.Size((num_samples,)))
            log_p = model.prior().log_prob(z) + model.given(z, every).log_prob(images)
            bounds.append((log_p - q.log_prob(z)).logsumexp(0) - math.log(num_samples * classes))
    return torch.cat(bounds, 1).T
