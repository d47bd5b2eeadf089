"""Train: stochastic variational inference, AEVB's Algorithm 1.

    python -m pyro_vae.svi --data mnist --guide MeanField --latent-dim 20

The loop is :func:`fit`. A run's random numbers are a function of its seed and the epoch alone, so a run that was
interrupted goes on as if it had not been.
"""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from guides import Guide
from pyro_vae.cli import run_command
from pyro_vae.config import (
    Config,
    Settings,
    build,
    make_parser,
    parse_arguments,
    random_seed,
    settings_from,
    settings_of,
    settle,
)
from pyro_vae.data import Binarizer, DataSet, Images, load_data
from pyro_vae.engine import SVI
from pyro_vae.errors import InputError
from pyro_vae.models import Likelihood, Model
from pyro_vae.objectives import ElboTerms, elbo_terms
from pyro_vae.progress import Watch
from pyro_vae.runs import Run, RunFolder, TraceRow, load, set_weights, write_atomic


def fit(config: Config, data: DataSet, folder: RunFolder, resume: bool = False) -> None:
    """Train a model and a guide, and keep the run folder complete after every epoch.

    Args:
        config: the options, with the likelihood settled.
        data: the images.
        folder: the run folder, which exists.
        resume: go on from the folder's last checkpoint, if it has one.

    Raises:
        InputError: where the bound or a gradient is no longer finite, naming the step and the site.
    """
    device = choose_device(config.device)
    data = data.on(device)
    model, guide = build(config, data.image_shape, data.mean_image)
    model.to(device), guide.to(device)
    seen = Binarizer(sees_binary(config, model))
    objective, beta = config.objective(), config.beta()
    optimizer = make_optimizer(config, model, guide)
    svi = SVI(model, guide, optimizer, objective, config.clip_norm)

    count, batches = len(data.train), math.ceil(len(data.train) / config.batch_size)
    rows, state = _restore(folder, model, guide, optimizer, data) if resume else ([], dict(_FRESH))
    log = _Log(folder, rows, data, seen)
    with torch.random.fork_rng(), Watch(config.epochs, state["epoch"], batches) as watch:
        _try_once(model, guide, data.train.batch(slice(0, 2)), seen)
        while state["epoch"] < config.epochs and not _out_of_patience(state, config):
            epoch = state["epoch"]
            started = time.perf_counter()
            torch.manual_seed(random_seed(config.seed, "sample", epoch))
            shuffle = torch.Generator().manual_seed(random_seed(config.seed, "order", epoch))
            coin = torch.Generator(device).manual_seed(random_seed(config.seed, "binarize", epoch))
            order = torch.randperm(count, generator=shuffle).to(device)
            record = torch.zeros(batches, 3, device=device)
            model.train(), guide.train()
            for i, index in enumerate(order.split(config.batch_size)):
                progress = (epoch * batches + i) / max(1, config.epochs * batches - 1)
                objective.kl_weight = beta(progress)
                set_lr(optimizer, config.lr * lr_factor(config.lr_schedule, progress))
                x = seen(data.train.batch(index), coin)  # a random minibatch of images, binarised afresh
                done = svi.step(x)  # noise, gradient of the bound, update of theta and phi
                record[i] = torch.stack([done.log_likelihood, done.kl, done.grad_norm])
                watch.step()
            _check_finite(record, epoch * batches, folder)
            spent = time.perf_counter() - started

            model.eval(), guide.eval()
            weights = torch.full((batches,), float(config.batch_size), device=device)
            weights[-1] = count - config.batch_size * (batches - 1)
            log_likelihood, kl, grad_norm = (weights @ record / count).tolist()
            state.update(epoch=epoch + 1, step=state["step"] + batches, seconds=state["seconds"] + spent)
            common = (float(objective.kl_weight), optimizer.param_groups[0]["lr"], state["seconds"], count / spent)
            log.row(state, "train", log_likelihood, kl, grad_norm, *common)
            for split, images in {"validation": data.validation, "test": data.test}.items():
                terms = held_out_terms(model, guide, images, seen, config.eval_samples)
                log.row(state, split, terms.log_likelihood.mean().item(), terms.kl.mean().item(), None, *common)
            if log.elbo("validation") > state["best_elbo"]:
                state.update(best_elbo=log.elbo("validation"), best_epoch=epoch + 1)
                folder.save("best", _weights(model, guide, data, state))
            log.epoch(model, guide, state)
            # Last, so that a run killed before this line does the epoch again and writes the same.
            folder.save("last", {**_weights(model, guide, data, state), "optimizer": optimizer.state_dict()})
            watch.epoch(epoch + 1, {s: log.elbo(s) for s in ("train", "test")}, count / spent)
        _finish(config, data, seen, folder, state, log, device, watch)


_FRESH: dict[str, Any] = {"epoch": 0, "step": 0, "seconds": 0.0, "best_elbo": -math.inf, "best_epoch": 0}


def held_out_terms(model: Model, guide: Guide, images: Images, seen: Binarizer, num_samples: int) -> ElboTerms:
    """The ELBO's terms for each held-out image, ``(N,)`` each, the mean over ``num_samples`` draws of z.

    The binarisation and the noise are the same at every call, whatever the run's seed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = max(1, 20_000 // num_samples)
        parts = [elbo_terms(model, guide, x, num_samples) for x in seen.held_out(images, size)]
    return ElboTerms(*(torch.cat([term.mean(0) for term in column]) for column in zip(*parts, strict=True)))


def choose_device(name: str) -> torch.device:
    """The device of this name; auto is CUDA where there is one.

    Raises:
        InputError: where there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}; --device cpu works everywhere") from error
    return device


def make_optimizer(config: Config, model: nn.Module, guide: nn.Module) -> Optimizer:
    """One optimizer over the parameters of both, fused into one kernel where torch has it."""
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer in ("Adam", "AdamW", "Adagrad", "SGD"):
        options["fused"] = True
    return getattr(torch.optim, config.optimizer)([*model.parameters(), *guide.parameters()], **options)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def lr_factor(schedule: str, progress: float) -> float:
    """The learning rate, as a part of its highest, at ``progress`` between 0 and 1.

    >>> [round(lr_factor("stages", p), 3) for p in (0.0, 0.001, 0.5, 1.0)]
    [1.0, 0.518, 0.1, 0.1]
    """
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "stages":
        # Stage i of 0..7 lasts 3^i parts of the (3^8 - 1) / 2 in all, at 10^(-i/7).
        stage = min(7, int(math.log(1 + 2 * progress * (3**8 - 1) / 2, 3)))
        return 10 ** (-stage / 7)
    return 1.0


def sees_binary(config: Config, model: Model) -> bool:
    """Whether the likelihood is shown zeros and ones drawn from gray values."""
    likelihood = getattr(model, "likelihood", None)
    binary = isinstance(likelihood, Likelihood) and likelihood.binary
    return config.binarize == "dynamic" or (config.binarize == "auto" and binary)


def check(config: Config, data: DataSet) -> None:
    """Find what cannot work before anything is written.

    Raises:
        InputError: says what.
    """
    choose_device(config.device)
    if config.batch_size > len(data.train):
        raise InputError(f"--batch_size {config.batch_size} is more than the {len(data.train)} training images")
    if config.patience is not None and config.validation == 0:
        raise InputError("--patience watches the validation ELBO, and --validation 0 leaves no validation images")
    try:
        model, _ = build(config, data.image_shape, data.mean_image)
        config.objective(), config.beta()
    except ValueError as error:
        raise InputError(str(error)) from error
    wanted = getattr(getattr(model, "likelihood", None), "pixel_range", None)
    if sees_binary(config, model):
        wanted = (0.0, 1.0)
    if wanted is not None and not wanted[0] <= data.low <= data.high <= wanted[1]:
        raise InputError(
            f"{data.name} has pixels from {data.low:g} to {data.high:g}, and they must lie in"
            f" [{wanted[0]:g}, {wanted[1]:g}]: scale them, or use --likelihood Gaussian --likelihood.squash false"
        )


def _try_once(model: Model, guide: Guide, x: Tensor, seen: Binarizer) -> None:
    """One pass with all of Pyro's checks on, which finds what is wrong in a user's own guide."""
    import pyro
    from pyro.infer import Trace_ELBO

    with pyro.validation_enabled(True), torch.no_grad():
        x = seen(x, torch.Generator(x.device).manual_seed(0))
        Trace_ELBO(max_plate_nesting=1)._get_trace(model, guide, (x,), {})


def _out_of_patience(state: dict[str, Any], config: Config) -> bool:
    return config.patience is not None and state["epoch"] - state["best_epoch"] >= config.patience


def _check_finite(record: Tensor, first_step: int, folder: RunFolder) -> None:
    bad = ~record.isfinite()
    if not bad.any():
        return
    step = int(bad.any(1).nonzero()[0])
    site = ("site 'x', log p(x|z)", "site 'z', log q(z|x) - log p(z)", "the gradient")[int(bad[step].nonzero()[0])]
    good = folder.checkpoint("last")
    kept = f"{good} is from before it" if good.exists() else "no epoch was finished before it"
    raise InputError(
        f"the ELBO is no longer finite: step {first_step + step + 1}, {site}; {kept}."
        " A smaller --lr or --clip-norm 1 may help"
    )


def _weights(model: Model, guide: Guide, data: DataSet, state: dict[str, Any]) -> dict[str, Any]:
    shape = list(data.image_shape)
    return {"image_shape": shape, "model": model.state_dict(), "guide": guide.state_dict(), "state": state}


def _restore(
    folder: RunFolder, model: Model, guide: Guide, optimizer: Optimizer, data: DataSet
) -> tuple[list[TraceRow], dict[str, Any]]:
    """The trace up to the last checkpoint and the state there; weights and optimizer are set."""
    if not folder.checkpoint("last").exists():
        return [], dict(_FRESH)
    saved = folder.restore("last")
    if tuple(saved["image_shape"]) != data.image_shape:
        shapes = f"{tuple(saved['image_shape'])}, and those of {data.name} are {data.image_shape}"
        raise InputError(f"{folder.path} was trained on images of shape {shapes}")
    set_weights(model, guide, saved, folder.checkpoint("last"))
    optimizer.load_state_dict(saved["optimizer"])
    return [row for row in folder.read_trace() if row.epoch <= saved["state"]["epoch"]], saved["state"]


class _Log:
    """What a run leaves besides its checkpoints: the trace, TensorBoard's events, metrics and pictures."""

    def __init__(self, folder: RunFolder, rows: list[TraceRow], data: DataSet, seen: Binarizer):
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.rows, self.data, self.seen = folder, rows, data, seen
        # What a killed run wrote after its last checkpoint is told to be dropped.
        purge = rows[-1].step + 1 if rows else None
        self.events = SummaryWriter(str(folder.path), purge_step=purge)
        if not rows:
            self.events.add_text("config", f"```yaml\n{folder.config_text()}\n```")
        self.picture_cost, self.pictured = 0.0, -math.inf

    def row(self, state: dict[str, Any], split: str, log_likelihood: float, kl: float, *rest: Any) -> None:
        grad_norm, beta, lr, seconds, speed = rest
        elbo = log_likelihood - kl
        row = TraceRow(
            state["step"], state["epoch"], split, elbo, log_likelihood, kl, beta, grad_norm, lr, seconds, speed
        )
        self.rows.append(row)
        for name in ("elbo", "log_likelihood", "kl"):
            self.events.add_scalar(f"{name}/{split}", getattr(row, name), row.step)

    def elbo(self, split: str) -> float:
        """The last ELBO of this split."""
        return next(row.elbo for row in reversed(self.rows) if row.split == split)

    def epoch(self, model: Model, guide: Guide, state: dict[str, Any]) -> None:
        """Write everything after an epoch; pictures only where they take less than a tenth of the time."""
        self.folder.write_trace(self.rows)
        last = {row.split: row._asdict() for row in self.rows[-3:]}
        self.folder.update_metrics(epoch=state["epoch"], finished=False, last=last)
        if time.monotonic() - self.pictured > 10 * self.picture_cost:
            self.pictures(model, guide)

    def pictures(self, model: Model, guide: Guide) -> None:
        from pyro_vae.pictures import draw, save_figure
        from pyro_vae.traces import trace_figure

        began = time.monotonic()
        draw(model, guide, self.data, self.seen, self.folder)
        save_figure(self.folder, "trace", trace_figure({self.folder.path.name: self.rows}, "epochs"))
        self.events.flush()
        self.pictured = time.monotonic()
        self.picture_cost = self.pictured - began


def _finish(
    config: Config,
    data: DataSet,
    seen: Binarizer,
    folder: RunFolder,
    state: dict[str, Any],
    log: _Log,
    device: torch.device,
    watch: Watch,
) -> None:
    """The last pictures, and the test ELBO of the best weights with many samples."""
    run = load(folder.path, "best", device)
    terms = held_out_terms(run.model, run.guide, data.test, seen, config.final_samples)
    images = len(data.test)
    elbo = (terms.log_likelihood - terms.kl).double()
    result: dict[str, Any] = {
        "value": elbo.mean().item(),
        "standard_error": elbo.std().item() / math.sqrt(images),
        "log_likelihood": terms.log_likelihood.double().mean().item(),
        "kl": terms.kl.double().mean().item(),
        "estimator": "Trace_ELBO",
        "samples": config.final_samples,
        "images": images,
        "binarised": seen.binary,
        "checkpoint": "best",
        "epoch": state["best_epoch"],
    }
    log.pictures(run.model, run.guide)
    folder.update_metrics(finished=True, seconds=state["seconds"], test_elbo=result)
    log.events.add_hparams({"guide": type(run.guide).__name__}, {"test_elbo": result["value"]}, run_name=".")
    log.events.close()
    why = " (out of patience)" if state["epoch"] < config.epochs else ""
    watch.say(
        f"{state['epoch']} epochs in {state['seconds']:.1f} s of training on {device}{why}\n"
        f"test ELBO {result['value']:.2f} +- {result['standard_error']:.2f} nats per image"
        f" (log-likelihood {result['log_likelihood']:.2f}, KL {result['kl']:.2f};"
        f" {config.final_samples} samples of z, {images} images, best weights: epoch {state['best_epoch']})\n"
        f"run folder: {folder.path}\n"
        f"look at:    {folder.figures}/*.png\n"
        f"next:       python -m pyro_vae.traces {folder.path}\n"
        f"            tensorboard --logdir {folder.path.parent}"
    )


def start(settings: Settings) -> Path:
    """A new run from settings; returns its folder."""
    config = settings.config
    data = load_data(config.data, config.data_root, config.validation)
    out = config.out or _free_folder(config)
    if config.likelihood is None:
        settings = settings_from(settings.text, likelihood=data.likelihood)
        config = settings.config
    check(config, data)
    folder = RunFolder.create(out, settings.text)
    _guarded(config, data, folder, resume=False)
    return folder.path


def go_on(path: Path, changes: Sequence[str] = ()) -> None:
    """Resume the run in this folder; of its options, only epochs and device may be other ones.

    Raises:
        InputError: where the folder is no run, is damaged, or other options are changed.
    """
    folder = RunFolder(path)
    saved = settings_from(folder.config_text())
    parser = make_parser()
    given = parse_arguments(parser, ["--config", str(path / "config.yaml"), *changes])
    settings = settle(parser, given)
    allowed = {"epochs": settings.config.epochs, "device": settings.config.device}
    if settings_from(saved.text, **allowed).text != settings.text:
        raise InputError("--resume takes its options from the run; only --epochs and --device may be changed")
    config = settings.config
    data = load_data(config.data, config.data_root, config.validation)
    check(config, data)
    if settings.text != saved.text:
        write_atomic(path / "config.yaml", settings.text)
    _guarded(config, data, folder, resume=True)


def _guarded(config: Config, data: DataSet, folder: RunFolder, resume: bool) -> None:
    try:
        fit(config, data, folder, resume)
    except KeyboardInterrupt:
        print(
            f"\nstopped; every finished epoch is saved. Go on with: python -m pyro_vae.svi --resume {folder.path}",
            file=sys.stderr,
        )
        sys.exit(130)


def _free_folder(config: Config) -> Path:
    """runs/DATA-GUIDE-NUMBER with the first number that is free."""
    guide = getattr(config.guide, "args", [config.guide])[-1]
    stem = f"{Path(config.data).stem}-{getattr(guide, '__name__', 'guide')}"
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def train(**options: Any) -> Run:
    """Train from Python, with the options of the command line: classes by name, or as class_path and init_args.

    >>> run = train(data="digits", guide="MeanField", epochs=1, out="runs/x")  # doctest: +SKIP
    """
    return load(start(settings_of(options)))


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.svi --help``."""
    parser = make_parser("python -m pyro_vae.svi", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in this folder")
    if any(word.partition("=")[0] == "--resume" for word in argv):
        folder, rest = _take(argv, "--resume")
        go_on(Path(folder), rest)
    else:
        start(settle(parser, parse_arguments(parser, argv)))


def _take(argv: list[str], option: str) -> tuple[str, list[str]]:
    """The value of an option and the words without it."""
    at = next(i for i, word in enumerate(argv) if word.partition("=")[0] == option)
    _, equals, value = argv[at].partition("=")
    if equals:
        return value, argv[:at] + argv[at + 1 :]
    if at + 1 == len(argv):
        raise InputError(f"{option} needs the run folder")
    return argv[at + 1], argv[:at] + argv[at + 2 :]


if __name__ == "__main__":
    run_command(main)
