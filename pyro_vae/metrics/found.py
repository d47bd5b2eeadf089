"""Which metrics there are."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from pyro_vae.errors import InputError, nearest_names
from pyro_vae.metrics.base import Metric
from pyro_vae.metrics.contract import faults
from pyro_vae.plugs import declared
from pyro_vae.plugs import find as found_in

#: the metrics of this project, by name
OWN: dict[str, type[Metric]] = {one.name: one for one in found_in("pyro_vae.metrics", Metric).values()}
#: those that the user has named by import path in this process, by name
_BY_PATH: dict[str, type[Metric]] = {}


def all_metrics() -> dict[str, type[Metric]]:
    """Every metric that is known, by name, in the order of the table; those of this project keep their names."""
    others = {one.name: one for one in declared("metric", _fits, "Metric").values()}
    known = {**others, **_BY_PATH, **OWN}
    return dict(sorted(known.items(), key=lambda item: item[1].place))


def _fits(one: object) -> bool:
    return not faults(one)


class Shown(NamedTuple):
    """An estimate that comparisons show.

    Attributes:
        metric: the name of the metric that finds it.
        title: in words.
        better: whether higher or lower is better, or "neither".
        unit: of its values.
    """

    metric: str
    title: str
    better: str
    unit: str


def compared() -> dict[str, Shown]:
    """The estimates that comparisons show, by name; those of which more is better come first."""
    order = ("higher", "neither", "lower")
    shown: dict[str, Shown] = {}
    for name, metric in all_metrics().items():
        for one in metric.compared:
            shown.setdefault(one.estimate, Shown(name, one.title, one.better, one.unit))
    return dict(sorted(shown.items(), key=lambda item: order.index(item[1].better)))


def find(names: Sequence[str]) -> list[type[Metric]]:
    """The metrics with these names or import paths, in the order of the table.

    A name without a dot imports nothing. From then on a metric that came by its path is known by its name too.

    Raises:
        InputError: if there is none of this name, or a path leads to something else, in one line.
    """
    wanted = {_by_path(name).name if "." in name else name for name in names}
    known = all_metrics()
    for name in sorted(wanted - known.keys()):
        near = nearest_names(name, known) or [*known]
        raise InputError(f"no metric {name!r}: nearest {', '.join(near)}; known: {', '.join(known)}")
    return [one for name, one in known.items() if name in wanted]


def _by_path(path: str) -> type[Metric]:
    module, _, name = path.rpartition(".")
    try:
        one: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the metric {path} cannot be imported: {error}") from error
    if wrong := faults(one):
        raise InputError(f"{path} {wrong}")
    if all_metrics().get(one.name, one) is not one:
        raise InputError(f"{path} has the name {one.name!r}, which another metric has: choose its own")
    _BY_PATH[one.name] = one
    return one
