"""A step stays on its device, wherever the tests run: a program on fake CUDA tensors, which hold nothing.

They know their device, refuse to be mixed with tensors of another, and refuse to be read. Of a backward pass, which
needs a real device, only the shapes are given; autograd's keeps to the devices of the forward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from test_engine_coverage import CASES, CLASSES, SHAPE, svi_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from pyro_vae.engine.capture import _Watch


@contextmanager
def fake_cuda(monkeypatch, *modules: nn.Module) -> Iterator[None]:
    """Within it, the modules' parameters and buffers are fake CUDA tensors; whatever else they hold stays behind."""

    def gradients(outputs, inputs, *_, **__):
        return tuple(torch.empty_like(t) for t in ([inputs] if isinstance(inputs, Tensor) else inputs))

    moved: dict[int, Tensor] = {}
    with FakeTensorMode(allow_non_fake_inputs=True), monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "grad", gradients)
        for own in (o for top in modules for m in top.modules() for o in (m._parameters, m._buffers)):
            for name, tensor in own.items():
                if tensor is not None:
                    there = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
                    if isinstance(tensor, nn.Parameter):
                        there = nn.Parameter(there, requires_grad=tensor.requires_grad)
                    own[name] = moved.setdefault(id(tensor), there)
        yield


@pytest.mark.parametrize(
    "case", [case for case in CASES if "optimizer" not in case], ids=lambda case: "-".join(case.values())
)
def test_a_step_stays_on_its_device(case, monkeypatch):
    svi, given = svi_of(**case)
    with fake_cuda(monkeypatch, svi.model, svi.guide):
        x = torch.rand(8, *SHAPE, device="cuda")
        labels = {"y": torch.randint(CLASSES, (8,), device="cuda")} if len(given) == 2 else {}
        svi.program.parameters = [*svi.model.parameters(), *svi.guide.parameters()]
        with _Watch() as watch:
            done = svi.program(x, **labels)
        assert {t.device.type for t in (done.record, *done.terms)} == {"cuda"}
        assert not watch.foreign


class Careless(nn.Module):
    """A layer with a tensor that stays on the host, or that is read."""

    def __init__(self, read: bool):
        super().__init__()
        self.weight, self.shift, self.read = nn.Parameter(torch.ones(3)), torch.ones(3), read

    def forward(self, x: Tensor) -> Tensor:
        if self.read and (x * self.weight).sum() > 0:
            return x
        return x * self.weight + self.shift


@pytest.mark.parametrize(("read", "refusal"), [(False, RuntimeError), (True, DataDependentOutputException)])
def test_the_test_finds_what_leaves_the_device(read, refusal, monkeypatch):
    layer = Careless(read)
    with fake_cuda(monkeypatch, layer), pytest.raises(refusal):
        layer(torch.rand(2, 3, device="cuda"))
