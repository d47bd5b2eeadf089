"""A step of this project's training: a batch, its labels and the weight of the KL go in, a record comes out."""

from torch import Tensor

from pyro_vae.engine.program import StepRecord
from pyro_vae.engine.svi import SVI


def training_step(
    svi: SVI, x: Tensor, y: Tensor | None = None, *, kl_weight: float | Tensor = 1.0, share: float = 1.0
) -> StepRecord:
    """One step of an SVI with one of this project's objectives; the record's scalars stay on the device.

    Args:
        svi: whose loss is an :class:`~pyro_vae.objectives.Objective`.
        x: the images, ``(N, *image_shape)``.
        y: their labels ``(N,)``, for models that take them.
        kl_weight: beta, which every engine reads anew at each step.
        share: what part of the step's images they are, where several processes take it together. The record is then
            that of all images, in each of them.
    """
    svi.program.elbo.kl_weight = kl_weight
    if svi.average is not None:
        svi.average.share = share
    return svi.step_record(x, **({} if y is None else {"y": y}))
