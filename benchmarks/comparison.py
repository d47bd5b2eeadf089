"""Four guides and three seeds on MNIST with AEVB's network: a section of RESULTS.md, and the README's picture.

    PYRO_VAE_DATA=DIR python -m benchmarks.comparison [--out comparisons/mnist]

It is ``pyro_vae.compare`` with AEVB's network; finished runs are neither trained nor measured again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.guides import NETWORK
from benchmarks.results import RESULTS, machine, table, write_section
from pyro_vae.compare.command import main as compare
from pyro_vae.files import read_text, write_atomic

PICTURE = RESULTS.parent.parent / "examples/results/comparison-mnist/comparison.png"
COLUMNS = {
    "elbo": "test ELBO",
    "approximation_gap": "approximation gap",
    "amortization_gap": "amortization gap",
    "inference_gap": "inference gap",
}


def interval(figure: dict[str, Any] | None, sign: str = "") -> str:
    """A metric with its interval."""
    return f"{figure['value']:{sign}.2f} [{figure['low']:{sign}.2f}, {figure['high']:{sign}.2f}]" if figure else "—"


def row(arm: dict[str, Any]) -> list[str]:
    """One guide's line."""
    figures = [interval(arm["figures"].get(name)) for name in COLUMNS]
    difference = arm["difference_to_baseline"].get("elbo")
    verdict = f"{interval(difference, '+')}, {difference['verdict']}" if difference else "baseline"
    return [arm["name"], figures[0], verdict, *figures[1:], f"{arm['rank']:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("comparisons/mnist"), help="the folder of the comparison")
    parser.add_argument("--guides", default="MeanField,Householder,RealNVP,IAF")
    parser.add_argument("--seeds", default="3")
    options = parser.parse_args()
    command = ["--data", "mnist", "--guides", options.guides, "--seeds", options.seeds, "--latent-dim", "20"]
    command += ["--epochs", "30", *NETWORK, "--evaluate.gap_images", "100"]
    compare([*command, "--out", str(options.out)])

    found = json.loads(read_text(options.out / "comparison.json"))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(PICTURE, (options.out / "comparison.png").read_bytes())
    elbo, gap = (found["arms"][0]["figures"][name] for name in ("elbo", "inference_gap"))
    columns = ["guide", COLUMNS["elbo"], "difference", *list(COLUMNS.values())[1:], "mean rank"]
    picture = f"../{PICTURE.relative_to(RESULTS.parent.parent)}"
    words = "\n".join(f"- {line}" for line in found["found"])
    write_section(
        "comparison",
        "A comparison on MNIST: four guides, three seeds",
        f"`python -m benchmarks.comparison`, which is `python -m pyro_vae.compare {' '.join(command)}`,"
        f" on {machine()}.\n\n"
        f"Nats per image on dynamically binarised MNIST; {elbo['images']:,} test images for the ELBO and"
        f" {gap['images']} for the gap. [ ] are {found['confidence']:.0%} intervals. {found['method']}\n\n"
        f"![Differences to {found['baseline']}]({picture})\n\n"
        f"{table(columns, list(map(row, found['arms'])))}\n\n{words}",
    )


if __name__ == "__main__":
    main()
