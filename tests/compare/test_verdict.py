"""The verdict on all arms and its words: of arms whose truth is known."""

import re

import numpy as np
import pytest
from made_up import arms, report

from pyro_vae.compare.statistics import difference
from pyro_vae.compare.verdict import verdict
from pyro_vae.compare.why import sources
from pyro_vae.compare.words import answers


def test_an_arm_that_is_far_ahead_is_the_best_and_the_others_are_behind():
    found = verdict(arms(np.random.default_rng(0), {"a": 0.0, "b": 3.0, "c": -1.0}), 0.95)
    assert found.leader == "b"
    assert set(found.behind) == {"a", "c"}
    assert (found.tied, found.undecided) == ((), ())
    assert (found.place("b"), found.place("a")) == ("best", "behind")


def test_copies_are_tied_within_a_margin_that_their_intervals_fit_in_and_undecided_without():
    reports = arms(np.random.default_rng(1), {"a": 0.0, "b": 0.0, "c": -5.0})
    wide = verdict(reports, 0.95, margin=2.0)
    other = "b" if wide.leader == "a" else "a"
    assert (wide.tied, wide.undecided, wide.behind) == ((other,), (), ("c",))
    assert {wide.place(wide.leader), wide.place(other)} == {"leads", "tied"}
    narrow = verdict(reports, 0.95, margin=0.01)
    assert (narrow.tied, narrow.undecided) == ((), (other,))


def test_the_best_arm_is_seldom_called_behind():
    """Of 100 grids of four arms whose best is 0.05 nats ahead, no more than the 5 % allowed plus three deviations."""
    rng = np.random.default_rng(2)
    lost = sum("a" in verdict(arms(rng, {"a": 0.05, "b": 0.0, "c": 0.0, "d": 0.0}), 0.95).behind for _ in range(100))
    assert lost / 100 <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5


@pytest.mark.parametrize(
    ("means", "margin", "words"),
    [
        ({"a": 3.0, "b": 0.0}, 0.5, "a is the best."),
        ({"a": 3.0, "b": 3.0, "c": 0.0}, 2.0, "are tied for the best."),
        ({"a": 3.0, "b": 3.0}, 0.001, "may be as good or better."),
        ({"a": 3.0}, 0.5, "a has no other arm to be compared with."),
    ],
)
def test_the_headline_is_the_verdict(means, margin, words):
    reports = arms(np.random.default_rng(3), means)
    found = answers(verdict(reports, 0.95, margin), reports, 0.95)
    assert found.headline.endswith(words)
    assert answers(verdict(reports, 0.95, margin), reports, 0.95, waiting=2).headline.startswith("So far: ")


def test_one_seed_says_neither_best_nor_better():
    reports = arms(np.random.default_rng(4), {"a": 9.0, "b": 0.0}, seeds=1)
    found = verdict(reports, 0.95)
    said = answers(found, reports, 0.95)
    assert said.headline == "One seed cannot show which arm is the best."
    assert not any("better" in line for line in said.lines)
    assert (found.behind, found.tied) == ((), ())
    assert found.place("b") == "one seed: open"
    assert "--seeds 3" in said.sure[0]


def test_how_sure_names_the_smallest_difference_and_the_seeds_for_the_one_seen():
    reports = arms(np.random.default_rng(5), {"a": 0.1, "b": 0.0}, seed_spread=0.5)
    found = verdict(reports, 0.95)
    said = answers(found, reports, 0.95).sure
    assert found.undecided
    [other] = found.undecided
    assert f"can show a difference of {found.against[other].smallest:.2f} nats" in said[0]
    assert f"--seeds {found.against[other].more_seeds}." in said[1]


def test_of_many_arms_the_sentences_name_some_and_say_how_many_more():
    rng = np.random.default_rng(8)
    reports = {
        f"arm{i}": report(f"arm{i}", rng.normal(-90, 5, (2, 30)), rng.uniform(0, 3, (2, 2, 8))) for i in range(12)
    }
    found = verdict(reports, 0.95)
    said = answers(found, reports, 0.95)
    assert "6 more" in said.headline
    assert "6 more arms in the report" in said.why[0]
    assert "7 more arms in the report" in said.why[1]
    assert verdict({"arm0": reports["arm0"]}, 0.95).place("arm0") == "not compared"


def test_cost_is_in_core_hours_and_never_in_seconds():
    reports = arms(np.random.default_rng(6), {"a": 0.0, "b": 0.0})
    [line] = answers(verdict(reports, 0.95), reports, 0.95).cost
    assert line == "Core-hours of training, a run: a (0.01); b (0.01, 1.0 times)."


def test_a_difference_is_the_sum_of_model_family_and_encoder():
    rng = np.random.default_rng(7)
    gaps = {arm: rng.uniform(0, 3, (2, 2, 8)) for arm in "ab"}
    elbos = {arm: rng.normal(-90, 5, (2, 30)) for arm in "ab"}
    reports = {arm: report(arm, elbos[arm], gaps[arm]) for arm in "ab"}
    results = {arm: report.results for arm, report in reports.items()}
    found = sources(results, "b", 0.95)["a"]
    assert found.elbo.value == pytest.approx(elbos["a"][:, :8].mean() - elbos["b"][:, :8].mean())
    assert found.family.value == pytest.approx(gaps["b"][:, 0].mean() - gaps["a"][:, 0].mean())
    assert found.encoder.value == pytest.approx(gaps["b"][:, 1].mean() - gaps["a"][:, 1].mean())
    assert found.model.value + found.family.value + found.encoder.value == pytest.approx(found.elbo.value)
    assert (found.images, found.seeds) == (8, 2)
    by_hand = difference(-gaps["a"][:, 0], -gaps["b"][:, 0])
    assert (found.family.low, found.family.high) == pytest.approx((by_hand.low, by_hand.high))
    shown = verdict(reports, 0.95)
    part = next(iter(shown.parts.values())).model
    words = "" if part.low > 0 or part.high < 0 else " (not shown)"
    assert f"({part.value:+.2f}{words} by its model's log p(x)," in answers(shown, reports, 0.95).why[0]
    assert sources({**results, "c": arms(rng, {"c": 0.0})["c"].results}, "b", 0.95).keys() == {"a"}


def test_a_part_of_a_difference_is_shown_where_its_interval_says_so():
    """Two arms whose models and encoders are alike; the family of one loses 2 nats more."""
    rng = np.random.default_rng(9)
    common, gap = rng.normal(-90, 5, (3, 40)), rng.uniform(0, 1, (3, 2, 40))
    worse = gap + np.array([2.0, 0.0])[:, None] + rng.normal(0, 0.1, (3, 2, 40))
    reports = {"a": report("a", common, gap), "b": report("b", common - 2.0 + rng.normal(0, 0.1, (3, 40)), worse)}
    found = verdict(reports, 0.95).parts["b"]
    assert found.family.high < -1.5
    assert found.encoder.low < 0 < found.encoder.high
    [line, *_] = answers(verdict(reports, 0.95), reports, 0.95).why
    assert re.search(r"-2\.0\d by its family, [+-]0\.0\d \(not shown\) by its encoder", line)
