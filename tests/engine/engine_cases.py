"""Small programs, and the records of their steps."""

import pyro
import torch
from torch import nn

from guides import GUIDES, MLPEncoder
from pyro_vae import objectives
from pyro_vae.engine import SVI, StepOptions
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal

SHAPE = (1, 6, 6)


def images(n=32, seed=1):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(seed)).bernoulli()


def vae(guide="MeanField", objective="Trace_ELBO", particles=1, optimizer=torch.optim.Adam, engine="eager", **options):
    """A fresh SVI on a fixed seed."""
    torch.manual_seed(0)
    model = VAE(MLPDecoder(3, SHAPE, [16]), Bernoulli(SHAPE), StandardNormal(3))
    q = GUIDES[guide](MLPEncoder(SHAPE, [16]), 3)
    optim = optimizer([*model.parameters(), *q.parameters()], lr=1e-2)
    elbo = getattr(objectives, objective)(particles)
    return SVI(model, q, optim, elbo, engine=engine, options=StepOptions(per_image=True, **options))


def run(svi, steps=100, batches=None, change=lambda svi, step: None):
    """The records of some steps, ``(steps, 4)``, from the seed 7."""
    torch.manual_seed(7)
    batches = batches or [images()]
    records = []
    for step in range(steps):
        change(svi, step)
        records.append(torch.stack(svi.step_record(batches[step % len(batches)])[:4]))
    return torch.stack(records)


def anneal(svi, step):
    """The KL weight, a number first and a tensor later, and the learning rate change as the run goes on."""
    weight = min(1.0, step / 50)
    svi.program.elbo.kl_weight = torch.tensor(weight) if step > 40 else weight
    svi.optim.optimizer.param_groups[0]["lr"] = 1e-2 * 0.98**step


def captured_step(model, guide=lambda x: None):
    weight = nn.Parameter(torch.ones(3))
    sgd = torch.optim.SGD([weight], lr=0.1)
    svi = SVI(lambda x: model(x, weight), guide, sgd, pyro.infer.Trace_ELBO(), engine="captured")
    return svi.step_record, weight


def anneal_numbers(svi, step):
    svi.program.elbo.kl_weight = min(1.0, step / 50)
    svi.optim.optimizer.param_groups[0]["lr"] = 1e-2 * 0.98**step
