"""log p(x) is certified on simulated images: temperatures rise until the bracket is small, on fresh images."""

import pytest
import torch
from densities import linear_gaussian

from pyro_vae.estimators import Annealing, Demand, Evidence, certify
from pyro_vae.estimators import certificate as module
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.evaluate.report import certified, worth


def crude(temperatures: int) -> Evidence:
    return Evidence(Annealing(16, temperatures, 5, 0.9, 2))


def test_an_exact_base_is_certified_at_once(monkeypatch):
    monkeypatch.setattr("pyro_vae.estimators.proposal.INFLATION", 0.0)
    model = linear_gaussian(3)
    found = certify(model, None, crude(5), Demand(0.02, 8, 100))
    assert found.met
    assert found.settings.annealing.temperatures == 5
    assert found.bracket.gap.images == 8
    truth_between = found.bracket.lower.value, found.bracket.upper.value
    assert truth_between[0] == pytest.approx(truth_between[1], abs=0.02)


def test_temperatures_are_raised_until_the_tolerance_is_met(monkeypatch):
    monkeypatch.setattr("pyro_vae.estimators.proposal.INFLATION", 0.5)  # a base half as wide again
    monkeypatch.setattr("pyro_vae.estimators.pilot.FACTORS", (1,))
    model = linear_gaussian(10)
    few = certify(model, None, crude(2), Demand(0.05, 24, 3))
    assert not few.met
    assert few.settings.annealing.temperatures == 2
    many = certify(model, None, crude(2), Demand(0.3, 24, 256))
    assert many.met
    assert many.settings.annealing.temperatures > 2
    assert many.reached <= 0.3 < few.reached
    assert many.reached == pytest.approx(many.bracket.gap.value + 2 * many.bracket.gap.standard_error)


def test_what_is_given_was_measured_on_images_that_chose_nothing(monkeypatch):
    seen = []

    def measured(model, guide, settings, images, seeds, progress):
        seen.append((settings.annealing.temperatures, images, seeds))
        gap = Estimate(1 / settings.annealing.temperatures, 0.001, "", 1, images)
        # the first look at 8 temperatures is lucky
        return type("Bracket", (), {"gap": Estimate(0.01, 0.0, "", 1, images) if len(seen) == 1 else gap})()

    monkeypatch.setattr(module, "_measured", measured)
    found = certify(None, None, crude(8), Demand(0.05, 20, 64))
    assert found.met
    assert found.settings.annealing.temperatures == 32
    assert [(t, n) for t, n, _ in seen] == [(8, 10), (8, 20), (16, 10), (32, 10), (32, 20)]
    assert len({seeds for _, _, seeds in seen}) == len(seen)


def entry(figures, **settings):
    return Entry(settings, 0.0, figures, None)


def test_the_words_say_what_it_is_worth():
    figures = {
        "log_evidence": Estimate(-93.614, 0.5, "", 16, 100),
        "evidence_change": Estimate(0.004, 0.006, "", 16, 20),
        "several_modes": Estimate(0.0, 0.0, "", 16, 100),
    }
    reached = {"certified_to": Estimate(0.041, None, "", 16, 100)}
    found = {"test": {"evidence": entry(figures)}, "simulated": {"certificate": entry(reached, tolerance=0.05)}}
    assert certified(found).startswith(
        "log p(x) = -93.61 ± 0.50, certified to 0.041 on simulated images; at five times"
    )
    assert worth(entry(reached, tolerance=0.04)) == "certified to 0.041 on simulated images and no closer"
    assert worth(entry({"certified_to": Estimate(0.0214, None, "", 16, 100)}, tolerance=0.05)).startswith(
        "certified to 0.022"
    )
    assert worth(None) == "not certified"
    found["test"]["elbo"] = entry({"elbo": Estimate(-95.0, 0.2, "", 100, 250)})
    assert certified(found).startswith("log p(x) of the first 100 test images = -93.61")
    assert certified({"test": {}}) is None
    figures["several_modes"] = Estimate(0.12, 0.0, "", 16, 100)
    assert "12% of images have a posterior of several modes" in certified(found)


def test_a_demand_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="at least 4"):
        Demand(images=3)
    assert torch.is_grad_enabled()
