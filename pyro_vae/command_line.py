"""A command's options in plain words: its help, and a shell's completion.

jsonargparse makes the options from typed signatures and shows these types. Here they are NUMBER, NAME, PATH or the
choices themselves, under headings, with the dashes that the user types.
"""

import argparse
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, Literal, get_args, get_origin

import shtab
from jsonargparse import ArgumentParser

WIDTH = 100
#: a shell completes these with names of files and folders
PATHS = ("PATH", "DIR")


class CommandParser(ArgumentParser):
    """A parser of typed options whose help is short and plain.

    Attributes:
        headings: the options' names under each heading of ``--help``, in order; only ``--help-all`` shows the others.
            If empty, all options are in the help.
        classes: the classes that an option can name.
        names: what else an option can name; empty where it takes anything, or says its choices by its type.
        epilog_lines: the end of the help.
    """

    headings: Mapping[str, Sequence[str]] = {}
    classes: Callable[[str], Sequence[type]] = staticmethod(lambda option: ())
    names: Callable[[str], Sequence[str]] = staticmethod(lambda option: ())
    epilog_lines: Sequence[str] = ()

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        return plain_parser(self, everything=not self.headings).format_help()


class HelpAll(argparse.Action):
    """``--help-all``: every option with its whole description."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any):
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **kwargs)

    def __call__(self, parser: Any, *args: Any) -> None:
        print(plain_parser(parser, everything=True).format_help(), end="")
        parser.exit()


class _Wide(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=min(WIDTH, get_terminal_size((WIDTH, 24)).columns))


def plain_parser(parser: ArgumentParser, everything: bool) -> argparse.ArgumentParser:
    """The same options in a parser of the standard library, for help and completion.

    Args:
        everything: include options without a heading, and whole descriptions instead of first sentences.
    """
    description = _about_class(parser.description or "") or parser.description
    positionals = [action for action in parser._actions if not action.option_strings]
    usage: str | None = " ".join(["%(prog)s", *map(_several, positionals), "[options]"])
    lines = [] if everything and getattr(parser, "headings", {}) else list(getattr(parser, "epilog_lines", ()))
    if description != parser.description:
        usage = argparse.SUPPRESS
    plain = argparse.ArgumentParser(
        parser.prog, usage, description, "\n".join(lines) or None, add_help=False, formatter_class=_Wide
    )
    for action in positionals:
        made: Any = plain.add_argument(action.dest, nargs=action.nargs, metavar=action.metavar, help=action.help)
        made.complete = shtab.FILE
    headings: Mapping[str, Sequence[str]] = getattr(parser, "headings", {})
    place = {name: title for title, names in headings.items() for name in names}
    groups = {title: plain.add_argument_group(title) for title in headings}
    rest = plain.add_argument_group("further options" if headings else "options")
    options = {action.dest: action for action in parser._actions if action.option_strings and _shown(action)}
    ordered = [options[name] for names in headings.values() for name in names if name in options]
    ordered += [action for name, action in options.items() if name not in place]
    for action in ordered:
        if everything or action.dest in place:
            _add(groups.get(place.get(action.dest, ""), rest), action, parser, everything)
    return plain


def _several(action: argparse.Action) -> str:
    """How often a positional may stand."""
    again = f"[{action.metavar} ...]"
    if action.nargs not in ("*", "+"):
        return str(action.metavar)
    return again if action.nargs == "*" else f"{action.metavar} {again}"


def _about_class(description: str) -> str:
    """What ``--guide.help IAF`` is of, in the class's own words; empty for any other help."""
    found = re.fullmatch(r"Help for --([\w.]+)\.help=(\S+)", description)
    return "" if not found else f"{found[2].rpartition('.')[2]}: {headline(_named(found[2]))}."


def _named(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _shown(action: argparse.Action) -> bool:
    """Hide the options that name a file for a part of the options."""
    return action.help != argparse.SUPPRESS and type(action).__name__ != "_ActionConfigLoad"


def _add(group: Any, action: argparse.Action, parser: ArgumentParser, everything: bool) -> None:
    names = list(dict.fromkeys(name.replace("_", "-") for name in action.option_strings if not name.endswith("+")))
    text = " ".join((action.help or "").split())
    classes = [found.__name__ for found in getattr(parser, "classes", lambda _: ())(action.dest)]
    if not everything:
        text = first_sentence(text)
    if classes and action.dest != "guide":
        text = f"{text.rstrip('.')}: {', '.join(classes)}"
    if action.dest == "data" and (named := getattr(parser, "names", lambda _: ())("data")):
        text = f"{text.rstrip('.')}: {', '.join(named)}"
    default = _default(action)
    if default:
        text = f"{text.rstrip('.')} (default {default})"
    text = text.replace("``", "")
    text = text.rstrip(".") if ". " not in text else text
    if action.nargs == 0:
        group.add_argument(*names, action="store_true", help=text.replace("%", "%%"))
        return
    made = group.add_argument(*names, metavar=_word(action, parser), help=text.replace("%", "%%"))
    if _word(action, parser) in PATHS or action.dest == "data":
        made.complete = shtab.FILE
    made.offered = classes or _choices(action, parser)


def _choices(action: argparse.Action, parser: ArgumentParser) -> list[str]:
    if action.dest != "data" and (named := getattr(parser, "names", lambda _: ())(action.dest)):
        return list(named)
    hint = getattr(action, "_typehint", None)
    parts = [hint] if get_origin(hint) is Literal else [part for part in get_args(hint) if part is not type(None)]
    literal = parts and all(get_origin(part) is Literal for part in parts)
    return [str(value) for part in parts for value in get_args(part)] if literal else []


def _word(action: argparse.Action, parser: ArgumentParser) -> str:
    """The kind of value of an option, in one plain word."""
    hint = getattr(action, "_typehint", None)
    if isinstance(action.metavar, str) and type(action).__name__ != "_ActionHelpClassPath":
        return action.metavar
    if type(action).__name__ == "_ActionHelpClassPath":
        return "NAME"
    if action.dest == "data":
        return "NAME|PATH"
    if choices := _choices(action, parser):
        return "{" + ",".join(choices) + "}"
    said = str(hint)
    if "Callable" in said:
        return "NAME"
    kinds = {hint, *get_args(hint)}
    if kinds & {int, float}:
        return "NUMBER"
    return "PATH" if Path in kinds or action.dest in ("config", "out", "resume") else "NAME"


def _default(action: argparse.Action) -> str:
    value = action.default
    if value is None or value is False or value == argparse.SUPPRESS or action.dest == "guide":
        return ""
    if isinstance(value, dict):
        value = value.get("class_path", "").rpartition(".")[2]
    return str(value)


def first_sentence(text: str) -> str:
    """The text before the first full stop or semicolon; the full stop of an abbreviation does not count.

    >>> first_sentence("where it is kept; by default here. And so on.")
    'where it is kept'
    """
    return re.split(r"(?<=[\w)\]])[.;](?:\s|$)", text, maxsplit=1)[0]


def headline(of: type) -> str:
    """The first sentence of a class's docstring, without its mathematics."""
    paragraph = " ".join((inspect.getdoc(of) or "").partition("\n\n")[0].split())
    return first_sentence(re.sub(r",?\s*:math:`[^`]*`", "", paragraph)).rstrip(".,: ")
