"""Every guide on MNIST with AEVB's network: the table of guides in RESULTS.md.

    python -m benchmarks.guides --data-root DIR [--out runs/guides] [--epochs 30]

Finished run folders are not trained again, whatever their number of epochs, and existing measures are not repeated.
"""

import argparse
import json
import re
import time
from pathlib import Path
from statistics import median, stdev

import torch
from scipy import stats
from torch import Tensor

import pyro_vae
from benchmarks.results import RESULTS, command, machine, table, write_section
from guides import GUIDES
from pyro_vae.data import Binarizer, load_data
from pyro_vae.engine import SVI, StepOptions
from pyro_vae.estimators import active_units, iwae
from pyro_vae.files import read_text, write_atomic
from pyro_vae.lifecycle import complete
from pyro_vae.options import make_parser, parse_arguments, settle
from pyro_vae.runs import Run, RunFolder

NETWORK = ["--encoder.hidden_dims", "[500]", "--encoder.activation", "tanh"]
NETWORK += ["--decoder.hidden_dims", "[500]", "--decoder.activation", "tanh"]
SAMPLES = 500
LEFT_OUT = " Not in the table: the guides of two stochastic layers, which go with another prior."
DIRECTIONS_IMAGES = 1000  #: the first test images, on which directions are counted


def spread_of_seeds(elbos: dict[str, float]) -> str:
    """What one seed of each guide shows, by the spread of MeanField's seeds in :mod:`benchmarks.precision`.

    Args:
        elbos: the test ELBO of each guide, MeanField's among them.
    """
    section = read_text(RESULTS).partition("<!-- precision -->")[2].partition("<!-- end of precision -->")[0]
    found = [float(value) for value in re.findall(r"^\| \d+ \| (-?[\d.]+) \|", section, re.MULTILINE)]
    if len(found) < 2:
        return "One seed; how far seeds lie apart is not known here."
    spread, others = stdev(found), [guide for guide in elbos if guide != "MeanField"]
    critical = stats.t.isf(0.025 / max(1, len(others)), len(found) - 1)
    least = critical * spread * 2**0.5
    shown = [guide for guide in others if abs(elbos[guide] - elbos["MeanField"]) > least]
    return (
        f"One seed. MeanField's seeds 0 to {len(found) - 1} end at {', '.join(f'{value:.2f}' for value in found)}"
        f" (benchmarks.precision), a standard deviation of {spread:.2f}. If every guide's seeds lie so far apart, a"
        f" difference to MeanField's test ELBO is shown from {least:.1f} nats on ({critical:.1f} x {spread:.2f} x"
        f" sqrt(2): Student's t with {len(found) - 1} degrees of freedom, Bonferroni for {len(others)} rows):"
        f" {', '.join(shown) if shown else 'no row has it'}. The order of the rows is that of this seed."
    )


def trained(out: Path, data_root: Path, *options: str) -> RunFolder:
    """The finished run on MNIST with AEVB's network and 20 latent dimensions; ``options`` as the command line has them.

    It is trained or resumed if it is not finished.
    """
    words = ["--data", "mnist", "--data-root", str(data_root), "--latent-dim", "20", *NETWORK, *options]
    parser = make_parser()
    return complete(out, settle(parser, parse_arguments(parser, words)))


def test_images(data_root: Path) -> Tensor:
    """The 10,000 test images, with the binarisation of the test ELBO."""
    return torch.cat(list(Binarizer(True).held_out(load_data("mnist", data_root).test, 1000)))


def iwae_of(run: Run, x: Tensor) -> dict[str, float]:
    """IWAE_500 on these images, kept in the run folder."""
    path = run.folder.path / "iwae_500.json"
    if not path.exists():
        estimate = iwae(run.model, run.guide, x, num_samples=SAMPLES)
        value = {"value": estimate.value, "standard_error": estimate.standard_error}
        write_atomic(path, json.dumps(value))
    return json.loads(read_text(path))


def costs(runs: dict[str, Run], x: Tensor, rounds: int = 9, steps: int = 10) -> dict[str, float]:
    """Processor time of a training step on x, one thread, as a multiple of that of the first run.

    The runs take turns of a few steps, and each round compares a turn with the first run's turn, so that other load on
    the machine affects all alike; the median over the rounds. The steps change the runs' weights.
    """
    torch.set_num_threads(1)
    trainers = {}
    options = StepOptions(per_image=True)
    for name, run in runs.items():
        parameters = [*run.model.parameters(), *run.guide.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=run.config.lr)
        trainers[name] = SVI(
            run.model, run.guide, optimizer, run.config.objective(), engine="compiled", options=options
        )
        trainers[name].step_record(x)
    turns: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, trainer in trainers.items():
            began = time.process_time()
            for _ in range(steps):
                trainer.step_record(x)
            turns[name].append(time.process_time() - began)
    first = turns[next(iter(runs))]
    return {name: median(a / b for a, b in zip(turn, first, strict=True)) for name, turn in turns.items()}


def row(guide: str, run: Run, x: Tensor, epochs: int) -> list[str]:
    """One line of the table, without the cost."""
    bound = iwae_of(run, x)
    moved = active_units(run.guide, x[:DIRECTIONS_IMAGES]).directions
    elbo = run.folder.read_metrics()["test_elbo"]
    size = sum(p.numel() for p in run.guide.parameters())
    name = guide if run.config.epochs == epochs else f"{guide} ({run.config.epochs} epochs)"
    numbers = [f"{e['value']:.2f} ± {e['standard_error']:.2f}" for e in (elbo, bound)]
    return [name, *numbers, f"{moved.value:.1f}", f"{size:,}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/guides"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, default=30)
    every = [name for name, guide in GUIDES.items() if guide.has_density]
    parser.add_argument("--guides", nargs="+", default=every)
    options = parser.parse_args()
    runs, rows = {}, []
    x = test_images(options.data_root)
    for guide in dict.fromkeys(["MeanField", *options.guides]):
        folder = trained(options.out / guide, options.data_root, "--guide", guide, "--epochs", str(options.epochs))
        runs[guide] = pyro_vae.load(folder.path)
        rows.append(row(guide, runs[guide], x, options.epochs))
        print(" | ".join(rows[-1]), flush=True)
    for line, cost in zip(rows, costs(runs, x[:100]).values(), strict=True):
        line.insert(4, f"{cost:.2f}")
    rows.sort(key=lambda line: -float(line[1].split()[0]))
    elbos = {guide: run.folder.read_metrics()["test_elbo"]["value"] for guide, run in runs.items()}
    columns = ["guide", "test ELBO", f"IWAE_{SAMPLES}", "directions", "cost of a step", "parameters of the guide"]
    write_section(
        "guides",
        "Guides on MNIST, AEVB's network",
        f"`{command('guides', parser, options)}` on {machine()}.\n\n"
        "Dynamically binarised MNIST, 55,000 training images, one decoder (one hidden layer of 500, tanh, latent_dim"
        f" 20, the same first weights), {options.epochs} epochs of Adam at 1e-3 in batches of 100, Trace_ELBO with one"
        " sample, seed 0, default options of each guide. Nats per image on the 10,000 test images in one draw of the"
        f" binarisation: the ELBO with 100 samples of z, the lower bound IWAE_{SAMPLES} on log p(x); ± is the standard"
        f" error over images, nearly all of it common to the rows. {spread_of_seeds(elbos)}"
        " Directions: how many of the 20 of z the"
        f" first {DIRECTIONS_IMAGES:,} test images move, whatever the axes. The cost of a step is the processor time of"
        " a compiled training step on one thread, as a multiple of MeanField's, the runs taking turns; median over the"
        f" turns.{'' if 'TopDown' in options.guides else LEFT_OUT}\n\n" + table(columns, rows),
    )


if __name__ == "__main__":
    main()
