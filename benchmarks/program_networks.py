"""Programs with networks: autoencoders of many kinds, deep latent models, flows."""

from itertools import pairwise

import pyro
import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, TraceMeanField_ELBO, autoguide, config_enumerate
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.program_case import ProgramCase, adam, coins, draws, family, program


def mlp(*sizes: int) -> nn.Sequential:
    layers = [nn.Sequential(nn.Linear(a, b), nn.Softplus()) for a, b in pairwise(sizes[:-1])]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def joined(a: Tensor, b: Tensor) -> Tensor:
    """Side by side, each for all rows of the other."""
    rows = torch.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    return torch.cat([a.expand(*rows, -1), b.expand(*rows, -1)], -1)


class Autoencoder(nn.Module):
    """A VAE in Pyro's usual form, with bound methods; labels are concatenated where there are any."""

    def __init__(self, pixels: int = 64, hidden: int = 32, latent: int = 5, labels: int = 0):
        super().__init__()
        self.labels, self.latent = labels, latent
        self.encoder, self.decoder = mlp(pixels + labels, hidden, 2 * latent), mlp(latent + labels, hidden, pixels)

    def _with(self, x: Tensor, y: Tensor | None) -> Tensor:
        return x if y is None else torch.cat([x, y], -1)

    def model(self, x: Tensor, y: Tensor | None = None) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), self.latent), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(self._with(z, y))).to_event(1), obs=x)

    def guide(self, x: Tensor, y: Tensor | None = None) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, scale = self.encoder(self._with(x, y)).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, F.softplus(scale)).to_event(1))


def autoencoder(loss: type) -> ProgramCase:
    vae = Autoencoder()
    return ProgramCase(vae.model, vae.guide, adam(1e-3), loss(), (coins(50, 64),))


family("autoencoder", autoencoder, {"Trace": Trace_ELBO, "TraceMeanField": TraceMeanField_ELBO})


@program
def autoencoder_of_the_size_of_digits() -> ProgramCase:
    vae = Autoencoder(784, 400, 20)
    return ProgramCase(vae.model, vae.guide, adam(1e-3), Trace_ELBO(), (coins(128, 784),))


@program
def conditional_autoencoder() -> ProgramCase:
    vae = Autoencoder(labels=3)
    y = F.one_hot(torch.arange(50) % 3, 3).float()
    return ProgramCase(vae.model, vae.guide, adam(1e-3), Trace_ELBO(), (coins(50, 64), y))


@program
def semi_supervised_autoencoder() -> ProgramCase:
    """Kingma's M2 without labels: they are summed out in the guide."""
    vae, classify = Autoencoder(labels=3), mlp(64, 32, 3)

    def model(x: Tensor) -> None:
        pyro.module("decoder", vae.decoder)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(torch.ones(3) / 3))
            z = pyro.sample("z", dist.Normal(torch.zeros(5), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=vae.decoder(joined(z, y))).to_event(1), obs=x)

    @config_enumerate
    def guide(x: Tensor) -> None:
        pyro.module("encoder", vae.encoder)
        pyro.module("classify", classify)
        with pyro.plate("data", len(x)):
            y = pyro.sample("y", dist.OneHotCategorical(logits=classify(x)))
            loc, scale = vae.encoder(joined(x, y)).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, F.softplus(scale)).to_event(1))

    return ProgramCase(model, guide, adam(1e-3), TraceEnum_ELBO(max_plate_nesting=1), (coins(50, 64),))


class Markov(nn.Module):
    """A deep Markov model: a nonlinear state space, inferred by a recurrent network that reads backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.move, self.emit, self.combine = mlp(4, 16, 8), mlp(4, 16, 6), mlp(4 + 16, 16, 8)
        self.rnn = nn.GRU(6, 16, batch_first=True)

    def model(self, x: Tensor, weight: float = 1.0) -> None:
        pyro.module("markov", self)
        with pyro.plate("sequences", len(x)):
            z = torch.zeros(len(x), 4)
            for t in range(x.shape[1]):
                loc, scale = self.move(z).chunk(2, -1)
                with pyro.poutine.scale(scale=weight):
                    z = pyro.sample(f"z_{t}", dist.Normal(loc, F.softplus(scale)).to_event(1))
                pyro.sample(f"x_{t}", dist.Bernoulli(logits=self.emit(z)).to_event(1), obs=x[:, t])

    def guide(self, x: Tensor, weight: float = 1.0) -> None:
        pyro.module("markov", self)
        states, _ = self.rnn(x.flip(1))
        with pyro.plate("sequences", len(x)):
            z = torch.zeros(len(x), 4)
            for t in range(x.shape[1]):
                loc, scale = self.combine(torch.cat([z, states.flip(1)[:, t]], -1)).chunk(2, -1)
                with pyro.poutine.scale(scale=weight):
                    z = pyro.sample(f"z_{t}", dist.Normal(loc, F.softplus(scale)).to_event(1))


@program
def deep_markov_model() -> ProgramCase:
    markov = Markov()
    optim = pyro.optim.ClippedAdam({"lr": 1e-3, "lrd": 0.999})
    return ProgramCase(markov.model, markov.guide, optim, Trace_ELBO(), (coins(20, 6, 6),))


@program
def sparse_gamma_network() -> ProgramCase:
    """A deep exponential family of gammas."""

    def layer(name: str, shape: tuple[int, ...]) -> Tensor:
        return pyro.sample(name, dist.Gamma(0.1 * torch.ones(shape), 0.3).to_event(len(shape)))

    def model(x: Tensor) -> None:
        top, low = layer("w_top", (4, 8)), layer("w_low", (8, 16))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z_top", dist.Gamma(0.1 * torch.ones(4), 0.1).to_event(1))
            z = pyro.sample("z_low", dist.Gamma(0.1 * torch.ones(8), 0.1 / (z @ top + 1e-2)).to_event(1))
            pyro.sample("x", dist.Poisson(z @ low + 1e-2).to_event(1), obs=x)

    guide = autoguide.AutoNormal(model, init_loc_fn=autoguide.initialization.init_to_feasible)
    x = coins(20, 16) * 3
    return ProgramCase(model, guide, pyro.optim.ClippedAdam({"lr": 1e-3}), Trace_ELBO(), (x,))


class Air(nn.Module):
    """In the manner of attend, infer, repeat: parts that are there or not, with learned baselines."""

    def __init__(self) -> None:
        super().__init__()
        self.decode, self.there, self.what, self.baseline = (
            mlp(3, 16, 36),
            mlp(36, 16, 3),
            mlp(36, 16, 18),
            mlp(36, 8, 1),
        )

    def model(self, x: Tensor) -> None:
        pyro.module("decode", self.decode)
        with pyro.plate("data", len(x)):
            image = torch.zeros_like(x)
            for t in range(3):
                there = pyro.sample(f"there_{t}", dist.Bernoulli(torch.full((len(x), 1), 0.5)).to_event(1))
                z = pyro.sample(f"what_{t}", dist.Normal(torch.zeros(len(x), 3), 1.0).to_event(1))
                image = image + there * self.decode(z).sigmoid()
            pyro.sample("x", dist.Normal(image, 0.3).to_event(1), obs=x)

    def guide(self, x: Tensor) -> None:
        for name in ("there", "what", "baseline"):
            pyro.module(name, getattr(self, name))
        p, what, value = self.there(x).sigmoid(), self.what(x), self.baseline(x)[:, 0]
        with pyro.plate("data", len(x)):
            for t in range(3):
                learned = {"baseline": {"baseline_value": value}}
                pyro.sample(f"there_{t}", dist.Bernoulli(p[:, t : t + 1]).to_event(1), infer=learned)
                loc, scale = what[:, 6 * t : 6 * t + 6].chunk(2, -1)
                pyro.sample(f"what_{t}", dist.Normal(loc, F.softplus(scale)).to_event(1))


@program
def attend_infer_repeat() -> ProgramCase:
    air = Air()
    return ProgramCase(air.model, air.guide, adam(1e-3), TraceGraph_ELBO(), (coins(20, 36),))


class BayesianNetwork(PyroModule):
    """A network whose weights have priors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = PyroModule[nn.Linear](3, 16), PyroModule[nn.Linear](16, 1)
        for layer in (self.first, self.second):
            layer.weight = PyroSample(dist.Normal(0.0, 1.0).expand(layer.weight.shape).to_event(2))
            layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand(layer.bias.shape).to_event(1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        mean = self.second(self.first(x).tanh()).squeeze(-1)
        noise = pyro.sample("noise", dist.HalfNormal(1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, noise), obs=y)
        return mean


@program
def bayesian_network() -> ProgramCase:
    network, x = BayesianNetwork(), draws(100, 3)
    return ProgramCase(network, autoguide.AutoNormal(network), adam(), Trace_ELBO(), (x, x.sin().sum(-1)))


FLOWS = {
    "planar": lambda: T.planar(4),
    "radial": lambda: T.radial(4),
    "affine_autoregressive": lambda: T.affine_autoregressive(4, hidden_dims=[8]),
    "affine_coupling": lambda: T.affine_coupling(4, hidden_dims=[8]),
    "spline": lambda: T.spline(4),
    "block_autoregressive": lambda: T.block_autoregressive(4),
}


def flow(make: type) -> ProgramCase:
    transform = make()

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z.sin(), 0.5).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("flow", transform)
        scale = pyro.param("scale", torch.ones(4), constraint=constraints.positive)
        with pyro.plate("data", len(x)):
            base = dist.Normal(torch.zeros(4), scale).to_event(1)
            pyro.sample("z", dist.TransformedDistribution(base, [transform]))

    return ProgramCase(model, guide, pyro.optim.SGD({"lr": 1e-4}), Trace_ELBO(), (draws(30, 4),))


family("flow", flow, FLOWS)
