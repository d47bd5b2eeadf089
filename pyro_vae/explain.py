"""From jsonargparse's message about a wrong option to one line that says what to do."""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from pyro_vae.errors import nearest_names


def nearest(name: str, known: Iterable[str]) -> str:
    """The start of a sentence: the names most like this one; empty if there are none.

    >>> nearest("transform", ["transforms", "hidden_dims"])
    'nearest: transforms; '
    """
    near = nearest_names(name, known)
    return f"nearest: {', '.join(near)}; " if near else ""


def explain(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    """An error of the parser in one line, with the nearest names.

    Args:
        message: of jsonargparse.
        options: all known ones.
        classes: those that an option can name; empty if it takes none.
    """
    message = " ".join(message.split())
    for said in (_unknown_option, _unknown_setting, _unknown_class, _untyped, _wrong_value):
        if line := said(message, options, classes):
            return line
    if lacking := re.fullmatch(r"the following arguments are required: (.*)", message):
        return f"give {lacking[1]}: --help shows how"
    line = re.sub(r'Parser key "([\w.]+)":', r"--\1:", message)
    line = re.sub(r"Type \S.*? expects a function or a callable class: ", "", line)
    line = re.sub(r"Does not validate against any of the Union subtypes.*?Errors: - ", "", line)
    return re.sub(r"--[\w.]+:", lambda option: option[0].replace("_", "-"), line, count=1)


def _unknown_option(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    """``--epoch 3``, and ``lat_dim=3`` in Python."""
    typed = re.search(r"[Uu]nrecognized arguments: (.*)", message)
    if typed:
        word = next((word for word in typed[1].split() if word.startswith("--")), "")
        if not word:
            return f"what is {typed[1]!r}? An option begins with --; --help lists them"
        name = word[2:].partition("=")[0]
        hint = nearest(name.replace("_", "-"), (option.replace("_", "-") for option in options))
        near = re.sub(r"(nearest: |, )", r"\1--", hint)
        every = "--help-all" if "help_all" in options else "--help"
        return f"no option --{name.replace('_', '-')}: {near}{every} lists every option"
    named = re.fullmatch(r".*?Option '(\w+)' is not accepted\.?", message)
    if named and "Parser key" not in message:
        return f"no option {named[1]!r}: {nearest(named[1], options)}known: {', '.join(options)}"
    return ""


def _unknown_setting(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    """``--guide IAF --guide.transform 3``."""
    found = re.search(r"Parser key \"([\w.]+)\".*Option '(\w+)' is not accepted.*class_path='([\w.]+)'", message)
    if not found:
        return ""
    option, name, path = found.groups()
    module, _, of = path.rpartition(".")
    skipped = {"self", "encoder", "latent_dim", "image_shape", "output_shape", "decoder", "likelihood", "prior"}
    known = [name for name in inspect.signature(getattr(import_module(module), of)).parameters if name not in skipped]
    if not known:
        return f"--{option}: {of} has no options, so no {name!r}"
    return f"--{option}: {of} has no option {name!r}: {nearest(name, known)}known: {', '.join(known)}"


def _unknown_class(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    key = re.search(r'key "(\w+)', message)
    unknown = re.search(r"Expected a dot import path string: (\S+)", message)
    if key and unknown and (found := classes(key[1])):
        known = [one.__name__ for one in found]
        own = "or give the import path of your own class"
        return f"no {key[1]} {unknown[1]!r}: {nearest(unknown[1], known)}known: {', '.join(known)}; {own}"
    if key and "Dict must include a class_path" in message:
        return f"--{key[1]} has no default here: name the class too, as in --{key[1]} CLASS --{key[1]}.option VALUE"
    return ""


def _untyped(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    """The user's own class with parameters without types."""
    found = re.search(r"Parameter '(\w+)' from '([\w.]+?)(?:\.__init__)?' does not specify a type", message)
    if not found:
        return ""
    _, _, name = found[2].rpartition(".")
    return f"{name}: its parameter {found[1]!r} has no type, and options are made of types: write {found[1]}: int, say"


_VALUES = {"float": "a number", "int": "a whole number", "bool": "true or false", "list": "a list, such as [1,2]"}


def _wrong_value(message: str, options: Sequence[str], classes: Callable[[str], Sequence[type]]) -> str:
    """``--lr abc``, and ``--split nope``."""
    keys = re.findall(r'Parser key "([\w.]+)":', message)
    expected = re.findall(r"Expected a (?:<class '(\w+)'>|typing\.Literal\[(.*?)\])", message)
    value = re.search(r"(?:Given value|Got value): (.*?)(?: - Expected|\. Got value|$)", message)
    kinds = [_VALUES.get(kind, kind) if kind else names.replace("'", "") for kind, names in expected]
    takes = " or ".join(kind for kind in dict.fromkeys(kinds) if kind != "NoneType")
    if not (keys and value and takes) or message.count("Expected a ") != len(expected):
        return ""
    return f"--{'.'.join(keys).replace('_', '-')} takes {takes}, and not {value[1]!r}"
