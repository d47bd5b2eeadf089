"""The step of other libraries: Pyro, PyTorch, pythae, NumPyro."""

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.row import HIDDEN, LAST, LATENT, SHAPE, Case, Row, networks


class PlainPyro(Row):
    """Pyro as in its VAE tutorial: ``SVI.step``, Bernoulli(probs), one optimizer a parameter.

    The distributions of this process are no longer validated, as the tutorial has it.
    """

    guides, many = ("MeanField", "IAF"), True

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        import pyro
        import pyro.distributions as dist

        dist.enable_validation(False)
        model, guide = networks(case)

        def story(x: Tensor) -> None:
            pyro.module("decoder", model.decoder)
            with pyro.plate("data", len(x)):
                zeros = x.new_zeros(len(x), LATENT)
                z = pyro.sample("z", dist.Normal(zeros, torch.ones_like(zeros)).to_event(1))
                probs = model.decoder(z).sigmoid()
                pyro.sample("x", dist.Bernoulli(probs).to_event(3), obs=x)

        def posterior(x: Tensor) -> None:
            pyro.module("encoder", guide)
            with pyro.plate("data", len(x)):
                pyro.sample("z", guide.posterior(guide.amortize(x)))

        elbo = pyro.infer.Trace_ELBO(case.particles, vectorize_particles=case.particles > 1, max_plate_nesting=1)
        self.svi = pyro.infer.SVI(story, posterior, pyro.optim.Adam({"lr": 1e-3}), elbo)

    def step(self, x: Tensor) -> float:
        return self.svi.step(x) / len(x)


class PyTorch(Row):
    """The same arithmetic without Pyro: the KL in closed form, plain Adam."""

    tuned, compiled = False, False

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        model, guide = networks(case)
        parameters = [*model.parameters(), *guide.parameters()]
        self.adam = torch.optim.Adam(parameters, 1e-3, fused=True if self.tuned else None)

        def loss_of(x: Tensor) -> Tensor:
            loc, raw = guide.amortize(x).chunk(2, -1)
            scale = F.softplus(raw)
            logits = model.decoder(loc + scale * torch.randn_like(scale))
            kl = 0.5 * (loc**2 + scale**2 - 1) - scale.log()
            return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl.sum()) / len(x)

        self.loss_of = torch.compile(loss_of) if self.compiled else loss_of
        if self.tuned:
            from pyro_vae.engine.precision import keep_pages

            keep_pages()

    def step(self, x: Tensor) -> Tensor:
        from pyro_vae.engine.precision import onednn, onednn_is_exact

        with onednn(self.tuned and self.case.device == "cpu" and onednn_is_exact()):
            self.adam.zero_grad()
            loss = self.loss_of(x)
            loss.backward()
            self.adam.step()
        return loss.detach()


class PyTorchTuned(PyTorch):
    """Plain PyTorch with oneDNN's products, glibc's pages kept and fused Adam."""

    tuned = True


class PyTorchCompiled(PyTorch):
    """Plain PyTorch under torch.compile."""

    compiled = True


class PyTorchCompiledTuned(PyTorch):
    """It with both."""

    tuned, compiled = True, True


class Pythae(Row):
    """pythae's VAE with networks of the same size, and its trainer's step."""

    needs = "pythae"

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        from pythae.models import VAE, VAEConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder

        class Encoder(BaseEncoder):
            def __init__(self) -> None:
                super().__init__()
                self.hidden = nn.Linear(784, HIDDEN)
                self.mean, self.log_var = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

            def forward(self, x: Tensor) -> ModelOutput:
                h = F.softplus(self.hidden(x.flatten(1)))
                return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))

        class Decoder(BaseDecoder):
            def __init__(self) -> None:
                super().__init__()
                self.hidden, self.out = nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, 784)

            def forward(self, z: Tensor) -> ModelOutput:
                return ModelOutput(reconstruction=self.out(F.softplus(self.hidden(z))).sigmoid().unflatten(-1, SHAPE))

        config = VAEConfig(input_dim=SHAPE, latent_dim=LATENT, reconstruction_loss="bce")
        self.model = VAE(config, Encoder(), Decoder()).to(case.device)
        self.adam = torch.optim.Adam(self.model.parameters(), 1e-3)

    def step(self, x: Tensor) -> Tensor:
        output = self.model({"data": x})
        self.adam.zero_grad()
        output.loss.backward()
        self.adam.step()
        return output.loss.detach()


class NumPyro(Row):
    """NumPyro as in its VAE example: steps in one jitted ``fori_loop``, binarising each batch afresh."""

    needs = "numpyro"

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the other rows use the same GPU
        import jax
        import numpyro
        import numpyro.distributions as dist
        from jax import lax, random
        from jax.example_libraries import stax

        if case.device == "cuda" and jax.default_backend() != "gpu":
            raise RuntimeError("this JAX sees no GPU, and its time on the CPU has no place in a table of CUDA's")
        size = case.batch_size
        encoder = stax.serial(
            stax.Dense(HIDDEN),
            stax.Softplus,
            stax.FanOut(2),
            stax.parallel(stax.Dense(LATENT), stax.serial(stax.Dense(LATENT), stax.Exp)),
        )
        decoder = stax.serial(stax.Dense(HIDDEN), stax.Softplus, stax.Dense(784))

        def model(x: Any) -> None:
            decode = numpyro.module("decoder", decoder, (size, LATENT))
            with numpyro.plate("data", size):
                z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENT]).to_event(1))
                numpyro.sample("x", dist.Bernoulli(logits=decode(z)).to_event(1), obs=x)

        def guide(x: Any) -> None:
            encode = numpyro.module("encoder", encoder, (size, 784))
            loc, scale = encode(x)
            with numpyro.plate("data", size):
                numpyro.sample("z", dist.Normal(loc, scale).to_event(1))

        svi = numpyro.infer.SVI(model, guide, numpyro.optim.Adam(1e-3), numpyro.infer.Trace_ELBO())
        images = jax.numpy.asarray(gray.reshape(-1, 784).numpy())
        self.key = random.PRNGKey(0)
        self.state = svi.init(self.key, images[:size])

        @jax.jit
        def many(key: Any, state: Any, first: Any, steps: Any) -> Any:
            def body(i: Any, carry: Any) -> Any:
                state, losses = carry
                start = (first + i) * size % len(images)
                batch = lax.dynamic_slice_in_dim(images, start, size)
                x = random.bernoulli(random.fold_in(key, first + i), batch).astype(batch.dtype)
                state, loss = svi.update(state, x)
                return state, losses.at[i % LAST].set(loss / size)

            return lax.fori_loop(0, steps, body, (state, jax.numpy.zeros(LAST)))

        self.many = many

    def step(self, x: Tensor) -> Any:
        raise NotImplementedError("the loop is NumPyro's")

    def run(self, steps: int) -> float:
        self.state, losses = self.many(self.key, self.state, self.count, steps)
        self.count += steps
        return float(losses.sum()) / min(steps, LAST)  # the others are still 0
