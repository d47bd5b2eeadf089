"""The public names of the project, and the page of each. Nothing of Sphinx is needed here."""

import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# Packages whose public names are their `__all__`, in the order of the site: the title of each.
AREAS = {
    "pyro_vae": "Train, load, use",
    "guides": "Guides and encoders",
    "pyro_vae.models": "Models, decoders, likelihoods, priors",
    "pyro_vae.objectives": "Objectives",
    "pyro_vae.estimators": "Estimators",
    "pyro_vae.metrics": "Metrics",
    "pyro_vae.evaluate": "Evaluate",
    "pyro_vae.explore": "Explore",
    "pyro_vae.use": "Put a run to use",
    "pyro_vae.engine": "Engine",
    "pyro_vae.programs": "Pyro programs",
    "pyro_vae.data": "Data",
    "pyro_vae.data.sets": "Data sets",
    "pyro_vae.distributions": "Distributions",
    "pyro_vae.trackers": "Trackers",
    "pyro_vae.testing": "Checks for authors",
}
# Modules without `__all__`: the names that users meet.
MORE = {
    "pyro_vae.runs": ("Run", "RunFolder", "TraceRow"),
    "pyro_vae.pair": ("Pair",),
    "pyro_vae.evaluate.in_memory": ("Evaluation",),
    "pyro_vae.config": ("Config",),
    "pyro_vae.errors": ("InputError", "Stopped"),
    "pyro_vae.sklearn": ("VAETransformer",),
    "pyro_vae.schedules": ("BetaSchedule", "Constant", "Linear", "Cyclical"),
    "pyro_vae.lr_schedules": ("constant", "linear", "cosine", "stages", "lr_schedule", "lr_schedules"),
    "pyro_vae.run_pictures": ("RunPicture", "Subject", "run_pictures"),
    "guides.base": ("Head",),
    "guides.labelled": ("LabelGuide", "M2Guide"),
    "pyro_vae.nn": ("GaussianLayer", "softplus_scale", "hidden_layers", "default_widths", "one_hot"),
    "pyro_vae.params": ("announce",),
}
# Names of the inside that pages of public names mention.
MENTIONED = {
    "pyro_vae.commands": ("COMMANDS",),
    "pyro_vae.command_line": ("CommandParser",),
    "pyro_vae.data.folder": ("folder_images",),
    "pyro_vae.data.memory": ("Frame",),
    "pyro_vae.distributed": ("Workers",),
    "pyro_vae.encoding": ("Source",),
    "pyro_vae.estimators.aggregate": ("CEILING",),
    "pyro_vae.estimators.ais": ("sigmoid_schedule",),
    "pyro_vae.estimators.importance": ("LIMIT", "tail_length"),
    "pyro_vae.estimators.posterior": ("FINER",),
    "pyro_vae.evaluate.ledger": ("Entry",),
    "pyro_vae.metrics.found": ("Shown",),
    "pyro_vae.models.likelihoods.leveled": ("Leveled",),
    "pyro_vae.programs.layout": ("Layout",),
    "pyro_vae.programs.passes": ("Part", "Programs"),
    "pyro_vae.run_options": ("RunOptions",),
    "pyro_vae.testing.density": ("check_density",),
    "pyro_vae.use.outputs": ("Output",),
    "pyro_vae.use.command": ("Given", "TAKEN", "Use"),
}
TITLE_OF_MORE = "Runs, options, schedules, parts of networks"
TITLE_OF_MENTIONED = "Names of the inside"


@dataclass(frozen=True)
class Name:
    """A public name.

    Attributes:
        module: where users import it from.
        name: its name there.
        kind: ``class``, ``exception``, ``function`` or ``data``: how Sphinx documents it.
    """

    module: str
    name: str
    kind: str

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def page(self) -> str:
        """The file of its page, without suffix. A class and a function may differ in capitals only."""
        folder = self.module.replace(".", "-")
        return f"{folder}/{self.name}" if self.kind == "function" else f"{folder}/{self.name}-{self.kind}"

    @property
    def value(self) -> Any:
        return getattr(import_module(self.module), self.name)

    @property
    def home(self) -> str:
        """The dotted name where it is defined, which annotations show."""
        value = self.value
        return f"{getattr(value, '__module__', self.module)}.{getattr(value, '__qualname__', self.name)}"


def kind_of(value: Any) -> str:
    """How Sphinx documents a value."""
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if inspect.isroutine(value) else "data"


def named(module: str, names: tuple[str, ...] | list[str]) -> list[Name]:
    """These names of a module; dunders and modules are left out."""
    found = import_module(module)
    kept = [name for name in names if not name.startswith("__") and not inspect.ismodule(getattr(found, name))]
    return [Name(module, name, kind_of(getattr(found, name))) for name in kept]


def public_names() -> dict[str, list[Name]]:
    """Public names by the title of their area. A name that two packages export is documented in the first of them."""
    areas = {title: named(module, import_module(module).__all__) for module, title in AREAS.items()}
    for title, of in ((TITLE_OF_MORE, MORE), (TITLE_OF_MENTIONED, MENTIONED)):
        areas[title] = [name for module, names in of.items() for name in named(module, names)]
    seen: set[int] = set()
    first: dict[str, list[Name]] = {}
    for title, names in areas.items():
        first[title] = [name for name in names if not (name.kind != "data" and id(name.value) in seen)]
        seen |= {id(name.value) for name in names}
    return first


def modules() -> list[str]:
    """Every module of both packages, but those that are run and not imported."""
    found = []
    for package in ("guides", "pyro_vae"):
        path = import_module(package).__path__
        found += [package, *(info.name for info in pkgutil.walk_packages(path, f"{package}."))]
    return sorted(name for name in found if not name.endswith("__main__"))
