"""The table of Burda et al. 2015: VAE, IWAE and DReG with k = 1, 5 and 50 samples, one stochastic layer or two.

    python examples/iwae_table.py --rows VAE-1                          # about an hour of one core
    python examples/iwae_table.py --schedule paper --out runs/iwae-paper    # on CUDA: the whole table

trains a run for each row on dynamically binarised MNIST with the paper's networks: 784-200-200-50 and back, or, in the
rows that end in 2L, 784-200-200-100 and 100-100-100-50; tanh, the output's bias at the logit of the mean image, all
60,000 training images. ``pyro_vae.evaluate`` then measures each: the importance-weighted bound of 5,000 samples, as the
paper, certified log p(x) beside the same bound on fewer images, the ELBO, active units. ``results.md`` and
``table.png`` are written. Training and measuring resume after a stop, so rows can be added one by one.

Schedules: ``paper`` is section 5 of the paper: 3,280 epochs in eight stages of 3^i epochs, i = 0..7, with batches of 20
and the learning rate 0.001 x 10^(-i/7), and every term of the ELBO by sampling; only Adam's epsilon differs (torch's
1e-8 instead of the authors' 1e-4). ``cpu`` is this project's own, 16 times fewer updates: 1,000 epochs of batches of
100, the learning rate up to 0.002 and along a cosine to 0, and for the VAE the KL in closed form. It is one of the
schedules of ``python -m benchmarks.schedule_search iwae``. Another one there, 0.006 with batches of 200, had a
validation ELBO 0.3 nats higher after 30 epochs, by one seed; in a long run the test ELBO stayed at -109 while the rate
was high.
"""

import argparse
import sys
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure

from pyro_vae import train_or_resume
from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate
from pyro_vae.evaluate import evaluate
from pyro_vae.evaluate.ledger import Ledger
from pyro_vae.evaluate.report import Findings
from pyro_vae.files import write_atomic
from pyro_vae.metrics import Options
from pyro_vae.pictures import figure_bytes
from pyro_vae.plots import COLOURS
from pyro_vae.runs import RunFolder

#: NLL of the paper's table 1, and of a later reproduction in TensorFlow 2; nats, k = 5000 on 10,000 test images. DReG
#: (Tucker et al. 2018) is of the reproduction alone, two layers of the paper alone.
PUBLISHED: dict[str, tuple[float | None, float | None]] = {
    "VAE-1": (86.76, 86.35),
    "VAE-5": (86.47, 86.10),
    "VAE-50": (86.35, 86.06),
    "IWAE-1": (86.76, 86.35),
    "IWAE-5": (85.54, 85.18),
    "IWAE-50": (84.78, 84.59),
    "DReG-1": (None, 86.08),
    "DReG-5": (None, 84.90),
    "DReG-50": (None, 84.32),
    "VAE-1-2L": (85.33, None),
    "VAE-5-2L": (85.01, None),
    "VAE-50-2L": (84.78, None),
    "IWAE-1-2L": (85.33, None),
    "IWAE-5-2L": (83.89, None),
    "IWAE-50-2L": (82.90, None),
}
SAMPLES = 5000  #: k of the measurement, as in the paper
SAME = {"IWAE-1": "VAE-1", "IWAE-1-2L": "VAE-1-2L"}  #: with one sample the bounds are equal


@dataclass(frozen=True)
class Schedule:
    """The epochs, the steps and the estimator of the VAE's rows."""

    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    vae: str


SCHEDULES = {
    "cpu": Schedule(1000, 100, 2e-3, "one_cycle", "TraceMeanField_ELBO"),
    "paper": Schedule(3280, 20, 1e-3, "stages", "Trace_ELBO"),
}


class Certified(NamedTuple):
    """Minus log p(x) of the first images, the width of its bracket, and minus the bound on the same images; nats."""

    nll: float
    to: float
    bound: float


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    nll: Estimate
    certified: Certified | None
    elbo: Estimate
    active: Estimate
    epochs: int
    seconds: float
    curve: list[tuple[int, float]]  # epoch, test ELBO


def options(row: str, schedule: Schedule) -> dict[str, Any]:
    """The options of the run of one row, for ``pyro_vae.train``."""
    bound, k, *two_layers = row.split("-")
    network = {"hidden_dims": [200, 200], "activation": "tanh"}
    one = {"latent_dim": 50}
    two = {
        "latent_dim": 150,  # 100 that the decoder sees and 50 above them
        "prior": "HierarchicalPrior",
        "guide": {"class_path": "BottomUp", "init_args": {"direct": False}},
    }
    return {
        **(two if two_layers else one),
        "validation": 0,
        "likelihood": "Bernoulli",
        "encoder": {"class_path": "MLPEncoder", "init_args": network},
        "decoder": {"class_path": "MLPDecoder", "init_args": network},
        "objective": {
            "class_path": schedule.vae if bound == "VAE" else bound,
            "init_args": {"num_particles": int(k)},
        },
        "epochs": schedule.epochs,
        "batch_size": schedule.batch_size,
        "lr": schedule.lr,
        "lr_schedule": schedule.lr_schedule,
    }


def measure(folder: Path, images: int, certified: int, samples: int, device: str) -> Row:
    """One line of the table, from a finished run; existing measurements are read."""
    settings = Options(images=images, iwae_samples=samples, evidence_images=certified or None, gap_images=1)
    metrics = ["elbo", "iwae", "units", *(["certificate", "evidence"] if certified else [])]
    [found] = evaluate([folder], settings, metrics, train=False, device=device)
    test, trace = found["test"], RunFolder(folder).read_trace()
    return Row(
        name=folder.name,
        nll=test["iwae"].estimates["iwae"],
        certified=certificate_of(folder, found, certified) if certified else None,
        elbo=test["elbo"].estimates["elbo"],
        active=test["units"].estimates["active_units"],
        epochs=trace[-1].epoch,
        seconds=trace[-1].seconds,
        curve=[(row.epoch, row.elbo) for row in trace if row.split == "test"],
    )


def certificate_of(folder: Path, found: Findings, images: int) -> Certified:
    """Certified log p(x), and the bound on the same images."""
    test, simulated = found["test"], found["simulated"]
    bounds = Ledger(RunFolder(folder)).per_image("test", "iwae", test["iwae"].settings, "iwae")
    assert bounds is not None, "evaluate keeps the values of single images"
    return Certified(
        nll=-test["evidence"].estimates["log_evidence"].value,
        to=simulated["certificate"].estimates["certified_to"].value,
        bound=-bounds[:images].mean().item(),
    )


def published(row: str, data: str) -> tuple[float | None, float | None]:
    """The published values beside a row; empty if the data are not MNIST."""
    return PUBLISHED[row] if data == "mnist" else (None, None)


def shown(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def table(rows: list[Row], data: str) -> str:
    """The lines of the table in Markdown, NLL and -ELBO in nats per image, as the paper has them: lower is better."""
    k = f"k = {rows[0].nll.samples}"
    head = ["row", f"NLL here, {k}", "the paper's", "TF2's", "NLL, certified", f"{k} there", "certified to"]
    head += ["-ELBO", "active units", "epochs", "minutes"]
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    for row in rows:
        paper, again = published(row.name, data)
        cells = [row.name, f"{-row.nll.value:.2f} +- {row.nll.standard_error:.2f}", shown(paper), shown(again)]
        sure = row.certified
        cells += ["", "", ""] if sure is None else [shown(sure.nll), shown(sure.bound), shown(sure.to, 3)]
        cells += [shown(-row.elbo.value), f"{row.active.value:.0f}"]
        lines.append(f"| {' | '.join([*cells, str(row.epochs), f'{row.seconds / 60:.1f}'])} |")
    return "\n".join(lines)


def picture(rows: list[Row], data: str) -> Figure:
    """NLL of the rows beside the published ones, and the test ELBO of their runs by epoch."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    sides = {
        "this project": [-row.nll.value for row in rows],
        "Burda et al. 2015": [published(row.name, data)[0] for row in rows],
        "a TF2 reproduction": [published(row.name, data)[1] for row in rows],
    }
    for (name, values), gray, marker in zip(sides.items(), ("black", "0.45", "0.7"), "osD", strict=True):
        if places := [(value, i) for i, value in enumerate(values) if value is not None]:
            left.plot(*zip(*places, strict=True), marker, color=gray, label=name)
    left.set_yticks(range(len(rows)), [row.name for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set(xlabel="nats per image", title="minus log p(x) of test images: lower is better")
    left.grid(axis="x", color="0.92")
    left.legend(frameon=False, loc="best")
    for row, colour in zip(rows, cycle(COLOURS), strict=False):
        epochs, values = zip(*row.curve, strict=True)
        right.plot(epochs, values, color=colour, label=row.name, lw=1.2)
    late = [value for row in rows for _, value in row.curve[len(row.curve) // 20 :]]
    right.set_ylim(min(late) - 0.5, max(late) + 0.5)
    right.set(xlabel="epochs", ylabel="nats per image", title="test ELBO by one sample of z: higher is better")
    right.grid(color="0.92")
    right.legend(frameon=False, loc="lower right")
    return figure


def report(args: argparse.Namespace, rows: list[Row]) -> str:
    """``results.md``."""
    first, batch = rows[0].nll, SCHEDULES[args.schedule].batch_size
    missing = [name for name in PUBLISHED if name not in SAME and name not in {row.name for row in rows}]
    on = torch.cuda.get_device_name() if torch.cuda.is_available() else f"a CPU, {torch.get_num_threads()} thread(s)"
    command = f"python examples/iwae_table.py --data {args.data} --schedule {args.schedule} --images {args.images}"
    command += f" --certified-images {args.certified_images} --rows {','.join(row.name for row in rows)}"
    command += f" --samples {args.samples}" if args.samples != SAMPLES else ""
    command += f" --epochs {' '.join(map(str, args.epochs))}" if args.epochs else ""
    about = (
        f"NLL is minus the bound of {first.samples:,} samples, nats per image, on the first {first.images:,} test"
        f" images in one draw of the binarisation, +- standard error over images; seed 0, one run a row. *Certified* is"
        f" minus log p(x) of the first {min(args.certified_images, first.images):,} of them, by annealing from each"
        f" image's best Gaussian; *there* is minus the bound on the same images; *certified to* is the width of the"
        f" bracket on images that the model draws. Batches of {batch}; minutes are those of training, on {on}."
    )
    if args.data == "mnist":
        about += (
            " The published numbers are of 3,280 epochs of 3,000 updates each. The draw of the binarisation alone"
            " moves the mean of 10,000 images by 0.06."
        )
    lines = [
        f"# The table of Importance Weighted Autoencoders, {args.data}, dynamically binarised",
        f"`{command}`",
        table(rows, args.data),
        about,
    ]
    if missing:
        lines.append(f"Not in this table: {', '.join(missing)}. The same command with `--rows` adds them.")
    lines.append("![The rows beside the published numbers, and the test ELBO by epoch](table.png)")
    return "\n\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ",".join(name for name in PUBLISHED if name not in SAME)
    parser.add_argument("--rows", default=known, help="VAE-k, IWAE-k, DReG-k; by default all of the table")
    parser.add_argument("--schedule", choices=SCHEDULES, default="cpu")
    parser.add_argument("--images", type=int, default=10_000, help="test images measured, the first")
    parser.add_argument(
        "--certified-images", type=int, default=1000, help="those of them whose log p(x) is certified; 0: none"
    )
    parser.add_argument("--samples", type=int, default=SAMPLES, help="k of the measurement")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-root", type=Path, help="where downloads are kept, as for pyro_vae.svi")
    parser.add_argument("--epochs", type=int, nargs="+", help="other than the schedule's: of all rows, or of each")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/iwae-table"), help="the folder of runs and results")
    args = parser.parse_args(argv)
    names = [SAME.get(name, name) for name in args.rows.split(",")]
    if unknown := set(names) - set(PUBLISHED):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {known}")

    schedule = SCHEDULES[args.schedule]
    epochs = args.epochs or [schedule.epochs]
    if len(epochs) not in (1, len(names)):
        parser.error(f"--epochs takes one number, or one for each of the {len(names)} rows")
    where = {"data": args.data, "device": args.device} | ({"data_root": args.data_root} if args.data_root else {})
    rows = []
    for name, count in zip(names, epochs * len(names) if len(epochs) == 1 else epochs, strict=True):
        train_or_resume(args.out / name, **options(name, schedule) | where | {"epochs": count})
        rows.append(measure(args.out / name, args.images, args.certified_images, args.samples, args.device))
        print(table(rows[-1:], args.data).splitlines()[-1], flush=True)
    text = report(args, rows)
    write_atomic(args.out / "results.md", text)
    write_atomic(args.out / "table.png", figure_bytes(picture(rows, args.data)))
    print(text)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
