"""Models of labels: their bounds against sums written out, Bayes' rule against a closed form, and whole runs."""

import math

import numpy as np
import pyro
import pyro.infer
import pytest
import torch
from closed_forms import Flat
from torch.distributions.utils import _standard_normal

from guides import GUIDES, Guide, MeanField, MLPEncoder
from guides.labelled import LabelGuide, M2Guide
from pyro_vae.data import Images, hide_labels, join_labelled
from pyro_vae.engine import SVI, StepOptions
from pyro_vae.errors import InputError
from pyro_vae.estimators import label_bounds
from pyro_vae.models import M2, Bernoulli, ConditionalVAE, Gaussian, LinearDecoder, MLPDecoder, StandardNormal
from pyro_vae.objectives import TraceEnum_ELBO
from pyro_vae.svi import main

SHAPE, CLASSES, DIM = (1, 3, 3), 4, 2


def setting(alpha: float = 0.7, family: str = "MeanField") -> tuple[M2, Guide, torch.Tensor, torch.Tensor]:
    """M2 in double precision, its guide, six images and their labels, of which three are seen."""
    torch.manual_seed(0)
    model = M2(MLPDecoder(DIM + CLASSES, SHAPE, [7]), Bernoulli(SHAPE), StandardNormal(DIM), alpha)
    guide = model.wrap_guide(GUIDES[family](MLPEncoder(SHAPE, [6]), DIM)).double()
    x = torch.rand(6, *SHAPE).bernoulli().double()
    return model.double(), guide, x, torch.tensor([2, -1, 0, -1, -1, 3])


def gradients(loss: torch.Tensor, *modules: torch.nn.Module) -> list[torch.Tensor]:
    parameters = [p for module in modules for p in module.parameters()]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


def assert_same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    assert max(g.abs().max() for g in theirs) > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def by_hand(model: M2, guide: M2Guide, x: torch.Tensor, y: torch.Tensor, eps: torch.Tensor, beta: float = 1.0):
    """The bound's sum over images with one draw of z for each class: equations 6, 7 and 9 of Kingma et al. 2014."""
    log_q = guide.log_label(x)
    rows = []
    for c in range(CLASSES):
        q = guide.given(x, torch.full((len(x),), c))
        z = q.base_dist.loc + q.base_dist.scale * eps[c]
        kl = q.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1) + math.log(CLASSES)
        label = torch.eye(CLASSES).double()[c].expand(len(x), -1)
        logits = model.decoder(torch.cat([z, label], -1))
        log_p = -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        rows.append(log_p - beta * kl)
    rows = torch.stack(rows, 1)
    total = torch.zeros(()).double()
    for i, label in enumerate(y.tolist()):
        if label < 0:
            total = total + (log_q[i].exp() * (rows[i] - beta * log_q[i])).sum()
        else:
            total = total + rows[i, label] + model.alpha * log_q[i, label]
    return total


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_bound_and_its_gradient_are_the_sum_over_classes(beta):
    model, guide, x, y = setting()
    objective = TraceEnum_ELBO()
    objective.kl_weight = beta
    torch.manual_seed(5)
    loss = objective.differentiable_loss(model, guide, x, y=y)
    torch.manual_seed(5)
    eps = _standard_normal((CLASSES, 6, DIM), torch.float64, "cpu")
    expected = by_hand(model, guide, x, y, eps, beta)
    torch.testing.assert_close(-loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(objective.bound.sum(), expected.detach(), rtol=1e-12, atol=0)
    assert_same(gradients(-loss, model, guide), gradients(expected, model, guide))


def test_without_labels_it_is_the_unlabelled_bound_and_with_all_of_them_nothing_is_summed():
    model, guide, x, _ = setting(alpha=0.0)
    eps = torch.zeros(CLASSES, 6, DIM).double()
    unseen, seen = torch.full((6,), -1), torch.arange(6) % CLASSES
    for given, y in (({}, unseen), ({"y": unseen}, unseen), ({"y": seen}, seen)):
        torch.manual_seed(2)
        objective = TraceEnum_ELBO()
        objective.differentiable_loss(model, guide, x, **given)
        torch.manual_seed(2)
        eps = _standard_normal((CLASSES, 6, DIM), torch.float64, "cpu")
        torch.testing.assert_close(objective.bound.sum(), by_hand(model, guide, x, y, eps).detach())
        assert objective.terms.log_posterior.isfinite().all()


@pytest.mark.parametrize("k", [1, 3])
def test_equals_pyro(k):
    model, guide, x, y = setting()
    torch.manual_seed(1)
    ours = TraceEnum_ELBO(k).differentiable_loss(model, guide, x, y=y)
    torch.manual_seed(1)
    pyros = pyro.infer.TraceEnum_ELBO(k, max_plate_nesting=1, vectorize_particles=True)
    theirs = pyros.differentiable_loss(model, guide, x, y=y)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    assert_same(gradients(ours, model, guide), gradients(theirs, model, guide))


def test_sampling_the_label_has_the_same_mean():
    """Trace_ELBO, which draws y, agrees with the sum over y: 20,000 draws, 4 standard errors."""
    from pyro_vae.objectives import elbo_terms

    model, guide, x, _ = setting()
    sampled = elbo_terms(model, guide, x, 20_000).log_weight
    objective = TraceEnum_ELBO(5_000)
    with torch.no_grad():
        objective.differentiable_loss(model, guide, x)
    error = sampled.std(0) / len(sampled) ** 0.5
    assert ((sampled.mean(0) - objective.bound).abs() < 4 * (error**2 + error**2).sqrt()).all()


def test_what_cannot_be_summed_is_said():
    model, guide, x, _ = setting()
    with pytest.warns(UserWarning, match="model but not guide"), pytest.raises(ValueError, match="has no site 'y'"):
        TraceEnum_ELBO().differentiable_loss(model, guide.family, x)


@pytest.mark.parametrize("family", ["MeanField", "FullRank", "Mixture", "Planar", "IAF"])
def test_families_take_labels_and_are_captured(family):
    """Three steps as a graph, with all kinds of rows, are the eager ones."""

    def records(captured: bool) -> torch.Tensor:
        model, guide, x, y = setting(family=family)
        model.float(), guide.float()
        optimizer = torch.optim.Adam([*model.parameters(), *guide.parameters()], 1e-2)
        engine = "captured" if captured else "eager"
        svi = SVI(model, guide, optimizer, TraceEnum_ELBO(), engine=engine, options=StepOptions(per_image=True))
        return torch.stack([torch.stack(svi.step_record(x.float(), y=y.roll(i))[:4]) for i in range(3)])

    expected = records(captured=False)
    assert expected.isfinite().all()
    torch.testing.assert_close(records(captured=True), expected, rtol=1e-5, atol=1e-5)


def test_families_of_another_kind_are_refused_and_wrappers_are_not_chosen():
    for name in ("SemiAmortized", "Delta"):
        with pytest.raises(ValueError, match=f"{name} cannot be given labels"):
            LabelGuide(GUIDES[name](MLPEncoder(SHAPE), 2), 3)
    assert not {"LabelGuide", "M2Guide"} & set(GUIDES)
    with pytest.raises(InputError, match="is made by models of labels"):
        main(["--guide", "guides.labelled.M2Guide", "--out", "nowhere"])


def test_the_guide_of_z_alone_is_the_mixture_over_labels():
    model, guide, x, _ = setting()
    z = torch.randn(5, 6, DIM).double()
    every = torch.arange(CLASSES)[:, None]
    parts = guide.log_label(x).T + guide.given(x, every).log_prob(z[:, None])
    torch.testing.assert_close(guide.posterior(guide.amortize(x)).log_prob(z), parts.logsumexp(1))
    joint = torch.stack([model.log_joint(x, z, torch.tensor(c)) for c in range(CLASSES)])
    torch.testing.assert_close(model.log_joint(x, z), joint.logsumexp(0))


def test_bayes_rule_against_the_closed_form():
    """Linear Gaussian images given their label: p(x|y) = N(Wz-part's covariance); 4,000 draws, within 0.06 nats."""
    torch.manual_seed(1)
    model = ConditionalVAE(LinearDecoder(DIM + 3, SHAPE), Gaussian(SHAPE, 0.8, squash=False), StandardNormal(DIM))
    guide = model.wrap_guide(MeanField(Flat(9), DIM)).double()
    model.double()
    with torch.no_grad():  # q(z|x, y) becomes the prior, whose weights p(x|y, z) are bounded
        guide.family.head.weight.zero_(), guide.family.head.bias.zero_()
    x = model(y=torch.tensor([0, 1, 2, 1, 0])).detach()
    weight, bias = model.decoder.output.weight.detach(), model.decoder.output.bias.detach()
    covariance = weight[:, :DIM] @ weight[:, :DIM].T + 0.64 * torch.eye(9).double()
    expected = torch.stack(
        [
            torch.distributions.MultivariateNormal(bias + weight[:, DIM + c], covariance).log_prob(x.flatten(1))
            for c in range(3)
        ],
        1,
    ) - math.log(3)
    bounds = label_bounds(model, guide, x, 4_000)
    assert ((bounds - expected).abs() < 0.06).all()
    assert torch.equal(label_bounds(model, guide, x, 4_000), bounds)  # of its seed alone
    single = torch.stack([label_bounds(model, guide, x, 1, seed=s) for s in range(400)])
    assert (single.mean(0) < expected).all()  # with one draw it is the ELBO, below


def test_labels_are_hidden_evenly_and_labelled_rows_come_equally_often():
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 10, 500))
    hidden = hide_labels(Images(np.zeros((500, 1, 2, 2)), labels=labels), 100, seed=3).labels
    kept = hidden >= 0
    assert kept.sum() == 100
    assert torch.equal(hidden[kept], labels[kept])
    assert (hidden[kept].bincount() == 10).all()
    batches = torch.arange(500).split(50)
    joined = join_labelled(batches, hidden, 20, torch.Generator().manual_seed(0))
    assert all(torch.equal(long[:50], short) and len(long) == 70 for long, short in zip(joined, batches, strict=True))
    counts = torch.cat([long[50:] for long in joined]).bincount(minlength=500)
    assert (counts[kept] == 2).all()
    assert counts.sum() == 200
