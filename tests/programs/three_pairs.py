"""Three pairs in one file, which give their parameters the same names, as ``--program programs.three_pairs:wide``."""

import pyro
import pyro.distributions as dist
import torch
from programs.pairs import TutorialVAE
from torch import nn


def narrow():
    vae = TutorialVAE(z_dim=2, hidden_dim=8)
    return vae.model, vae.guide


def wide():
    return TutorialVAE(z_dim=3, hidden_dim=16)


class chained(TutorialVAE):
    """Its guide draws a second site given the first."""

    def __init__(self):
        super().__init__(z_dim=2, hidden_dim=8)
        self.more = nn.Linear(66, 1)
        self.scale = nn.BatchNorm1d(64)  # a buffer

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("latent", dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("shift", dist.Normal(z[:, 0], 1.0))
            pyro.sample("obs", dist.Bernoulli(self.decoder(z)).to_event(1), obs=x.reshape(-1, 64))

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        pyro.module("more", self.more)
        pyro.module("scale", self.scale)
        with pyro.plate("data", len(x)):
            flat = self.scale(x.reshape(-1, 64))
            z = pyro.sample("latent", dist.Normal(*self.encoder(flat)).to_event(1))
            loc = self.more(torch.cat([flat, z], -1)).squeeze(-1)
            pyro.sample("shift", dist.Normal(loc, 1.0))


def nothing():
    return 3
