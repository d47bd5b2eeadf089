"""Three guides and three seeds on MNIST with AEVB's network: a section of RESULTS.md, README's picture and its report.

    python -m benchmarks.comparison --data-root DIR [--out comparisons/mnist]

It is ``pyro_vae.compare`` with AEVB's network; finished runs are neither trained nor measured again. The report is
committed with the paths of this machine taken out.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.guides import NETWORK
from benchmarks.results import RESULTS, machine, table, write_section
from pyro_vae.compare.command import main as compare
from pyro_vae.files import read_text, write_atomic

SHOWN = RESULTS.parent.parent / "examples/results/comparison-mnist"
COLUMNS = {
    "elbo": "test ELBO",
    "log_evidence": "log p(x)",
    "inference_gap": "inference gap",
    "approximation_gap": "approximation gap",
    "amortization_gap": "amortization gap",
    "kl_to_q": "KL(p to q)",
}


def interval(figure: dict[str, Any] | None, sign: str = "") -> str:
    """A metric with its interval."""
    return f"{figure['value']:{sign}.2f} [{figure['low']:{sign}.2f}, {figure['high']:{sign}.2f}]" if figure else "—"


def row(arm: dict[str, Any]) -> list[str]:
    """One guide's line."""
    figures = [interval(arm["figures"].get(name)) for name in COLUMNS]
    difference = arm["difference_to_baseline"].get("elbo")
    verdict = f"{interval(difference, '+')}, {difference['verdict']}" if difference else "baseline"
    return [arm["name"], figures[0], verdict, *figures[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("comparisons/mnist"), help="the folder of the comparison")
    parser.add_argument("--guides", default="MeanField,FullRank,IAF")
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--epochs", default="8")
    parser.add_argument("--images", default="200", help="paired test images")
    options = parser.parse_args()
    words = ["--data", "mnist", "--data-root", str(options.data_root), "--guides", options.guides]
    words += ["--seeds", options.seeds, "--epochs", options.epochs, "--latent-dim", "20", *NETWORK]
    words += ["--engine", "compiled", "--workers", "1", "--evaluate.images", options.images, "--out", str(options.out)]
    compare(words)

    def without_paths(text: str) -> str:
        return text.replace(str(options.data_root.resolve()), "DIR").replace(str(options.out.resolve()), "comparison")

    found = json.loads(read_text(options.out / "comparison.json"))
    SHOWN.mkdir(parents=True, exist_ok=True)
    write_atomic(SHOWN / "comparison.png", (options.out / "comparison.png").read_bytes())
    write_atomic(SHOWN / "report.html", without_paths(read_text(options.out / "report.html")))
    elbo, evidence, gap = (found["arms"][0]["figures"][name] for name in ("elbo", "log_evidence", "inference_gap"))
    columns = [COLUMNS["elbo"], f"beyond {found['baseline']}'s", *list(COLUMNS.values())[1:]]
    picture, report = (
        f"../{(SHOWN / name).relative_to(SHOWN.parents[2])}" for name in ("comparison.png", "report.html")
    )
    sentences = "\n".join(f"- {line}" for line in found["found"])
    write_section(
        "comparison",
        "A comparison on MNIST: guides by several seeds",
        "`python -m benchmarks.comparison --data-root DIR`, which is `python -m pyro_vae.compare"
        f" {without_paths(' '.join(words))}`, on {machine()}.\n\n"
        f"Nats per image on dynamically binarised MNIST; {elbo['images']:,} test images for the ELBO,"
        f" {evidence['images']} for log p(x) and {gap['images']} for the gap and for the true posterior. [ ] are"
        f" {found['confidence']:.0%} intervals. {found['method']} The whole [report]({report}).\n\n"
        f"![Differences to {found['baseline']}]({picture})\n\n"
        f"{table(['guide', *columns], list(map(row, found['arms'])))}\n\n{sentences}",
    )


if __name__ == "__main__":
    main()
