"""Pyro programs with handlers around their sites, and how the tests run them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_vae.params import announce

N, D, P = 5, 2, 3
Handlers = list[Callable[[], AbstractContextManager]]
FEW = torch.tensor([True, False, True, True, False])
OTHERS = torch.tensor([False, True, True, True, False])
PIXELS = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 1]]).bool()


def mask(value: Tensor | bool) -> Callable[[], AbstractContextManager]:
    return lambda: poutine.mask(mask=value)


def scale(value: Tensor | float) -> Callable[[], AbstractContextManager]:
    return lambda: poutine.scale(scale=value)


class Program(nn.Module):
    """What model and guide share: a plate that may subsample, and handlers around each site by its name."""

    def __init__(self, handlers: dict[str, Handlers], size: int | None = None, take: int | None = None):
        super().__init__()
        self.handlers, self.size, self.take = handlers, size, take

    def plate(self, x: Tensor):
        if self.take:
            return pyro.plate("data", len(x), subsample_size=self.take, dim=-1)
        if self.size:
            return pyro.plate("data", self.size, subsample=torch.arange(len(x)), dim=-1)
        return pyro.plate("data", len(x), dim=-1)

    def around(self, name: str) -> ExitStack:
        stack = ExitStack()
        for handler in self.handlers.get(name, []):
            stack.enter_context(handler())
        return stack


class Story(Program):
    """z ~ N(0, I), x ~ N(W z, 1) in three pixels; with ``obs_mask`` only some images are observed."""

    def __init__(self, handlers=(), obs_mask: Tensor | None = None, pixels: Tensor | None = None, **plate):
        super().__init__(dict(handlers), **plate)
        self.weight = nn.Parameter(torch.randn(D, P))
        self.obs_mask, self.pixels = obs_mask, pixels

    def forward(self, x: Tensor) -> None:
        announce(self)
        with self.plate(x) as rows:
            x = x if rows is None else x[rows]
            with self.around("z"):
                z = pyro.sample("z", dist.Normal(torch.zeros(D), 1.0).to_event(1))
            mean = pyro.deterministic("mean", z @ self.weight, event_dim=1)
            p = dist.Normal(mean, 1.0)
            p = (p if self.pixels is None else p.mask(self.pixels)).to_event(1)
            with self.around("x"):
                pyro.sample("x", p, obs=x, obs_mask=self.obs_mask)


class Reader(Program):
    """q(z|x) = N(W x, s^2), and with ``obs_mask`` q(x) of the images that are not observed."""

    def __init__(self, handlers=(), obs_mask: Tensor | None = None, factor: bool = False, **plate):
        super().__init__(dict(handlers), **plate)
        self.weight = nn.Parameter(torch.randn(P, D) / 2)
        self.log_scale = nn.Parameter(torch.randn(D) / 4)
        self.obs_mask, self.factor = obs_mask, factor

    def forward(self, x: Tensor) -> None:
        announce(self)
        with self.plate(x) as rows:
            x = x if rows is None else x[rows]
            with self.around("z"):
                z = pyro.sample("z", dist.Normal(x @ self.weight, self.log_scale.exp()).to_event(1))
            if self.factor:
                with self.around("factor"):
                    pyro.factor("factor", (z @ self.log_scale) * self.log_scale.sum(), has_rsample=True)
            if self.obs_mask is not None:
                with poutine.mask(mask=~self.obs_mask):
                    q = dist.Normal(torch.zeros(P), self.log_scale.exp().sum()).to_event(1)
                    pyro.sample("x_unobserved", q)


def pair(model: dict | None = None, guide: dict | None = None, **plate) -> tuple[Story, Reader, Tensor]:
    """A model and a guide with these handlers, the guide's by default those that the model has around z."""
    torch.manual_seed(0)
    model = model or {}
    guide = {"z": model.get("z", [])} if guide is None else guide
    return Story(model, **plate), Reader(guide, **plate), torch.randn(N, P)


def run(objective: pyro.infer.ELBO, model: nn.Module, guide: nn.Module, x: Tensor, seed: int = 1):
    """Loss, and the gradient of every parameter, by the way that Pyro's own SVI takes."""
    parameters = {f"{m}.{k}": p for m, module in (("m", model), ("g", guide)) for k, p in module.named_parameters()}
    for p in parameters.values():
        p.grad = None
    torch.manual_seed(seed)
    with poutine.trace(param_only=True), pyro.get_param_store().scope():
        loss = objective.loss_and_grads(model, guide, x)
    return loss, {k: torch.zeros_like(p) if p.grad is None else p.grad.clone() for k, p in parameters.items()}


def assert_same(found, expected) -> None:
    assert found[0] == pytest.approx(expected[0], rel=1e-11)
    assert any(v.abs().max() > 0.1 for v in expected[1].values())
    for k, v in expected[1].items():
        torch.testing.assert_close(found[1][k], v, rtol=1e-9, atol=1e-9, msg=lambda m, k=k: f"{k}: {m}")


MASKS: dict[str, Callable[[], tuple]] = {
    "images": lambda: pair({"x": [mask(FEW)]}),
    "no image": lambda: pair({"x": [mask(False)]}),
    "every image": lambda: pair({"x": [mask(True)]}),
    "two masks": lambda: pair({"x": [mask(FEW), mask(OTHERS)]}),
    "a mask and True": lambda: pair({"x": [mask(FEW), mask(True)]}),
    "latents": lambda: pair({"z": [mask(OTHERS)]}),
    "latents of no image": lambda: pair({"z": [mask(False)]}),
    "latents of the model alone": lambda: pair({"z": [mask(OTHERS)]}, guide={}),
    "latents of the guide alone": lambda: pair({}, guide={"z": [mask(OTHERS)]}),
    "images and latents": lambda: pair({"x": [mask(FEW)], "z": [mask(OTHERS)]}),
    "pixels": lambda: masked_pixels(),
    "obs_mask": lambda: pair(obs_mask=FEW),
}
SCALES: dict[str, Callable[[], tuple]] = {
    "KL": lambda: pair({"z": [scale(0.1)]}),
    "likelihood": lambda: pair({"x": [scale(2.5)]}),
    "two scales": lambda: pair({"z": [scale(0.5), scale(0.3)], "x": [scale(2), scale(0.7)]}),
    "a tensor": lambda: pair({"z": [scale(torch.tensor(0.1))]}),
    "one an image": lambda: pair({"x": [scale(torch.rand(N) + 0.1)], "z": [scale(torch.rand(N))]}),
    "the model's z alone": lambda: pair({"z": [scale(0.1)]}, guide={}),
    "the guide's z alone": lambda: pair({}, guide={"z": [scale(0.1)]}),
    "mask and scale": lambda: pair({"x": [scale(3), mask(FEW)], "z": [mask(OTHERS), scale(0.2)]}),
    "a plate of more": lambda: pair(size=60),
    "a plate that chooses": lambda: pair(take=3),
    "a plate of more, masked": lambda: pair({"x": [mask(FEW)], "z": [scale(0.1)]}, size=60),
}


def masked_pixels():
    torch.manual_seed(0)
    return Story(pixels=PIXELS), Reader(), torch.randn(N, P)


class Global(nn.Module):
    """A weight that all images share outside their plate, in the model (observed images) or in the guide."""

    def __init__(self, of_model: bool, share: float = 0.4):
        super().__init__()
        self.loc = nn.Parameter(torch.tensor(0.3))
        self.of_model, self.share = of_model, share

    def forward(self, x: Tensor) -> None:
        announce(self)
        loc = torch.zeros(()) if self.of_model else self.loc
        with poutine.scale(scale=self.share):
            w = pyro.sample("w", dist.Normal(loc, 0.5))
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(loc, 1.0))
            if self.of_model:
                pyro.sample("x", dist.Normal((w * z)[..., None] + self.loc * torch.ones(P), 1.0).to_event(1), obs=x)
