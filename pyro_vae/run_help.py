"""The text of ``train --help`` and ``compare --help``: the options of a run under headings, the guides, an example."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from guides import GUIDES
from pyro_vae.command_line import WIDTH, CommandParser, HelpAll, headline
from pyro_vae.options import make_parser

HEADINGS: dict[str, tuple[str, ...]] = {
    "data": ("data", "data_root", "validation", "layout", "image_size", "binarize", "labels", "labelled_batch_size"),
    "model p(x, z)": ("program", "model", "decoder", "likelihood", "prior", "latent_dim"),
    "guide q(z|x)": ("guide", "encoder"),
    "objective": ("objective", "beta"),
    "optimisation": (
        *("epochs", "batch_size", "optimizer", "lr", "lr_schedule", "weight_decay", "clip_norm", "ema_decay"),
        *("patience", "seed"),
    ),
    "evaluation": ("eval_samples", "final_samples"),
    "machine": ("device", "engine", "precision"),
    "run folder, help": ("out", "tracker", "resume", "config", "trust", "help", "help_all"),
}
#: options that only ``--help-all`` shows
RARE = ("columns", "missing")


def svi_parser() -> CommandParser:
    """The options of ``train``."""
    parser = make_parser("python -m pyro_vae.svi", description="Train a model and a guide by SVI (AEVB, Algorithm 1).")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="resume the run in this folder")
    explain(
        parser,
        HEADINGS,
        [
            *guide_lines(),
            "",
            "A class takes options of its own: --guide.help IAF shows them.",
            "A class of your own goes by its import path: --guide my_module.MyGuide.",
            "example:",
            "  python -m pyro_vae.svi --data digits --guide IAF --guide.transforms 4 --epochs 20 --out runs/iaf",
        ],
    )
    return parser


def explain(parser: CommandParser, headings: dict[str, tuple[str, ...]], lines: Sequence[str]) -> None:
    """Give a parser of runs its short help, and ``--help-all``."""
    parser.add_argument("--help_all", "--help-all", action=HelpAll, help="every option with its whole description")
    parser.headings, parser.epilog_lines = headings, lines


def guide_lines() -> list[str]:
    """The guides, a line each."""
    width = max(map(len, GUIDES)) + 4
    lines = [f"{name.ljust(width - 4)}  {headline(guide)}" for name, guide in sorted(GUIDES.items())]
    return ["guides:", *(fill(line, WIDTH, initial_indent="  ", subsequent_indent=" " * width) for line in lines)]
