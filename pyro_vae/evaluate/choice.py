"""Which metrics are measured, and their own options: from the words of a command or from Python."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from jsonargparse import ArgumentParser, Namespace

from pyro_vae.command_line import WIDTH, headline
from pyro_vae.errors import InputError
from pyro_vae.metrics import Metric, Options, all_metrics, find
from pyro_vae.metrics.contract import faults


def choose(wanted: Sequence[str | Metric] | None) -> dict[str, Metric]:
    """The metrics to measure, by name, in the order of the table.

    Args:
        wanted: names, import paths or objects; None for all but those that are measured on demand.

    Raises:
        InputError: if there is no such metric, or an object is none, in one line.
    """
    if wanted is None:
        return {name: one() for name, one in all_metrics().items() if not one.on_demand}
    made = {}
    for one in wanted:
        if not isinstance(one, str):
            if wrong := faults(type(one)):
                raise InputError(f"{type(one).__name__} {wrong}")
            made[one.name] = one
    named = {one.name: one() for one in find([one for one in wanted if isinstance(one, str)])}
    return dict(sorted({**named, **made}.items(), key=lambda item: item[1].place))


def named_by(argv: Sequence[str], option: str) -> list[str] | None:
    """The names and import paths in the last value of an option, which is read before the others are known.

    None where the command line has no such option.
    """
    values = []
    for i, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name == option:
            values.append(value if equals else argv[i + 1] if i + 1 < len(argv) else "")
    return [name.strip() for name in values[-1].split(",") if name.strip()] if values else None


def add_options(parser: ArgumentParser, names: Sequence[str] = (), beneath: str = "") -> None:
    """Give a parser the options of every metric that has some: ``--NAME.OPTION``.

    Args:
        names: and import paths that the user named.
        beneath: of what the options are beneath: "evaluate" for ``--evaluate.NAME.OPTION``.
    """
    find(names)
    for name, metric in all_metrics().items():
        if metric.own_options():
            parser.add_class_arguments(metric, f"{beneath}.{name}" if beneath else name, as_group=False)


def check_least(options: Options, metrics: Iterable[Metric]) -> None:
    """Check before any metric is measured, which may take hours, that all of them can be.

    Raises:
        InputError: names the option that is too small.
    """
    for metric in metrics:
        for option, least in metric.least.items():
            if (value := getattr(options, option)) < least:
                raise InputError(f"--{option.replace('_', '-')} is at least {least} for {metric.name}, not {value}")


def with_options(names: Sequence[str] | None, given: Namespace) -> list[Metric]:
    """The metrics with the options that a command line gives.

    Args:
        names: and import paths; None for all but those that are measured on demand.
        given: parsed options, by the name of the metric.

    Raises:
        InputError: if a metric does not take a value.
    """
    made = []
    for name, metric in choose(names).items():
        options = given[name].as_dict() if metric.own_options() else {}
        try:
            made.append(type(metric)(**options))
        except ValueError as error:
            raise InputError(f"--{name}: {error}") from error
    return made


def metric_lines() -> list[str]:
    """The metrics, a line each, for a help."""
    known = all_metrics()
    width = max(map(len, known)) + 4
    rows = [
        f"{name.ljust(width - 4)}  {headline(one)}{'; on demand' if one.on_demand else ''}"
        for name, one in known.items()
    ]
    return ["metrics:", *(fill(row, WIDTH, initial_indent="  ", subsequent_indent=" " * width) for row in rows)]
