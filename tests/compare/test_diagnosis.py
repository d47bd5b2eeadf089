"""The diagnosis of the guides: whatever of it is in metrics.json is shown, means over seeds with their range."""

from dataclasses import replace

import numpy as np
from made_up import arms

from pyro_vae.compare.diagnosis import SIGNS, diagnose
from pyro_vae.compare.terms import TERMS
from pyro_vae.compare.verdict import verdict
from pyro_vae.compare.words import answers
from pyro_vae.estimators.estimate import Estimate


def measured(reports, values, split="test"):
    """The same reports, whose runs have these estimates in their metrics, ``{arm: {name: one a seed}}``."""
    found = {}
    for arm, report in reports.items():
        results = {}
        for seed, result in report.results.items():
            plain = {
                name: Estimate(of[seed], None, "made up", 1, 9).to_dict() for name, of in values.get(arm, {}).items()
            }
            record = {"settings": {}, "seconds": 0.0, "figures": plain}
            metrics = {**result.metrics, "evaluation": {split: {"made up": record}}}
            results[seed] = replace(result, metrics=metrics)
        found[arm] = replace(report, results=results)
    return found


def test_what_was_measured_has_a_column_and_what_q_misses_is_a_reason():
    reports = arms(np.random.default_rng(0), {"a": 0.0, "b": 1.0})
    of_a = {"unreliable": [0.5, 0.7, 0.6], "mass_90": [0.7, 0.7, 0.7], "kl_to_q": [2.0, 3.0, 4.0]}
    found = measured(reports, {"a": of_a, "b": {"kl_to_q": [1.0, 1.0, float("nan")]}})
    table = diagnose(found)
    assert [sign.title for sign in table.signs] == [SIGNS[name].title for name in ("unreliable", "kl_to_q", "mass_90")]
    assert table.rows == {"a": ["60% (50% to 70%)", "3.00 (2.00 to 4.00)", "70%"], "b": ["-", "1.00", "-"]}
    why = answers(verdict(found, 0.95), found, 0.95).why
    assert why == ["Of the true posterior, q's densest 90% hold: a 70% (KL(p || q) = 3.00 nats)."]


def test_of_training_images_nothing_is_shown():
    reports = measured(arms(np.random.default_rng(1), {"a": 0.0}), {"a": {"kl_to_q": [1.0, 1.0, 1.0]}}, "train")
    assert diagnose(reports).signs == []


def test_every_sign_has_a_term_that_explains_it():
    assert all(sign.term in TERMS for sign in SIGNS.values())
