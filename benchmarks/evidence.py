"""log p(x) on MNIST, certified, beside the bounds: does the order of the guides change?

    python -m benchmarks.evidence --data-root DIR [--out runs/evidence] [--epochs 8] [--images 100] [--seeds 1]

Trains guides with AEVB's network, measures them with ``pyro_vae.evaluate``, and holds the stated error of log p(x)
against grids where latent_dim is 2. What is there already is not made again.
"""

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyro_vae
from benchmarks.against_grids import against_grids
from benchmarks.guides import trained
from benchmarks.results import machine, table, write_section
from pyro_vae.build import sees_binary
from pyro_vae.compare.statistics import Interval, difference
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import Evidence, log_evidence
from pyro_vae.evaluate import evaluate
from pyro_vae.evaluate.ledger import Ledger, joined
from pyro_vae.files import read_text, write_atomic
from pyro_vae.metrics import Options
from pyro_vae.runs import RunFolder

SHOWN = {"log p(x)": ("evidence", "log_evidence"), "IWAE_5000": ("iwae", "iwae"), "ELBO": ("elbo", "elbo")}
COST_IMAGES = 100
ASKED = 0.1  #: nats: what the bracket's mean and two standard errors must be below


@dataclass(frozen=True)
class Measured:
    """The runs of one guide, one for each seed, and what evaluate says of them."""

    guide: str
    folders: Sequence[RunFolder]

    def figures(self, source: str, measure: str, name: str) -> list[dict[str, Any]]:
        """One figure of all seeds."""
        return [folder.read_metrics()["evaluation"][source][measure]["figures"][name] for folder in self.folders]

    def per_image(self, figure: str) -> np.ndarray:
        """A figure of each seed and test image, ``(S, N)``, nats."""
        return np.stack([_per_image(folder, *SHOWN[figure]) for folder in self.folders])

    def costs(self) -> list[dict[str, float]]:
        """Of each seed what :func:`cost` has kept."""
        return [json.loads(read_text(folder.path / "evidence_cost.json")) for folder in self.folders]

    @property
    def certified_to(self) -> float:
        """Of the seed that is certified worst, nats."""
        return max(figure["value"] for figure in self.figures("simulated", "certificate", "certified_to"))


def _per_image(folder: RunFolder, measure: str, name: str) -> np.ndarray:
    settings = folder.read_metrics()["evaluation"]["test"][measure]["settings"]
    found = joined(Ledger(folder).begun("test", measure, settings)[0]).estimates[name].per_image
    assert found is not None
    return found.numpy()


def cost(folder: RunFolder, data_root: Path) -> None:
    """Keep in the run folder what log p(x) of 100 test images costs, at the temperatures that were certified.

    Processor seconds of this process, which other load on the machine hardly changes, and its peak memory.
    """
    path = folder.path / "evidence_cost.json"
    if path.exists():
        return
    run, settings = pyro_vae.load(folder.path), Evidence()
    certificate = folder.read_metrics()["evaluation"]["simulated"]["certificate"]["figures"]
    temperatures = round(certificate["certified_temperatures"]["value"])
    settings = replace(settings, annealing=replace(settings.annealing, temperatures=temperatures))
    x = next(Binarizer(sees_binary(run.config, run.model)).held_out(load_data("mnist", data_root).test, COST_IMAGES))
    began = time.process_time()
    log_evidence(run.model, run.guide, x, settings)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    write_atomic(path, json.dumps({"seconds": seconds, "mebibytes": peak, "threads": torch.get_num_threads()}))


def measured(guide: str, options: argparse.Namespace) -> Measured:
    """Train and measure one guide with all seeds; what is there is not made again."""
    folders = []
    for seed in range(options.seeds):
        name = guide if seed == 0 else f"{guide}-seed-{seed}"
        words = ["--guide", guide, "--epochs", str(options.epochs), "--seed", str(seed), "--engine", "compiled"]
        folder = trained(options.out / name, options.data_root, *words)
        images = options.images
        chosen = Options(images=images, evidence_images=images, gap_images=1, certificate_images=options.simulated)
        names = ["certificate", "evidence", "iwae", "elbo"]
        evaluate([folder.path], chosen, names, train=False, data_root=options.data_root)
        cost(folder, options.data_root)
        folders.append(folder)
    return Measured(guide, folders)


def row(of: Measured, baseline: Measured, comparisons: int) -> list[str]:
    """One line of the table; a figure of several seeds is their mean."""

    def mean(source: str, measure: str, name: str, digits: int) -> str:
        found = of.figures(source, measure, name)
        value, error = (np.mean([figure[key] for figure in found]) for key in ("value", "standard_error"))
        return f"{value:.{digits}f} ± {error:.{digits}f}"

    cells = [of.guide, mean("test", *SHOWN["log p(x)"], 2)]
    for figure in SHOWN:
        if figure != "log p(x)":
            cells.append(mean("test", *SHOWN[figure], 2))
        gain = gain_of(of, baseline, figure, comparisons)
        cells.append("" if of is baseline else f"{gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]")
    cells += [mean("simulated", "certificate", "certified_gap", 3), f"{of.certified_to:.3f}"]
    cells += [mean("test", "evidence", "evidence_change", 3)]
    spent = of.costs()
    return [*cells, f"{max(c['seconds'] for c in spent):.0f}", f"{max(c['mebibytes'] for c in spent):,.0f}"]


def gain_of(ours: Measured, baseline: Measured, figure: str, comparisons: int) -> Interval:
    """The paired difference of a figure; with one seed its interval is over images alone."""
    return difference(ours.per_image(figure), baseline.per_image(figure), comparisons=comparisons)


def in_words(guides: Sequence[Measured], baseline: Measured) -> list[str]:
    """Sentences: the orders, which pairs change, how much of a gain in ELBO is one of the model, and what was asked."""
    means = {figure: {of.guide: of.per_image(figure).mean() for of in guides} for figure in SHOWN}
    ranked = {figure: sorted(values, key=values.__getitem__, reverse=True) for figure, values in means.items()}
    sentences = [f"By {figure} the order is {', '.join(names)}." for figure, names in ranked.items()]
    pairs = len(guides) * (len(guides) - 1) // 2
    for figure in list(SHOWN)[1:]:
        changed = _changed(guides, figure, pairs)
        sentences.append(
            f"{figure} turns {len(changed)} of {pairs} pairs round" + (f": {'; '.join(changed)}." if changed else ".")
        )
    for figure in list(SHOWN)[1:]:
        below = [f"{means['log p(x)'][guide] - value:.2f} ({guide})" for guide, value in means[figure].items()]
        sentences.append(f"{figure} is below log p(x) by {', '.join(below)}.")
    for of in guides:
        if of is not baseline:
            of_elbo, of_model = (gain_of(of, baseline, figure, len(guides) - 1) for figure in ("ELBO", "log p(x)"))
            sentences.append(
                f"{of.guide}: ELBO {of_elbo.value:+.2f}, the sum of the model's gain in log p(x), {of_model.value:+.2f}"
                f" ({of_model.verdict}), and of inference's, {of_elbo.value - of_model.value:+.2f}."
            )
    unmet = [of.guide for of in guides if of.certified_to > ASKED]
    sentences.append(
        f"The bracket's mean and two standard errors are at most {ASKED:g} nats for"
        + (f" all but {', '.join(unmet)}." if unmet else " every guide.")
    )
    if len(baseline.folders) == 1:
        sentences.append("One seed: all this is of these very trainings; another seed may turn any of it round.")
    return sentences


def _changed(guides: Sequence[Measured], figure: str, pairs: int) -> list[str]:
    """The pairs that a figure orders otherwise than log p(x) does, and whether both orders are shown."""
    found = []
    for i, one in enumerate(guides):
        for other in guides[i + 1 :]:
            ours, truth = (gain_of(one, other, name, pairs) for name in (figure, "log p(x)"))
            if (ours.value > 0) != (truth.value > 0):
                shown = "no difference shown" not in (ours.verdict, truth.verdict)
                words = "both shown" if shown else "not both shown"
                found.append(f"{one.guide} - {other.guide} {ours.value:+.2f}, not {truth.value:+.2f} ({words})")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"), help="where the run folders are")
    parser.add_argument("--guides", nargs="+", default=["MeanField", "FullRank", "RealNVP", "IAF"])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=100, help="paired test images")
    parser.add_argument("--simulated", type=int, default=100, help="images of the certificate")
    parser.add_argument("--repetitions", type=int, default=50, help="on the digits, of each image with a grid")
    parser.add_argument("--on-mnist", type=int, default=20, help="on MNIST, of each image with a grid; 0: none")
    options = parser.parse_args()
    guides = [measured(guide, options) for guide in options.guides]
    baseline = guides[0]
    rows = [row(of, baseline, len(guides) - 1) for of in guides]
    gain = f"beyond {baseline.guide}'s"
    columns = ["guide", "log p(x)", gain, "IWAE_5000 (lower bound)", gain, "ELBO", gain]
    columns += ["bracket on simulated images", "its mean + 2 s.e.", "change at 5 times the temperatures"]
    columns += ["processor seconds, 100 images", "MiB, peak"]
    write_section(
        "evidence",
        "log p(x) on MNIST, certified",
        f"`python -m benchmarks.evidence --data-root DIR --guides {' '.join(options.guides)} --epochs {options.epochs}"
        f" --seeds {options.seeds} --images {options.images} --on-mnist {options.on_mnist}` on {machine()}.\n\n"
        f"AEVB's network, latent_dim 20, {options.epochs} epochs, {_seeds(options.seeds)}, the first"
        f" {options.images:,} test images in one draw of the binarisation; nats per image, ± one standard error over"
        " images, nearly all of it common to the rows. [ ]: 95 % intervals of the paired difference that hold together"
        " in a column, over images alone where there is one seed. The bracket is the distance of the lower and the"
        f" upper bound on {options.simulated} images that the model draws. Processor seconds are those of the process"
        f" on {torch.get_num_threads()} thread(s), for log p(x) alone at the temperatures that were certified, so that"
        " the clock of two idle cores shows no more; peak memory is that of the whole process.\n\n"
        + table(columns, rows)
        + "\n\n"
        + "\n".join(
            f"- {sentence}"
            for sentence in [
                *in_words(guides, baseline),
                *against_grids(options.out, options.data_root, options.repetitions, options.on_mnist),
            ]
        ),
    )


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"the mean over {count} seeds"


if __name__ == "__main__":
    main()
