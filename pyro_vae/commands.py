"""``pyro-vae COMMAND``: all commands by one name. A new command is one more line in :data:`COMMANDS`."""

import sys
from importlib import import_module
from typing import NamedTuple, NoReturn

import pyro_vae
from pyro_vae.errors import nearest_names


class Command(NamedTuple):
    """One command.

    Attributes:
        module: has ``main(argv)``; imported when the command is used.
        does: in a few words.
    """

    module: str
    does: str


COMMANDS = {
    "train": Command("pyro_vae.svi", "train a model and a guide; write a run folder"),
    "traces": Command("pyro_vae.traces", "show the ELBO traces of runs: a table and a picture"),
    "evaluate": Command("pyro_vae.evaluate", "measure runs: how good the model is, how good the guide is, and why"),
    "compare": Command("pyro_vae.compare.command", "train and measure guides x seeds; write one report"),
    "explore": Command("pyro_vae.explore", "play with runs in a local page: latent plane, q(z|x), true posterior"),
    "sample": Command("pyro_vae.use.samples", "draw images from a run's model"),
    "encode": Command("pyro_vae.use.codes", "codes of data by a run: means, deviations or samples of z"),
    "reconstruct": Command("pyro_vae.use.reconstructions", "reconstruct data by a run"),
    "impute": Command("pyro_vae.use.imputations", "fill in missing values by a run: best values, or draws"),
    "score": Command("pyro_vae.use.scores", "log p(x) of each row of data, anomalies first"),
    "export": Command("pyro_vae.use.exported", "write a run's encoder and decoder as programs of torch.export"),
    "completion": Command("pyro_vae.completion", "print a script that completes commands and options in a shell"),
}

#: other names of commands
ALIASES = {"svi": "train"}


def overview() -> str:
    """The text of ``pyro-vae --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {command.does}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pyro-vae COMMAND [options]        (or: python -m pyro_vae COMMAND [options])",
            "",
            "Variational autoencoders in Pyro whose guides are swapped by name.",
            "",
            "commands:",
            *lines,
            "",
            "pyro-vae COMMAND --help lists the options of a command; pyro-vae --version prints the version.",
            "example: pyro-vae train --data digits --guide IAF --epochs 20",
        ]
    )


def main() -> NoReturn:
    """Run the command that the first word names."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0)
    if words[0] == "--version":
        print(f"pyro_vae {pyro_vae.__version__}")
        sys.exit(0)
    name = ALIASES.get(words[0], words[0])
    if name not in COMMANDS:
        near = nearest_names(words[0], COMMANDS)
        nearest = f"nearest: {near[0]}; " if near else ""
        print(f"error: no command {words[0]!r}: {nearest}known: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    command = import_module(COMMANDS[name].module)
    from pyro_vae.cli import run_command

    run_command(command.main, words[1:])
