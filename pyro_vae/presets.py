"""``--preset NAME``: options that go well together. What the user gives himself goes before them."""

from typing import Any

from pyro_vae.errors import InputError
from pyro_vae.explain import nearest

PRESETS: dict[str, dict[str, Any]] = {
    # found by `python -m benchmarks.schedule_search preset` for AEVB's network on MNIST: among the soonest at a
    # validation ELBO of -98, the highest at the end
    "fast": {"batch_size": 200, "lr": 3e-3, "ema_decay": 0.999, "precision": "auto"},
}


def preset(name: str) -> dict[str, Any]:
    """The options of a preset.

    Raises:
        InputError: if there is none of this name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset {name!r}: {nearest(name, PRESETS)}known: {', '.join(sorted(PRESETS))}")
    return dict(PRESETS[name])
