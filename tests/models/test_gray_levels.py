"""Likelihoods of gray levels against sums over the levels, and the number of levels as read from the data."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import pyro_vae
from pyro_vae.data import load_data
from pyro_vae.data.levels import levels_of
from pyro_vae.distributions import levels as on_levels
from pyro_vae.errors import InputError
from pyro_vae.models import BetaBinomial, Categorical, DiscretizedLogistic

KINDS = {
    "logistic": DiscretizedLogistic,
    "logistic decoded": lambda shape, levels: DiscretizedLogistic(shape, levels, "decoded"),
    "categorical": Categorical,
    "beta-binomial": BetaBinomial,
    "beta-binomial decoded": lambda shape, levels: BetaBinomial(shape, levels, "decoded"),
}
SMALL = {"epochs": 1, "latent_dim": 2, "engine": "eager", "device": "cpu", "final_samples": 2, "quiet": True}
ONE = (1, 1, 1)


@pytest.mark.parametrize("spread", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("name", KINDS)
def test_masses_sum_to_one_and_have_the_mean_and_the_samples(name, levels, spread):
    torch.manual_seed(levels)
    likelihood = KINDS[name](ONE, levels)
    output = spread * torch.randn(likelihood.output_shape).double()
    values = torch.linspace(0, 1, levels, dtype=torch.float64).reshape(-1, 1, 1, 1)
    p = likelihood.double()(output)
    mass = p.log_prob(values).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-9)
    mean, square = (mass * values.flatten() ** power for power in (1, 2))
    assert p.mean.item() == pytest.approx(mean.sum().item(), abs=1e-9)
    deviation = max(0.0, square.sum().item() - mean.sum().item() ** 2) ** 0.5
    drawn = likelihood(output.expand(20_000, *output.shape)).sample().flatten()
    assert abs(drawn.mean().item() - mean.sum().item()) < 5 * deviation / 20_000**0.5 + 1e-6
    assert torch.isin((drawn * (levels - 1)).round(), torch.arange(levels).double()).all()
    single = likelihood.float()(output.float()).log_prob(values.float())
    assert single.double().exp().sum().item() == pytest.approx(1, abs=2e-3)


def test_a_discretized_logistic_is_a_difference_of_distribution_functions():
    likelihood = DiscretizedLogistic(ONE, 17)
    scale = 0.1 + 0.01 / 16
    for location in (-0.2, 0.03, 0.5, 1.4):
        p = likelihood(torch.full(ONE, location))
        for k in range(17):
            edges = [-np.inf if k == 0 else (k - 0.5) / 16, np.inf if k == 16 else (k + 0.5) / 16]
            expected = np.diff(stats.logistic.cdf(edges, location, scale))[0]
            assert p.log_prob(torch.full(ONE, k / 16)).exp().item() == pytest.approx(expected, rel=1e-3)


def test_a_beta_binomial_is_that_of_scipy():
    likelihood = BetaBinomial(ONE, 17)
    mean, concentration = 0.7, 4.0
    p = likelihood(torch.full(ONE, math.log(mean / (1 - mean))))
    for k in range(17):
        expected = stats.betabinom.logpmf(k, 16, mean * concentration, (1 - mean) * concentration)
        assert p.log_prob(torch.full(ONE, k / 16)).item() == pytest.approx(expected, abs=1e-4)


def images(levels: int, kind: str) -> np.ndarray:
    numbers = np.random.default_rng(0).integers(0, levels, (40, 4, 4))
    return {
        "uint8": (numbers * (255 // (levels - 1))).astype(np.uint8),
        "float32": (numbers / (levels - 1)).astype(np.float32),
        "float64": numbers / (levels - 1),
    }[kind]


@pytest.mark.parametrize("levels", [4, 16, 256])
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_levels_are_read_from_the_data(levels, kind):
    array = images(levels, kind)
    assert levels_of(load_data("x", given=array)) == levels


def test_what_has_no_levels_is_one_line():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"on no 1,024 evenly spaced levels"):
        levels_of(load_data("x", given=rng.random((40, 8, 8))))
    with pytest.raises(InputError, match=r"levels lie in \[0, 1\]"):
        levels_of(load_data("x", given=rng.normal(size=(40, 8, 8))))
    with pytest.raises(ValueError, match=r"Categorical takes 2 to 1,024 levels, not 65,536: --likelihood DiscretizedL"):
        Categorical(ONE, 65536)
    with pytest.raises(ValueError, match="needs the number of levels"):
        Categorical(ONE)


@pytest.mark.parametrize("name", ["DiscretizedLogistic", "Categorical", "BetaBinomial"])
def test_a_run_keeps_the_levels_that_it_read(name, tmp_path):
    pyro_vae.train(data="digits", likelihood=name, out=str(tmp_path / "run"), **SMALL)
    run = pyro_vae.load(tmp_path / "run")
    assert run.model.likelihood.levels == 17
    assert "levels: 17" in (tmp_path / "run" / "config.yaml").read_text()
    x = load_data("digits").test.batch(slice(0, 3)).numpy()
    assert np.isfinite(pyro_vae.score(run, x, "amortized", 30).log_evidence).all()
    with pytest.raises(InputError, match="x has pixels between the 17 levels that the run saw"):
        pyro_vae.score(run, x * 0.97, "amortized", 30)


def test_levels_that_do_not_hold_the_data_are_refused(tmp_path):
    named = {"class_path": "Categorical", "init_args": {"levels": 9}}
    with pytest.raises(InputError, match="digits has pixels on 17 levels, which 9 levels do not hold: leave out"):
        pyro_vae.train(data="digits", likelihood=named, out=str(tmp_path / "run"), **SMALL)
    finer = {"class_path": "DiscretizedLogistic", "init_args": {"levels": 33}}
    pyro_vae.train(data="digits", likelihood=finer, out=str(tmp_path / "run"), **SMALL)


@pytest.fixture
def uniform_run(tmp_path):
    """Makes a run on 16 levels whose p(x|z) is uniform: its entropy is 4 bits for each pixel."""

    def made(data, **options):
        linear = {"latent_dim": 1, "decoder": "LinearDecoder", "likelihood": "Categorical", "lr": 1e-30}
        pyro_vae.train(data=data, out=str(tmp_path / "run"), **{**SMALL, **linear, "quiet": False, **options})
        folder = pyro_vae.load(tmp_path / "run").folder
        for which in ("best", "last"):
            state = folder.restore(which)
            for weight in state["model"].values():
                weight.zero_()
            folder.save(which, state)
        return folder.path

    return made


def test_bits_per_dimension_are_the_entropy_of_a_known_model(uniform_run):
    from pyro_vae.evaluate import evaluate
    from pyro_vae.metrics.options import Options

    x = images(16, "uint8")
    options = Options(images=4, evidence_images=4, gap_images=4, iwae_samples=20, elbo_samples=2)
    found = evaluate([uniform_run(x)], options, ["elbo", "iwae", "evidence"], False, quiet=True, data=x)[0]["test"]
    exact = found["evidence"].estimates["log_evidence_bits"]
    assert exact.value == pytest.approx(4, abs=1e-3)
    assert (exact.unit, exact.bound) == ("bits per dimension", "upper")
    elbo = found["elbo"].estimates
    assert elbo["elbo_bits"].value == pytest.approx(-elbo["elbo"].value / (16 * math.log(2)))
    assert elbo["elbo_bits"].bound == "upper"
    assert elbo["elbo_bits"].value >= 4
    assert -elbo["log_likelihood"].value / (16 * math.log(2)) == pytest.approx(4, abs=1e-6)
    assert found["iwae"].estimates["iwae_bits"].value == pytest.approx(4, abs=0.3)


def test_bits_are_those_of_the_seen_values(uniform_run, tmp_path):
    """Where most pixels are missing, the same uniform p(x|z) still has 4 bits for each that is seen."""
    from pyro_vae.evaluate import evaluate
    from pyro_vae.metrics.options import Options

    x = images(16, "float32")
    x[np.random.default_rng(1).random(x.shape) < 0.7] = np.nan
    path = uniform_run(x, missing="mask")
    options = Options(images=4, evidence_images=4, iwae_samples=20)
    found = evaluate([path], options, ["iwae", "evidence"], False, quiet=True, data=x)[0]["test"]
    assert found["evidence"].estimates["log_evidence_bits"].value == pytest.approx(4, abs=1e-3)
    assert found["iwae"].estimates["iwae_bits"].value == pytest.approx(4, abs=0.3)


def test_a_run_ends_with_bits_where_its_likelihood_is_discrete(tmp_path, capsys):
    options = {**SMALL, "quiet": False}
    for likelihood, bits in (("DiscretizedLogistic", True), ("Bernoulli", True), ("Gaussian", False)):
        out = tmp_path / likelihood
        pyro_vae.train(data="digits", likelihood=likelihood, out=str(out), **options)
        test = pyro_vae.load(out).folder.read_metrics()["test_elbo"]
        said = capsys.readouterr().out
        assert ("bits_per_dimension" in test) == bits
        if bits:
            assert test["bits_per_dimension"] == pytest.approx(-test["value"] / (64 * math.log(2)))
            assert f"; {test['bits_per_dimension']:.3f} bits per dimension" in said
        else:
            assert "bits per dimension" not in said


def test_compare_settles_the_levels_as_a_run_does():
    from pyro_vae.options import settings_of
    from pyro_vae.training.settled import settled_by

    data = load_data("digits")
    found = settled_by(data, settings_of({"likelihood": "BetaBinomial"}))["likelihood"]
    assert found["init_args"] == {"concentration": "learned", "levels": 17}
    given = {"class_path": "BetaBinomial", "init_args": {"levels": 33}}
    assert settled_by(data, settings_of({"likelihood": given})) == {}
    assert settled_by(data, settings_of({})) == {"likelihood": "Gaussian"}


@pytest.mark.parametrize("levels", [256, 4096, 65536])
@pytest.mark.parametrize("concentration", [0.01, 4.0, 1000.0])
def test_masses_of_a_beta_binomial_in_single_precision_are_those_of_scipy(levels, concentration):
    for mean in (0.5, 0.1, 1e-3):
        alpha, beta = torch.tensor(concentration * mean), torch.tensor(concentration * (1 - mean))
        found = on_levels.BetaBinomial(levels, alpha, beta).log_masses()
        assert found.dtype == torch.float32
        assert found.double().exp().sum().item() == pytest.approx(1, abs=1e-6)
        expected = stats.betabinom.logpmf(np.arange(levels), levels - 1, alpha.double().item(), beta.double().item())
        np.testing.assert_allclose(found.double().numpy(), expected, rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 3), (3,), (4, 2, 3)])
def test_a_categorical_that_is_expanded_keeps_its_masses(shape):
    torch.manual_seed(0)
    own = on_levels.CategoricalLevels(torch.randn(2, 3))
    wide = own.expand(shape)
    assert wide.batch_shape == torch.Size(shape)
    torch.testing.assert_close(
        wide.log_masses(), own.log_masses().reshape(2, *[1] * (len(shape) - 1), 3).expand(2, *shape)
    )
    for value in (0.0, 1.0):
        x = torch.full(shape, value)
        torch.testing.assert_close(wide.log_prob(x), own.log_prob(x))
