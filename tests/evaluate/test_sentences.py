"""evaluate ends with sentences: what the figures mean and what to do."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from guides import IAF, MLPEncoder
from pyro_vae import evaluate
from pyro_vae.estimators import Estimate, LocalOptimization
from pyro_vae.estimators.importance import LIMIT
from pyro_vae.estimators.sampling import silent
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.evaluate.sentences import sentences
from pyro_vae.metrics import Options, Task
from pyro_vae.metrics.free_gap import FreeGap
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal


def found(metric, error=0.1, samples=2000, estimator="", **values):
    estimates = {name: Estimate(value, error, estimator, samples, 100) for name, value in values.items()}
    source = "simulated" if metric in ("calibration", "ranks") else "test"
    return {source: {metric: Entry({}, 0.0, estimates, None)}}


def gap(inference, approximation, amortization, settled=1.0):
    parts = {"approximation_gap": approximation, "amortization_gap": amortization}
    return found("gap", inference_gap=inference, **parts, settled=settled)


def judged(mass=0.9, mean=0.0, ratio=0.0, correlation=0.0, c2st=0.5):
    values = {"coverage_90": abs(mass - 0.9), "mass_90": mass, "c2st": c2st, "kl_to_q": 1.5}
    errors = {"mean_error": mean, "log_scale_ratio": ratio, "correlation_error": correlation}
    return found("judgement", **values, **errors)


def ranked(plain, knowing, coverage=0.9):
    p_values = {"dimensions_p": plain, "densities_p": plain, "tarp_p": knowing, "quantities_p": knowing}
    return found("ranks", **p_values, expected_coverage_90=coverage)


def predicted(p, **own):
    """Of the whole check, and of each quantity by its short name."""
    shares = {f"prior_unusual_{name}": 0.1 for name in own}
    return found("predictive", prior_predictive_p=p, **shares, **{f"prior_p_{name}": q for name, q in own.items()})


both = found("importance", unreliable=0.9)
both["test"] |= found("evidence", log_evidence=1.0, evidence_change=0.0, several_modes=0.0)["test"]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (
            found("importance", unreliable=0.9),
            "for 90% of the images: a number from importance weights, such as iwae, cannot be trusted.*--only evidence",
        ),
        (both, "Use log_evidence"),
        (found("importance", unreliable=0.01), "k-hat is at most 0.7 for 99% of the images"),
        (gap(3.0, 2.0, 1.0), "the family's, so try a richer guide"),
        (gap(3.0, 1.0, 2.0), "the encoder's, so try a larger encoder"),
        (gap(0.1, 0.1, 0.0), "No inference gap is shown"),
        (gap(0.1, 0.1, 0.0, settled=0.5), "not at rest for 50% of the images.*--local.max-steps"),
        (found("units", collapsed=1.0), "q.z.x. may be the prior for every image. Try --beta Linear"),
        (found("units", collapsed=1.0, active_directions=0.02), "q.z.x. is the prior for every image, or nearly. Try"),
        (found("units", collapsed=1.0, active_directions=1.9), "move about 2 directions of z, although no dimension"),
        (
            found("units", collapsed=0.0, active_units=9.0, active_directions=7.0),
            "move about 7 directions of z, although 9 dimensions",
        ),
        (
            found("units", collapsed=0.0, active_units=4.0, active_directions=1.2),
            "move about 1 direction of z, although 4",
        ),
        (found("calibration", calibration=0.001), "not calibrated .p = 0.001."),
        (found("calibration", calibration=0.5), "no error of the posterior's calibration is shown"),
        (judged(), "cannot be told from the true posterior"),
        (judged(0.3, ratio=-0.69, c2st=0.7), "hold 30% of the true .* 1.50 nats.: its scales are 50% too narrow[.]"),
        (judged(0.97, ratio=0.69, c2st=0.7), "its scales are 99% too wide[.]"),
        (
            judged(0.6, mean=1.5, correlation=0.3),
            "off by 1.5 posterior .* deviations and its correlations are off by 0.30",
        ),
        (judged(0.8, c2st=0.6), "no moment of it is far off"),
        (ranked(0.5, 0.5), "ranks, coverage and TARP show no error of q"),
        (ranked(0.5, 1e-9), "q does not use all that the image says of z"),
        (ranked(1e-9, 1e-9, 0.4), "for 40% of simulated images: q is overconfident"),
        (ranked(1e-9, 1e-9, 0.97), "for 97% of simulated images: q is too wide"),
        (found("ranks", dimensions_p=1e-9, tarp_p=0.5, quantities_p=0.5), "a test fails"),
        (
            predicted(0.6, mean=0.2, spread=0.5, roughness=1.0),
            r"In mean of pixels, spread of pixels and roughness the model's images are like the data \(p = 0.6\)",
        ),
        (
            predicted(3e-9, mean=0.01, spread=1e-9, roughness=1e-3),
            r"most in spread of pixels \(p = 3e-09 if they were alike",
        ),
        (
            predicted(0.0, mean=0.0, spread=0.0, roughness=0.4),
            "most in mean of pixels and spread of pixels .p < 1e-300",
        ),
        (predicted(0.6, mean_of_columns=0.3, spread_of_columns=0.5), "In mean of columns and spread of columns the"),
        (
            found("free_gap", networks_gain=0.6, approximation_gap_free=0.9, settled_free=1.0),
            "gains 0.60 nats: the family itself loses 0.90 nats.*; the rest of the approximation gap",
        ),
        (
            found("free_gap", networks_gain=0.6, approximation_gap_free=0.9, settled_free=0.2),
            "gains at least 0.60 nats: .* loses at most 0.90 nats .*; at least the rest .* not at rest for 80% of the"
            " images: raise --free-gap.max-steps",
        ),
        (
            found("free_gap", networks_gain=0.1, approximation_gap_free=0.9, settled_free=1.0),
            "the split of the gap holds for the family",
        ),
        (
            found("free_gap", networks_gain=0.1, approximation_gap_free=0.9, settled_free=0.0),
            "does no better so far .* not at rest for 100% of the images",
        ),
    ],
)
def test_each_metric_has_its_sentences(measured, words):
    lines = sentences(measured)
    assert len([line for line in lines if re.search(words, line)]) == 1
    assert all(line.endswith(".") for line in lines)


def test_a_search_that_is_not_at_rest_gives_bounds():
    """One check of one image: there is a gain, so patience begins anew and the search has not come to rest."""
    torch.manual_seed(0)
    model = VAE(MLPDecoder(2, (1, 8, 8)), Bernoulli((1, 8, 8)), StandardNormal(2))
    run = SimpleNamespace(model=model, guide=IAF(MLPEncoder((1, 8, 8)), 2))
    known = {"elbo": torch.tensor([-46.0]), "log_evidence": torch.tensor([-44.0]), "elbo_best": torch.tensor([-45.5])}
    local = LocalOptimization(num_samples=2, check_every=5, max_steps=5, patience=1)

    def found(steps):
        options = Options(local=replace(local, max_steps=steps), best_samples=10)
        task = Task(run, torch.ones(1, 1, 8, 8), options, 0, silent, lambda _, name: known[name])
        return FreeGap(1, 2, steps).measure(task).estimates

    moving, still = found(5), found(2000)
    assert (moving["settled_free"].value, still["settled_free"].value) == (0, 1)
    assert (moving["approximation_gap_free"].bound, moving["networks_gain"].bound) == ("upper", "lower")
    assert (still["approximation_gap_free"].bound, still["networks_gain"].bound) == (None, None)


def test_nothing_else_is_said():
    assert len(sentences(found("importance", unreliable=0.9))) == 1
    assert len(sentences(gap(3.0, 2.0, 1.0))) == 1
    assert len(sentences(gap(3.0, 2.0, 1.0, settled=0.5))) == 2


def test_overfitting_is_said_where_it_is_beyond_its_error():
    def both(train, error):
        values = {"train": train, "test": 10.0}
        return {source: found("elbo", elbo=value, error=error)["test"] for source, value in values.items()}

    assert "2.00 nats above that of test images: the run overfits" in sentences(both(12.0, 0.1))[0]
    assert sentences(both(12.0, 2.0)) == []
    assert sentences(both(10.2, 0.01)) == []


def test_what_is_unremarkable_or_unknown_is_not_said():
    assert sentences(found("free_gap", networks_gain=0.0, approximation_gap_free=0.9, settled_free=1.0)) == []
    assert sentences(found("units", collapsed=0.0, active_units=3.0, active_directions=3.0)) == []
    assert sentences(found("units", collapsed=0.0, active_units=5.0, active_directions=4.8)) == []
    assert sentences(found("mmd", mmd=3.0)) == []
    assert sentences(found("of_another_package", mmd=3.0)) == []


def test_evaluate_prints_them_below_its_table_with_the_threshold_of_the_table(train, capsys):
    folder = train("run", "--guide", "MeanField")
    capsys.readouterr()
    options = Options(images=20, importance_samples=100, elbo_samples=5)
    evaluate.evaluate([folder.path], options, ["importance"], train=False)
    said = capsys.readouterr().out
    assert f"above {LIMIT}" in " ".join(said.split())
    assert any(line.startswith("k-hat is ") and f"{LIMIT} for" in line for line in said.splitlines())
    assert said.splitlines()[-1].startswith("metrics: ")
