"""Pyro's handlers around a site count in every objective as in Pyro's own, and are refused where they mean nothing."""

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from handled import (
    FEW,
    MASKS,
    OTHERS,
    PIXELS,
    SCALES,
    Global,
    Handlers,
    N,
    P,
    Program,
    Reader,
    Story,
    assert_same,
    mask,
    pair,
    run,
    scale,
)
from pyro import poutine
from torch import Tensor, nn

from pyro_vae.errors import InputError
from pyro_vae.objectives import (
    IWAE,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
)
from pyro_vae.params import announce

pytestmark = pytest.mark.usefixtures("_double")


SUMS = [
    (Trace_ELBO, pyro.infer.Trace_ELBO),
    (TraceMeanField_ELBO, pyro.infer.TraceMeanField_ELBO),
    (TraceEnum_ELBO, lambda k, **kw: pyro.infer.TraceEnum_ELBO(k, strict_enumeration_warning=False, **kw)),
]


LOGARITHMS = [
    (IWAE, lambda k, **kw: pyro.infer.RenyiELBO(0, k, **kw)),
    (lambda k: RenyiELBO(0.4, k), lambda k, **kw: pyro.infer.RenyiELBO(0.4, k, **kw)),
    (lambda k: RenyiELBO(-1.5, k), lambda k, **kw: pyro.infer.RenyiELBO(-1.5, k, **kw)),
]


NAMES = ["Trace_ELBO", "TraceMeanField_ELBO", "TraceEnum_ELBO", "IWAE", "Renyi 0.4", "Renyi -1.5"]


each_k = pytest.mark.parametrize("k", [1, 3])


@each_k
@pytest.mark.parametrize("case", MASKS)
@pytest.mark.parametrize(("ours", "theirs"), SUMS + LOGARITHMS, ids=NAMES)
def test_masks_count_as_in_pyro(ours, theirs, case, k):
    model, guide, x = MASKS[case]()
    expected = run(theirs(k, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
    assert_same(run(ours(k), model, guide, x), expected)


@each_k
@pytest.mark.parametrize("case", SCALES)
@pytest.mark.parametrize(("ours", "theirs"), SUMS, ids=NAMES[:3])
def test_scales_and_subsampled_plates_count_as_in_pyro(ours, theirs, case, k):
    model, guide, x = SCALES[case]()
    expected = run(theirs(k, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
    assert_same(run(ours(k), model, guide, x), expected)


@each_k
@pytest.mark.parametrize("case", [*MASKS, *SCALES])
def test_the_loss_is_minus_the_bound_and_pyros_without_gradients(case, k):
    model, guide, x = (MASKS | SCALES)[case]()
    objective = Trace_ELBO(k)
    loss, _ = run(objective, model, guide, x)
    assert loss == -objective.bound.sum().item()
    torch.manual_seed(1)
    with pyro.validation_enabled(False):
        expected = pyro.infer.Trace_ELBO(k, max_plate_nesting=1, vectorize_particles=True).loss(model, guide, x)
    assert loss == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", ["Trace_ELBO", "TraceMeanField_ELBO"])
@each_k
def test_the_weight_of_the_kl_is_a_scale_around_z(name, k):
    """In Pyro the KL is weighed by ``poutine.scale`` around z; with masks, both are one loss and one gradient."""
    weighed = {"x": [mask(FEW)], "z": [mask(OTHERS), scale(0.3)]}
    theirs = getattr(pyro.infer, name)(k, max_plate_nesting=1, vectorize_particles=True)
    expected = run(theirs, *pair(weighed))
    objective = {"Trace_ELBO": Trace_ELBO, "TraceMeanField_ELBO": TraceMeanField_ELBO}[name](k)
    objective.kl_weight = 0.3
    assert_same(run(objective, *pair({"x": [mask(FEW)], "z": [mask(OTHERS)]})), expected)


@each_k
def test_factors_of_the_guide_count_as_in_pyro(k):
    for handlers in ({}, {"factor": [mask(FEW)]}, {"factor": [scale(0.3)]}):
        for ours, theirs in SUMS:
            torch.manual_seed(0)
            model, guide, x = Story(), Reader(handlers, factor=True), torch.randn(N, P)
            expected = run(theirs(k, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
            assert_same(run(ours(k), model, guide, x), expected)


@each_k
def test_the_model_draws_what_the_guide_leaves_out_as_in_pyro(k):
    torch.manual_seed(0)
    model, guide, x = Story(obs_mask=FEW), Reader(), torch.randn(N, P)
    with pytest.warns(UserWarning, match="x_unobserved"):
        expected = run(pyro.infer.Trace_ELBO(k, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
    with pytest.warns(UserWarning, match="x_unobserved"):
        assert_same(run(Trace_ELBO(k), model, guide, x), expected)
    for objective in (TraceMeanField_ELBO(k), TraceEnum_ELBO(k)):
        with pyro.validation_enabled(False), pytest.raises(InputError, match="guide has no site 'x_unobserved'"):
            run(objective, model, guide, x)


class Labelled(Program):
    """y ~ Categorical, z ~ N(0, 1), x ~ N(mu_y + z, 1)."""

    def __init__(self, handlers: dict[str, Handlers]):
        super().__init__(handlers)
        self.mu = nn.Parameter(torch.randn(3, P))

    def forward(self, x: Tensor) -> None:
        announce(self)
        with self.plate(x):
            with self.around("y"):
                y = pyro.sample("y", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
            with self.around("z"):
                z = pyro.sample("z", dist.Normal(torch.zeros(()), 1.0))
            with self.around("x"):
                pyro.sample("x", dist.Normal(self.mu[y] + z[..., None], 1.0).to_event(1), obs=x)


class Labels(Program):
    """q(y|x) q(z|x, y), with y enumerated."""

    def __init__(self, handlers: dict[str, Handlers]):
        super().__init__(handlers)
        self.weight = nn.Parameter(torch.randn(P, 3))
        self.move = nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> None:
        announce(self)
        with self.plate(x):
            with self.around("y"):
                y = pyro.sample("y", dist.Categorical(logits=x @ self.weight), infer={"enumerate": "parallel"})
            with self.around("z"):
                pyro.sample("z", dist.Normal(self.move[y] + x.sum(-1), 0.7))


@each_k
@pytest.mark.parametrize(
    "handlers",
    [
        {"x": [mask(FEW)]},
        {"y": [mask(FEW)]},
        {"z": [mask(False)]},
        {"x": [scale(2.0)], "y": [scale(0.3)], "z": [scale(0.1), mask(OTHERS)]},
        {"y": [scale(torch.rand(N) + 0.1), mask(FEW)]},
    ],
    ids=["x", "y", "z", "all scaled", "y masked, scaled by image"],
)
def test_enumerated_sites_count_as_in_pyro(handlers, k):
    torch.manual_seed(0)
    model, guide, x = Labelled(handlers), Labels(handlers), torch.randn(N, P)
    theirs = pyro.infer.TraceEnum_ELBO(k, max_plate_nesting=1, vectorize_particles=True)
    assert_same(run(TraceEnum_ELBO(k), model, guide, x), run(theirs, model, guide, x))


@each_k
def test_what_all_images_share_counts_once(k):
    x = torch.randn(N, P)
    for ours, theirs in SUMS[:2]:
        expected = run(theirs(k, max_plate_nesting=1, vectorize_particles=True), Global(True), Global(False), x)
        assert_same(run(ours(k), Global(True), Global(False), x), expected)


def test_sites_in_further_plates_are_summed():
    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(P, 1))

        def forward(self, x: Tensor) -> None:
            announce(self)
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(torch.zeros(()), 1.0))
                with pyro.plate("pixels", P, dim=-2), poutine.mask(mask=PIXELS.T):
                    pyro.sample("x", dist.Normal(self.weight * z, 1.0), obs=x.T)

    class Encoder(Pixels):
        def forward(self, x: Tensor) -> None:
            announce(self)
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal((x @ self.weight)[:, 0], 1.0))

    model, guide, x = Pixels(), Encoder(), torch.randn(N, P)
    with pyro.validation_enabled(False):
        for (ours, _), name in zip(SUMS[:2], NAMES, strict=False):
            objective = ours(1)
            assert_same(
                run(objective, model, guide, x), run(getattr(pyro.infer, name)(max_plate_nesting=2), model, guide, x)
            )
            assert objective.terms.kl.shape == (N,)
        with pytest.raises(InputError, match=r"TraceEnum_ELBO has one plate.*site 'x' lies in another"):
            run(TraceEnum_ELBO(1), model, guide, x)
