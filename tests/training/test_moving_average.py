"""--ema-decay: what the average is, that it is what a run measures and keeps, and that training never sees it."""

import pytest
import torch
from run_cases import trace

from guides import MeanField, MLPEncoder
from pyro_vae import load, svi
from pyro_vae.build import binarizer_of
from pyro_vae.data import load_data
from pyro_vae.errors import InputError
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.training.held_out import held_out_terms
from pyro_vae.training.moving_average import MovingAverage

SHAPE = (1, 4, 4)


def pair():
    model = VAE(MLPDecoder(2, SHAPE, [5]), Bernoulli(SHAPE), StandardNormal(2))
    return model, MeanField(MLPEncoder(SHAPE, [6]), 2)


def weights(*parts: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().double().clone() for part in parts for p in part.parameters()]


def moved(average: MovingAverage, *parts: torch.nn.Module) -> None:
    with torch.no_grad():
        for part in parts:
            for p in part.parameters():
                p.add_(torch.randn_like(p))
    average.update()


def test_the_average_is_the_sum_of_all_weights_by_their_share():
    model, guide = pair()
    average = MovingAverage(model, guide, 0.8)
    history = [weights(model, guide)]
    torch.manual_seed(0)
    for _ in range(60):
        moved(average, model, guide)
        history.append(weights(model, guide))
    kept = [min(0.8, t / (t + 9)) for t in range(1, 61)]
    shares = torch.tensor([1.0, *(1 - d for d in kept)], dtype=torch.float64)
    for t, d in enumerate(kept, start=1):
        shares[:t] *= d
    assert shares.sum() == pytest.approx(1)
    with average.swapped():
        found = weights(model, guide)
    for i, mean in enumerate(found):
        expected = torch.einsum("t,t...->...", shares, torch.stack([then[i] for then in history]))
        torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(history[-1], weights(model, guide), strict=True))
    assert not torch.equal(found[0], history[-1][0])


def test_a_weight_that_both_parts_hold_is_swapped_once():
    model, guide = pair()
    guide.tied = model.decoder
    average = MovingAverage(model, guide, 0.3)
    moved(average, model, guide)
    moved(average, model)
    before = weights(model, guide)
    with average.swapped():
        assert not any(torch.equal(a, b) for a, b in zip(before, weights(model, guide), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model, guide), strict=True))


def test_an_error_within_leaves_the_weights_that_are_trained():
    model, guide = pair()
    average = MovingAverage(model, guide, 0.9)
    moved(average, model, guide)
    before = weights(model, guide)
    with pytest.raises(KeyError), average.swapped():
        raise KeyError
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model, guide), strict=True))


@pytest.mark.parametrize("guide", ["MeanField", "SemiAmortized"])
@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_run_measures_and_keeps_the_average_and_trains_without_it(train, monkeypatch, guide, engine):
    raw, update = [], MovingAverage.update

    def kept(self):
        update(self)
        raw.append([p.double() for p in self._parameters.values()])

    words = ("--guide", guide, "--engine", engine, "--epochs", "2")
    plain = train("plain", *words)
    monkeypatch.setattr(MovingAverage, "update", kept)
    folder = train("averaged", "--ema-decay", "0.3", *words)
    rows, of_plain = trace(folder), trace(plain)
    assert [r for r in rows if r["split"] == "train"] == [r for r in of_plain if r["split"] == "train"]
    assert [r["elbo"] for r in rows] != [r["elbo"] for r in of_plain]
    ended = folder.restore("last")["trained"].values()
    assert all(torch.equal(a.double(), b) for a, b in zip(ended, raw[-1], strict=True))
    run = load(folder.path, "last")
    average = raw[0]  # the weights before the first step keep a share of less than 1e-4
    for t, now in enumerate(raw, start=1):
        d = min(0.3, t / (t + 9))
        average = [d * a + (1 - d) * b for a, b in zip(average, now, strict=True)]
    for mine, its in zip(average, weights(run.model, run.guide), strict=True):
        torch.testing.assert_close(mine, its, atol=2e-4, rtol=1e-3)
    data = load_data("digits")
    terms = held_out_terms(run.model.eval(), run.guide.eval(), data.test, binarizer_of(run.config, run.model), 1)
    last = next(row for row in reversed(rows) if row["split"] == "test")
    assert float(last["elbo"]) == pytest.approx(float((terms.log_likelihood - terms.kl).mean()), abs=1e-3)


def test_a_folder_without_the_weights_that_are_trained_is_not_resumed(train):
    folder = train("averaged", "--ema-decay", "0.9")
    saved = folder.restore("last")
    for wrong, said in (
        ({}, "lacks the weights on which a run with --ema-decay trains"),
        ({name: w * torch.nan for name, w in saved["trained"].items()}, "not finite"),
    ):
        folder.save("last", {**saved, "trained": wrong})
        with pytest.raises(InputError, match=said):
            svi.main(["--resume", str(folder.path), "--epochs", "4"])


@pytest.mark.parametrize("decay", ["-0.1", "1", "1.5"])
def test_a_decay_that_is_none_is_one_line(train, decay):
    with pytest.raises(InputError, match=r"--ema.decay must be at least 0 and below 1"):
        train("a", f"--ema-decay={decay}")
