"""A step of this project's training: from a batch, its labels and the KL weight to a record."""

from torch import Tensor

from pyro_vae.engine.program import StepRecord
from pyro_vae.engine.svi import SVI


def training_step(
    svi: SVI, x: Tensor, y: Tensor | None = None, *, kl_weight: float | Tensor = 1.0, share: float = 1.0
) -> StepRecord:
    """One step of an SVI whose loss is one of this project's objectives; the record's scalars stay on the device.

    Args:
        svi: its loss is an :class:`~pyro_vae.objectives.Objective`.
        x: the images, ``(N, *image_shape)``.
        y: their labels ``(N,)``, for models that take them.
        kl_weight: beta; every engine reads it at each step.
        share: the fraction of the step's images that ``x`` holds, if several processes take the step together. Each
            process then gets the record of all images.
    """
    svi.program.elbo.kl_weight = kl_weight
    if svi.average is not None:
        svi.average.share = share
    return svi.step_record(x, **({} if y is None else {"y": y}))
