"""Inductor's code with cheaper operations: their numbers, and that they are in it."""

import pytest
import torch
from engine_cases import run, vae
from torch._inductor.utils import run_and_get_code
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from pyro_vae.engine.cheaper import LARGE_SUM, Cheaper, log1p_exp
from pyro_vae.engine.compiled import OPTIONS

TARGET = torch.rand(64, 300, generator=torch.Generator().manual_seed(0))


def compiled(function, x):
    """The result of Inductor's code with the rules, and the code."""
    module = make_fx(function)(x)
    options = OPTIONS | {"post_grad_custom_pre_pass": Cheaper(), "fx_graph_cache": False}
    with torch._functorch.config.patch(enable_autograd_cache=False), torch.no_grad():
        found, codes = run_and_get_code(lambda: torch._inductor.compile(module, [x], options=options)(x))
    return found, "".join(codes)


def test_the_polynomial_is_right_to_two_roundings_everywhere():
    x = torch.linspace(-87, 120, 1_000_001)
    expected = F.softplus(x.double(), threshold=1000)
    assert ((log1p_exp(x).double() - expected) / expected).abs().max() < 2e-7
    limits = torch.tensor([torch.inf, -torch.inf, torch.nan, -0.0])
    torch.testing.assert_close(log1p_exp(limits), F.softplus(limits), equal_nan=True)


@pytest.mark.parametrize(
    "function",
    [
        F.softplus,
        F.logsigmoid,
        lambda x: F.softplus(x, beta=3.0),
        lambda x: torch.logaddexp(x, 2 * x),
        lambda x: F.binary_cross_entropy_with_logits(x, TARGET.to(x), reduction="none").sum(-1),
    ],
    ids=["softplus", "logsigmoid", "softplus of beta 3", "logaddexp", "Bernoulli"],
)
def test_no_logarithm_is_left_in_float32_and_double_keeps_its_own(function):
    x = 30 * torch.randn(64, 300, generator=torch.Generator().manual_seed(1))
    found, code = compiled(function, x)
    assert "log1p()" not in code
    torch.testing.assert_close(found, function(x.double()).float(), rtol=1e-6, atol=1e-6)
    found, code = compiled(function, x.double())
    assert "log1p()" in code
    torch.testing.assert_close(found, function(x.double()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("total", [lambda x: x.square().sum(), torch.linalg.vector_norm])
def test_a_large_matrix_is_summed_by_rows_and_a_small_one_as_before(total):
    x = torch.randn(64, 2 * LARGE_SUM // 64, generator=torch.Generator().manual_seed(2)) + 3
    found, code = compiled(total, x)
    assert "cascade_sum" not in code
    torch.testing.assert_close(found, total(x.double()).float(), rtol=1e-6, atol=0)
    found, _ = compiled(total, x[:, :7])
    torch.testing.assert_close(found, total(x[:, :7].double()).float(), rtol=1e-6, atol=0)


def test_a_compiled_step_has_them_and_follows_the_eager_one():
    records = run(vae(engine="compiled"), 20)
    torch.testing.assert_close(records, run(vae(engine="eager"), 20), rtol=1e-4, atol=1e-4)
