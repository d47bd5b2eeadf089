"""The steps that :mod:`benchmarks.speed` compares, one class a way of taking them.

All train the same story: z ~ N(0, I) of 50 dimensions, 784 pixels from Bernoulli logits, softplus layers of 400 units,
Adam at 1e-3. Each row is made in a process of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE, LATENT, HIDDEN = (1, 28, 28), 50, 400


@dataclass(frozen=True)
class Case:
    """What is trained, and where."""

    guide: str = "MeanField"
    batch_size: int = 256
    particles: int = 1
    device: str = "cpu"


class Row(ABC):
    """One way of taking steps on gray images ``(M, 1, 28, 28)`` in [0, 1], M a multiple of the batch size."""

    guides: tuple[str, ...] = ("MeanField",)  #: the guides that it can have
    many = False  #: whether it can draw several particles
    needs: str | None = None  #: the package that it is made of

    def __init__(self, case: Case, gray: Tensor):
        torch.manual_seed(0)
        self.case = case
        self.batches = gray.bernoulli().to(case.device).split(case.batch_size)
        self.count = 0

    @classmethod
    def suits(cls, case: Case) -> bool:
        """Whether this row is in the table of a case."""
        return (
            case.guide in cls.guides
            and (cls.many or case.particles == 1)
            and (cls.needs is None or find_spec(cls.needs) is not None)
        )

    @abstractmethod
    def step(self, x: Tensor) -> Any:
        """One step on binary images; returns the loss, summed or averaged as :meth:`per_image` knows."""

    def per_image(self, loss: Any) -> float:
        """Minus the bound, nats per image."""
        return float(loss)

    def run(self, steps: int) -> float:
        """So many steps; returns the mean loss of their last ten, nats per image."""
        losses = []
        for _ in range(steps):
            loss = self.step(self.batches[self.count % len(self.batches)])
            losses = [*losses[-9:], loss]
            self.count += 1
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return sum(map(self.per_image, losses)) / len(losses)


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    """The model and the guide of this project."""
    from guides import GUIDES, MLPEncoder
    from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal

    decoder = MLPDecoder(LATENT, SHAPE, [HIDDEN], "softplus")
    model = VAE(decoder, Bernoulli(SHAPE), StandardNormal(LATENT))
    guide = GUIDES[case.guide](MLPEncoder(SHAPE, [HIDDEN], "softplus"), LATENT)
    return model.to(case.device), guide.to(case.device)


class PlainPyro(Row):
    """Pyro as its VAE tutorial has it: ``SVI.step``, validation on, Bernoulli(probs), one optimizer a parameter."""

    guides, many = ("MeanField", "IAF"), True

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        import pyro
        import pyro.distributions as dist

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
    """It with oneDNN's products, glibc's pages kept and fused Adam."""

    tuned = True


class PyTorchCompiled(PyTorch):
    """It under torch.compile."""

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
    """NumPyro as its VAE example has it: steps within one jitted ``fori_loop``, binarising each batch afresh."""

    needs = "numpyro"

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        import jax
        import numpyro
        import numpyro.distributions as dist
        from jax import lax, random
        from jax.example_libraries import stax

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
                return state, losses.at[i % 10].set(loss / size)

            return lax.fori_loop(0, steps, body, (state, jax.numpy.zeros(10)))

        self.many = many

    def step(self, x: Tensor) -> Any:
        raise NotImplementedError("the loop is NumPyro's")

    def run(self, steps: int) -> float:
        self.state, losses = self.many(self.key, self.state, self.count, steps)
        self.count += steps
        return float(losses.mean())


class Ours(Row):
    """This project's SVI."""

    guides, many = ("MeanField", "IAF"), True
    engine, precision, binarising, inductor = "eager", "fp32", False, True

    @classmethod
    def suits(cls, case: Case) -> bool:
        return super().suits(case) and (case.device == "cuda" or cls.engine != "cudagraph")

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        from pyro_vae import objectives
        from pyro_vae.data import binarize
        from pyro_vae.engine import SVI
        from pyro_vae.engine.compiled import Compiled

        model, guide = networks(case)
        adam = torch.optim.Adam([*model.parameters(), *guide.parameters()], 1e-3)
        objective = objectives.Trace_ELBO() if case.particles == 1 else objectives.IWAE(case.particles)
        self.svi = SVI(model, guide, adam, objective, engine=self.engine, precision=self.precision)
        if not self.inductor:
            self.svi._run = Compiled(self.svi.program, adam, inductor=False)
        self.seen: Callable[[Tensor], Tensor] = lambda x: x
        if self.binarising:
            self.batches = gray.to(case.device).split(case.batch_size)
            generator = torch.Generator(case.device).manual_seed(0)
            self.seen = lambda x: binarize(x, generator)

    def step(self, x: Tensor) -> Tensor:
        return self.svi.step(self.seen(x)).loss


class OursGraph(Ours):
    """The captured graph, operation by operation."""

    engine, inductor = "compiled", False


class OursCompiled(Ours):
    """The captured graph under Inductor."""

    engine = "compiled"


class OursCompiledBinarising(Ours):
    """It with a fresh binarisation at every step."""

    engine, binarising = "compiled", True


class OursCompiledBf16(Ours):
    """It with bfloat16 products."""

    engine, precision = "compiled", "bf16"


class OursCompiledBf16Binarising(Ours):
    """It with both."""

    engine, precision, binarising = "compiled", "bf16", True


class OursCudaGraph(Ours):
    """The whole step as one CUDA graph."""

    engine = "cudagraph"


class Floor(Row):
    """Nothing but the step's matrix products, forward and backward, at the rate of one library."""

    guides, many, library = ("MeanField", "IAF"), True, "onednn"

    @classmethod
    def suits(cls, case: Case) -> bool:
        return super().suits(case) and (case.device == "cpu" or cls.library == "onednn")

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        from pyro_vae import objectives
        from pyro_vae.engine.capture import Graph
        from pyro_vae.engine.program import Program

        model, guide = networks(case)
        elbo = objectives.Trace_ELBO(case.particles)
        program = Program(model, guide, elbo, [*model.parameters(), *guide.parameters()])
        graph = Graph(program, (self.batches[0],), {})
        self.products = products_of(graph, self.batches[0])
        self.flops = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in self.products)

    def run(self, steps: int) -> float:
        from pyro_vae.engine.precision import onednn

        with torch.no_grad(), onednn(self.case.device == "cpu" and self.library == "onednn"):
            for _ in range(steps):
                for a, b, out in self.products:
                    torch.mm(a, b, out=out)
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return float("nan")

    def step(self, x: Tensor) -> None:
        raise NotImplementedError("there is no loss in it")


class FloorMKL(Floor):
    """It by PyTorch's default library."""

    library = "mkl"


def products_of(graph: Any, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Operands and a place for the result of each matrix product in a captured step, with the step's own strides."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[tuple[Tensor, Tensor, Tensor]] = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
                a, b = args[-2:]
                found.append((a, b, a.new_empty(a.shape[0], b.shape[1])))
            return func(*args, **(kwargs or {}))

    with Products():
        graph([x])
    return found


ROWS: dict[str, type[Row]] = {
    "Pyro, as its tutorial": PlainPyro,
    "PyTorch": PyTorch,
    "PyTorch, tuned": PyTorchTuned,
    "PyTorch, torch.compile": PyTorchCompiled,
    "PyTorch, torch.compile, tuned": PyTorchCompiledTuned,
    "pythae": Pythae,
    "NumPyro, binarising": NumPyro,
    "eager": Ours,
    "captured, not compiled": OursGraph,
    "compiled": OursCompiled,
    "compiled, binarising": OursCompiledBinarising,
    "compiled, bf16": OursCompiledBf16,
    "compiled, bf16, binarising": OursCompiledBf16Binarising,
    "cudagraph": OursCudaGraph,
    "products alone, oneDNN": Floor,
    "products alone, MKL": FloorMKL,
}
