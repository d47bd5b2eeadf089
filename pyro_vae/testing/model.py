"""``check_model``: whether a model keeps its contract."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from guides import Guide, MeanField, MLPEncoder
from pyro_vae.models import Bernoulli, Decoder, Likelihood, MLPDecoder, Model, Prior, StandardNormal
from pyro_vae.objectives import Trace_ELBO, TraceEnum_ELBO
from pyro_vae.seeds import forked
from pyro_vae.testing.context import looking_at, name_of, require, require_shape
from pyro_vae.testing.network import SHAPES

CLASSES, IMAGES = 3, 5


def check_model(
    model_class: Callable[..., Model],
    *,
    decoder: Callable[..., Decoder] = MLPDecoder,
    likelihood: Callable[..., Likelihood] = Bernoulli,
    prior: Callable[..., Prior] = StandardNormal,
    latent_dims: Sequence[int] = (1, 3),
    image_shapes: Sequence[tuple[int, ...]] = SHAPES,
    **options: Any,
) -> None:
    """Raise an error that says what is wrong with a model; return None if nothing is.

    Checked in evaluation mode: sites and plate of the Pyro program; ``log_joint`` against the log density of the
    program's own trace, to 1e-4 nats, also with a leading dimension of samples; images that do not depend on each
    other; drawn images; finite gradients; a loss with a guide; the same numbers after saving and loading.

    Args:
        model_class: a subclass of :class:`~pyro_vae.models.Model`, made by
            ``model_class(decoder, likelihood, prior, **options)``.
        decoder, likelihood, prior: the parts of the model.
        latent_dims: the numbers of latent dimensions to try.
        image_shapes: the shapes of one image to try.
        options: the model's own.

    Raises:
        AssertionError: if the model breaks the contract.

    Example:
        >>> from pyro_vae.models import VAE
        >>> check_model(VAE, latent_dims=[2])
    """
    for d in latent_dims:
        for shape in image_shapes:

            def build(d: int = d, shape: tuple[int, ...] = shape) -> Model:
                parts = likelihood(shape), prior(d)
                room = 0 if getattr(model_class, "labels", "ignored") == "ignored" else CLASSES
                made = model_class(decoder(parts[1].decoded_dim + room, parts[0].output_shape), *parts, **options)
                require(isinstance(made, Model), f"it makes a {type(made).__name__}, which is no Model")
                return made.eval()

            with looking_at(f"{name_of(model_class)}, latent_dim {d}, images of shape {shape}"), forked():
                torch.manual_seed(0)
                _check_contract(build, d, shape)


def _check_contract(build: Callable[[], Model], d: int, shape: tuple[int, ...]) -> None:
    model = build()
    require(model.latent_dim == d, f"latent_dim must be {d}, not {model.latent_dim}")
    require(tuple(model.image_shape) == shape, f"image_shape must be {shape}, not {tuple(model.image_shape)}")
    guide = model.wrap_guide(MeanField(MLPEncoder(shape, [8]), d))
    require(isinstance(guide, Guide), f"wrap_guide must return a Guide, not a {type(guide).__name__}")
    y = torch.arange(IMAGES) % CLASSES
    given = {} if model.labels == "ignored" else {"y": y}
    drawn = model(**given) if given else model(n=IMAGES)
    require_shape(drawn.shape, (IMAGES, *shape), "drawn images")
    x, z = drawn.detach(), torch.randn(IMAGES, d)
    _check_program(model, x, z, given)
    log_joint = model.log_joint(x, z, **given)
    others = model.log_joint(torch.cat([x[:1], drawn[1:].flip(0)]).detach(), torch.cat([z[:1], -z[1:]]), **given)
    require(torch.allclose(log_joint[0], others[0]), "log_joint of the first image changes with the other images")
    many = model.log_joint(x, z.expand(3, IMAGES, d), **given)
    require_shape(many.shape, (3, IMAGES), "log_joint of z with shape (3, N, D)")
    require(torch.allclose(many[1], log_joint, atol=1e-4), "log_joint differs with a leading dimension of samples")
    _check_gradients(model, guide, x, given)
    _check_saving(build, model, (x, z), given)


def _check_program(model: Model, x: Tensor, z: Tensor, given: dict[str, Tensor]) -> None:
    trace = poutine.trace(poutine.condition(model, {"z": z, **given})).get_trace(x, **given)
    trace.compute_log_prob()
    sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample"}
    for name in ("x", "z"):
        require(name in sites, f'there is no sample site "{name}"; there are: {", ".join(sites)}')
        frames = [(frame.name, frame.size) for frame in sites[name]["cond_indep_stack"]]
        require(("data", len(x)) in frames, f'site "{name}" must be in pyro.plate("data", {len(x)}), not in {frames}')
    own = sum(sites[name]["log_prob"] for name in ("x", "z", "y") if name in sites)
    log_joint = model.log_joint(x, z, **given)
    require_shape(log_joint.shape, (len(x),), "log_joint(x, z)")
    error = (log_joint - own).abs().max().item()
    require(error < 1e-4, f"log_joint differs by {error:.3g} nats from the log density of the program's trace")


def _check_gradients(model: Model, guide: Guide, x: Tensor, given: dict[str, Tensor]) -> None:
    model.zero_grad()
    elbo = TraceEnum_ELBO if model.labels == "optional" else Trace_ELBO
    loss = elbo(num_particles=2).differentiable_loss(model, guide, x, **given)
    require(bool(loss.isfinite()), f"{elbo.__name__} of the model with a MeanField guide is not finite")
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    require(bool(gradients) or not list(model.parameters()), "no gradient reaches the model's parameters")
    require(all(bool(g.isfinite().all()) for g in gradients), "a gradient of the model is not finite")


def _check_saving(build: Callable[[], Model], model: Model, at: tuple[Tensor, Tensor], given: dict) -> None:
    file = BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = build()
    other.load_state_dict(torch.load(file, weights_only=True))
    same = torch.allclose(model.log_joint(*at, **given), other.log_joint(*at, **given), atol=1e-5)
    require(same, "log_joint is another after saving and loading: something is neither a parameter nor a buffer")
