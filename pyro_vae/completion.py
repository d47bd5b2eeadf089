"""Complete commands and options in a shell.

    eval "$(pyro-vae completion bash)"

Also for zsh and tcsh. Each new shell needs the line, so put it into the shell's start file, such as ~/.bashrc.
"""

import argparse
from importlib import import_module

import shtab

from pyro_vae.command_line import plain_parser
from pyro_vae.commands import COMMANDS
from pyro_vae.errors import InputError


def completion_parser() -> argparse.ArgumentParser:
    """All commands with their options, in a parser of the standard library."""
    whole = argparse.ArgumentParser("pyro-vae")
    below = whole.add_subparsers()
    for name, command in COMMANDS.items():
        make = getattr(import_module(command.module), "command_parser", None)
        options = plain_parser(make(), everything=True) if make else argparse.ArgumentParser(add_help=False)
        for action in options._actions:
            if offered := getattr(action, "offered", None):
                action.choices = offered
        if not make:
            options.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
        below.add_parser(name, parents=[options], add_help=False, help=command.does)
    return whole


def main(argv: list[str]) -> None:
    """The command: the name of a shell."""
    if len(argv) == 1 and argv[0] in shtab.SUPPORTED_SHELLS:
        print(shtab.complete(completion_parser(), argv[0]))
    elif argv in (["-h"], ["--help"]):
        print(f"usage: pyro-vae completion {{{','.join(shtab.SUPPORTED_SHELLS)}}}\n\n{__doc__}", end="")
    else:
        raise InputError(f"name one shell: pyro-vae completion {{{','.join(shtab.SUPPORTED_SHELLS)}}}")
