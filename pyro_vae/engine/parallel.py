"""The step of several processes, each with a part of the minibatch, as that of one process with all of it."""

import torch

from pyro_vae.distributed import Workers
from pyro_vae.engine.program import Pass, clipped, laid_out


class Average:
    r"""From a process's own pass to that of all: loss, its terms and gradients, averaged over all images.

    With :math:`n_r` of the minibatch's n images in process r, each mean over them counts :math:`n_r / n`. Gradients are
    clipped after that, as those of one process would be. The average lies between a pass and the optimizer's step, so
    an engine that captures both as one keeps the optimizer beside.

    Args:
        workers: the processes.
        clip_norm: gradients are scaled down to this total norm; None leaves them.

    Attributes:
        share: this process's part of the images of the next step.
    """

    def __init__(self, workers: Workers, clip_norm: float | None):
        self.workers, self.clip_norm = workers, clip_norm
        self.share = 1 / workers.size

    def __call__(self, done: Pass) -> Pass:
        with torch.no_grad():
            own = [g for g in done.gradients if g is not None]
            means, *sums = self.workers.sum([t * self.share for t in (done.record[:-1], *own)])
            given = iter(sums)
            gradients = tuple(None if g is None else laid_out(next(given), g) for g in done.gradients)
            norm, gradients = clipped(gradients, self.clip_norm)
            return Pass(torch.cat([means, norm[None]]), done.terms, gradients)
