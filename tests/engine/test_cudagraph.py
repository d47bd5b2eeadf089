"""Graphs for a CUDA device: what they refuse, and, where there is a device, what they report."""

import copy

import pytest
import torch
from engine_cases import SHAPE, anneal_numbers, images, run, vae
from torch.fx.experimental.proxy_tensor import make_fx

from guides import GUIDES, MLPEncoder
from pyro_vae import objectives
from pyro_vae.engine import SVI, CaptureError, StepOptions
from pyro_vae.engine.origins import Origins
from pyro_vae.engine.rewrite import drop_checks, lift, stay_on_device
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("optimizer", ["Adam", "Adamax", "SGD"])
def test_cudagraph_follows_eager_without_a_sync(optimizer):
    def on_cuda(engine):
        torch.manual_seed(0)
        model = VAE(MLPDecoder(3, SHAPE, [16]), Bernoulli(SHAPE), StandardNormal(3)).cuda()
        q = GUIDES["MeanField"](MLPEncoder(SHAPE, [16]), 3).cuda()
        optim = getattr(torch.optim, optimizer)([*model.parameters(), *q.parameters()], lr=1e-2)
        options = StepOptions(clip_norm=1.0, per_image=True)
        return SVI(model, q, optim, objectives.Trace_ELBO(), engine=engine, options=options)

    batches = [images(32).cuda(), images(20).cuda()]
    expected = run(on_cuda("eager"), 100, batches, anneal_numbers)
    svi = on_cuda("cudagraph")
    found = run(svi, 100, batches, anneal_numbers)
    torch.testing.assert_close(found[:, 0], expected[:, 0], rtol=1e-4, atol=0)
    assert len(svi._captured.graphs) == 2, "a graph for each kind of batch, and no more"
    assert all(entry.run.recorded for entries in svi._captured.entries.values() for entry in entries)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(5):
            svi.step_record(batches[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    state = copy.deepcopy(svi.optim.optimizer.state_dict())
    weights = copy.deepcopy([p.data for p in svi.program.parameters])
    noise = torch.cuda.get_rng_state()
    expected = [svi.step_record(batches[0]).loss for _ in range(5)]
    svi.optim.optimizer.load_state_dict(state)
    for parameter, weight in zip(svi.program.parameters, weights, strict=True):
        parameter.data.copy_(weight)
    torch.cuda.set_rng_state(noise)
    torch.testing.assert_close([svi.step_record(batches[0]).loss for _ in range(5)], expected)


@pytest.mark.parametrize("table", [torch.eye(3), torch.tensor(2.0)], ids=["array", "number"])
def test_a_graph_that_works_on_the_host_is_refused_for_the_device_by_its_line(table):
    def program(x):
        return x.to("meta") * table.to("meta")  # "meta" stands for the device here

    with Origins() as watch:
        program(torch.randn(3, 3, device="meta"))
    module = make_fx(program)(torch.randn(3, 3, device="meta"))
    lift(module, after=0)
    with pytest.raises(CaptureError, match=r"test_cudagraph.py.*table.to\(.*_to_copy.default works on the host"):
        stay_on_device(module, watch)


def captured_on_meta(program, *args):
    """A program's graph, its inputs lifted, and the watch over it; "meta" stands for the device."""
    watch = Origins()

    def watched(x, *rest):
        with watch:
            return program(x, *rest)

    module = make_fx(watched)(torch.randn(3, device="meta"), *args, torch.zeros(()))
    lift(module, after=1 + len(args))
    return module, watch


OUTSIDE = torch.tensor(2.0)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, beta, _: x * beta,
        lambda x, beta, _: x * OUTSIDE,
        lambda x, beta, _: x * (1 + OUTSIDE),
        lambda x, beta, _: x * torch.rand(()),
    ],
    ids=["argument", "closure", "computed", "random"],
)
def test_a_number_of_the_host_that_may_change_is_refused_for_the_device(program):
    """A recorded graph would keep its value."""
    with pytest.raises(CaptureError, match=r"test_cudagraph.py.*lambda x, beta.*put it on the device"):
        stay_on_device(*captured_on_meta(program, torch.tensor(0.5)))


def test_a_number_that_is_written_in_the_program_stays_in_a_graph_of_the_device():
    stay_on_device(*captured_on_meta(lambda x, _: x * torch.tensor(2.0) + torch.ones(()) / 3))


def test_the_checks_of_decompositions_are_no_part_of_a_graph_on_the_device():
    def program(x):
        return torch.linalg.cholesky(x)

    x = 2 * torch.eye(3)
    module = make_fx(program)(x)
    assert "_linalg_check_errors" in module.code
    drop_checks(module)
    assert "_linalg_check_errors" not in module.code
    torch.testing.assert_close(module(x), program(x))


def test_cudagraph_is_refused_without_cuda():
    with pytest.raises(ValueError, match="CUDA device"):
        vae(engine="cudagraph").step(images())
