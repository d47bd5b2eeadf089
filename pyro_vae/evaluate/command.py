"""The command ``evaluate``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pyro_vae.command_line import CommandParser
from pyro_vae.data import InMemory
from pyro_vae.defaults import torch_defaults
from pyro_vae.device import choose_device
from pyro_vae.engine.precision import settings
from pyro_vae.errors import InputError, Stopped, plain_interrupts
from pyro_vae.evaluate.choice import add_options, check_least, choose, metric_lines, named_by, with_options
from pyro_vae.evaluate.report import Findings, Line, table
from pyro_vae.evaluate.run import Request, complete, measure_run
from pyro_vae.evaluate.sentences import sentences
from pyro_vae.metrics import Metric, Options
from pyro_vae.metrics.options import options_of
from pyro_vae.observation import observed
from pyro_vae.options import add_trust, parse_arguments
from pyro_vae.plain import plain
from pyro_vae.runs import load
from pyro_vae.tables import print_table
from pyro_vae.terminal import printable
from pyro_vae.traces import run_folders
from pyro_vae.trust import check_data_root
from pyro_vae.waiting import considerate


@torch_defaults()
def evaluate(
    runs: Sequence[Path],
    options: Options | None = None,
    metrics: Sequence[str | Metric] | None = None,
    train: bool = True,
    against: str | None = None,
    data_root: Path | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    device: str = "auto",
    quiet: bool = False,
    trust: bool = False,
    data: InMemory | None = None,
) -> list[Findings]:
    """Measure runs, write their ``metrics.json`` and pictures, and print one table.

    Args:
        runs: run folders; pictures among them are passed over.
        options: how the metrics are estimated.
        metrics: the names, import paths or objects of those to measure; by default all but ais and bracket, which
            anneal from the prior.
        train: measure the bounds and the gap on training images too, which shows how well the encoder generalises.
        against: another data set or file of the same shape, with the run's layout; do log p(x) and the ELBO tell its
            images apart?
        data_root: the folder of the data sets; by default the folder that the run was trained with.
        checkpoint: which weights; by default the best ones, if there are any.
        device: auto takes CUDA if there is a GPU.
        quiet: show neither progress nor table.
        trust: what the runs' config.yaml names may be any code, which runs (SECURITY.md).
        data: of runs that were trained on data in memory; they must be the same.

    Raises:
        InputError: where a folder is no run, has no checkpoint, names code that is gone, or the data are not those
            that it was trained on.
    """
    where = choose_device(device)
    options = complete(plain(options or Options()), where)
    chosen = choose(metrics)
    check_least(options, chosen.values())
    request = Request(options, chosen, train, against, data_root, where, data)
    runs = run_folders(runs)
    loaded = [load(path, checkpoint, where, trust) for path in runs]
    for run in loaded:
        root = None if data_root is not None else run.config.data_root
        if (note := check_data_root(root, str(run.folder.path / "config.yaml"), trust)) and not quiet:
            print(printable(note), file=sys.stderr)
    findings = []
    with Line(quiet) as watch, settings("fp32", where), considerate():
        for run in loaded:
            watch.run = printable(str(run.folder.path))
            which = checkpoint or ("best" if run.folder.checkpoint("best").exists() else "last")
            findings.append(measure_run(run, which, request, watch))
    if not quiet:
        named = {str(path): found for path, found in zip(runs, findings, strict=True)}
        ones = [observed(run.model.image_shape) for run in loaded]
        print_table(watch.console, table(named, " or ".join(dict.fromkeys(ones))))
        for (name, of_run), one in zip(named.items(), ones, strict=True):
            for line in sentences(of_run, one):
                print(line if len(named) == 1 else printable(f"{name}: {line}"))
        for run in loaded:
            print(printable(f"metrics: {run.folder.path / 'metrics.json'}   pictures: {run.folder.figures}"))
    return findings


def command_parser(only: Sequence[str] = ()) -> CommandParser:
    """The options of the command.

    Args:
        only: the names and import paths after ``--only``.
    """
    parser = CommandParser(
        prog="python -m pyro_vae.evaluate",
        description="Measure finished runs: how good is the model, how good is the guide, and why.",
        exit_on_error=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="run folders")
    parser.add_argument("--only", metavar="A,B", help="which metrics, by name or import path")
    parser.add_class_arguments(Options, as_group=False)
    parser.add_function_arguments(evaluate, skip={"runs", "options", "metrics", "trust", "data"}, as_group=False)
    add_options(parser, only)
    add_trust(parser)
    parser.epilog_lines = [
        *metric_lines(),
        "",
        "A metric of your own goes by its import path: --only elbo,my_module.MyMetric.",
        "example:",
        "  python -m pyro_vae.evaluate runs/iaf --only elbo,importance",
    ]
    return parser


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.evaluate --help``."""
    only = named_by(argv, "--only")
    given = parse_arguments(command_parser(only or ()), argv)
    try:
        options = options_of({name: given[name] for name in Options.__dataclass_fields__})
    except ValueError as error:
        raise InputError(str(error)) from error
    metrics = with_options(only, given)
    rest = {name: given[name] for name in ("train", "against", "data_root", "checkpoint", "device", "quiet", "trust")}
    try:
        with plain_interrupts():
            evaluate(given.runs, options, metrics, **rest)
    except KeyboardInterrupt:
        raise Stopped("stopped; what was measured is kept: the same command goes on from here") from None
