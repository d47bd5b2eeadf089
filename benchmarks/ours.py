"""This project's step, and a lower limit of its time: its matrix products alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.row import Case, Row, networks
from pyro_vae.engine import EngineName, Precision


class Ours(Row):
    """This project's SVI."""

    guides, many = ("MeanField", "IAF"), True
    engine: EngineName = "eager"
    precision: Precision = "fp32"
    binarising = False
    num_steps: int | None = None

    @classmethod
    def suits(cls, case: Case) -> bool:
        return super().suits(case) and (case.device == "cuda" or cls.engine != "cudagraph")

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        from pyro_vae import objectives
        from pyro_vae.data import binarize
        from pyro_vae.engine import SVI, StepOptions

        model, guide = networks(case)
        adam = torch.optim.Adam([*model.parameters(), *guide.parameters()], 1e-3)
        objective = objectives.Trace_ELBO() if case.particles == 1 else objectives.IWAE(case.particles)
        options = StepOptions(num_steps=self.num_steps, per_image=True, precision=self.precision)
        self.svi = SVI(model, guide, adam, objective, engine=self.engine, audit=False, options=options)
        self.seen: Callable[[Tensor], Tensor] = lambda x: x
        if self.binarising:
            self.batches = gray.to(case.device).split(case.batch_size)
            generator = torch.Generator(case.device).manual_seed(0)
            self.seen = lambda x: binarize(x, generator)

    def step(self, x: Tensor) -> Tensor:
        return self.svi.step_record(self.seen(x)).loss


class OursGraph(Ours):
    """The captured graph, operation by operation."""

    engine = "captured"


class OursCompiled(Ours):
    """The captured graph under Inductor."""

    engine = "compiled"


class OursCompiledBinarising(Ours):
    """Compiled, with a fresh binarisation at every step."""

    engine, binarising = "compiled", True


class OursCompiledBf16(Ours):
    """Compiled, with bfloat16 products."""

    engine, precision = "compiled", "bf16"


class OursCompiledBf16Binarising(Ours):
    """It with both."""

    engine, precision, binarising = "compiled", "bf16", True


class OursCudaGraph(Ours):
    """The whole step as one CUDA graph."""

    engine = "cudagraph"


class OursCompiledCudaGraph(OursCudaGraph):
    """It with the graph compiled first, as in a long run."""

    num_steps = 1_000_000


class OursCompiledCudaGraphBinarising(OursCompiledCudaGraph):
    """It with a fresh binarisation at every step, outside the graph."""

    binarising = True


class OursCompiledCudaGraphBf16Binarising(OursCompiledCudaGraphBinarising):
    """It with bfloat16 products."""

    precision = "bf16"


class Floor(Row):
    """Only the step's matrix products, forward and backward, at the rate of one library; on CUDA as one CUDA graph."""

    guides, many, library = ("MeanField", "IAF"), True, "onednn"

    @classmethod
    def suits(cls, case: Case) -> bool:
        return super().suits(case) and (case.device == "cpu" or cls.library == "onednn")

    def __init__(self, case: Case, gray: Tensor):
        super().__init__(case, gray)
        from pyro_vae import objectives
        from pyro_vae.engine import SVI

        model, guide = networks(case)
        elbo = objectives.Trace_ELBO() if case.particles == 1 else objectives.IWAE(case.particles)
        sgd = torch.optim.SGD([*model.parameters(), *guide.parameters()], 0.0)
        svi = SVI(model, guide, sgd, elbo, engine="captured", audit=False)
        svi.step_record(self.batches[0])  # captures the step; the next one repeats it
        self.products = products_of(svi, self.batches[0])
        self.flops = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in self.products)
        self.once = self.multiply
        if case.device == "cuda":
            self.multiply()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.multiply()
            self.once = graph.replay

    @torch.no_grad()
    def multiply(self) -> None:
        for a, b, out in self.products:
            torch.mm(a, b, out=out)

    def run(self, steps: int) -> float:
        from pyro_vae.engine.precision import onednn

        with onednn(self.case.device == "cpu" and self.library == "onednn"):
            for _ in range(steps):
                self.once()
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return float("nan")

    def step(self, x: Tensor) -> None:
        raise NotImplementedError("there is no loss in it")


class FloorMKL(Floor):
    """The products by PyTorch's default library."""

    library = "mkl"


def products_of(svi: Any, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Operands and an output buffer of each matrix product in a captured step, with the step's own strides."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[tuple[Tensor, Tensor, Tensor]] = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
                a, b = args[-2:]
                found.append((a, b, a.new_empty(a.shape[0], b.shape[1])))
            return func(*args, **(kwargs or {}))

    with Products():
        svi.step_record(x)
    return found
