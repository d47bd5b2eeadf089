"""Inspect ELBO traces: a table in the terminal, one picture of all runs.

python -m pyro_vae.traces runs/a runs/b --save traces.png
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pyro_vae.cli import run_command
from pyro_vae.command_line import CommandParser
from pyro_vae.config import Config
from pyro_vae.errors import InputError
from pyro_vae.files import write_atomic
from pyro_vae.options import parse_arguments
from pyro_vae.runs import RunFolder, TraceRow
from pyro_vae.tables import Column, Sheet, print_table
from pyro_vae.terminal import PlainConsole, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

XAxis = Literal["steps", "epochs", "seconds"]
PICTURES = (".png", ".svg", ".pdf")
_COLUMN = {"steps": "step", "epochs": "epoch", "seconds": "seconds"}
_X_NAME = {"steps": "steps of SVI", "epochs": "epochs", "seconds": "seconds of training"}


def trace_figure(runs: Mapping[str, Sequence[TraceRow]], x: XAxis = "epochs") -> "Figure":
    """The ELBO of the runs, overlaid, beside its two terms, train and test."""
    from pyro_vae import plots

    def curves(name: str) -> plots.Curves:
        return {
            run: {
                split: (
                    np.array([getattr(row, _COLUMN[x]) for row in rows if row.split == split]),
                    np.array([getattr(row, name) for row in rows if row.split == split]),
                )
                for split in ("test", "train")
            }
            for run, rows in runs.items()
        }

    titles = {
        "ELBO": "elbo",
        "log-likelihood, $E_q[\\log p(x|z)]$": "log_likelihood",
        "KL$(q(z|x)\\,\\|\\,p(z))$": "kl",
    }
    kept = {run: best_row(rows) for run, rows in runs.items()}
    best = {run: (float(getattr(row, _COLUMN[x])), row.elbo) for run, row in kept.items() if row}
    return plots.traces({title: curves(name) for title, name in titles.items()}, _X_NAME[x], best)


def best_row(rows: Sequence[TraceRow]) -> TraceRow | None:
    """The test row of the epoch with the highest validation ELBO, whose weights are kept; None before the first.

    Without validation rows: the row of the highest test ELBO.
    """
    test = {row.epoch: row for row in rows if row.split == "test"}
    judged = [row for row in rows if row.split == "validation" and row.epoch in test] or list(test.values())
    return test[max(judged, key=lambda row: row.elbo).epoch] if judged else None


def trace_table(runs: Mapping[str, Sequence[TraceRow]], samples: Mapping[str, int], one: str = "image") -> Sheet:
    """First, best and last test ELBO of each run, nats per image, or per what one x is in a word."""
    counts = sorted(set(samples.values()))
    keep = {"first": 2, "log-lik.": 3, "KL": 4, "step": 6, "seconds": 5, "last": 7, "steps": 1}
    names = ("first", "best", "log-lik.", "KL", "step", "seconds", "last", "steps")
    table = []
    for name, rows in runs.items():
        test = [row for row in rows if row.split == "test"]
        best = best_row(rows)
        assert best is not None
        elbos = [f"{number:.2f}" for number in (test[0].elbo, best.elbo, best.log_likelihood, best.kl)]
        spent = [f"{best.step:,}", f"{best.seconds:.1f}"]
        table.append([name, *elbos, *spent, f"{test[-1].elbo:.2f}", f"{test[-1].step:,}"])
    return Sheet(
        [Column("run", left=True), *(Column(name, keep.get(name, 0)) for name in names)],
        [table],
        f"Test ELBO, nats per {one}, {' or '.join(map(str, counts))} sample(s) of z for each {one}",
        "best: the epoch of the highest validation ELBO, whose weights are kept: its terms, step and training seconds",
    )


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """Paths without pictures, which a shell's ``runs/*`` finds beside the runs."""
    return [path for path in paths if not (path.is_file() and path.suffix in PICTURES)] or list(paths)


def _samples(table: Mapping[str, Any], path: Path) -> int:
    """The number of samples of z of the trace's ELBOs; nothing in the configuration is imported."""
    samples = table.get("eval_samples", Config.eval_samples)
    if not isinstance(samples, int) or samples < 1:
        raise InputError(f"{path / 'config.yaml'} says eval_samples: {samples}, and it must be a positive number")
    return samples


def traces(runs: list[Path], save: Path | None = None, x: XAxis = "epochs", live: bool = False) -> None:
    """Print a table of the runs' test ELBO and draw their traces in one picture.

    Args:
        runs: run folders; pictures among them are ignored.
        save: the file of the picture; by default traces.png beside the first run.
        x: the horizontal axis.
        live: first follow unfinished runs, until all are trained or Ctrl-C.

    Raises:
        InputError: if a folder is no run or has no trace yet.
    """
    from pyro_vae.live import follow, observed_in
    from pyro_vae.pictures import figure_bytes
    from pyro_vae.plots import reworded

    runs = run_folders(runs)
    if live:
        for path in runs:
            RunFolder(path).config_text()
        with suppress(KeyboardInterrupt):
            follow(runs)
    rows: dict[str, list[TraceRow]] = {}
    samples: dict[str, int] = {}
    for path in dict.fromkeys(Path(run).resolve() for run in runs):
        folder = RunFolder(path)
        table = folder.config_table()
        found = folder.read_trace()
        if not any(row.split == "test" for row in found):
            raise InputError(f"{path} has no trace yet: its first epoch is not finished")
        name = printable(path.name)
        name = name if name not in rows else printable(str(path))
        rows[name] = found
        samples[name] = _samples(table, path)
    one = " or ".join(dict.fromkeys(observed_in(Path(run)) for run in runs))
    print_table(PlainConsole(), trace_table(rows, samples, one))
    figure = reworded(trace_figure(rows, x), one)
    try:
        if save is None and len(runs) == 1:
            save = RunFolder(runs[0]).write_figure("trace", figure_bytes(figure))
        else:
            save = save or runs[0].parent / "traces.png"
            save.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(save, figure_bytes(figure, save.suffix.lstrip(".") or "png"))
    except (OSError, ValueError) as error:
        raise InputError(f"the picture cannot be saved to {save or runs[0]}: {error}") from error
    print(printable(f"picture: {save}"))


def command_parser() -> CommandParser:
    """The options of the command."""
    parser = CommandParser(
        prog="python -m pyro_vae.traces", description=(__doc__ or "").partition("\n")[0], exit_on_error=False
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="run folders")
    parser.add_argument(
        "--live", action="store_true", help="first follow unfinished runs, until all are trained or Ctrl-C"
    )
    parser.add_function_arguments(traces, skip={"runs", "live"}, as_group=False)
    parser.epilog_lines = ["example:", "  python -m pyro_vae.traces runs/* --save traces.png"]
    return parser


def main(argv: list[str]) -> None:
    """The command: see ``python -m pyro_vae.traces --help``."""
    parser = command_parser()
    options = parse_arguments(parser, argv)
    traces(options.runs, options.save, options.x, options.live)


if __name__ == "__main__":
    run_command(main)
