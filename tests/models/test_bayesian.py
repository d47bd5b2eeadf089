"""Full variational Bayes: the bound by hand, the conjugate posterior over weights, and the run folder."""

import copy
import pickle
from math import log

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from closed_forms import SHAPE, Flat
from pyro import poutine
from torch import Tensor
from torch.func import functional_call

import pyro_vae
from guides import Guide, MeanField
from pyro_vae import svi
from pyro_vae.engine import SVI, StepOptions
from pyro_vae.errors import InputError
from pyro_vae.models import BayesianVAE, Bernoulli, Gaussian, LinearDecoder, MLPDecoder, StandardNormal
from pyro_vae.objectives import IWAE, STL, Objective, RenyiELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO

IMAGES = 60  #: in training


def pair(prior_scale: float = 1.0) -> tuple[BayesianVAE, MeanField]:
    """A model and its guide on six binary pixels, in double precision and in training mode."""
    decoder = MLPDecoder(2, SHAPE, [5], "tanh")
    model = BayesianVAE(decoder, Bernoulli(SHAPE), StandardNormal(2), prior_scale, initial_scale=0.3)
    model.set_num_images(IMAGES)
    guide = model.wrap_guide(MeanField(Flat(6), 2))
    return model.double(), guide.double()


def images(n: int = 7) -> Tensor:
    return torch.rand(n, *SHAPE, dtype=torch.double).round()


def bound_by_hand(objective: Objective, model: BayesianVAE, guide: MeanField, x: Tensor, seed: int) -> Tensor:
    """Minus the loss with the draws of this seed, from densities of torch alone."""
    parameters = dict(model.decoder.named_parameters())
    torch.manual_seed(seed)
    scale = {name: model.log_scale[name.replace(".", "-")].exp() for name in parameters}
    theta = {name: mean + scale[name] * torch.randn_like(mean) for name, mean in parameters.items()}
    kind = torch.distributions.Normal
    p = kind(torch.zeros((), dtype=torch.double), model.prior_scale)
    weights = [
        (
            p.log_prob(theta[name]) - kind(mean, scale[name]).log_prob(theta[name]),
            torch.distributions.kl_divergence(kind(mean, scale[name]), p),
        )
        for name, mean in parameters.items()
    ]
    analytic = isinstance(objective, TraceMeanField_ELBO)
    of_theta = sum((-kl if analytic else sampled).sum() for sampled, kl in weights) / IMAGES
    q = guide.posterior(guide.amortize(x))
    z = q.rsample((objective.num_particles,))
    likelihood = Bernoulli(SHAPE)(functional_call(model.decoder, theta, (z,))).log_prob(x)
    if analytic:
        of_z = -torch.distributions.kl_divergence(q, model.prior()).expand(len(z), -1)
    else:
        of_z = model.prior().log_prob(z) - q.log_prob(z)
    log_weight = likelihood + of_z + of_theta
    if isinstance(objective, IWAE):
        return (log_weight.logsumexp(0) - log(len(z))).sum()
    if isinstance(objective, RenyiELBO):
        return (2 * ((log_weight / 2).logsumexp(0) - log(len(z)))).sum()  # alpha is 1/2
    return log_weight.mean(0).sum()


@pytest.mark.parametrize(
    "objective",
    [Trace_ELBO(), Trace_ELBO(4), TraceMeanField_ELBO(), TraceMeanField_ELBO(3), IWAE(5), RenyiELBO(0.5, 4)],
    ids=lambda o: f"{type(o).__name__}-{o.num_particles}",
)
def test_the_bound_and_its_gradient_are_those_of_appendix_f(objective):
    model, guide = pair(prior_scale=0.8)
    x = images()
    parameters = [*model.parameters(), *guide.parameters()]
    torch.manual_seed(3)
    loss = objective.differentiable_loss(model, guide, x)
    bound = bound_by_hand(objective, model, guide, x, seed=3)
    assert loss.item() == pytest.approx(-bound.item(), rel=1e-10)
    found = torch.autograd.grad(loss, parameters)
    for ours, known in zip(found, torch.autograd.grad(-bound, parameters), strict=True):
        torch.testing.assert_close(ours, known, rtol=1e-8, atol=1e-10)


def test_pyros_own_elbo_agrees():
    model, guide = pair()
    x = images()
    torch.manual_seed(5)
    theirs = pyro.infer.Trace_ELBO().loss(model, guide, x)
    torch.manual_seed(5)
    assert Trace_ELBO().loss(model, guide, x) == pytest.approx(theirs, rel=1e-10)


def test_the_kl_of_the_weights_is_in_the_terms():
    model, guide = pair()
    objective = TraceMeanField_ELBO()
    objective.loss(model, guide, x := images())
    of_z = torch.distributions.kl_divergence(guide.posterior(guide.amortize(x)), model.prior())
    torch.testing.assert_close(objective.terms.kl, of_z.detach() + model.weight_kl().detach() / IMAGES)


def test_particles_share_the_weights_and_every_weight_is_a_site():
    model, guide = pair()
    x = images()
    with pyro.plate("particles", 4, dim=-2):
        drawn = poutine.trace(guide).get_trace(x)
        replayed = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(x)
    names = {f"decoder.{name}" for name, _ in model.decoder.named_parameters()}
    assert names == set(drawn.stochastic_nodes) - {"z", "data", "particles"}
    for name, mean in model.decoder.named_parameters():
        assert drawn.nodes[f"decoder.{name}"]["value"].shape == mean.shape
        assert replayed.nodes[f"decoder.{name}"]["value"] is drawn.nodes[f"decoder.{name}"]["value"]
    assert drawn.nodes["z"]["value"].shape == (4, 7, 2)


@pytest.mark.parametrize("twins", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
def test_a_copied_guide_draws_from_its_copied_model(twins):
    model, guide = pair()
    twin_model, twin_guide = twins((model, guide))
    twin_model.eval()
    x = images()
    assert set(poutine.trace(twin_guide).get_trace(x).stochastic_nodes) - {"data"} == {"z"}
    assert "decoder.output.bias" in poutine.trace(guide).get_trace(x).stochastic_nodes


class Known(Guide):
    """The first two pixels are the code."""

    has_density = False

    def amortize(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        return dist.Delta(lam, event_dim=1)


@pytest.mark.parametrize("displaced", [False, True])
def test_conjugate_weights(displaced):
    """With z known and a linear decoder the weights have the posterior of Bayesian linear regression, precision A.

    The mean-field Gaussian of highest bound has its means m, and 1 / A_jj for variances: there the gradient is zero. At
    other means and scales it is A (m - mean) / N, and (1 - A_jj scale_j^2) / N in the logarithm of the scale.
    """
    torch.manual_seed(0)
    noise, prior_scale = 0.6, 0.7
    z = torch.randn(IMAGES, 2, dtype=torch.double) * torch.tensor([1.0, 2.0])
    inputs = torch.cat([z, torch.ones(IMAGES, 1)], -1)
    x = inputs @ torch.randn(3, 6, dtype=torch.double) + noise * torch.randn(IMAGES, 6, dtype=torch.double)
    x[:, :2] = z
    precision = inputs.T @ inputs / noise**2 + torch.eye(3) / prior_scale**2
    exact_mean = torch.linalg.solve(precision, inputs.T @ x / noise**2).T  # (pixels, 2 weights and the bias)
    exact_scale = precision.diagonal().rsqrt().expand(6, 3)
    mean = exact_mean + (exact_scale * torch.randn_like(exact_scale) if displaced else 0)
    scale = exact_scale * (1.5 if displaced else 1)

    likelihood = Gaussian(SHAPE, noise, squash=False)
    model = BayesianVAE(LinearDecoder(2, SHAPE), likelihood, StandardNormal(2), prior_scale).double()
    model.set_num_images(IMAGES)
    guide = model.wrap_guide(Known(Flat(6), 2, 2))
    scales = [model.log_scale["output-weight"], model.log_scale["output-bias"]]
    with torch.no_grad():
        for parameter, value in zip(scales, (scale[:, :2].log(), scale[:, 2].log()), strict=True):
            parameter.copy_(value)
        model.decoder.output.weight.copy_(mean[:, :2])
        model.decoder.output.bias.copy_(mean[:, 2])
    parameters = [model.decoder.output.weight, model.decoder.output.bias, *scales]
    objective, draws = TraceMeanField_ELBO(), []
    with pyro.validation_enabled(False):
        for _ in range(500):
            batch = x[torch.randperm(IMAGES)[:20]].reshape(-1, *SHAPE)  # a third, as SVI sees them
            of = torch.autograd.grad(-objective.differentiable_loss(model, guide, batch) / len(batch), parameters)
            draws.append(torch.cat([of[0], of[1][:, None], of[2], of[3][:, None]], -1))
    found = torch.stack(draws)
    known = torch.cat([(exact_mean - mean) @ precision, 1 - precision.diagonal() * scale**2], -1) / IMAGES
    error = found.std(0) / len(draws) ** 0.5
    assert ((found.mean(0) - known) / error).abs().max() < 4  # of 36 standard normal deviations
    if displaced:
        assert (known / error).abs().median() > 5  # what was found is not all noise


def test_in_evaluation_the_decoder_is_that_of_the_means_or_of_one_draw():
    model, guide = pair()
    model.eval()
    x, z = images(), torch.zeros(7, 2).double()
    assert set(poutine.trace(guide).get_trace(x).stochastic_nodes) - {"data"} == {"z"}
    before, mean = model.log_joint(x, z), model.decoder(z)
    torch.manual_seed(1)
    with model.drawn():
        inside = model.decoder(z)
        assert (inside - mean).abs().max() > 0.1
        assert (model.log_joint(x, z) != before).all()
    torch.testing.assert_close(model.decoder(z), mean, rtol=0, atol=0)
    # Over draws the output at a fixed z spreads as q says: of the linear last layer, given the hidden units.
    assert isinstance(model.decoder, MLPDecoder)
    outputs = []
    for _ in range(400):
        with model.drawn():
            outputs.append(model.decoder.output.bias.detach().clone())
    spread = torch.stack(outputs).std(0)
    torch.testing.assert_close(spread, torch.full_like(spread, 0.3), rtol=0.15, atol=0)  # 400 draws: 3.5 % each


def test_a_captured_step_has_the_numbers_of_an_eager_one():
    x, records = images(), []
    for engine in ("eager", "captured"):
        torch.manual_seed(0)
        model, guide = pair()
        parameters = [*model.parameters(), *guide.parameters()]
        adam, options = torch.optim.Adam(parameters, lr=0.01), StepOptions(per_image=True)
        svi = SVI(model, guide, adam, TraceMeanField_ELBO(), engine=engine, options=options)
        torch.manual_seed(1)
        records.append(torch.stack([torch.stack(svi.step_record(x)[:4]) for _ in range(3)]))
    torch.testing.assert_close(*records)
    assert (records[0][1:, 0] != records[0][:-1, 0]).all()  # the noise is drawn afresh


@pytest.mark.parametrize("objective", [STL(), TraceEnum_ELBO()], ids=lambda o: type(o).__name__)
def test_what_cannot_be_had_says_so(objective):
    model, guide = pair()
    with pytest.raises(ValueError, match=r"one latent site|sites? that the images share"):
        objective.differentiable_loss(model, guide, images())


def test_run(train, tmp_path):
    flags = ["--model", "BayesianVAE", "--model.prior_scale", "0.5", "--objective", "TraceMeanField_ELBO"]
    folder = train("b", *flags)
    run = pyro_vae.load(folder.path)
    assert isinstance(run.model, BayesianVAE)
    assert run.model.num_images == 1297
    assert run.model.prior_scale == 0.5
    rows = folder.read_trace()
    # The training rows pay for the weights, the held-out rows do not.
    share = pyro_vae.load(folder.path, "last").model.weight_kl().item() / 1297
    last = {row.split: row.kl for row in rows if row.epoch == 3}
    assert 1 < share < last["train"]
    assert last["test"] < last["train"] - 0.8 * share

    # A run that was stopped goes on as if it had not been.
    other = train("c", *flags, "--epochs", "2")
    svi.main(["--resume", str(other.path), "--epochs", "3"])
    assert [row.elbo for row in other.read_trace()] == [row.elbo for row in rows]
    with pytest.raises(InputError, match="prior_scale"):
        train("d", "--model", "BayesianVAE", "--model.prior_scale", "0")
