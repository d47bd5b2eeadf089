"""Every objective with its options, a small setting, and one pass through it."""

import pyro
import pyro.infer
import torch
from closed_forms import exact_guide, linear_gaussian
from torch import Tensor

from pyro_vae.objectives import (
    IWAE,
    STL,
    DReG,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
)

OBJECTIVES = {
    "Trace_ELBO": Trace_ELBO,
    "TraceEnum_ELBO": TraceEnum_ELBO,
    "TraceMeanField_ELBO": TraceMeanField_ELBO,
    "IWAE": IWAE,
    "RenyiELBO": lambda k, free_bits=0.0: RenyiELBO(0.4, k, free_bits),
    "STL": STL,
    "DReG": DReG,
}


def setting(seed: int = 0) -> tuple:
    """A model, a FullRank guide some way from the exact posterior, and five images."""
    torch.manual_seed(seed)
    model = linear_gaussian()
    guide = exact_guide(model)
    with torch.no_grad():
        for p in guide.parameters():
            p += 0.15 * torch.randn_like(p)
    return model, guide, model(n=5).detach()


def run(objective: pyro.infer.ELBO, model, guide, x, seed: int = 1) -> tuple[float, dict[str, Tensor]]:
    """Loss, and the gradient of every parameter, by the way that Pyro's own SVI takes."""
    parameters = {f"model.{k}": p for k, p in model.named_parameters()}
    parameters |= {f"guide.{k}": p for k, p in guide.named_parameters()}
    for p in parameters.values():
        p.grad = None
    torch.manual_seed(seed)
    with pyro.poutine.trace(param_only=True), pyro.get_param_store().scope():
        loss = objective.loss_and_grads(model, guide, x)
    return loss, {k: torch.zeros_like(p) if p.grad is None else p.grad.clone() for k, p in parameters.items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert any(v.abs().max() > 0.1 for v in a.values())
    for k in a:
        torch.testing.assert_close(a[k], b[k], rtol=1e-9, atol=1e-9, msg=k)
