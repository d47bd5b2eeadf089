"""``check_guide``: one line in an author's tests checks that a guide keeps the contract."""

import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor

from guides.base import Guide
from guides.encoders import MLPEncoder
from pyro_vae.engine.precision import Precision, products
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, Model, StandardNormal
from pyro_vae.objectives import Trace_ELBO
from pyro_vae.seeds import forked, seeded
from pyro_vae.testing.context import looking_at, name_of, require
from pyro_vae.testing.density import check_density, check_log_determinants, draw


def check_guide(
    guide_class: Callable[..., Guide],
    *,
    latent_dims: Sequence[int] = (1, 2, 20),
    batch_sizes: Sequence[int] = (1, 7, 256),
    image_shapes: Sequence[tuple[int, ...]] = ((1, 8, 8), (3, 5, 7)),
    seed: int = 0,
    **options: Any,
) -> None:
    """Raise an error that says in words what is wrong with a guide; return None if nothing is.

    Checked for every number of latent dimensions, shape of images and number of images: sites and shapes; finite
    numbers with float32 and with bfloat16 layers; a gradient for every parameter; rows that do not depend on each
    other; the same posterior after saving and loading. Then, for every number of latent dimensions, whether the
    density is that of the samples (see :mod:`pyro_vae.testing.density`). A class that declares a limit
    (``scores_any_z``, ``has_density``) must raise there instead.

    Args:
        guide_class: a subclass of :class:`~guides.Guide`, made by ``guide_class(encoder, latent_dim, **options)``.
        latent_dims: the numbers of latent dimensions to try.
        batch_sizes: the numbers of images to try.
        image_shapes: the shapes of one image to try.
        seed: of every random number here. The tests of densities are random and have a stated rate of false alarms.
        options: the guide's own.

    Raises:
        AssertionError: if the guide breaks the contract.

    Example:
        >>> from guides import MeanField
        >>> from pyro_vae.testing import check_guide
        >>> check_guide(MeanField, latent_dims=[2], batch_sizes=[7])
    """
    name = name_of(guide_class)
    with forked(), pyro.validation_enabled(True):
        for latent_dim in latent_dims:
            for image_shape in image_shapes:

                def build(d: int = latent_dim, shape: tuple[int, ...] = image_shape) -> tuple[Guide, Model]:
                    return _build(guide_class, d, shape, options)

                for n in batch_sizes:
                    with looking_at(f"{name}, latent_dim {latent_dim}, {n} images of shape {image_shape}"):
                        torch.manual_seed(seed)
                        _check_contract(build, torch.rand(n, *image_shape).bernoulli())
            with looking_at(f"{name}, latent_dim {latent_dim}"):
                torch.manual_seed(seed)
                guide, _ = build()
                if guide.has_density:
                    lam = _stir(guide, torch.rand(2, *image_shape).bernoulli())
                    check_log_determinants(guide.posterior(lam))
                    if guide.scores_any_z:
                        check_density(guide.posterior(lam[:1]))


def _build(make: Callable[..., Guide], latent_dim: int, shape: tuple[int, ...], options: Any) -> tuple[Guide, Model]:
    model = VAE(MLPDecoder(latent_dim, shape, [32]), Bernoulli(shape), StandardNormal(latent_dim))
    guide = make(MLPEncoder(shape, [32]), latent_dim, **options)
    require(isinstance(guide, Guide), f"it makes a {type(guide).__name__}, which is not a guides.Guide")
    guide.bind(model.log_joint)
    return guide, model


def _stir(guide: Guide, x: Tensor) -> Tensor:
    """Move all weights, and return moved lambda, so that no flow is near the identity; without gradients to weights."""
    guide.requires_grad_(False)
    for parameter in guide.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    lam = guide.amortize(x)
    return (lam + 0.3 * torch.randn_like(lam)).detach()


def _check_contract(build: Callable[[], tuple[Guide, Model]], x: Tensor) -> None:
    guide, model = build()
    _check_posterior(guide, x)
    _check_site(guide, x)
    for precision in ("fp32", "bf16"):
        _check_elbo(guide, model, x, precision)
    _check_rows(guide, x)
    _check_saving(guide, build, x)


def _check_posterior(guide: Guide, x: Tensor) -> None:
    n, d = len(x), guide.latent_dim
    lam = guide.amortize(x)
    require(lam.dim() == 2 and len(lam) == n, f"amortize(x) must have shape ({n}, P), not {tuple(lam.shape)}")
    q = guide.posterior(lam)
    hint = "; has .to_event(1) been forgotten?" if q.batch_shape == (n, d) else ""
    require(q.event_shape == (d,), f"posterior(lam) must have event_shape ({d},), not {tuple(q.event_shape)}{hint}")
    require(q.batch_shape == (n,), f"posterior(lam) must have batch_shape ({n},), not {tuple(q.batch_shape)}")
    for shape in [(), (3,)]:
        z = draw(q, shape)
        require(z.shape == (*shape, n, d), f"samples of shape {shape} must be {(*shape, n, d)}, not {tuple(z.shape)}")
        require(bool(z.isfinite().all()), "samples are not finite")
        if not guide.has_density:
            require(_refuses(q, z), "has_density is False, so log_prob must raise NotImplementedError")
            continue
        log_prob = q.log_prob(z)
        require(log_prob.shape == z.shape[:-1], f"log_prob must be {tuple(z.shape[:-1])}, not {tuple(log_prob.shape)}")
        require(bool(log_prob.isfinite().all()), "log_prob of its own samples is not finite")
        if guide.scores_any_z:
            error = (q.log_prob(z.clone()) - log_prob).abs().max().item()
            require(error < 1e-2, f"log_prob of a copy of its own sample differs by {error:.3g} nats: a wrong inverse")
        else:
            require(_refuses(q, z.clone()), "scores_any_z is False, so log_prob of any other z must raise")
    if guide.has_density:
        expanded = draw(q.expand((3, n)), ())
        require(expanded.shape == (3, n, d), f"posterior(lam).expand((3, {n})) draws {tuple(expanded.shape)}")
        require(bool((expanded[0] != expanded[1]).any()), "all particles of posterior(lam).expand(...) are one sample")


def _refuses(q: TorchDistribution, z: Tensor) -> bool:
    try:
        q.log_prob(z)
    except (NotImplementedError, KeyError):  # KeyError: what Pyro's own transforms raise
        return True
    return False


def _check_site(guide: Guide, x: Tensor) -> None:
    sites: dict[str, Any] = {k: v for k, v in poutine.trace(guide).get_trace(x).nodes.items() if v["type"] == "sample"}
    plates = {name for name, site in sites.items() if isinstance(site["fn"], poutine.subsample_messenger._Subsample)}
    names = sorted(sites.keys() - plates)
    require("z" in names, f'there is no sample site "z"; there are: {", ".join(names) or "none"}')
    frames: list[Any] = [(f.name, f.dim, f.size) for f in sites["z"]["cond_indep_stack"]]
    require(
        ("data", -1, len(x)) in frames, f'site "z" must be in pyro.plate("data", {len(x)}, dim=-1), not in {frames}'
    )
    z, expected = sites["z"]["value"], (len(x), guide.latent_dim)
    require(z.shape == expected, f'site "z" must have shape {expected}, not {tuple(z.shape)}')


def _check_elbo(guide: Guide, model: Model, x: Tensor, precision: Precision) -> None:
    guide.zero_grad()
    with products(precision), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pyro warns of infinite terms; here they are an error
        loss = Trace_ELBO(num_particles=3).differentiable_loss(model, guide, x)
    require(bool(loss.isfinite()), f"the ELBO is not finite with {precision} layers")
    loss.backward()
    for name, parameter in guide.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient = torch.zeros(()) if parameter.grad is None else parameter.grad
        require(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite with {precision} layers")
        own = "; a network of your own goes in the place of encoder: super().__init__(network, latent_dim, ...)"
        hint = own if name.startswith("encoder.") else ""
        require(bool((gradient != 0).any()), f"no gradient reaches the parameter {name}{hint}")


@torch.no_grad()
def _outcome(guide: Guide, x: Tensor) -> list[Tensor]:
    """Lambda, a sample and its log density, from the same random numbers whenever it is called."""
    with seeded(1):
        lam = guide.amortize(x)
        q = guide.posterior(lam)
        z = draw(q, ())
        return [lam, z, q.log_prob(z)] if guide.has_density else [lam, z]


def _same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def _check_rows(guide: Guide, x: Tensor) -> None:
    others = torch.cat([x[:1], 1 - x[1:]])
    pairs = zip(_outcome(guide, x), _outcome(guide, others), strict=True)
    for what, (before, after) in zip(("lambda", "the sample", "log_prob"), pairs, strict=False):
        require(_same(before[0], after[0]), f"{what} of the first image changes when only the other images change")


def _check_saving(guide: Guide, build: Callable[[], tuple[Guide, Model]], x: Tensor) -> None:
    file = BytesIO()
    torch.save(guide.state_dict(), file)
    file.seek(0)
    other, model = build()
    try:
        other.load_state_dict(torch.load(file, weights_only=True))
    except RuntimeError as error:
        raise AssertionError(f"its saved state does not load into a new guide of the same options: {error}") from error
    # Both get the same model, because a guide may follow the model's gradient.
    guide.bind(model.log_joint)
    other.bind(model.log_joint)
    for what, a, b in zip(("lambda", "the sample", "log_prob"), _outcome(guide, x), _outcome(other, x), strict=False):
        message = f"{what} is another after saving and loading: something is neither a parameter nor a buffer"
        require(_same(a, b), message)
