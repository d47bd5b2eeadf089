"""The precision of products, of losses and of densities."""

import pyro
import pytest
import torch
from engine_cases import images, run, vae

from pyro_vae.engine import SVI
from pyro_vae.engine.precision import onednn, onednn_is_exact, settings


def test_the_matrix_precision_of_the_user_is_left_alone():
    setting = torch.backends.mkldnn.matmul
    for wanted in ("ieee", "none"):
        old, setting.fp32_precision = setting.fp32_precision, wanted
        try:
            run(vae(), 2)
            assert setting.fp32_precision == wanted
            with onednn(True):
                assert setting.fp32_precision == "bf16"
            assert setting.fp32_precision == wanted
            with pytest.raises(ValueError, match="within"), onednn(True):
                raise ValueError("within")
            assert setting.fp32_precision == wanted
        finally:
            setting.fp32_precision = old


@pytest.mark.skipif(
    not onednn_is_exact(), reason="oneDNN rounds to bfloat16 on this CPU, so the engine leaves it alone"
)
def test_the_products_stay_exact_at_the_sizes_of_a_network():
    torch.manual_seed(0)
    for m, k, n in [(256, 784, 400), (784, 256, 400), (100, 50, 400), (33, 65, 7)]:
        a, b = torch.randn(m, k), torch.randn(k, n)
        exact = a.double() @ b.double()
        with onednn(True):
            error = ((a @ b).double() - exact).abs().max()
        assert error < 1e-6 * k**0.5 * 10  # a bfloat16 product is off by 4e-3 times the root of k


def test_bf16_keeps_loss_and_densities_in_float32_and_follows_fp32():
    expected = run(vae("FullRank"), 50)
    for engine in ("eager", "captured"):
        svi = vae("FullRank", precision="bf16", engine=engine)
        records = run(svi, 50)
        assert {t.dtype for t in svi.step_record(images()).terms} == {records.dtype} == {torch.float32}
        assert {g.dtype for g in svi.program((images(),), {}).gradients} == {torch.float32}
        torch.testing.assert_close(records[:, 0], expected[:, 0], rtol=2e-2, atol=0)
        assert not torch.allclose(records[:, 0], expected[:, 0], rtol=1e-6), "bf16 was not used"


@pytest.mark.parametrize(("precision", "rounding"), [("fp32", "ieee"), ("bf16", "ieee"), ("tf32", "tf32")])
def test_cuda_rounds_products_and_convolutions_only_where_it_is_told_to(precision, rounding):
    backends = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    before = [b.fp32_precision for b in backends]
    with settings(precision, torch.device("cuda")):
        assert [b.fp32_precision for b in backends] == [rounding, rounding]
    assert [b.fp32_precision for b in backends] == before


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match="tf32 needs a CUDA device"):
        vae(precision="tf32").step(images())


@pytest.mark.skipif(not onednn_is_exact(), reason="oneDNN rounds to bfloat16 on this CPU")
@pytest.mark.parametrize(("width", "rounding"), [(8, "none"), (3000, "bf16")])
@pytest.mark.parametrize("optim", ["torch", "pyro"])
def test_a_graph_takes_onednn_for_large_products_whatever_the_optimizer(width, rounding, optim):
    layer = torch.nn.Linear(1000, width)
    x = torch.ones(2, 1000)

    def model(x):
        pyro.module("layer", layer)
        pyro.factor("fit", -layer(x).square().sum())

    adam = torch.optim.Adam(layer.parameters()) if optim == "torch" else pyro.optim.Adam({"lr": 1e-3})
    svi = SVI(model, lambda x: None, adam, pyro.infer.Trace_ELBO(), engine="captured")
    for _ in range(3):
        svi.step(x)
    (graph,) = svi._captured.graphs
    seen, own = [], graph.run
    graph.run = lambda *inputs: (seen.append(torch.backends.mkldnn.matmul.fp32_precision), own(*inputs))[1]
    before = torch.backends.mkldnn.matmul.fp32_precision
    svi.step(x)
    assert seen == [rounding]
    assert torch.backends.mkldnn.matmul.fp32_precision == before == "none"
