"""The measurement of held-out images: in pieces, compiled, kept."""

import numpy as np
import pytest
import torch

import pyro_vae
from guides import GUIDES, MLPEncoder
from guides.fed import Fed
from pyro_vae.data import Binarizer, Images
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.nn import Seen
from pyro_vae.objectives import elbo_terms
from pyro_vae.seeds import seeded
from pyro_vae.training import held_out
from pyro_vae.training.held_out import HeldOut, held_out_terms

SHAPE, LATENT = (1, 4, 4), 8
BINARY = Binarizer(True)


@pytest.fixture
def pair():
    torch.manual_seed(0)
    model = VAE(MLPDecoder(LATENT, SHAPE, [8]), Bernoulli(SHAPE), StandardNormal(LATENT))
    return model.eval(), GUIDES["FullRank"](MLPEncoder(SHAPE, [8]), LATENT).eval()


@pytest.fixture
def images():
    return Images(np.random.default_rng(0).random((60, *SHAPE), np.float32))


@pytest.mark.parametrize("num_samples", [1, 12, 13])
def test_pieces_give_the_numbers_of_one_pass(pair, images, num_samples, monkeypatch):
    with seeded(0):
        (x,) = BINARY.held_out(images, 60)
        expected = elbo_terms(*pair, x, num_samples)
    sizes = []
    monkeypatch.setattr(held_out, "PIECE", 16 * 30 if num_samples == 1 else 16 * 60 * 4)
    whole = held_out.Measured.__call__

    def spy(self, x, y=None, eagerly=False):
        sizes.append(len(x) * self.program.num_particles)
        return whole(self, x, y, eagerly)

    monkeypatch.setattr(held_out.Measured, "__call__", spy)
    found = held_out_terms(*pair, images, BINARY, num_samples)
    assert max(sizes) <= 240
    assert sum(sizes) == 60 * num_samples
    assert len(sizes) > 1
    for term, whole_term in zip(found, expected, strict=True):
        torch.testing.assert_close(term, whole_term.mean(0), rtol=1e-5, atol=1e-5)


def test_compiled_it_gives_the_eager_numbers_also_after_the_weights_changed(pair, images, monkeypatch):
    monkeypatch.setattr(held_out, "PIECE", 16 * 60 * 4)
    compiled, eager = HeldOut(*pair, BINARY, values=1e9), HeldOut(*pair, BINARY)
    for _ in range(2):
        for term, expected in zip(compiled.terms(images, 8), eager.terms(images, 8), strict=True):
            torch.testing.assert_close(term, expected, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            for parameter in pair[0].parameters():
                parameter.mul_(1.5)
    (measured,) = compiled._measured.values()
    assert [graph.run is not graph.module for graph in measured.captured.graphs] == [True]
    assert next(iter(eager._measured.values())).captured is None


def test_images_that_come_again_are_binarised_once(pair, images, monkeypatch):
    calls = []
    draw = Binarizer.__call__
    monkeypatch.setattr(Binarizer, "__call__", lambda *given: calls.append(1) or draw(*given))
    again, once = HeldOut(*pair, BINARY, again=True), HeldOut(*pair, BINARY)
    first, second = again.terms(images, 1), again.terms(images, 1)
    assert len(calls) == 1
    assert torch.equal(first.log_likelihood, second.log_likelihood)
    assert torch.equal(first.log_likelihood, once.terms(images, 1).log_likelihood)


@pytest.mark.parametrize("again", [False, True])
def test_missing_pixels_stay_missing_also_where_images_are_kept(pair, images, again):
    model, guide = pair
    model.likelihood.allows_missing = True
    guide.encoder = Fed(Seen(SHAPE, mask=False), guide.encoder)
    images.pixels[7:20, 0, :2] = np.nan
    binarizer = Binarizer(True, missing=True)
    with seeded(0):
        (x,) = binarizer.held_out(images, 60)
        expected = elbo_terms(model, guide, x, 1).log_likelihood.flatten()
    assert np.array_equal(x.isnan().numpy(), np.isnan(images.pixels))
    measured = HeldOut(model, guide, binarizer, again=again)
    for _ in range(2):
        torch.testing.assert_close(measured.terms(images, 1).log_likelihood, expected)


@pytest.mark.parametrize(("engine", "compiles"), [("auto", True), ("eager", False)])
def test_a_run_too_short_to_compile_its_steps_compiles_its_last_measurement(tmp_path, monkeypatch, engine, compiles):
    made = []
    monkeypatch.setattr(held_out, "REPAYS", 1e6)  # a hundred draws for each of the test images decode more
    begin = HeldOut.__init__
    monkeypatch.setattr(HeldOut, "__init__", lambda self, *a, **k: begin(self, *a, **k) or made.append(self))
    pyro_vae.train(data="digits", epochs=1, engine=engine, final_samples=100, quiet=True, out=tmp_path / "run")
    assert [measured.compiles for measured in made] == [False, compiles]
