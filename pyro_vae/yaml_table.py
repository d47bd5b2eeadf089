"""A file of options as a table: plain, small YAML without repeated keys.

A file may come from somebody else, so nothing in it costs more than its own length: aliases are bounded, and an alias
inside its own target and a repeated key are refused.
"""

import re
from typing import Any

import yaml

from pyro_vae.errors import InputError

MAX_LETTERS = 100_000
MAX_DEPTH = 30
MAX_VALUES = 20_000  #: including repetition by aliases
DEEP = f"it is nested deeper than {MAX_DEPTH} levels"

_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"


class _Loader(yaml.SafeLoader):
    """Plain values only; ``1e-3`` is a number, unlike in YAML 1.1, and a date is text."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":float"))]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"^(?:{_FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)


def read_table(text: str, where: str) -> dict[str, Any]:
    """The table of options that a YAML text holds.

    Args:
        text: the content of the file.
        where: the name of the file in an error.

    Raises:
        InputError: in one line, if it is no table, or holds something that no table of options needs.
    """
    try:
        if len(text) > MAX_LETTERS:
            raise ValueError(f"it has {len(text)} letters, and options need no more than {MAX_LETTERS}")
        _check_depth(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _count(node, [], {})
            table = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
        _check_texts(table)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{where} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise InputError(f"{where} is not a table of options")
    return table


def _check_depth(text: str) -> None:
    """Check the depth before parsing, because parsing is recursive."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(DEEP)


def _count(node: yaml.Node, within: list[yaml.Node], counted: dict[int, int]) -> int:
    """The number of values of a node; each node is counted once, however often an alias repeats it."""
    if any(node is outer for outer in within):
        raise ValueError(f"{node.start_mark}: an alias to what it stands in")
    if id(node) in counted:
        return counted[id(node)]
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise ValueError(f"the key {twice!r} comes twice in one table")
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
    count = 1 + sum(_count(part, [*within, node], counted) for part in parts)
    if count > MAX_VALUES:
        raise ValueError(f"it holds more than {MAX_VALUES} values, with what its aliases repeat")
    counted[id(node)] = count
    return count


def _check_texts(value: Any) -> None:
    """The parser also reads YAML inside a text, so the limits of a file hold for each text."""
    if isinstance(value, str):
        if "&" in value and "*" in value:
            raise ValueError(f"the text {value[:40]!r} could be YAML with an alias")
        if sum(value.count(bracket) for bracket in "[{") > MAX_DEPTH or len(value) > 4096:
            raise ValueError(f"the text {value[:40]!r} is long or nested, and no option is")
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for part in parts:
        _check_texts(part)
