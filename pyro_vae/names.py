"""Names of runs, by which users tell them apart."""

from collections.abc import Callable
from pathlib import Path

from pyro_vae.config import Config, class_of


def run_name(config: Config) -> str:
    """DATA-GUIDE, with each part that is not the default: model, prior, objective and its samples.

    >>> run_name(Config())
    'digits-MeanField'
    """
    if config.program is not None:
        return f"{Path(config.data).resolve().stem}-{config.program.rpartition(':')[2]}"
    default = Config()

    def chosen(option: str) -> list[str]:
        name = _class_name(getattr(config, option))
        return [] if name == _class_name(getattr(default, option)) else [name]

    particles = getattr(config.objective(), "num_particles", 1)
    objective = [f"{_class_name(config.objective)}{particles}"] if particles > 1 else chosen("objective")
    middle = [*chosen("model"), _class_name(config.guide), *chosen("prior")]
    words = [Path(config.data).resolve().stem, *middle, *objective]
    return "-".join(words)


def _class_name(factory: Callable) -> str:
    return getattr(class_of(factory), "__name__", "custom")
