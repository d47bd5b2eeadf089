"""What can be tested of CUDA's path wherever the tests run.

A step stays on its device: a program on fake CUDA tensors, which hold nothing. They know their device, refuse to be
mixed with tensors of another, and refuse to be read. Of a backward pass, which needs a real device, only the shapes are
given; autograd's keeps to the devices of the forward pass.

And the engine ``cudagraph`` around its recording: a stand-in for ``torch.cuda`` whose graphs do their work anew.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from engine_cases import anneal_numbers, images, run, vae
from test_coverage import CASES, CLASSES, shape_of, svi_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._pytree import tree_leaves

from pyro_vae.engine import cudagraph
from pyro_vae.engine.arguments import take_apart
from pyro_vae.engine.capture import Call, rehearse, trace
from pyro_vae.engine.numbers import Numbers
from pyro_vae.engine.origins import Origins


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


FAKES = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11)  # 2.9 crashes on them where there is no device
needs_fakes = pytest.mark.skipif(not FAKES, reason="fake CUDA tensors need torch 2.11")


@needs_fakes
@pytest.mark.parametrize(
    "case", [case for case in CASES if "optimizer" not in case], ids=lambda case: "-".join(case.values())
)
def test_a_step_stays_on_its_device(case, monkeypatch):
    svi, given = svi_of(**case)
    with fake_cuda(monkeypatch, svi.model, svi.guide):
        x = torch.rand(8, *shape_of(**case), device="cuda")
        labels = {"y": torch.randint(CLASSES, (8,), device="cuda")} if len(given) == 2 else {}
        svi.program.parameters = [*svi.model.parameters(), *svi.guide.parameters()]
        with Origins() as watch:
            done = svi.program((x,), labels)
        assert {t.device.type for t in (done.record, *done.terms)} == {"cuda"}
        assert not watch.foreign


@pytest.mark.parametrize(
    "case", [case for case in CASES if "optimizer" not in case], ids=lambda case: "-".join(case.values())
)
def test_a_step_of_a_device_has_a_graph_of_that_device_alone(case):
    """ "meta" stands for it: its tensors hold nothing, and autograd runs on them."""
    svi, (x, *y) = svi_of("captured", "meta", **case)
    labels = {"y": y[0]} if y else {}
    call = Call(svi.program, svi._roots, (x,), labels, take_apart((x,), labels))
    rehearsal = rehearse(call, validate=False)
    traced = trace(call, rehearsal.walk, Numbers([], [], rehearsal.done.parameters[0]), None)
    assert traced.constants


class Careless(nn.Module):
    """A layer with a tensor that stays on the host, or that is read."""

    def __init__(self, read: bool):
        super().__init__()
        self.weight, self.shift, self.read = nn.Parameter(torch.ones(3)), torch.ones(3), read

    def forward(self, x: Tensor) -> Tensor:
        if self.read and (x * self.weight).sum() > 0:
            return x
        return x * self.weight + self.shift


@needs_fakes
@pytest.mark.parametrize(("read", "refusal"), [(False, RuntimeError), (True, DataDependentOutputException)])
def test_the_test_finds_what_leaves_the_device(read, refusal, monkeypatch):
    layer = Careless(read)
    with fake_cuda(monkeypatch, layer), pytest.raises(refusal):
        layer(torch.rand(2, 3, device="cuda"))


class StandIn:
    """A recorded step that, replayed, does its work on the processor and writes it where the recording put it."""

    def __init__(self, replay, own):
        self.work, self.owner = lambda: replay.work(own), replay.replays.owner
        self.written = self.to_write()
        kept = [(t, t.detach().clone()) for t in self.written]
        with torch.random.fork_rng(devices=[]):
            replay.done = self.work()  # a recording gives its tensors a place, and changes nothing
        with torch.no_grad():
            for tensor, value in kept:
                tensor.copy_(value)
        self.places = tree_leaves(tuple(replay.done)[:3])

    def to_write(self):
        state = [t for own in self.owner.optimizer.state.values() for t in own.values() if isinstance(t, Tensor)]
        return [*self.owner.parameters, *state]

    def replay(self):
        assert list(map(id, self.to_write())) == list(map(id, self.written)), "a graph would write to old tensors"
        for place, value in zip(self.places, tree_leaves(tuple(self.work())[:3]), strict=True):
            if isinstance(place, Tensor):
                place.copy_(value)


@pytest.fixture
def graphs_on_the_processor(monkeypatch):
    stream = SimpleNamespace(wait_stream=lambda _: None)
    fakes = {"Stream": lambda _: stream, "current_stream": lambda: stream, "device": nullcontext, "stream": nullcontext}
    fakes |= {"get_sync_debug_mode": int, "set_sync_debug_mode": lambda _: None}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(cudagraph, "DEVICE", "cpu")
    monkeypatch.setattr(cudagraph.Replay, "_record", lambda self, own: setattr(self, "recorded", StandIn(self, own)))


@pytest.mark.usefixtures("graphs_on_the_processor")
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_replayed_steps_follow_eager_ones(optimizer):
    """With the KL weight and the learning rate changing at each step, and batches of two sizes in turn."""
    batches = [images(32), images(20), images(32, seed=2)]
    expected = run(vae(optimizer=optimizer), 60, batches, anneal_numbers)
    svi = vae(optimizer=optimizer, engine="cudagraph")
    torch.testing.assert_close(run(svi, 60, batches, anneal_numbers), expected, rtol=1e-5, atol=1e-5)
    replays = [entry.run for entries in svi._captured.entries.values() for entry in entries]
    assert {replay.moves for replay in replays} == {optimizer is not torch.optim.SGD}
    assert [replay.recorded is not None for replay in replays] == [True, True]

    state = copy.deepcopy(svi.optim.optimizer.state_dict())
    noise = torch.get_rng_state()
    weights = [p.detach().clone() for p in svi.program.parameters]
    expected = [svi.step_record(batches[0]).loss for _ in range(6)]
    assert len(set(expected)) == 6
    svi.optim.optimizer.load_state_dict(state)  # elsewhere in memory than what was recorded
    with torch.no_grad():
        for parameter, weight in zip(svi.program.parameters, weights, strict=True):
            parameter.copy_(weight)
    torch.set_rng_state(noise)
    torch.testing.assert_close([svi.step_record(batches[0]).loss for _ in range(6)], expected, rtol=1e-5, atol=1e-5)


def test_the_first_replay_comes_after_all_that_the_recording_has_put_on_its_own_stream(monkeypatch):
    """The recording sets the generator's place to 0 on that stream; a replay that does not wait may draw old noise."""
    done, current = [], SimpleNamespace(wait_stream=lambda stream: done.append(f"wait for {stream.name}"))
    stream = SimpleNamespace(name="its own", wait_stream=lambda _: None)

    @contextmanager
    def recording(graph, stream):
        done.append(f"record on {stream.name}")
        yield

    fakes = {"CUDAGraph": object, "graph": recording, "current_stream": lambda: current}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    replay = cudagraph.Replay.__new__(cudagraph.Replay)
    replay.stream = stream
    monkeypatch.setattr(replay, "work", lambda own: None, raising=False)
    replay._record(None)
    assert done == ["record on its own", "wait for its own"]
