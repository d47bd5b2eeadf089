"""A pass without gradients as a graph: the ELBO's terms of held-out images."""

import torch
from torch import Tensor, nn

from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.captured import Captured
from pyro_vae.engine.compiled import compile_graph
from pyro_vae.engine.precision import settings
from pyro_vae.engine.program import Pass
from pyro_vae.objectives import ElboTerms, elbo_terms


class _ElboPass:
    """The terms, each the mean over the draws of z, as a program that the engine captures."""

    clip_norm = None

    def __init__(self, model: nn.Module, guide: nn.Module, num_particles: int):
        self.model, self.guide, self.num_particles = model, guide, num_particles
        self.parameters = [*model.parameters(), *guide.parameters()]

    def __call__(self, args: tuple, kwargs: dict, validate: bool = False) -> Pass:
        found = elbo_terms(self.model, self.guide, args[0], self.num_particles, *args[1:])
        terms = ElboTerms(*(term.mean(0) for term in found))
        return Pass(torch.stack([terms.log_likelihood.mean(), terms.kl.mean()]), terms, ())


class _NoOptimizer:
    """Nothing moves."""

    first_by_itself = guarded = False

    def bind(self, done: Pass) -> None:
        return None

    def step(self, done: Pass) -> Pass:
        return done


class Measured:
    """The ELBO's terms of images by sampling, without gradients; ``compiled`` ones cost the arithmetic alone.

    The draws are those of an eager pass; sums are rounded in another order.

    Args:
        model, guide: in evaluation mode; their weights may change between the calls.
        num_particles: draws of z for each image in one call.
        compiled: capture the pass and compile it; if the program has no static graph, it runs eagerly.
    """

    def __init__(self, model: nn.Module, guide: nn.Module, num_particles: int, compiled: bool):
        self.program = _ElboPass(model, guide, num_particles)
        self.device = self.program.parameters[0].device if self.program.parameters else torch.device("cpu")
        roots = {"model": model, "guide": guide}
        self.captured = Captured(self.program, roots, _NoOptimizer(), compile_graph, audit=False) if compiled else None  # type: ignore[arg-type]

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor | None = None, eagerly: bool = False) -> ElboTerms:
        """The terms of images ``(N, *image_shape)`` with labels ``(N,)``: each ``(N,)``, nats, the mean over the draws.

        Args:
            eagerly: this call has shapes of its own, which repay no graph.
        """
        args = (x,) if y is None else (x, y)
        if self.captured is not None and not eagerly:
            try:
                with settings("fp32", self.device, captured=True):
                    done = self.captured(args, {})
            except CaptureError:
                self.captured = done = None
            if done is not None:
                return done.terms
        with settings("fp32", self.device):
            return self.program(args, {}).terms
