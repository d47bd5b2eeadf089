"""Train: stochastic variational inference, AEVB's Algorithm 1.

    python -m pyro_vae.svi --data mnist --guide MeanField --latent-dim 20

The algorithm is :func:`run_epoch`. A run's random numbers are a function of its seed and the epoch alone, so a run that
was interrupted goes on as if it had not been. Several processes share a run where torchrun starts them
(:mod:`pyro_vae.distributed`).
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.optim import Optimizer

from guides import Guide
from pyro_vae.build import build, class_of, sees_binary, takes_labels
from pyro_vae.checks import bounds_nothing, check, choose_device
from pyro_vae.cli import run_command
from pyro_vae.config import Config
from pyro_vae.data import DATA_SETS, Binarizer, DataSet, Images, hide_labels, join_labelled, load_data, rows_at_once
from pyro_vae.distributed import ALONE, Workers, join
from pyro_vae.engine import SVI
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError, plain_interrupts
from pyro_vae.log import Log
from pyro_vae.models import Model
from pyro_vae.objectives import ElboTerms, Objective, elbo_terms
from pyro_vae.optim import lr_factor, make_optimizer, set_lr
from pyro_vae.options import Settings, make_parser, parse_arguments, settings_from, settings_of, settle
from pyro_vae.progress import Watch
from pyro_vae.run_options import RunOptions
from pyro_vae.runs import Run, RunFolder, TraceRow, load, set_weights, write_atomic
from pyro_vae.schedules import Constant
from pyro_vae.seeds import random_seed, seeded


def run_epoch(
    config: Config,
    svi: SVI,
    objective: Objective,
    optimizer: Optimizer,
    images: Images,
    seen: Binarizer,
    epoch: int,
    watch: Watch,
    workers: Workers = ALONE,
) -> Tensor:
    """One pass over the training images (AEVB, Algorithm 1).

    Returns:
        For each step the log-likelihood, the KL (nats per image) and the gradient's norm, ``(steps, 3)``, on the
        device; nothing here waits for it.
    """
    beta = config.beta()
    device = torch.device(images.device)
    torch.manual_seed(random_seed(config.seed, "sample", epoch, workers.rank))
    coin = torch.Generator(device).manual_seed(random_seed(config.seed, "binarize", epoch, workers.rank))
    shuffle = torch.Generator().manual_seed(random_seed(config.seed, "order", epoch))
    order = torch.randperm(len(images), generator=shuffle).to(device)
    minibatches: Sequence[Tensor] = order.split(config.batch_size * workers.size)
    labels = images.labels if takes_labels(config) else None
    if labels is not None and (labels < 0).any():
        minibatches = join_labelled(minibatches, labels, config.labelled_batch_size * workers.size, shuffle)
    parts = [workers.part(minibatch) for minibatch in minibatches]
    record = torch.zeros(len(parts), 3, device=device)
    fetched = images.minibatches([own for own, _ in parts])
    for i, (minibatch, (own, share)) in enumerate(zip(fetched, parts, strict=True)):
        progress = (epoch * len(parts) + i) / max(1, config.epochs * len(parts) - 1)
        objective.kl_weight = beta(progress)
        set_lr(optimizer, config.lr * lr_factor(config.lr_schedule, progress))
        x = seen(minibatch, coin)  # random minibatch of images, binarised afresh
        y = None if labels is None else labels[own]
        step = svi.step(x, y, share)  # noise from p(epsilon), gradient of the bound, update of theta and phi
        record[i] = torch.stack([step.log_likelihood, step.kl, step.grad_norm])
        watch.step()
    return record


def fit(
    config: Config,
    data: DataSet,
    folder: RunFolder,
    resume: bool = False,
    quiet: bool = False,
    workers: Workers = ALONE,
) -> None:
    """Train a model and a guide, and keep the run folder complete after every epoch.

    Args:
        config: the options, with the likelihood settled.
        data: the images.
        folder: the run folder, which exists.
        resume: go on from the folder's last checkpoint, if it has one.
        quiet: print nothing, draw nothing, write no TensorBoard events; the rest of the folder is as ever.
        workers: the processes that train it together; the main one alone measures, writes and speaks.

    Raises:
        InputError: where the bound or a gradient is no longer finite, naming the step and the site.
    """
    device = choose_device(config.device, workers)
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)
    data = workers.in_turn(lambda: data.on(device))  # one after another, for each looks how much memory is free
    if config.labels is not None:
        hidden = hide_labels(data.train, config.labels, random_seed(config.seed, "labels"))
        data = replace(data, train=hidden)
    model, guide = build(config, data.image_shape, data.mean_image, data.num_classes, len(data.train))
    model.to(device), guide.to(device)
    parameters = [*model.parameters(), *guide.parameters()]
    objective = config.objective()
    optimizer = make_optimizer(config.optimizer, parameters, config.lr, config.weight_decay)
    seen = Binarizer(sees_binary(config, model))

    rows, state = workers.in_turn(
        lambda: _restore(folder, model, guide, optimizer, data, workers) if resume else _fresh(workers)
    )
    quiet = quiet or not workers.main
    log = Log(folder, rows, data, seen, quiet)
    count, batch_size = len(data.train), config.batch_size * workers.size
    batches = math.ceil(count / batch_size)
    svi = SVI(
        model,
        guide,
        optimizer,
        objective,
        clip_norm=config.clip_norm,
        engine=config.engine,
        precision=config.precision,
        num_steps=config.epochs * batches,
        workers=workers,
    )
    sizes = torch.tensor([len(part) for part in torch.arange(count).split(batch_size)]).to(device)

    def keep(trained: Tensor, spent: float, worked: float) -> dict[str, Any]:
        """After an epoch: its rows of the trace, the checkpoints, a line to read. Returns the state to go on from."""
        epoch, step, seconds = state["epoch"] + 1, state["step"] + batches, state["seconds"] + spent
        state.update(epoch=epoch, step=step, seconds=seconds, core_seconds=state["core_seconds"] + worked)
        model.eval(), guide.eval()
        terms = {"train": trained}
        for split, images in {"validation": data.validation, "test": data.test}.items():
            held_out = held_out_terms(model, guide, images, seen, config.eval_samples)
            terms[split] = torch.stack([held_out.log_likelihood.mean(), held_out.kl.mean()])
            if not terms[split].isfinite().all():
                raise _diverged(f"the {split} ELBO after step {step}", folder)
        beta, lr = float(objective.kl_weight), optimizer.param_groups[0]["lr"]
        for split, (log_likelihood, kl, *norm) in ((split, term.tolist()) for split, term in terms.items()):
            elbo, grad_norm = log_likelihood - kl, norm[0] if norm else None
            course = (beta, grad_norm, lr, seconds, count / spent)
            log.add(TraceRow(step, epoch, split, elbo, log_likelihood, kl, *course))

        about = {"image_shape": data.image_shape, "num_classes": data.num_classes}
        weights = {**about, "model": model.state_dict(), "guide": guide.state_dict()}
        log_likelihood, kl = terms["validation"].tolist()
        # A point has no ELBO; its weights are chosen by what it is trained for.
        chosen_by = log_likelihood - (1.0 if guide.has_density else beta) * kl
        if chosen_by > state["best_elbo"]:
            state.update(best_elbo=chosen_by, best_epoch=epoch)
            folder.save("best", {**weights, "state": state})
        log.write(model, guide)
        # Last, so that a run killed before this line does the epoch again and writes the same.
        folder.save("last", {**weights, "state": state, "optimizer": optimizer.state_dict()})
        watch.epoch(epoch, {split: log.elbo(split) for split in ("train", "test")}, count / spent)
        return state

    def finish() -> None:
        """The test ELBO and the pictures of the best weights, and the last words."""
        best = load(folder.path, "best", device)
        test = held_out_terms(best.model, best.guide, data.test, seen, config.final_samples)
        log.pictures(best.model, best.guide)
        result = log.finish(test, config.final_samples, state["best_epoch"], state["seconds"], state["core_seconds"])
        watch.say(_summary(config, state, result, best, device))

    with seeded(config.seed), exact(device), Watch(config.epochs, state["epoch"], batches, quiet) as watch:
        if bounds_nothing(model, data, seen):
            watch.say(
                "note: with gray values, a binary likelihood is none, and what is called ELBO here bounds nothing"
            )
        while state["epoch"] < config.epochs and not _out_of_patience(state, config):
            began, at_work = time.perf_counter(), time.process_time()
            model.train(), guide.train()
            record = run_epoch(config, svi, objective, optimizer, data.train, seen, state["epoch"], watch, workers)
            _check_finite(record, parameters, state["step"], folder)
            spent, worked = time.perf_counter() - began, time.process_time() - at_work
            state = workers.on_main(lambda: keep((sizes / count) @ record, spent, worked))  # noqa: B023 (called at once)
        workers.on_main(finish)


def _summary(config: Config, state: dict[str, Any], result: dict[str, Any], best: Run, device: torch.device) -> str:
    """What a run says at its end: how good it is, where it lies, and what to type next."""
    why = " (out of patience)" if state["epoch"] < config.epochs else ""
    name = "ELBO" if best.guide.has_density else "log p(x, z) at the code z, which bounds nothing:"
    folder = best.folder
    return (
        f"{state['epoch']} epochs in {state['seconds']:.1f} s of training on {device}{why}\n"
        f"test {name} {result['value']:.2f} +- {result['standard_error']:.2f} nats per image"
        f" (log-likelihood {result['log_likelihood']:.2f}, KL {result['kl']:.2f};"
        f" {result['samples']} samples of z, {result['images']} images, best weights: epoch {result['epoch']})\n"
        f"run folder: {folder.path}\n"
        f"look at:    {folder.figures}/*.png\n"
        f"next:       python -m pyro_vae.traces {folder.path}\n"
        f"            tensorboard --logdir {folder.path.parent}"
    )


def _fresh(workers: Workers) -> tuple[list[TraceRow], dict[str, Any]]:
    """The trace and the state that a run begins with."""
    clocks = {"seconds": 0.0, "core_seconds": 0.0}
    state = {"epoch": 0, "step": 0, **clocks, "best_elbo": -math.inf, "best_epoch": 0, "processes": workers.size}
    return [], state


def held_out_terms(model: Model, guide: Guide, images: Images, seen: Binarizer, num_samples: int) -> ElboTerms:
    """The ELBO's terms for each held-out image, ``(N,)`` each, the mean over ``num_samples`` draws of z.

    The binarisation and the noise are the same at every call, whatever the run's seed.
    """
    with seeded(0):
        size = max(1, min(20_000, rows_at_once(images.image_shape)) // num_samples)
        chunks = seen.held_out(images, size)
        if model.needs_labels and images.labels is not None:
            pairs = zip(chunks, images.labels.split(size), strict=True)
            parts = [elbo_terms(model, guide, x, num_samples, y) for x, y in pairs]
        else:
            parts = [elbo_terms(model, guide, x, num_samples) for x in chunks]
    return ElboTerms(*(torch.cat([term.mean(0) for term in column]) for column in zip(*parts, strict=True)))


def _out_of_patience(state: dict[str, Any], config: Config) -> bool:
    return config.patience is not None and state["epoch"] - state["best_epoch"] >= config.patience


def _check_finite(record: Tensor, parameters: Sequence[Tensor], first_step: int, folder: RunFolder) -> None:
    bad = ~record.isfinite()
    if not bad.any():
        # The last step's update is in no record yet.
        if not all(p.isfinite().all() for p in parameters):
            raise _diverged(f"the weights after step {first_step + len(record)}", folder)
        return
    step = int(bad.any(1).nonzero()[0])
    site = ("site 'x', log p(x|z)", "site 'z', log q(z|x) - log p(z)", "the gradient")[int(bad[step].nonzero()[0])]
    raise _diverged(f"the ELBO at step {first_step + step + 1}, {site}", folder)


def _diverged(what: str, folder: RunFolder) -> InputError:
    good = folder.checkpoint("last")
    kept = f"{good} is from before it" if good.exists() else "no epoch was finished before it"
    return InputError(f"no longer finite: {what}; {kept}. A smaller --lr or --clip-norm 1 may help")


def _restore(
    folder: RunFolder, model: Model, guide: Guide, optimizer: Optimizer, data: DataSet, workers: Workers
) -> tuple[list[TraceRow], dict[str, Any]]:
    """The trace up to the last checkpoint and the state there; weights and optimizer are set."""
    if not folder.checkpoint("last").exists():
        return _fresh(workers)
    saved = folder.restore("last")
    began_with = Workers(size=saved["state"].setdefault("processes", 1))
    saved["state"].setdefault("core_seconds", math.nan)  # runs of older versions did not count it
    if began_with.size != workers.size:
        command = f"{began_with.command} -m pyro_vae.svi --resume {folder.path}"
        raise InputError(f"{folder.path} is a run of {began_with.size} process(es), not {workers.size}: {command}")
    rows = [row for row in folder.read_trace() if row.epoch <= saved["state"]["epoch"]]
    if not rows or rows[-1].epoch != saved["state"]["epoch"]:
        raise InputError(f"{folder.path}: trace.csv does not reach epoch {saved['state']['epoch']} of its checkpoint")
    if tuple(saved["image_shape"]) != data.image_shape:
        shapes = f"{tuple(saved['image_shape'])}, and those of {data.name} are {data.image_shape}"
        raise InputError(f"{folder.path} was trained on images of shape {shapes}")
    set_weights(model, guide, saved, folder.checkpoint("last"))
    optimizer.load_state_dict(saved["optimizer"])
    return rows, saved["state"]


def start(settings: Settings, quiet: bool = False) -> Path:
    """A new run from settings; returns its folder. ``quiet`` as in :func:`fit`."""
    with join() as workers:
        config = settings.config
        data = workers.in_turn(lambda: load_data(config.data, config.data_root, config.validation))
        out = config.out or workers.on_main(lambda: _free_folder(config))
        # What depends on the data or on the folder that the command was typed in is settled in config.yaml.
        settled: dict[str, Any] = {} if config.data in DATA_SETS else {"data": str(Path(config.data).resolve())}
        if config.data_root is not None:
            settled["data_root"] = str(config.data_root.resolve())
        if config.likelihood is None:
            settled["likelihood"] = data.likelihood
        settings = settings_from(settings.text, **settled)
        workers.in_turn(lambda: check(settings.config, data, workers))
        folder = workers.on_main(lambda: RunFolder.create(out, _headed(settings.text, workers)))
        _guarded(settings.config, data, folder, workers, quiet=quiet)
    return folder.path


def _headed(text: str, workers: Workers) -> str:
    """The text of ``config.yaml``, which says of how many processes the run is where these are more than one."""
    return text if workers.size == 1 else f"# {workers.command} -m pyro_vae.svi --config config.yaml\n{text}"


def go_on(path: Path, changes: Sequence[str] = (), quiet: bool = False) -> None:
    """Resume the run in this folder; of its options, only epochs and device may be other ones.

    ``quiet`` as in :func:`fit`.

    Raises:
        InputError: where the folder is no run, is damaged, or other options are changed.
    """
    with join() as workers:
        folder = RunFolder(path)
        config, data = workers.in_turn(lambda: _to_resume(folder, changes, workers))
        _guarded(config, data, folder, workers, resume=True, quiet=quiet)


def _to_resume(folder: RunFolder, changes: Sequence[str], workers: Workers) -> tuple[Config, DataSet]:
    """The options and the data of a run that goes on; what changes is in its config.yaml afterwards."""
    saved = settings_from(folder.config_text())
    parser = make_parser()
    given = parse_arguments(parser, ["--config", str(folder.path / "config.yaml"), *changes])
    if given.out is not None:
        raise InputError("--resume goes on in the run's own folder, so --out has no place beside it")
    settings = settle(parser, given)
    allowed = {"epochs": settings.config.epochs, "device": settings.config.device}
    if settings_from(saved.text, **allowed).text != settings.text:
        raise InputError("--resume takes its options from the run; only --epochs and --device may be changed")
    if settings.config.epochs != saved.config.epochs:
        _check_epochs(folder, saved.config, settings.config.epochs)
    config = settings.config
    data = load_data(config.data, config.data_root, config.validation)
    check(config, data, workers)
    if settings.text != saved.text:
        write_atomic(folder.path / "config.yaml", _headed(settings.text, workers))
    return config, data


def _check_epochs(folder: RunFolder, config: Config, epochs: int) -> None:
    """Another number of epochs must leave config.yaml one that repeats the run."""
    done = max((row.epoch for row in folder.read_trace()), default=0)
    if epochs < done:
        raise InputError(f"{folder.path} has {done} epochs behind it, so --epochs cannot be {epochs}")
    if config.lr_schedule != "constant" or not isinstance(config.beta(), Constant):
        raise InputError("--epochs cannot change in a run whose learning rate or beta follows a schedule over them")


def _guarded(
    config: Config, data: DataSet, folder: RunFolder, workers: Workers, resume: bool = False, quiet: bool = False
) -> None:
    try:
        with plain_interrupts():
            fit(config, data, folder, resume, quiet, workers)
    except KeyboardInterrupt:
        if workers.main:
            again = f"{workers.command} -m pyro_vae.svi --resume {folder.path}"
            print(f"\nstopped; every finished epoch is saved. Go on with: {again}", file=sys.stderr)
        raise


def _free_folder(config: Config) -> Path:
    """runs/DATA-GUIDE-NUMBER with the first number that is free."""
    guide = getattr(class_of(config.guide), "__name__", "guide")
    stem = f"{Path(config.data).resolve().stem}-{guide}"
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path


def train(*, quiet: bool = False, **options: Unpack[RunOptions]) -> Run:
    """Train from Python, with the options of the command line: classes by name, or as class_path and init_args.

    Args:
        quiet: as in :func:`fit`: print nothing, draw nothing.
        options: of :class:`~pyro_vae.config.Config`.

    >>> run = train(data="digits", guide="MeanField", epochs=1, out="runs/x")  # doctest: +SKIP
    """
    return load(start(settings_of(dict(options)), quiet))


def complete(path: Path, settings: Settings, quiet: bool = False) -> RunFolder:
    """The run in this folder, finished: begun where there is none, else gone on with, or left as it is.

    A run that is there keeps its own options; whether they are those of ``settings`` is not asked.
    """
    folder = RunFolder(path)
    if not (path / "config.yaml").exists():
        start(settings_from(settings.text, out=str(path)), quiet)
    elif not folder.read_metrics().get("finished"):
        go_on(path, quiet=quiet)
    return folder


def trained(folder: Path, *, quiet: bool = False, **options: Unpack[RunOptions]) -> Run:
    """As :func:`train`, in a folder where the run may be already, finished or not: see :func:`complete`."""
    return load(complete(folder, settings_of(dict(options)), quiet).path)


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
