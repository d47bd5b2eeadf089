"""Averages over several processes, each with a part of the minibatch, so that they step like one process."""

import torch

from pyro_vae.distributed import Workers
from pyro_vae.engine.program import Pass, clipped, laid_out


class Average:
    r"""From one process's pass to the pass of all: loss, terms and gradients, averaged over all images.

    If process r has :math:`n_r` of the minibatch's n images, its means have the weight :math:`n_r / n`. Gradients are
    clipped after the average, as in one process. The average comes between the pass and the optimizer's step, so the
    optimizer steps outside the graph.

    Args:
        workers: the processes.
        clip_norm: gradients are scaled down to this total norm; None leaves them.

    Attributes:
        share: this process's fraction of the images of the next step, between 0 and 1.
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
