"""evaluate ends with sentences: what the figures mean and what to do."""

import pytest

from pyro_vae import evaluate
from pyro_vae.estimators import Estimate
from pyro_vae.estimators.importance import LIMIT
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.evaluate.options import Options
from pyro_vae.evaluate.sentences import sentences


def found(source="test", error=0.1, samples=2000, estimator="", **values):
    figures = {name: Estimate(value, error, estimator, samples, 100) for name, value in values.items()}
    return {source: {"measure": Entry({}, 0.0, figures, None)}}


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (found(unreliable=0.9), "k-hat is above 0.7 for 90% of the images.*cannot be trusted.*--only evidence"),
        (found(unreliable=0.9, log_evidence=1.0), "Use log_evidence"),
        (found(unreliable=0.01), "k-hat is at most 0.7 for 99% of the images"),
        (found(inference_gap=3.0, approximation_gap=2.0, amortization_gap=1.0), "the family's, so try a richer guide"),
        (
            found(inference_gap=3.0, approximation_gap=1.0, amortization_gap=2.0),
            "the encoder's, so try a larger encoder",
        ),
        (found(inference_gap=0.1, approximation_gap=0.1, amortization_gap=0.0), "No inference gap is shown"),
        (found(settled=0.5), "not at rest for 50% of the images.*--local.max-steps"),
        (found(collapsed=1.0), "q.z.x. is the prior for every image. Try --beta Linear"),
        (
            found(collapsed=0.0, active_units=9.0, active_directions=7.0),
            "move about 7 directions of z, although 9 dimensions",
        ),
        (found("simulated", calibration=0.001), "not calibrated .p = 0.001."),
        (found("simulated", calibration=0.5), "no error of the posterior's calibration is shown"),
    ],
)
def test_each_figure_has_its_sentence(figures, words):
    import re

    lines = sentences(figures)
    assert len(lines) == 1
    assert re.search(words, lines[0])
    assert lines[0].endswith(".")


def test_overfitting_is_said_where_it_is_beyond_its_error():
    def both(train, error):
        entry = {source: found(elbo=value, error=error)["test"] for source, value in (("train", train), ("test", 10.0))}
        return {source: {"elbo": entries["measure"]} for source, entries in entry.items()}

    assert "2.00 nats above that of test images: the run overfits" in sentences(both(12.0, 0.1))[0]
    assert sentences(both(12.0, 2.0)) == []
    assert sentences(both(10.2, 0.01)) == []


def test_what_is_unremarkable_or_unknown_is_not_said():
    assert sentences(found(settled=1.0, collapsed=0.0, mmd=3.0)) == []


def test_evaluate_prints_them_below_its_table_with_the_threshold_of_the_table(train, capsys):
    folder = train("run", "--guide", "MeanField")
    capsys.readouterr()
    options = Options(images=20, importance_samples=100, elbo_samples=5)
    evaluate.evaluate([folder.path], options, ["importance"], train=False)
    said = capsys.readouterr().out
    assert f"above {LIMIT}" in " ".join(said.split())
    assert any(line.startswith("k-hat is ") and f"{LIMIT} for" in line for line in said.splitlines())
    assert said.splitlines()[-1].startswith("metrics: ")
