"""The options of a run, from the command line, a YAML file or Python.

jsonargparse makes the flags from the types of :class:`~pyro_vae.config.Config`, so the user's own class works by its
import path, and an option of a class is an option of the command: ``--guide IAF --guide.transforms 4``.
"""

import re
from argparse import ArgumentError
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentParser, Namespace

from pyro_vae.command_line import CommandParser
from pyro_vae.config import KINDS, Config
from pyro_vae.data import data_sets
from pyro_vae.errors import InputError
from pyro_vae.explain import explain
from pyro_vae.kinds import check_given, check_kinds
from pyro_vae.lr_schedules import lr_schedules
from pyro_vae.own import remember, remember_folder
from pyro_vae.plain import plain
from pyro_vae.plugs import installed
from pyro_vae.presets import PRESETS, preset
from pyro_vae.trackers import trackers
from pyro_vae.trust import PROGRAM, check_names, check_places, concrete, own_names
from pyro_vae.yaml_table import MAX_LETTERS, read_table


class Settings(NamedTuple):
    """Parsed options: as values, and as the YAML text that repeats them."""

    config: Config
    text: str


def make_parser(prog: str | None = None, **kwargs: Any) -> CommandParser:
    """A parser with the options of :class:`Config`; it raises errors instead of printing them."""
    for option in KINDS:
        installed(option)  # a class is found by its name once it is imported
    parser = CommandParser(prog=prog, exit_on_error=False, allow_abbrev=False, **kwargs)
    parser.classes, parser.names = classes_of, names_of
    parser.add_argument("--config", action="config", help="a YAML file of options, such as a run folder's config.yaml")
    parser.add_class_arguments(Config)
    parser.add_argument("--preset", choices=sorted(PRESETS), help=f"options that go together: {_presets()}")
    add_trust(parser)
    return parser


def _presets() -> str:
    found = {name: " ".join(f"--{key} {value}" for key, value in table.items()) for name, table in PRESETS.items()}
    return "; ".join(f"{name} is {words}" for name, words in found.items()).replace("_", "-")


def classes_of(option: str) -> list[type]:
    """The classes that an option can name, sorted by name; empty if it takes no class."""
    return sorted(concrete(KINDS[option]), key=lambda found: found.__name__) if option in KINDS else []


def names_of(option: str) -> list[str]:
    """What an option that takes a name and no class can name; none where it takes neither."""
    if option == "lr_schedule":
        return sorted(lr_schedules())
    if option == "tracker":
        return sorted(trackers())
    return sorted(data_sets()) if option == "data" else []


def add_trust(parser: ArgumentParser) -> None:
    """The option that lets files name any code."""
    text = "let a file name its own code, which then runs (SECURITY.md)"
    parser.add_argument("--trust", action="store_true", help=text)


def parse_arguments(parser: ArgumentParser, argv: list[str], beneath: Mapping[str, Any] | None = None) -> Namespace:
    """The command line as a namespace; ``--batch-size`` and ``--batch_size`` are the same option.

    From then on the classes that it names count as the user's own; those that a ``--config FILE`` names are checked.

    Args:
        parser: of the command.
        argv: the words after the command's name.
        beneath: options from a checked file, which the words override.

    Raises:
        InputError: if an option is unknown or invalid, or a file names code that is not trusted, in one line.
    """
    words = _names_of_files([_with_underscores(word) for word in argv])
    options = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    trust, typed = "trust" in options, _class_paths(words)
    chosen = take_option(words, "--preset", "a name")[0] if "preset" in options else None
    tables = [] if chosen is None else [preset(chosen)]
    tables += [] if beneath is None else [dict(beneath)]
    kept: list[str] = [_inline(table) for table in tables]
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        name, equals, path = word.partition("=")
        if name != "--config" or not (equals or at < len(words)):
            kept.append(word)
            continue
        if not equals:
            path, at = words[at], at + 1
        table = read_table(_text_of(path), path)
        check_given(table, path)
        check_names(table, path, trust, typed)
        check_places(table, path, trust, options)
        tables.append(table)
        kept.append(_inline(table))
    namespace = _in_one_line(lambda: parser.parse_args(kept), parser)
    _own(namespace, tables, typed)
    if "data_root" in options and namespace.get("data_root") is not None:
        remember_folder(Path(namespace.data_root))
    return namespace


def settle(parser: ArgumentParser, namespace: Namespace) -> Settings:
    """A namespace as values and text. The run folder is not part of the text."""

    def settled() -> Settings:
        chosen = Namespace({name: namespace[name] for name in Config.__dataclass_fields__})
        values = parser.instantiate(chosen.clone()).as_dict()
        chosen["out"] = None
        return Settings(Config(**values), parser.dump(chosen, skip_validation=True))

    return _in_one_line(settled, parser)


def settings_of(options: dict[str, Any], trust: bool = False) -> Settings:
    """Options given in Python: names for classes, classes, or ``{"class_path": ..., "init_args": ...}``.

    Args:
        options: of :class:`Config`; ``config`` is the path of a file of options that these override, ``preset`` the
            name of options beneath both.
        trust: that file may name any code.
    """
    parser = make_parser()
    given = {k: _path_of(v) if isinstance(v, type) else v for k, v in options.items()}
    chosen = given.pop("preset", None)
    check_given(given, "the call")
    file = given.pop("config", None)
    table: dict[str, Any] = {}
    if file is not None:
        table = read_table(_text_of(file), file)
        check_given(table, str(file))
        check_names(table, file, trust)
        check_places(table, file, trust, list(given))
    first = {} if chosen is None else preset(chosen)
    beneath = _in_one_line(lambda: parser.parse_object({**first, **table}), parser)
    namespace = _in_one_line(lambda: parser.parse_object(plain(given), beneath), parser)
    _own(namespace, [table], own_names({k: v for k, v in given.items() if k in (*KINDS, PROGRAM)}))
    if given.get("data_root") is not None:
        remember_folder(Path(given["data_root"]))
    return settle(parser, namespace)


def settings_from(text: str, trust: bool = False, where: str = "the configuration", **changes: Any) -> Settings:
    """The settings of a ``config.yaml``, with changes.

    Args:
        text: of the file.
        trust: the file may name any code, as a file of this process may.
        where: the name of the file in an error.
        changes: options to replace.

    Raises:
        InputError: if it is no table of options, or names code that is not trusted, in one line.
    """
    table = read_table(text, where)
    check_given(table, where)
    check_names(table, where, trust)
    parser = make_parser()
    namespace = _in_one_line(lambda: parser.parse_object({**table, **plain(changes)}), parser)
    check_kinds(namespace)
    return settle(parser, namespace)


def _own(namespace: Namespace, tables: Iterable[Mapping[str, Any]], typed: Collection[str]) -> None:
    """Check the classes that the options name, and remember those that the user named and no file did."""
    if not all(option in namespace for option in KINDS):
        return  # a command without options of classes
    check_kinds(namespace)
    chosen = {option: _plain(namespace[option]) for option in (*KINDS, PROGRAM)}
    by_files = set().union(*(own_names(table) for table in tables))
    remember(name for name in own_names(chosen) if name not in by_files or name in typed)


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Namespace) else value


def _path_of(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"


def _inline(table: Mapping[str, Any]) -> str:
    """A checked table as a word of the command line: the file is not read a second time."""
    return f"--config={yaml.safe_dump(dict(table), default_flow_style=True, width=MAX_LETTERS)}"


def _class_paths(words: Sequence[str]) -> set[str]:
    """The class paths that a command line names for its class options, and not those in its paths."""
    found: set[str] = set()
    of_class = False
    for word in words:
        if word.startswith("--"):
            of_class = word[2:].partition("=")[0].partition(".")[0] in (*KINDS, PROGRAM)
        if of_class:
            found |= {n.replace(":", ".") for n in re.findall(r"[^\W\d]\w*(?:[.:]\w+)+", word.removeprefix("--"))}
    return found


def _text_of(path: Path | str) -> str:
    """The content of a file of options, up to the longest that is allowed.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(MAX_LETTERS + 1)
    except UnicodeDecodeError as error:
        raise InputError(f"--config {path} is not text: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"--config {path}: File does not exist") from error
    except OSError as error:
        raise InputError(f"--config {path} cannot be read: {error.strerror}") from error


def _with_underscores(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _in_one_line(parse: Callable[[], Any], parser: ArgumentParser) -> Any:
    try:
        return parse()
    except InputError:
        raise
    except (ArgumentError, TypeError, ValueError) as error:
        named = (name for action in parser._actions for name in action.option_strings)
        options = [name[2:] for name in named if name.startswith("--") and not name.endswith(".help")]
        raise InputError(explain(str(error), options, classes_of)) from error


def _names_of_files(words: Sequence[str]) -> list[str]:
    """The words of a command line, in which a file's or a folder's name is what was typed.

    The parser would read ``#x``, ``~`` or ``null`` as nothing, and ``-x`` as an option. Not so with a dot before it.

    Raises:
        InputError: if such a name is empty.
    """
    found: list[str] = []
    at = 0
    while at < len(words):
        word, at = words[at], at + 1
        option, equals, value = word.partition("=")
        if option not in ("--out", "--data_root", "--save", "--data", "--config", "--against"):
            found.append(word)
            continue
        if not equals:
            if at == len(words):
                found.append(word)  # the parser says that a value is missing
                break
            value, at = words[at], at + 1
        if not value.strip():
            raise InputError(f"{option.replace('_', '-')} needs a name, and an empty one was given")
        if "\0" in value:
            raise InputError(f"{option.replace('_', '-')}: no name holds a character of number 0")
        if option in ("--out", "--data_root", "--save") and not Path(value).is_absolute():
            value = f"./{value}"
        found.append(f"{option}={value}")
    return found


def take_option(argv: list[str], option: str, what: str = "the run folder") -> tuple[str, list[str]]:
    """The value of an option on the command line, and the words without it.

    Raises:
        InputError: if the option has no value.
    """
    at = next(i for i, word in enumerate(argv) if word.partition("=")[0] == option)
    _, equals, value = argv[at].partition("=")
    rest = argv[at + 1 :]
    if not equals and rest:
        value, rest = rest[0], rest[1:]
    if not value.strip():
        raise InputError(f"{option} needs {what}")
    return value, argv[:at] + rest
