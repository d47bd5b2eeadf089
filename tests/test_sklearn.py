"""The scikit-learn transformer: scikit-learn's own checks, and its numbers against the model's."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pyro_vae.sklearn import VAETransformer

SMALL = {"encoder.hidden_dims": [8], "decoder.hidden_dims": [8], "final_samples": 2}


@parametrize_with_checks([VAETransformer(latent_dim=2, epochs=1, options=SMALL)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().data[:400]


@pytest.fixture(scope="module")
def fitted(digits) -> VAETransformer:
    return VAETransformer(latent_dim=3, epochs=3, random_state=0, options=SMALL).fit(digits[:300])


def test_it_is_quiet_and_leaves_nothing(digits, capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = torch.get_rng_state()
    VAETransformer(epochs=1, options=SMALL).fit(digits)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_seed_gives_the_same_features(digits, fitted):
    again = clone(fitted).fit(digits[:300])
    assert np.array_equal(fitted.transform(digits), again.transform(digits))
    other = clone(fitted).set_params(random_state=1).fit(digits[:300])
    assert not np.array_equal(fitted.transform(digits), other.transform(digits))
    revived = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(fitted.transform(digits), revived.transform(digits))


def test_features_are_the_posterior_means(digits, fitted):
    rows = digits[300:]
    standardised = (rows - digits[:300].mean(0)) / np.where(digits[:300].std(0) == 0, 1, digits[:300].std(0))
    x = torch.tensor(standardised, dtype=torch.float32).reshape(-1, 1, 1, 64)
    q = fitted.guide_.posterior(fitted.guide_.amortize(x))
    np.testing.assert_allclose(fitted.transform(rows), q.mean.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert fitted.transform(rows.astype(np.float32)).dtype == np.float32
    assert list(fitted.get_feature_names_out()) == ["vaetransformer0", "vaetransformer1", "vaetransformer2"]


def test_score_is_the_elbo_in_the_units_of_the_rows(digits, fitted):
    """By an ELBO of 4,000 samples computed here; another unit of the features shifts it by the log of the unit."""
    rows = digits[300:340]
    x = torch.tensor((rows - fitted.offset_) / fitted.scale_, dtype=torch.float32).reshape(-1, 1, 1, 64)
    with torch.no_grad():
        q = fitted.guide_.posterior(fitted.guide_.amortize(x))
        z = q.rsample((4000,))
        means = fitted.model_.likelihood(fitted.model_.decoder(z)).mean.flatten(2).double().numpy()
        scale = fitted.model_.likelihood.scale.item()
        spread = -(((x.flatten(1).numpy() - means) / scale) ** 2).sum(-1) / 2 - 64 * np.log(scale * np.sqrt(2 * np.pi))
        kl = (q.log_prob(z) + (z**2).sum(-1) / 2 + 1.5 * np.log(2 * np.pi)).numpy()
    elbos = spread - kl - np.log(fitted.scale_).sum()
    many = clone(fitted).set_params(options={**SMALL, "final_samples": 200}).fit(digits[:300])
    error = elbos.std(0).mean() / np.sqrt(200 * len(rows))
    assert many.score(rows) == pytest.approx(elbos.mean(), abs=6 * error)

    # A power of two, so that nothing is rounded differently; training rows, where constant features are constant.
    scaled = clone(fitted).fit(digits[:300] * 16)
    varying = (digits[:300].std(0) > 0).sum()
    assert 50 < varying < 64
    shift = scaled.score(digits[:40] * 16) - fitted.score(digits[:40])
    assert shift == pytest.approx(-varying * np.log(16), abs=1e-3)


def test_inverse_transform_is_the_decoders_mean(digits, fitted):
    z = np.random.default_rng(0).normal(size=(5, 3))
    with torch.no_grad():
        means = fitted.model_.decoder(torch.tensor(z, dtype=torch.float32)).flatten(1).numpy()
    expected = means * fitted.scale_ + fitted.offset_
    np.testing.assert_allclose(fitted.inverse_transform(z), expected, rtol=1e-5, atol=1e-5)
    trained = VAETransformer(latent_dim=5, epochs=30, lr=5e-3, random_state=0).fit(digits[:300])
    error = ((trained.inverse_transform(trained.transform(digits[300:])) - digits[300:]) ** 2).mean()
    assert error < 0.75 * ((digits[300:] - digits[:300].mean(0)) ** 2).mean()


def test_in_a_pipeline_with_images_and_gray_pixels(digits):
    y = load_digits().target[:400]
    encoder = {"class_path": "ConvEncoder", "init_args": {"channels": [4], "hidden_dim": 16}}
    prior = {"class_path": "VampPrior", "init_args": {"components": 5}}
    vae = VAETransformer(
        5,
        likelihood="ContinuousBernoulli",
        standardize=False,
        image_shape=(1, 8, 8),
        epochs=20,
        batch_size=30,
        lr=5e-3,
        random_state=0,
        options={"encoder": encoder, "prior": prior, "final_samples": 2},
    )
    pipeline = make_pipeline(vae, StandardScaler(), LogisticRegression()).fit(digits[:300] / 16, y[:300])
    assert pipeline.score(digits[300:] / 16, y[300:]) > 0.3  # a guess has 0.1, with a standard error of 0.03
    # With pixels of zeros and ones, the ELBO of a fit must be above that of a fair coin for each.
    coins = clone(vae).set_params(likelihood="Bernoulli", epochs=2).fit(digits[:300] / 16)
    assert -64 * np.log(2) < coins.score(digits[300:] / 16) < 0


def test_what_is_refused(digits, fitted):
    def refused(words: str, **wrong) -> None:
        with pytest.raises(ValueError, match=words):
            VAETransformer(**{"epochs": 1, "options": SMALL, **wrong}).fit(digits)

    refused("does not make 64 features", image_shape=(1, 9, 9))
    refused("validation_fraction must be between", validation_fraction=1.0)
    refused("no guide 'MeanFeild': nearest: MeanField", guide="MeanFeild")
    refused("must lie in", likelihood="Bernoulli")
    refused("options cannot hold data, seed", options={"data": "mnist", "seed": 3})
    refused("epochs must be positive", epochs=0)
    with pytest.raises(ValueError, match="nothing to learn"):
        VAETransformer(epochs=1).fit(np.ones((20, 3)))
    with pytest.raises(ValueError, match="Z must be of shape"):
        fitted.inverse_transform(np.zeros((2, 4)))
    point = VAETransformer(2, guide="Delta", epochs=1, options=SMALL).fit(digits)
    assert point.transform(digits).shape == (400, 2)
    with pytest.raises(ValueError, match="no ELBO"):
        point.score(digits)


def test_a_grid_and_a_random_search_run_over_numpy_numbers(digits):
    X = digits[:60]
    vae = VAETransformer(epochs=1, random_state=np.int64(0), options=SMALL)
    grid = {"latent_dim": np.arange(1, 3), "lr": np.array([1e-3, 1e-2], np.float32)}
    found = GridSearchCV(vae, grid, cv=2, error_score="raise").fit(X)
    assert found.best_estimator_.transform(X).shape == (60, found.best_params_["latent_dim"])
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    space = {"latent_dim": randint(1, 4), "lr": loguniform(1e-4, 1e-2), "standardize": np.array([True, False])}
    found = RandomizedSearchCV(vae, space, n_iter=2, cv=2, random_state=0, error_score="raise").fit(X)
    assert found.best_estimator_.transform(X).shape[0] == 60


@pytest.mark.parametrize("kind", [np.int64, np.array, torch.tensor])
def test_numbers_of_numpy_and_pytorch_are_plain_ones(digits, kind):
    encoder = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": (kind(8), kind(4))}}
    decoder = {"class_path": "MLPDecoder", "init_args": {"hidden_dims": [8]}}
    plain = {"epochs": 1, "batch_size": 50, "latent_dim": 2, "random_state": 0}
    shape = {int: (1, 8, 8), np.int64: np.array([1, 8, 8])}
    given = {name: kind(value) for name, value in plain.items()}
    given["validation_fraction"] = np.float32(0.25)

    def features_of(encoder, shape, **options):
        options = {"options": {"encoder": encoder, "decoder": decoder, "final_samples": 2}, **options}
        return VAETransformer(image_shape=shape, **options).fit(digits[:100]).transform(digits)

    simple = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": [8, 4]}}
    expected = features_of(simple, shape[int], **plain, validation_fraction=0.25)
    np.testing.assert_array_equal(features_of(encoder, shape[np.int64], **given), expected)


def test_rows_whose_channels_are_last_need_the_layout():
    rng = np.random.default_rng(0)
    images = rng.random((60, 3, 6, 5))
    first, last = images.reshape(60, -1), images.transpose(0, 2, 3, 1).reshape(60, -1)
    encoder = {"class_path": "ConvEncoder", "init_args": {"channels": [4], "hidden_dim": 8}}
    options = {"encoder": encoder, "decoder.hidden_dims": [8], "final_samples": 2}
    vae = VAETransformer(2, epochs=2, random_state=0, image_shape=(3, 6, 5), options=options).fit(first)
    with pytest.raises(ValueError, match="looks like height, width, channels"):
        clone(vae).set_params(image_shape=(6, 5, 3)).fit(last)
    layout = {**options, "layout": "channels_last"}
    other = clone(vae).set_params(image_shape=(6, 5, 3), options=layout).fit(last)
    np.testing.assert_allclose(other.transform(last), vae.transform(first), rtol=1e-5, atol=1e-6)
    z = vae.transform(first[:4])
    back = vae.inverse_transform(z).reshape(4, 3, 6, 5).transpose(0, 2, 3, 1).reshape(4, -1)
    np.testing.assert_allclose(other.inverse_transform(z), back, rtol=1e-5, atol=1e-6)
    told = {**options, "layout": "channels_first"}
    assert clone(vae).set_params(image_shape=(6, 5, 3), options=told).fit(last).model_.image_shape == (6, 5, 3)


def test_better_posteriors_give_the_closed_form():
    """A linear-Gaussian model, whose posterior and density are known, with an encoder that has hardly been trained."""
    options = {"model": "LinearGaussian", "decoder": "LinearDecoder"}
    X = load_iris().data
    vae = VAETransformer(latent_dim=2, epochs=2, options=options, random_state=0).fit(X)
    images = torch.from_numpy(vae._images(X[:12]))
    exact = vae.model_.exact_posterior(images)
    spread = exact.stddev.detach().numpy()
    off = abs(vae.transform(X[:12]) - exact.mean.detach().numpy()) / spread
    vae.set_params(posterior="exact")
    repaired = abs(vae.transform(X[:12]) - exact.mean.detach().numpy()) / spread
    assert repaired.max() < 0.25 < off.max()
    density = vae.model_.log_evidence(images).mean().item() - np.log(vae.scale_).sum()
    assert vae.score(X[:12]) == pytest.approx(density, abs=0.05)
    assert vae.set_params(posterior="amortized").score(X[:12]) < density - 0.05
