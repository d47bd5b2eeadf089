"""Masks and scales that have no meaning for an objective are refused; captured steps follow eager ones."""

import math

import pyro
import pyro.infer
import pytest
import torch
from handled import (
    FEW,
    MASKS,
    OTHERS,
    SCALES,
    Global,
    N,
    P,
    Reader,
    Story,
    assert_same,
    mask,
    pair,
    run,
)
from pyro import poutine
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_vae.engine import SVI, resident
from pyro_vae.errors import InputError
from pyro_vae.objectives import (
    IWAE,
    DReG,
    Objective,
    RenyiELBO,
    Trace_ELBO,
    elbo_terms,
)

pytestmark = pytest.mark.usefixtures("_double")


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
    with pytest.raises(InputError, match="3 rows for 5 images"):
        elbo_terms(*pair(take=3))


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
