"""Two stochastic layers against a chain of linear Gaussians, whose marginals and posteriors are known."""

import pytest
import torch
from closed_forms import SHAPE, Flat, raw_scale
from scipy import stats
from torch import Tensor

import pyro_vae
from guides import BottomUp, Guide, MeanField, MLPEncoder, TopDown
from pyro_vae import train as train_in_python
from pyro_vae.build import build
from pyro_vae.errors import InputError
from pyro_vae.estimators import Annealing, LocalOptimization, ais, bounds_at, iwae, optimize_posterior, simulate
from pyro_vae.models import VAE, Bernoulli, Gaussian, HierarchicalPrior, LinearDecoder, MixturePrior, MLPDecoder
from pyro_vae.options import settings_of
from pyro_vae.runs import load
from pyro_vae.testing import check_guide
from pyro_vae.testing.density import check_density

NOISE = 0.6  #: the standard deviation of a pixel
SLOPE = 1.5  #: the length of each column of the decoder's weights, which are orthogonal


class Chain(VAE):
    """z2 ~ N(0, I), z1 ~ N(A z2 + a, S^2), x ~ N(B z1 + b, s^2 I) in double precision, with seed 0.

    The columns of B are orthogonal, so that the dimensions of z1 are independent given z2 and x.
    """

    def __init__(self, bottom: int, top: int):
        torch.manual_seed(0)
        prior = HierarchicalPrior(bottom + top, top, hidden_dims=[])
        super().__init__(LinearDecoder(bottom, SHAPE), Gaussian(SHAPE, NOISE, squash=False), prior)
        self.double().requires_grad_(False)
        self.scale = torch.linspace(0.5, 1.2, bottom).double()  # S
        layer, pixels = prior.downwards.output, self.decoder.output
        layer.weight[:bottom].normal_()
        layer.weight[bottom:].zero_()
        layer.bias[:bottom].normal_()
        layer.bias[bottom:] = raw_scale(self.scale)
        pixels.weight.copy_(SLOPE * torch.linalg.qr(torch.randn(6, bottom).double()).Q)
        pixels.bias.normal_()
        self.A, self.a = layer.weight[:bottom].clone(), layer.bias[:bottom].clone()
        self.B, self.b = pixels.weight.clone(), pixels.bias.clone()

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and covariance of z1."""
        return self.a, self.A @ self.A.T + self.scale.square().diag()

    def log_evidence(self, x: Tensor) -> Tensor:
        mean, covariance = self.moments
        dense = stats.multivariate_normal(
            self.B @ mean + self.b, self.B @ covariance @ self.B.T + NOISE**2 * torch.eye(6).double()
        )
        return torch.as_tensor(dense.logpdf(x.flatten(1).numpy()))


def set_head(guide: Guide, gain: Tensor, offset: Tensor, scale: Tensor) -> None:
    """Let lambda be the means ``gain x + offset`` and the raw values of these scales."""
    with torch.no_grad():
        guide.head.weight.zero_()
        guide.head.weight[: len(gain)] = gain
        guide.head.bias.copy_(torch.cat([offset, raw_scale(scale)]))


def exact_bottom_up() -> tuple[Chain, Guide]:
    """z1 given x has prior precision 1/v and the image's; z2 given z1 is the regression of z2 on z1."""
    model = Chain(1, 1)
    guide = BottomUp(Flat(6), 2, hidden_dims=[], direct=False).double()
    (mean,), ((v,),) = model.moments
    variance = 1 / (1 / v + SLOPE**2 / NOISE**2)
    gain = variance / NOISE**2 * model.B.T
    set_head(guide, gain, (variance * mean / v - gain @ model.b), variance.sqrt()[None])
    a = model.A.item()
    with torch.no_grad():
        guide.upwards.output.weight.copy_(torch.tensor([[a / v], [0.0]]))
        guide.upwards.output.bias.copy_(torch.stack([-a / v * mean, raw_scale((1 - a**2 / v).sqrt())]))
    return model, guide


def exact_top_down(top: int = 1) -> tuple[Chain, Guide]:
    """z2 given x by the dense joint; z1 given both is the product of p(z1|z2) and of the image's likelihood in z1."""
    model = Chain(3, top)
    guide = TopDown(Flat(6), 3 + top, top, hidden_dims=[]).double()
    mean, covariance = model.moments
    seen = model.B @ covariance @ model.B.T + NOISE**2 * torch.eye(6).double()
    gain = (model.B @ model.A).T @ torch.linalg.inv(seen)
    spread = (torch.eye(top).double() - gain @ model.B @ model.A).diagonal().sqrt()
    likelihood = model.B.T / SLOPE**2
    gains = torch.cat([likelihood, gain])
    offset = torch.cat([-likelihood @ model.b, -gain @ (model.B @ mean + model.b)])
    set_head(guide, gains, offset, torch.cat([torch.full((3,), NOISE / SLOPE).double(), spread]))
    guide.downwards.load_state_dict(model.prior.downwards.state_dict())
    return model, guide


@pytest.mark.parametrize("top", [1, 2])
def test_the_prior_is_the_dense_gaussian(top):
    model = Chain(3, top)
    z = torch.randn(50, 3 + top).double()
    # z1 = A z2 + a + S e
    mean, covariance = model.moments
    joint = torch.cat([torch.cat([covariance, model.A], 1), torch.cat([model.A.T, torch.eye(top).double()], 1)])
    dense = stats.multivariate_normal(torch.cat([mean, torch.zeros(top)]), joint)
    torch.testing.assert_close(model.prior().log_prob(z), torch.as_tensor(dense.logpdf(z.numpy())))
    assert model.prior().batch_shape == ()
    draws = model.prior().sample((100_000,))
    # Standard errors of the covariances of Gaussians; 5 of them for at most 15 numbers.
    error = ((joint.diagonal()[:, None] * joint.diagonal() + joint**2) / len(draws)).sqrt()
    assert ((draws.T.cov() - joint).abs() < 5 * error).all()
    assert ((draws.mean(0)[:3] - mean).abs() < 5 * (joint.diagonal()[:3] / len(draws)).sqrt()).all()


@pytest.mark.parametrize("pair", [exact_bottom_up, exact_top_down])
def test_the_exact_posterior_is_in_the_family(pair):
    """Where q is the exact posterior, log p(x, z) - log q(z|x) is log p(x) at every z, to the last digits."""
    model, guide = pair()
    x, z = simulate(model, 20)
    with torch.no_grad():
        q = guide.posterior(guide.amortize(x))
        anywhere = torch.stack([z, q.sample(), 2 * torch.randn_like(z)])
        evidence = model.log_joint(x, anywhere) - q.log_prob(anywhere)
    torch.testing.assert_close(evidence, model.log_evidence(x).expand(3, -1), rtol=1e-6, atol=1e-6)
    bound = iwae(model, guide, x, 50)
    assert bound.sampling_error < 1e-3  # equal weights; the jackknife is linear in all but the largest
    torch.testing.assert_close(bound.per_image, model.log_evidence(x), rtol=1e-6, atol=1e-6)


def test_estimators_of_one_vector_take_both_layers():
    """AIS within 0.1 nat of log p(x) for a mean of 10 images; lambda optimised for each comes within 0.05 of it."""
    model, guide = exact_top_down()
    x, _ = simulate(model, 10)
    truth = model.log_evidence(x).mean().item()
    found = ais(model, x, Annealing(chains=200, temperatures=100, leapfrog_steps=2))
    assert found.value == pytest.approx(truth, abs=0.1)
    with torch.no_grad():
        guide.head.bias.add_(0.5)  # a worse encoder, the same family
    start = bounds_at(model, guide, x, guide.amortize(x).detach()).elbo.value
    best = optimize_posterior(model, guide, x, LocalOptimization(lr=0.05, check_every=50, patience=3))
    assert start < truth - 0.5
    assert bounds_at(model, guide, x, best.lam).elbo.value == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize(("dim", "top"), [(2, 1), (6, 2), (6, 5)])
def test_the_prior_s_samples_have_its_density(dim, top):
    torch.manual_seed(0)
    prior = HierarchicalPrior(dim, top, hidden_dims=[8])
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(2)
    check_density(prior().expand((1,)))


@pytest.mark.parametrize(
    ("family", "options"),
    [
        (BottomUp, {"direct": False}),
        (BottomUp, {"top_dim": 1, "hidden_dims": []}),
        (TopDown, {"top_dim": 1, "activation": "relu"}),
    ],
)
def test_contract_with_options(family, options):
    check_guide(family, latent_dims=[2, 5], batch_sizes=[7], image_shapes=[(1, 8, 8)], **options)


def test_the_decoder_sees_the_lower_layer():
    options = {"prior": "HierarchicalPrior", "guide": "TopDown", "likelihood": "Bernoulli", "latent_dim": 6}
    model, guide = build(settings_of(options).config, (1, 8, 8))
    assert (model.latent_dim, guide.latent_dim, model.decoder.latent_dim) == (6, 6, 4)
    z = torch.randn(5, 6, requires_grad=True)
    likelihood = model.likelihood(model.decode(z)).log_prob(torch.ones(1, 8, 8)).sum()
    (slope,) = torch.autograd.grad(likelihood, z)
    assert (slope[:, :4] != 0).all()
    assert (slope[:, 4:] == 0).all()


def test_labels_beside_two_layers():
    """The decoder of p(x|y, z) sees z1 and the label."""
    options = {"prior": "HierarchicalPrior", "model": "ConditionalVAE", "likelihood": "Bernoulli", "latent_dim": 6}
    model, _ = build(settings_of(options).config, (1, 8, 8), num_classes=3)
    assert (model.num_classes, model.decoder.latent_dim, model.latent_dim) == (3, 4 + 3, 6)
    x, z, y = torch.ones(5, 1, 8, 8), torch.randn(2, 5, 6), torch.tensor([0, 1, 2, 0, 1])
    likelihood = model.log_joint(x, z, y) - model.prior().log_prob(z)
    other = torch.cat([z[..., :4], torch.randn(2, 5, 2)], -1)
    torch.testing.assert_close(model.log_joint(x, other, y) - model.prior().log_prob(other), likelihood)


def test_layers_that_cannot_be():
    with pytest.raises(ValueError, match="at least two dimensions"):
        HierarchicalPrior(1)
    for family in (BottomUp, TopDown):
        for top in (0, 3):
            with pytest.raises(ValueError, match="top_dim must be between 1 and 2"):
                family(MLPEncoder(SHAPE), 3, top_dim=top)
    with pytest.raises(ValueError, match="the decoder has 3 latent dimensions, the prior 2"):
        VAE(MLPDecoder(3, SHAPE), Bernoulli(SHAPE), HierarchicalPrior(3))
    with pytest.raises(ValueError, match="the decoder has 3 latent dimensions, the prior 4"):
        VAE(MLPDecoder(3, SHAPE), Bernoulli(SHAPE), MixturePrior(4))


def test_guide_and_prior_must_agree_on_the_layers(tmp_path):
    wrong = {"class_path": "TopDown", "init_args": {"top_dim": 3}}
    with pytest.raises(InputError, match="has 2 dimensions, and that of TopDown 3: give both the same top_dim"):
        train_in_python(prior="HierarchicalPrior", guide=wrong, latent_dim=6, out=tmp_path / "run")
    prior = HierarchicalPrior(6)
    prior.bind(MeanField(MLPEncoder(SHAPE), 6), SHAPE, None)  # any guide over the whole vector will do
    prior.bind(BottomUp(MLPEncoder(SHAPE), 6), SHAPE, None)


@pytest.mark.parametrize("guide", ["BottomUp", "TopDown", "MeanField"])
def test_digits(train, guide):
    """Six epochs: all parts move, the run loads, and features have both layers."""
    folder = train(guide, "--prior", "HierarchicalPrior", "--guide", guide, "--latent-dim", "6", "--epochs", "6")
    run = load(folder.path, "last")
    first, _ = build(run.config, run.model.image_shape)
    for parameter, start in zip(run.model.prior.parameters(), first.prior.parameters(), strict=True):
        assert not torch.equal(parameter, start)
    rows = [row.elbo for row in folder.read_trace() if row.split == "test"]
    assert rows[-1] > rows[0] + 5
    assert pyro_vae.features(folder.path, torch.rand(4, 1, 8, 8)).shape == (4, 6)
