"""Your own Pyro VAE, measured as it is: Pyro's tutorial model on the digits, trained by Pyro's own SVI.

    python examples/own_program.py [--epochs 60]
    PYTHONPATH=examples python -m pyro_vae.svi --program own_program:make --epochs 20

Nothing in the class below knows of this project. docs/own_program.md explains the numbers.
"""

import argparse

import pyro
import pyro.distributions as dist
import pyro.infer
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import pyro_vae
from pyro_vae.estimators import LocalOptimization
from pyro_vae.metrics import Options

PIXELS = 64


class VAE(nn.Module):
    """A decoder, an encoder, and the two programs that they make."""

    def __init__(self, z_dim: int = 5, hidden_dim: int = 64):
        super().__init__()
        self.z_dim = z_dim
        self.decoder = nn.Sequential(nn.Linear(z_dim, hidden_dim), nn.Softplus(), nn.Linear(hidden_dim, PIXELS))
        self.encoder = nn.Sequential(nn.Linear(PIXELS, hidden_dim), nn.Softplus(), nn.Linear(hidden_dim, 2 * z_dim))

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("images", len(x)):
            prior = dist.Normal(x.new_zeros(self.z_dim), x.new_ones(self.z_dim)).to_event(1)
            z = pyro.sample("latent", prior)
            pyro.sample("pixels", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x.reshape(-1, PIXELS))

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("images", len(x)):
            loc, log_scale = self.encoder(x.reshape(-1, PIXELS)).chunk(2, -1)
            pyro.sample("latent", dist.Normal(loc, log_scale.exp()).to_event(1))


def make() -> VAE:
    """What ``--program own_program:make`` calls."""
    return VAE()


def trained(x: Tensor, epochs: int) -> VAE:
    """A VAE trained by Pyro alone."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    vae = make()
    svi = pyro.infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 3e-3}), pyro.infer.Trace_ELBO())
    for _ in range(epochs):
        for batch in x[torch.randperm(len(x))].split(100):
            svi.step(batch)
    return vae


def main() -> None:
    """Train, wrap, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--images", type=int, default=40, help="test images to measure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.tensor(load_digits().images > 7).float()
    vae = trained(x[:1500], given.epochs)

    local = LocalOptimization(num_samples=20, lr=0.02, check_every=25, patience=3, max_steps=400)
    quick = Options(gap_images=20, evidence_images=20, certificate_images=20, importance_samples=500, local=local)
    pair = pyro_vae.wrap(vae.model, vae.guide)
    found = pair.evaluate(x[1500 : 1500 + given.images], quick)

    print(f"ELBO {found['elbo']}, log p(x) {found['log_evidence']}, k-hat {found['k_hat']}")


if __name__ == "__main__":
    main()
