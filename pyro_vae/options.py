"""The options of a run, from the command line, a YAML file or Python.

jsonargparse makes the flags from the types of :class:`~pyro_vae.config.Config`, so a class of the user's own works by
its import path, and an option of a class is an option of the command: ``--guide IAF --guide.transforms 4``.
"""

import re
from argparse import ArgumentError
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentParser, Namespace

from pyro_vae.config import KINDS, Config
from pyro_vae.errors import InputError
from pyro_vae.plain import plain


class Settings(NamedTuple):
    """Parsed options: as values, and as the YAML text that repeats them."""

    config: Config
    text: str


def make_parser(prog: str | None = None, **kwargs: Any) -> ArgumentParser:
    """A parser with the options of :class:`Config`; errors are raised and not printed."""
    parser = ArgumentParser(prog=prog, exit_on_error=False, allow_abbrev=False, **kwargs)
    parser.add_argument("--config", action="config", help="a YAML file of options, such as a run folder's config.yaml")
    parser.add_class_arguments(Config)
    return parser


def parse_arguments(parser: ArgumentParser, argv: list[str]) -> Namespace:
    """The command line as a namespace; ``--batch-size`` and ``--batch_size`` are the same option.

    Raises:
        InputError: where an option is unknown or has no sense, in one line.
    """
    return _in_one_line(lambda: parser.parse_args([_with_underscores(word) for word in argv]))


def settle(parser: ArgumentParser, namespace: Namespace) -> Settings:
    """A namespace as values and text. Where the folder is, is not part of what is repeated."""

    def settled() -> Settings:
        chosen = Namespace({name: namespace[name] for name in Config.__dataclass_fields__})
        values = parser.instantiate(chosen.clone()).as_dict()
        chosen["out"] = None
        return Settings(Config(**values), parser.dump(chosen, skip_validation=True))

    return _in_one_line(settled)


def settings_of(options: dict[str, Any]) -> Settings:
    """Options given in Python, or read from YAML: names for classes, or ``{"class_path": ..., "init_args": ...}``."""
    parser = make_parser()
    return settle(parser, _in_one_line(lambda: parser.parse_object(plain(options))))


def settings_from(text: str, **changes: Any) -> Settings:
    """The settings that a ``config.yaml`` says, with changes."""
    try:
        options = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"the configuration is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(options, dict):
        raise InputError("the configuration is not a table of options")
    return settings_of({**options, **changes})


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _in_one_line(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except InputError:
        raise
    except (ArgumentError, TypeError, ValueError) as error:
        raise InputError(_explain(str(error))) from error


def _explain(message: str) -> str:
    """jsonargparse's answer in one line, with the nearest names where a class is unknown."""
    key = re.search(r'key "(\w+)', message)
    unknown = re.search(r"Expected a dot import path string: (\S+)", message)
    if key and key[1] in KINDS and unknown:
        known = sorted(_concrete(KINDS[key[1]]))
        near = get_close_matches(unknown[1], known, n=3, cutoff=0.4)
        rest = f"nearest: {', '.join(near)}; " if near else ""
        return f"no {key[1]} {unknown[1]!r}: {rest}known: {', '.join(known)}; or give the import path of your own class"
    if key and "Dict must include a class_path" in message:
        return f"--{key[1]} has no default here: name the class too, as in --{key[1]} CLASS --{key[1]}.option VALUE"
    line = re.sub(r'Parser key "([\w.]+)":', r"--\1:", " ".join(message.split()))
    line = re.sub(r"Type \S.*? expects a function or a callable class: ", "", line)
    return re.sub(r"Does not validate against any of the Union subtypes.*?Errors: - ", "", line)


def _concrete(kind: type) -> set[str]:
    below: set[str] = set().union(*map(_concrete, kind.__subclasses__()))
    not_chosen = getattr(kind, "__abstractmethods__", None) or not getattr(kind, "chosen_by_name", True)
    return below if not_chosen else below | {kind.__name__}


def take_option(argv: list[str], option: str) -> tuple[str, list[str]]:
    """The value of an option on the command line, and the words without it.

    Raises:
        InputError: where the option has no value.
    """
    at = next(i for i, word in enumerate(argv) if word.partition("=")[0] == option)
    _, equals, value = argv[at].partition("=")
    if equals:
        return value, argv[:at] + argv[at + 1 :]
    if at + 1 == len(argv):
        raise InputError(f"{option} needs the run folder")
    return argv[at + 1], argv[:at] + argv[at + 2 :]
