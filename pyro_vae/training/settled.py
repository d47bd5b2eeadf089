"""Options that the data decide: the likelihood that suits them, and its number of levels."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from pyro_vae.build import needs_likelihood
from pyro_vae.config import class_of
from pyro_vae.data import DataSet
from pyro_vae.data.levels import levels_of
from pyro_vae.options import Settings
from pyro_vae.yaml_table import read_table


def settled_by(data: DataSet, settings: Settings) -> dict[str, Any]:
    """The options that are left open and that the data decide, by name.

    Raises:
        InputError: where a likelihood of levels is left to find their number, and the data are on none.
    """
    if needs_likelihood(settings.config):
        return {"likelihood": data.likelihood}
    return with_levels(settings, lambda: levels_of(data))


def with_levels(settings: Settings, levels: Callable[[], int]) -> dict[str, Any]:
    """The likelihood with its number of levels, where the options leave that open; else nothing."""
    found = settings.config.likelihood
    parameter = None if found is None else signature(class_of(found)).parameters.get("levels")
    if parameter is None or parameter.default is not None:
        return {}
    named: Any = read_table(settings.text, "the options")["likelihood"]
    named = {"class_path": named} if isinstance(named, str) else named
    options = named.get("init_args") or {}
    return {} if "levels" in options else {"likelihood": {**named, "init_args": {**options, "levels": levels()}}}
