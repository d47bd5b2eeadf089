"""Programs kept aside, with networks; see :mod:`benchmarks.program_aside`."""

import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO, autoguide
from pyro.nn import ConditionalAutoRegressiveNN, PyroModule, PyroSample
from pyro.nn.module import to_pyro_module_
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.program_case import ProgramCase, adam, coins, draws
from benchmarks.program_case import aside as program


@program
def autoencoder_with_an_inverse_autoregressive_flow() -> ProgramCase:
    """The flow of the guide reads a context that the encoder gives."""
    encoder, decoder = nn.Linear(36, 8 + 6), nn.Linear(4, 36)
    flow = T.ConditionalAffineAutoregressive(ConditionalAutoRegressiveNN(4, 6, [16]), stable=True)

    def model(x: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        pyro.module("flow", flow)
        loc, scale, context = encoder(x).split([4, 4, 6], -1)
        with pyro.plate("data", len(x)):
            base = dist.Normal(loc, F.softplus(scale)).to_event(1)
            pyro.sample("z", dist.TransformedDistribution(base, [flow.condition(context)]))

    return ProgramCase(model, guide, adam(1e-3), Trace_ELBO(), (coins(20, 36),))


@program
def network_whose_every_weight_has_a_prior() -> ProgramCase:
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    to_pyro_module_(net)
    for module in net.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            prior = dist.Normal(0.0, 1.0).expand(value.shape).to_event(value.dim())
            setattr(module, name, PyroSample(prior))

    def model(x: Tensor, y: Tensor) -> None:
        mean = pyro.deterministic("mean", net(x).squeeze(-1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, 0.2), obs=y)

    x = draws(60, 2)
    return ProgramCase(model, autoguide.AutoDiagonalNormal(model), adam(), Trace_ELBO(), (x, x.prod(-1)))


class Topics(nn.Module):
    """ProdLDA: a topic model with a normalised decoder and dropout; the length of a document is given."""

    def __init__(self, words: int, topics: int):
        super().__init__()
        self.topics = topics
        self.encoder = nn.Sequential(nn.Linear(words, 32), nn.Softplus(), nn.Dropout(0.2), nn.Linear(32, 2 * topics))
        self.norm = nn.BatchNorm1d(words, affine=False)
        self.beta = nn.Linear(topics, words, bias=False)
        self.drop = nn.Dropout(0.2)

    def model(self, docs: Tensor, length: int) -> None:
        pyro.module("topics", self)
        with pyro.plate("documents", len(docs)):
            logs = pyro.sample("logs", dist.Normal(torch.zeros(self.topics), 1.0).to_event(1))
            words = self.norm(self.beta(self.drop(logs.softmax(-1)))).softmax(-1)
            pyro.sample("docs", dist.Multinomial(length, words), obs=docs)

    def guide(self, docs: Tensor, length: int) -> None:
        pyro.module("topics", self)
        with pyro.plate("documents", len(docs)):
            loc, scale = self.encoder(docs).chunk(2, -1)
            pyro.sample("logs", dist.Normal(loc, (scale / 2).exp()).to_event(1))


@program
def topics_by_a_network() -> ProgramCase:
    topics = Topics(30, 4)
    docs = torch.randint(3, (16, 30), generator=torch.Generator().manual_seed(0)).float()
    optim = pyro.optim.ClippedAdam({"lr": 1e-3})
    return ProgramCase(topics.model, topics.guide, optim, TraceMeanField_ELBO(), (docs, 90))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 6)
        )
        self.decoder = nn.Sequential(
            nn.Linear(3, 4 * 9), nn.Unflatten(1, (4, 3, 3)), nn.ReLU(), nn.ConvTranspose2d(4, 1, 4, stride=4)
        )

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            pyro.sample("x", dist.ContinuousBernoulli(logits=self.decoder(z)).to_event(3), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, scale = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, F.softplus(scale)).to_event(1))


@program
def convolutional_autoencoder() -> ProgramCase:
    vae = Convolutional()
    return ProgramCase(vae.model, vae.guide, adam(1e-3), Trace_ELBO(), (draws(8, 1, 12, 12).sigmoid(),))


@program
def local_latents_of_a_subsample() -> ProgramCase:
    """The plate draws rows; parameters of the guide are those of the rows; data come by ``pyro.subsample``."""

    def model(x: Tensor) -> None:
        weight = pyro.sample("weight", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        with pyro.plate("data", len(x), subsample_size=16):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z[:, None] * weight, 0.5).to_event(1), obs=pyro.subsample(x, event_dim=1))

    def guide(x: Tensor) -> None:
        mean = pyro.param("mean", torch.ones(3))
        pyro.sample("weight", dist.Normal(mean, 0.1).to_event(1))
        with pyro.plate("data", len(x), subsample_size=16):
            loc = pyro.param("loc", torch.zeros(len(x)), event_dim=0)
            scale = pyro.param("scale", torch.ones(len(x)), constraint=dist.constraints.positive, event_dim=0)
            pyro.sample("z", dist.Normal(loc, scale))

    return ProgramCase(model, guide, adam(), Trace_ELBO(), (draws(64, 3),))


class Sequences(nn.Module):
    """A recurrent encoder of words, an attention layer, and a discrete outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.rnn = nn.Embedding(20, 8), nn.LSTM(8, 8, batch_first=True)
        self.attend = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.out, self.classify = nn.Linear(8, 4), nn.Linear(2, 3)

    def model(self, words: Tensor, label: Tensor) -> None:
        pyro.module("classify", self.classify)
        with pyro.plate("sequences", len(words)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("label", dist.Categorical(logits=self.classify(z)), obs=label)

    def guide(self, words: Tensor, label: Tensor) -> None:
        pyro.module("sequences", self)
        states, _ = self.rnn(self.words(words))
        loc, scale = self.out(self.attend(states).mean(1)).chunk(2, -1)
        with pyro.plate("sequences", len(words)):
            pyro.sample("z", dist.Normal(loc, F.softplus(scale)).to_event(1))


@program
def sequences_with_attention() -> ProgramCase:
    net = Sequences()
    words = torch.randint(20, (10, 7), generator=torch.Generator().manual_seed(0))
    sgd = pyro.optim.SGD({"lr": 1e-2})  # Adam scales up the keys' biases, whose gradients are rounding alone
    return ProgramCase(net.model, net.guide, sgd, Trace_ELBO(), (words, torch.arange(10) % 3))


@program
def density_by_flows_alone() -> ProgramCase:
    """No latents: the likelihood is a flow of two layers, conditioned on a covariate."""
    first, second = (T.conditional_affine_coupling(2, 1, hidden_dims=[8]) for _ in range(2))
    swap = T.Permute(torch.tensor([1, 0]))

    def model(x: Tensor, given: Tensor) -> None:
        pyro.module("first", first)
        pyro.module("second", second)
        base = dist.Normal(torch.zeros(2), 1.0).to_event(1)
        layers = [first.condition(given), swap, second.condition(given)]
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.TransformedDistribution(base, layers), obs=x)

    return ProgramCase(model, lambda x, given: None, adam(1e-3), Trace_ELBO(), (draws(40, 2), draws(40, 1, seed=1)))


@program
def latent_variable_gaussian_process() -> ProgramCase:
    y = draws(4, 20)
    white = gp.kernels.WhiteNoise(2, variance=torch.tensor(0.1))
    kernel = gp.kernels.Sum(gp.kernels.RBF(2, lengthscale=torch.ones(2)), white)
    sparse = gp.models.SparseGPRegression(draws(20, 2, seed=3), y, kernel, Xu=draws(5, 2), jitter=1e-3)
    latent = gp.models.GPLVM(sparse)
    return ProgramCase(latent.model, latent.guide, adam(), Trace_ELBO())


class Hierarchy(PyroModule):
    """Priors that depend on each other, declared on a module."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = PyroSample(dist.HalfNormal(1.0))
        self.weight = PyroSample(lambda self: dist.Normal(0.0, self.scale).expand([3]).to_event(1))

    def forward(self, x: Tensor, y: Tensor) -> None:
        logits = x @ self.weight
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Bernoulli(logits=logits), obs=y)


@program
def priors_that_depend_on_each_other() -> ProgramCase:
    module = Hierarchy()
    return ProgramCase(module, autoguide.AutoStructured(module), adam(), Trace_ELBO(), (draws(50, 3), coins(50)))
