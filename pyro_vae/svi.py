"""Train: stochastic variational inference, AEVB's Algorithm 1.

    python -m pyro_vae.svi --data mnist --guide MeanField --latent-dim 20

A run's random numbers are a function of only its seed and the epoch, so an interrupted and resumed run ends like an
uninterrupted one. Several processes of torchrun share a run (:mod:`pyro_vae.distributed`).
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pyro_vae.cli import run_command
from pyro_vae.data import Batches
from pyro_vae.defaults import torch_defaults
from pyro_vae.device import current
from pyro_vae.engine import SVI, StepOptions, training_step
from pyro_vae.engine.precision import exact
from pyro_vae.optim import set_lr
from pyro_vae.options import parse_arguments, settle, take_option
from pyro_vae.run_help import svi_parser as command_parser
from pyro_vae.seeds import random_seed, seeded
from pyro_vae.training.prepare import Prepared
from pyro_vae.training.recorder import Recorder
from pyro_vae.training.session import begin, reopen
from pyro_vae.training.state import Clock, TrainingState
from pyro_vae.waiting import considerate


def run_epoch(svi: SVI, prepared: Prepared, batches: Batches, epoch: int, recorder: Recorder) -> Tensor:
    """One pass over the training images (AEVB, Algorithm 1).

    Returns:
        For each step the log-likelihood, the KL (nats per image) and the gradient's norm, ``(steps, 3)``, on the
        device; nothing here waits for it.
    """
    config, steps = prepared.config, len(batches)
    torch.manual_seed(random_seed(config.seed, "sample", epoch, prepared.workers.rank))
    record = torch.zeros(steps, 3, device=batches.device)
    for i, batch in enumerate(batches.of_epoch(epoch)):  # a random minibatch of images, binarised afresh
        beta, lr = prepared.course(epoch * steps + i, config.epochs * steps)
        set_lr(prepared.optimizer, lr)
        # noise from p(epsilon), gradient of the bound, update of theta and phi
        step = training_step(svi, batch.x, batch.y, kl_weight=beta, share=batch.share)
        if prepared.average is not None:
            prepared.average.update()
        record[i] = torch.stack([step.log_likelihood, step.kl, step.grad_norm])
        recorder.step(svi.engine)
    return record


@torch_defaults()
def fit(prepared: Prepared, state: TrainingState, recorder: Recorder) -> TrainingState:
    """Train a model and a guide until the last epoch or the end of patience.

    Args:
        prepared: model, guide, objective, optimizer and data; see :func:`~pyro_vae.training.prepare.prepare`.
        state: of the run.
        recorder: keeps the run folder complete after every epoch.

    Returns:
        The state of the run at its end.

    Raises:
        InputError: if the bound or a gradient is no longer finite; names the step and the site.
    """
    config, workers, batches = prepared.config, prepared.workers, prepared.batches
    model, guide = prepared.model, prepared.guide  # p(x, z) and q(z|x)
    svi = SVI(
        model,
        guide,
        prepared.optimizer,
        prepared.objective,
        engine=config.engine,
        audit=False,  # the steps of the project's own parts are tested against eager ones
        options=StepOptions(
            clip_norm=config.clip_norm,
            per_image=True,
            precision=prepared.products,
            num_steps=config.epochs * len(batches),
            workers=workers,
        ),
    )
    with considerate(), current(prepared.device), seeded(config.seed), exact(prepared.device), recorder:
        while not state.ends(config.epochs, config.patience):
            clock = Clock.started()
            model.train(), guide.train()
            record = run_epoch(svi, prepared, batches, state.epoch, recorder)
            recorder.check_finite(record, state.step)
            spent = clock.read()
            with prepared.measured():
                state = workers.on_main(partial(recorder.after_epoch, state, batches.mean(record), spent))
        workers.on_main(partial(recorder.finish, state))
    return state


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.svi --help``."""
    parser = command_parser()
    if any(word.partition("=")[0] == "--resume" for word in argv):
        folder, changes = take_option(argv, "--resume")
        session = reopen(Path(folder), changes)
    else:
        session = begin(settle(parser, parse_arguments(parser, argv)))
    with session as (prepared, state, recorder):
        fit(prepared, state, recorder)


if __name__ == "__main__":
    run_command(main)
