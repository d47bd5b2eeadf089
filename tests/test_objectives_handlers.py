"""Pyro's handlers around a site count in every objective as in Pyro's own, and are refused where they mean nothing."""

import math

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
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_vae.engine import SVI, resident
from pyro_vae.errors import InputError
from pyro_vae.objectives import (
    IWAE,
    DReG,
    Objective,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
    elbo_terms,
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


# Against Pyro's own estimators, with the same random numbers.


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


# What has no meaning.


@pytest.mark.parametrize("case", ["KL", "likelihood", "a tensor", "a plate of more", "the guide's z alone"])
@pytest.mark.parametrize("objective", [IWAE, DReG, lambda k: RenyiELBO(0.4, k)], ids=["IWAE", "DReG", "RenyiELBO"])
def test_a_fraction_of_an_image_is_refused_where_it_has_no_meaning(objective, case):
    model, guide, x = SCALES[case]()
    site = "x" if case == "likelihood" else "z"
    with pytest.raises(
        InputError, match=rf"^\w+ weighs whole images, and site '{site}' has a scale .*: leave it out"
    ) as e:
        run(objective(3), model, guide, x)
    assert "\n" not in str(e.value)


def test_renyi_of_order_one_is_the_elbo_and_takes_a_scale():
    expected = run(Trace_ELBO(3), *SCALES["KL"]())
    assert_same(run(RenyiELBO(1.0, 3), *SCALES["KL"]()), expected)


def test_a_weight_of_each_particle_is_refused_where_images_are_weighed_one_by_one():
    x = torch.randn(N, P)

    for share, said in (
        (0.4, "weighs whole images, and site 'w' has a scale"),
        (1.0, "site 'w' is drawn once for all"),
    ):
        with pytest.raises(InputError, match=f"IWAE .*{said}"):
            run(IWAE(3), Global(True, share), Global(False, share), x)
    one = run(IWAE(1), Global(True), Global(False), x)[0]
    assert one == pytest.approx(run(Trace_ELBO(1), Global(True), Global(False), x)[0], rel=1e-12)


def test_a_mask_over_the_pixels_of_a_site_is_refused_in_words():
    for wrong in (torch.ones(P, N).bool(), torch.ones(P, 1).bool()):
        model, guide, x = pair({"x": [mask(wrong)]})
        with pyro.validation_enabled(False), pytest.raises(InputError, match=r"site 'x' .* Distribution\.mask"):
            run(Trace_ELBO(1), model, guide, x)


def test_terms_of_each_image_are_not_those_of_a_few():
    with pytest.raises(InputError, match="takes 3 of the 5 images"):
        elbo_terms(*pair(take=3))


# The engine's way.


@pytest.mark.parametrize(
    "name", ["Trace_ELBO", "TraceMeanField_ELBO", "TraceEnum_ELBO", "IWAE", "RenyiELBO", "STL", "DReG"]
)
def test_a_captured_step_masks_as_the_eager_one(name):
    """With a mask that the data say, too: a value that is not known is not a number."""

    class Missing(Story):
        def forward(self, x: Tensor) -> None:
            known = x.isfinite()
            self.pixels, self.handlers = known, {"x": [mask(FEW)], "z": [mask(OTHERS)]}
            super().forward(x.nan_to_num(0.0))

    class Found(Reader):
        def forward(self, x: Tensor) -> None:
            super().forward(x.nan_to_num(0.0))

    objective: Objective = {c.__name__: c for c in Objective.__subclasses__()}[name](num_particles=3)
    torch.manual_seed(0)
    module = objective(Missing(), Found({"z": [mask(OTHERS)]}))
    x, other = torch.randn(2, N, P)
    x[0, 1] = other[2, 2] = other[3, 0] = math.nan

    def step(images: Tensor) -> list[Tensor]:
        loss = module(images)
        return [loss, *torch.autograd.grad(loss, list(module.parameters()))]

    with resident():
        captured = make_fx(step)(x)
        torch.manual_seed(7)
        eager = step(other)
        torch.manual_seed(7)
        for a, b in zip(eager, captured(other), strict=True):
            assert a.isfinite().all()
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not [node for node in captured.graph.nodes if "_local_scalar_dense" in str(node.target)]


@pytest.mark.parametrize("case", ["images and latents", "mask and scale", "a plate of more, masked"])
def test_captured_training_with_handlers_follows_pyros(case):
    """Ten steps of gradient descent: the captured step of our objective, and Pyro's ELBO by autograd."""
    (model, guide, x), (theirs, their_guide, _) = ((MASKS | SCALES)[case]() for _ in range(2))
    parameters = [*model.parameters(), *guide.parameters()]
    svi = SVI(model, guide, torch.optim.SGD(parameters, lr=1e-4), Trace_ELBO(3), engine="captured")
    their_parameters = [*theirs.parameters(), *their_guide.parameters()]
    descent = torch.optim.SGD(their_parameters, lr=1e-4)
    pyros = pyro.infer.Trace_ELBO(3, max_plate_nesting=1, vectorize_particles=True)
    torch.manual_seed(7)
    found = [svi.step(x) for _ in range(10)]
    torch.manual_seed(7)
    expected = []
    for _ in range(10):
        descent.zero_grad()
        with poutine.trace(param_only=True), pyro.get_param_store().scope():
            expected.append(pyros.loss_and_grads(theirs, their_guide, x))
        descent.step()
    assert found == pytest.approx(expected, rel=1e-9)
    for a, b in zip(parameters, their_parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
