"""The numbers in README.md: each is inserted from the file of results that it is from.

    python -m benchmarks.readme                            # insert them
    python -m benchmarks.readme --train --data-root DIR    # first make README's own runs anew: a section of RESULTS.md

``tests/test_readme.py`` holds README against these files.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import RESULTS, machine, table, write_section
from pyro_vae.files import read_text, write_atomic
from pyro_vae.lifecycle import complete
from pyro_vae.options import make_parser, parse_arguments, settle

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EXAMPLES = ROOT / "examples" / "results"

AEVB = ["--data", "mnist", "--latent-dim", "20"]
AEVB += ["--encoder.hidden_dims", "[500]", "--encoder.activation", "tanh"]
AEVB += ["--decoder.hidden_dims", "[500]", "--decoder.activation", "tanh"]
#: README's runs by the name that they have in RESULTS.md: the words after ``python -m pyro_vae.svi``
RUNS = {
    "digits, the defaults": [],
    "AEVB's network, 200 epochs": [
        *[*AEVB, "--epochs", "200", "--objective", "TraceMeanField_ELBO", "--lr", "2e-3", "--lr-schedule", "cosine"],
    ],
}


@dataclass(frozen=True)
class Number:
    """Numbers of README and the place that they are from.

    Args:
        shown: a regular expression that fits one place of README; a group for each number.
        file: of results.
        found: a regular expression whose first match there has the same numbers, in the same order.
        digits: after the decimal point, in README.
    """

    shown: str
    file: Path
    found: str
    digits: int = 0

    def values(self) -> list[str]:
        """The numbers of the results, as README shows them."""
        match = re.search(self.found, read_text(self.file), re.MULTILINE)
        if match is None:
            raise ValueError(f"{self.file.name} has nothing like {self.found!r}")
        return [f"{float(value):.{self.digits}f}" for value in match.groups()]

    def inserted(self, text: str) -> str:
        """README with these numbers."""
        matches = list(re.finditer(self.shown, text))
        if len(matches) != 1:
            raise ValueError(f"README has {len(matches)} places like {self.shown!r}, not one")
        for group, value in reversed(list(enumerate(self.values(), 1))):
            start, end = matches[0].span(group)
            text = text[:start] + value + text[end:]
        return text


VALUE, ERROR = r"(-?[\d.]*\d)", r"([\d.]*\d)"
NUMBERS = (
    Number(rf"test\s+ELBO\s+of\s+{VALUE}\s+±\s+{ERROR}", RESULTS, rf"^\| digits, the defaults \| {VALUE} ± {ERROR}", 1),
    Number(rf"test\s+ELBO\s+is\s+{VALUE}\s+±\s+{ERROR}", RESULTS, rf"^\| MeanField \| {VALUE} ± {ERROR}", 2),
    Number(
        rf"instead\s+it\s+is\s+{VALUE}\s+±\s+{ERROR}",
        RESULTS,
        rf"^\| AEVB's network, 200 epochs \| {VALUE} ± {ERROR}",
        2,
    ),
    Number(
        rf"soon:\s+{VALUE}\s+s\s+after[^.]*takes\s+{VALUE}\s+s",
        RESULTS,
        rf"^- To a test ELBO of -100: .*? takes {VALUE} .*? epochs {VALUE} ",
    ),
    Number(
        rf"VAE\s+{VALUE}\s+nats\s+where\s+the\s+paper\s+has\s+{VALUE}",
        EXAMPLES / "iwae" / "results.md",
        rf"^\| VAE-1 \| {VALUE} \+- [\d.]+ \| {VALUE}",
        1,
    ),
    Number(
        rf"after\s+{VALUE}\s+minutes\s+of\s+one\s+core", EXAMPLES / "iwae" / "results.md", rf"^\| VAE-1 .* {VALUE} \|$"
    ),
    Number(
        rf"IWAE-5\s+{VALUE}\s+where\s+it\s+has\s+{VALUE}",
        EXAMPLES / "iwae" / "results.md",
        rf"^\| IWAE-5 \| {VALUE} \+- [\d.]+ \| {VALUE}",
        1,
    ),
    Number(
        rf"CUDA\s+graph\s+took\s+{VALUE}\s+of\s+plain",
        RESULTS,
        rf"^\| MeanField, batch 256: the CUDA graph beside plain Pyro \| [\d.]+ \| {VALUE} ",
        2,
    ),
    Number(
        rf"compiled\s+first,\s+it\s+took\s+{VALUE}\s+of",
        RESULTS,
        rf"^\| MeanField, batch 256: the compiled one beside NumPyro[^|]* \| [\d.]+ \| {VALUE} ",
        2,
    ),
    Number(rf"over\s+{VALUE}\s+Pyro\s+programs", RESULTS, rf"^{VALUE} of \d+ are captured"),
    Number(rf"Pyro\s+programs\s+is\s+{VALUE}\s+on", RESULTS, rf"The median program is {VALUE} times", 1),
)


def with_numbers(text: str) -> str:
    """README's text with the numbers of the results."""
    for number in NUMBERS:
        text = number.inserted(text)
    return text


def train(data_root: Path | None, out: Path) -> None:
    """Make README's runs, and write their section of RESULTS.md; a finished run is not made again."""
    rows = []
    for name, words in RUNS.items():
        root = ["--data-root", str(data_root)] if data_root else []
        parser = make_parser()
        folder = complete(out / re.sub(r"\W+", "-", name), settle(parser, parse_arguments(parser, [*words, *root])))
        found = folder.read_metrics()
        elbo = found["test_elbo"]
        cells = [f"{elbo['value']:.2f} ± {elbo['standard_error']:.2f}", f"{found['core_seconds']:,.0f}"]
        rows.append([name, *cells])
    commands = "\n\n".join(f"{name}: `{' '.join(['python -m pyro_vae.svi', *words])}`" for name, words in RUNS.items())
    body = (
        f"`python -m benchmarks.readme --train --data-root DIR` on {machine()}.\n\n{commands}\n\n"
        "Nats per image, seed 0, 100 samples of z, all test images, ± standard error over images.\n\n"
        + table(["run", "test ELBO", "processor seconds"], rows)
    )
    write_section("readme", "README's runs", body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/readme"))
    options = parser.parse_args()
    if options.train:
        train(options.data_root, options.out)
    write_atomic(README, with_numbers(read_text(README)))


if __name__ == "__main__":
    main()
