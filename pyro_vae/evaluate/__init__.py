"""Measure finished runs: how good is the model, how good is the guide, and why.

    python -m pyro_vae.evaluate runs/digits-MeanField-1

Every figure goes into the run's ``metrics.json`` with its estimator, settings and standard error. What is there
already, with the same settings and weights, is not measured again; an evaluation that was stopped goes on where it was.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pyro_vae.build import sees_binary
from pyro_vae.command_line import CommandParser
from pyro_vae.data import Binarizer, DataSet, Images, Layout, is_array_file, load_data
from pyro_vae.data.fingerprint import check_same
from pyro_vae.defaults import torch_defaults
from pyro_vae.device import choose_device
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError, Stopped, nearest_names, plain_interrupts
from pyro_vae.estimators import told_apart
from pyro_vae.evaluate.bench import Bench
from pyro_vae.evaluate.ledger import Entry, Ledger
from pyro_vae.evaluate.measures import EXTRA, MEASURES, ON_OTHERS, ON_TRAIN, SIMULATED
from pyro_vae.evaluate.options import Options, options_of
from pyro_vae.evaluate.report import Findings, Line, table
from pyro_vae.evaluate.sentences import sentences
from pyro_vae.options import add_trust, parse_arguments
from pyro_vae.plain import plain
from pyro_vae.runs import Run, load
from pyro_vae.tables import print_table
from pyro_vae.terminal import printable
from pyro_vae.traces import run_folders
from pyro_vae.trust import check_data_root


@torch_defaults()
def evaluate(
    runs: Sequence[Path],
    options: Options | None = None,
    measures: Sequence[str] | None = None,
    train: bool = True,
    against: str | None = None,
    data_root: Path | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    device: str = "auto",
    quiet: bool = False,
    trust: bool = False,
) -> list[Findings]:
    """Measure runs, write their ``metrics.json`` and pictures, and print one table.

    Args:
        runs: run folders; pictures among them are passed over.
        options: how the figures are estimated.
        measures: the names of those to make; by default all but ais and bracket, the annealing from the prior.
        train: the bounds and the gap on training images too, which shows how far the encoder generalises.
        against: another data set or file of the same shape, with the run's layout; do log p(x) and the ELBO tell its
            images apart?
        data_root: where the data sets are; by default where they were when the run was trained.
        checkpoint: which weights; by default the best there are.
        device: auto takes CUDA where there is one.
        quiet: show neither progress nor table.
        trust: what the runs' config.yaml names may be any code, which runs (SECURITY.md).

    Raises:
        InputError: where a folder is no run, has no checkpoint, names code that is gone, or the data are not those
            that it was trained on.
    """
    where = choose_device(device)
    options = settled(plain(options or Options()), where)
    runs = run_folders(runs)
    loaded = [load(path, checkpoint, where, trust) for path in runs]
    for run in loaded:
        root = None if data_root is not None else run.config.data_root
        if (note := check_data_root(root, str(run.folder.path / "config.yaml"), trust)) and not quiet:
            print(printable(note), file=sys.stderr)
    chosen = _known([name for name in [*MEASURES, *SIMULATED] if name not in EXTRA] if measures is None else measures)
    findings = []
    with Line(quiet) as watch, exact(where):
        for run in loaded:
            watch.run = printable(str(run.folder.path))
            which = checkpoint or ("best" if run.folder.checkpoint("best").exists() else "last")
            findings.append(_evaluate_one(run, which, options, chosen, train, against, data_root, where, watch))
    if not quiet:
        named = {str(path): found for path, found in zip(runs, findings, strict=True)}
        print_table(watch.console, table(named))
        for name, of_run in named.items():
            for line in sentences(of_run):
                print(line if len(named) == 1 else printable(f"{name}: {line}"))
        for run in loaded:
            print(printable(f"metrics: {run.folder.path / 'metrics.json'}   pictures: {run.folder.figures}"))
    return findings


def _evaluate_one(
    run: Run,
    which: str,
    options: Options,
    chosen: Sequence[str],
    train: bool,
    against: str | None,
    data_root: Path | None,
    device: torch.device,
    watch: Line,
) -> Findings:
    config = run.config
    root = data_root or config.data_root
    data = load_data(config.data, root, config.validation, config.layout)
    check_same(data, run.data, run.folder.path)
    others = None if against is None else _others(against, root, data, config.layout)
    seen = Binarizer(sees_binary(config, run.model))
    ledger = Ledger(run.folder)
    ledger.clean()
    context = {"checkpoint": which, "weights": run.weights, "seed": options.seed}

    simulated = Bench(run, ledger, options, "simulated", torch.empty(1, 1, device=device), context, watch)
    known = ledger.entry("simulated", "certificate", simulated.settings("certificate"))
    options = _as_certified(options, simulated.measure("certificate") if "certificate" in chosen else known)

    def bench(source: str, name: str, images: Images, options: Options = options) -> Bench:
        x = _first(images, options.images, seen).to(device)
        about = {**context, "data": name, "binarised": seen.binary}
        return Bench(run, ledger, options, source, x, about, watch)

    benches = {"test": bench("test", config.data, data.test)}
    found: Findings = {"test": {name: benches["test"].measure(name) for name in MEASURES if name in chosen}}
    if train:
        on_train = bench("train", config.data, data.train, replace(options, images=options.gap_images))
        found["train"] = {name: on_train.measure(name) for name in ON_TRAIN if name in chosen}
    found["simulated"] = {name: simulated.measure(name) for name in SIMULATED if name in chosen}
    if others is not None:
        source = f"against {Path(others.name).stem}"
        found[source] = _against(benches["test"], bench(source, others.name, others.test), ledger, data.name)
    _gap_picture(run, found)
    return found


def _as_certified(options: Options, certificate: Entry | None) -> Options:
    """Options with the temperatures that the certificate, where there is one, was given for."""
    if certificate is None or certificate.not_defined is not None:
        return options
    temperatures = round(certificate.figures["certified_temperatures"].value)
    annealing = replace(options.evidence.annealing, temperatures=temperatures)
    return replace(options, evidence=replace(options.evidence, annealing=annealing))


def _known(names: Sequence[str]) -> list[str]:
    known = [*MEASURES, *SIMULATED]
    for name in names:
        if name not in known:
            near = nearest_names(name, known) or known
            raise InputError(f"no measure {name!r}: nearest {', '.join(near)}; known: {', '.join(known)}")
    return [name for name in known if name in names]


def settled(options: Options, device: torch.device) -> Options:
    """Options whose numbers of images suit the device where they were left open."""
    large = device.type == "cuda"
    images = options.images if options.images is not None else (sys.maxsize if large else 1000)
    gap_images = options.gap_images if options.gap_images is not None else (1000 if large else 50)
    evidence = options.evidence_images if options.evidence_images is not None else (images if large else 100)
    gap_images = min(images, gap_images)
    return replace(
        options, images=images, gap_images=gap_images, evidence_images=min(images, max(evidence, gap_images))
    )


def _first(images: Images, count: int | None, seen: Binarizer) -> Tensor:
    """The first images of a split, in the draw of the binarisation that all runs share."""
    count = len(images) if count is None else min(count, len(images))
    return next(seen.held_out(images, count))


def _others(name: str, root: Path | None, data: DataSet, layout: Layout) -> DataSet:
    others = load_data(name, root, layout=layout if is_array_file(name) else "auto")
    if others.image_shape != data.image_shape:
        raise InputError(
            f"--against {name} has images of shape {others.image_shape}, and the run was trained on {data.image_shape}"
        )
    if not (data.low <= others.low and others.high <= data.high):
        raise InputError(
            f"--against {name} has pixels from {others.low:g} to {others.high:g}, and the run's own data"
            f" from {data.low:g} to {data.high:g}: scale them alike"
        )
    return others


def _against(own: Bench, other: Bench, ledger: Ledger, name: str) -> dict[str, Entry]:
    """Bounds on the other images, and how well they tell them from the run's own test images."""
    from pyro_vae.evaluate.pictures import against_picture
    from pyro_vae.pictures import save_figure

    found, scores = {}, {}
    for measure, words in zip(ON_OTHERS, ("ELBO", "log p(x), by IWAE"), strict=True):
        found[measure] = other.measure(measure)
        inside, outside = own.per_image(measure, measure), other.per_image(measure, measure)
        if inside is None or outside is None:
            continue
        scores[words] = {f"{name}, test": inside.numpy(), other.source: outside.numpy()}
        figures = {f"told_apart_by_{measure}": told_apart(inside, outside)}
        entry = Entry({"own": own.settings(measure), "other": other.settings(measure)}, 0.0, figures, None)
        ledger.finish(other.source, f"told_apart_by_{measure}", entry)
        found[f"told_apart_by_{measure}"] = entry
    if scores:
        save_figure(own.run.folder, other.source.replace(" ", "-"), against_picture(scores))
    return found


def _gap_picture(run: Run, found: Findings) -> None:
    gaps = {
        source: entries["gap"].figures
        for source, entries in found.items()
        if "gap" in entries and entries["gap"].not_defined is None
    }
    if gaps:
        from pyro_vae.evaluate.pictures import gap_picture
        from pyro_vae.pictures import save_figure

        save_figure(run.folder, "inference_gap", gap_picture(gaps))


def command_parser() -> CommandParser:
    """The options of the command."""
    parser = CommandParser(
        prog="python -m pyro_vae.evaluate", description=(__doc__ or "").partition("\n")[0], exit_on_error=False
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="run folders")
    parser.add_argument("--only", metavar="A,B", help=f"which measures: {', '.join([*MEASURES, *SIMULATED])}")
    parser.add_class_arguments(Options, as_group=False)
    parser.add_function_arguments(evaluate, skip={"runs", "options", "measures", "trust"}, as_group=False)
    add_trust(parser)
    parser.epilog_lines = ["example:", "  python -m pyro_vae.evaluate runs/iaf --only elbo,importance"]
    return parser


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.evaluate --help``."""
    parser = command_parser()
    given = parse_arguments(parser, argv)
    try:
        options = options_of({name: given[name] for name in Options.__dataclass_fields__})
    except ValueError as error:
        raise InputError(str(error)) from error
    only = None if given.only is None else given.only.split(",")
    rest = {name: given[name] for name in ("train", "against", "data_root", "checkpoint", "device", "quiet", "trust")}
    try:
        with plain_interrupts():
            evaluate(given.runs, options, only, **rest)
    except KeyboardInterrupt:
        raise Stopped("stopped; what was measured is kept: the same command goes on from here") from None
