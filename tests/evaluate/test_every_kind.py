"""Every metric on runs of every kind: it finds something, or says in one line why it is not defined."""

import pytest
from small import SMALL_RUN

from pyro_vae import svi
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import OWN
from pyro_vae.runs import RunFolder
from pyro_vae.testing.metric import QUICK

TINY = [*SMALL_RUN, "--decoder.hidden_dims", "[8]", "--latent-dim", "2"]
KINDS = {
    "M2": ["--model", "M2", "--objective", "TraceEnum_ELBO", "--labels", "100"],
    "conditional": ["--model", "ConditionalVAE"],
    "no density": ["--guide", "Delta"],
    "semi-amortized": ["--guide", "SemiAmortized"],
    "two layers": ["--guide", "TopDown", "--prior", "HierarchicalPrior", "--latent-dim", "4"],
    "VampPrior": ["--prior", "VampPrior"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_metric_finds_something_or_says_why_not(kind, tmp_path):
    svi.main([*TINY, *KINDS[kind], "--out", str(tmp_path / "r")])
    evaluate([tmp_path / "r"], QUICK, [*OWN], quiet=True)
    evaluation = RunFolder(tmp_path / "r").read_metrics()["evaluation"]
    measured = {name: entry for split in evaluation.values() for name, entry in split.items()}
    assert measured.keys() == OWN.keys()
    for name, entry in measured.items():
        assert entry.get("figures") or "\n" not in entry["not_defined"], name
    assert "figures" in measured["elbo"] or kind in ("no density", "conditional")
