"""The options of a run, from the command line, a YAML file or Python, and the model and guide they describe.

jsonargparse makes the flags from the types below, so a class of the user's own works by its import path, and an option
of a class is an option of the command: ``--guide IAF --guide.transforms 4``.
"""

import re
from argparse import ArgumentError
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import Tensor

import pyro_vae.models as models
from guides import Encoder, Guide, MLPEncoder
from guides.mean_field import MeanField
from pyro_vae.engine import EngineName, Precision
from pyro_vae.errors import InputError
from pyro_vae.models import Decoder, Likelihood, Model, Prior
from pyro_vae.objectives import Objective, Trace_ELBO
from pyro_vae.optim import LrSchedule, OptimizerName
from pyro_vae.schedules import BetaSchedule, Constant
from pyro_vae.seeds import forked, random_seed

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Config:
    """What a run is made of.

    Args:
        data: digits, mnist, fashion_mnist, kmnist, frey_faces, or the path of a .npy or .npz file or of a folder of
            pictures.
        data_root: where downloaded data sets are kept; by default the environment variable PYRO_VAE_DATA, then a folder
            of the user's cache.
        validation: how many validation images stay out of training; by default all of them. 0 trains on them as well.
        binarize: gray images become zeros and ones by a fresh draw at every step (dynamic), or stay as they are (none);
            auto is dynamic for a binary likelihood.
        labels: of how many training images a model of labels sees the label, as many of each class as can be, drawn for
            each seed; by default of all.
        labelled_batch_size: images with a label that join each minibatch where some labels are hidden.
        model: the generative story.
        decoder: the network from z to the likelihood's parameters.
        likelihood: p(x|z); by default the one that suits the data.
        prior: p(z).
        encoder: the network from images to the guide's features.
        guide: q(z|x), the approximate posterior.
        objective: what SVI maximises.
        beta: how the weight of the KL term changes over the run.
        latent_dim: the number of latent dimensions.
        epochs: passes over the training images.
        batch_size: images in a step; under torchrun, for each process: K processes with B images are one with K x B.
        optimizer: the torch optimizer, one for all parameters.
        lr: the learning rate at its highest.
        lr_schedule: the course of the learning rate over the run. stages is Burda et al. 2015: eight stages of 1, 3, 9,
            ... parts, from lr down to a tenth of it.
        weight_decay: the optimizer's. AEVB's prior N(0, I) on the weights is 1 / (number of training images).
        clip_norm: gradients are scaled down to this norm.
        patience: stop when the validation ELBO has not risen for so many epochs.
        eval_samples: samples of z for each image in the test and validation rows of the trace.
        final_samples: samples of z for each image in the test ELBO of metrics.json.
        seed: the run's random numbers are a function of it.
        device: auto takes CUDA where there is one.
        engine: how a step runs; the numbers are the same. auto takes cudagraph on CUDA; on a CPU compiled, where the
            run is long enough to repay the compilation, else eager.
        precision: of the networks' matrix products; everything else is float32.
        out: the run folder; by default runs/DATA-GUIDE-NUMBER.
    """

    data: str = "digits"
    data_root: Path | None = None
    validation: int | None = None
    binarize: Literal["auto", "dynamic", "none"] = "auto"
    labels: int | None = None
    labelled_batch_size: int = 20
    model: Callable[[Decoder, Likelihood, Prior], Model] = models.VAE
    decoder: Callable[[int, Shape], Decoder] = models.MLPDecoder
    likelihood: Callable[[Shape], Likelihood] | None = None
    prior: Callable[[int], Prior] = models.StandardNormal
    encoder: Callable[[Shape], Encoder] = MLPEncoder
    guide: Callable[[Encoder, int], Guide] = MeanField
    objective: Callable[[], Objective] = Trace_ELBO
    beta: Callable[[], BetaSchedule] = Constant
    latent_dim: int = 10
    epochs: int = 200
    batch_size: int = 100
    optimizer: OptimizerName = "Adam"
    lr: float = 1e-3
    lr_schedule: LrSchedule = "constant"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    eval_samples: int = 1
    final_samples: int = 100
    seed: int = 0
    device: str = "auto"
    engine: EngineName = "auto"
    precision: Precision = "fp32"
    out: Path | None = None

    def __post_init__(self) -> None:
        positive = (
            "labels",
            "labelled_batch_size",
            "latent_dim",
            "epochs",
            "batch_size",
            "lr",
            "clip_norm",
            "patience",
            "eval_samples",
            "final_samples",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name} must be positive, not {value}")
        for name in ("weight_decay", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"--{name} must not be negative, not {getattr(self, name)}")


# The options that are classes, by the class that theirs must be, to name what was meant instead of an unknown one.
_KINDS: dict[str, type] = {
    "model": Model,
    "decoder": Decoder,
    "likelihood": Likelihood,
    "prior": Prior,
    "encoder": Encoder,
    "guide": Guide,
    "objective": Objective,
    "beta": BetaSchedule,
}


class Settings(NamedTuple):
    """Parsed options: as values, and as the YAML text that repeats them."""

    config: Config
    text: str


def make_parser(prog: str | None = None, **kwargs: Any) -> ArgumentParser:
    """A parser with the options of :class:`Config`; errors are raised and not printed."""
    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False, **kwargs)
    parser.add_argument("--config", action="config", help="a YAML file of options, such as a run folder's config.yaml")
    parser.add_class_arguments(Config)
    return parser


def parse_arguments(parser: ArgumentParser, argv: list[str]) -> Namespace:
    """The command line as a namespace; ``--batch-size`` and ``--batch_size`` are the same option.

    Raises:
        InputError: where an option is unknown or has no sense, in one line.
    """
    return _in_one_line(lambda: parser.parse_args([_with_underscores(word) for word in argv]))


def settle(parser: ArgumentParser, namespace: Namespace) -> Settings:
    """A namespace as values and text. Where the folder is, is not part of what is repeated."""

    def settled() -> Settings:
        chosen = Namespace({name: namespace[name] for name in Config.__dataclass_fields__})
        values = parser.instantiate(chosen.clone()).as_dict()
        chosen["out"] = None
        return Settings(Config(**values), parser.dump(chosen, skip_validation=True))

    return _in_one_line(settled)


def settings_of(options: dict[str, Any]) -> Settings:
    """Options given in Python, or read from YAML: names for classes, or ``{"class_path": ..., "init_args": ...}``."""
    parser = make_parser()
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    return settle(parser, _in_one_line(lambda: parser.parse_object(plain)))


def settings_from(text: str, **changes: Any) -> Settings:
    """The settings that a ``config.yaml`` says, with changes."""
    try:
        options = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"the configuration is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(options, dict):
        raise InputError("the configuration is not a table of options")
    return settings_of({**options, **changes})


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _in_one_line(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except InputError:
        raise
    except (ArgumentError, TypeError, ValueError) as error:
        raise InputError(_explain(str(error))) from error


def _explain(message: str) -> str:
    """jsonargparse's answer in one line, with the nearest names where a class is unknown."""
    key = re.search(r'key "(\w+)', message)
    unknown = re.search(r"Expected a dot import path string: (\S+)", message)
    if key and key[1] in _KINDS and unknown:
        known = sorted(_concrete(_KINDS[key[1]]))
        near = get_close_matches(unknown[1], known, n=3, cutoff=0.4)
        rest = f"nearest: {', '.join(near)}; " if near else ""
        return f"no {key[1]} {unknown[1]!r}: {rest}known: {', '.join(known)}; or give the import path of your own class"
    if key and "Dict must include a class_path" in message:
        return f"--{key[1]} has no default here: name the class too, as in --{key[1]} CLASS --{key[1]}.option VALUE"
    line = re.sub(r'Parser key "([\w.]+)":', r"--\1:", " ".join(message.split()))
    line = re.sub(r"Type \S.*? expects a function or a callable class: ", "", line)
    return re.sub(r"Does not validate against any of the Union subtypes.*?Errors: - ", "", line)


def _concrete(kind: type) -> set[str]:
    below: set[str] = set().union(*map(_concrete, kind.__subclasses__()))
    not_chosen = getattr(kind, "__abstractmethods__", None) or "._" in kind.__module__
    return below if not_chosen else below | {kind.__name__}


def class_of(factory: Callable) -> Callable:
    """The class that an option named, of the factory of its objects that the parser made of it."""
    return getattr(factory, "args", (factory,))[-1]


def takes_labels(config: Config) -> bool:
    """Whether the model that the options name is one of labels."""
    return getattr(class_of(config.model), "takes_labels", False)


def build(
    config: Config,
    image_shape: Shape,
    mean_image: Tensor | None = None,
    num_classes: int | None = None,
    num_images: int | None = None,
) -> tuple[Model, Guide]:
    """A model and a guide with the first weights of a run, on the CPU.

    Args:
        config: the options; ``likelihood`` must be settled.
        image_shape: channels, height, width.
        mean_image: the decoder starts there; None leaves its bias as it is.
        num_classes: how many labels the data have; a model that takes none has no use for it.
        num_images: how many images the model will be trained on; None where weights will be loaded.
    """
    assert config.likelihood is not None, "the likelihood is settled when the data are known"
    with forked():
        torch.manual_seed(random_seed(config.seed, "prior"))
        prior = config.prior(config.latent_dim)
        torch.manual_seed(random_seed(config.seed, "decoder"))
        likelihood = config.likelihood(image_shape)
        room = (num_classes or 0) if takes_labels(config) else 0
        decoder = config.decoder(prior.decoded_dim + room, likelihood.output_shape)
        if mean_image is not None:
            decoder.start_at(likelihood.initial_output(mean_image))
        model = config.model(decoder, likelihood, prior)
        torch.manual_seed(random_seed(config.seed, "encoder"))
        encoder = config.encoder(image_shape)
        torch.manual_seed(random_seed(config.seed, "guide"))
        guide = config.guide(encoder, config.latent_dim)
        guide = model.wrap_guide(guide)
        if num_images is not None:
            model.set_num_images(num_images)
        guide.bind(model.log_joint)
        prior.bind(guide, image_shape, mean_image)
    return model, guide
