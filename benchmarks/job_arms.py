"""The arms of :mod:`benchmarks.end_to_end`: which job each is, and with which options."""

from benchmarks import job_ours
from benchmarks.job import BATCH, HIDDEN, LATENT, LR, SAMPLES
from pyro_vae.presets import PRESETS

OURS = "benchmarks.job_ours"
FAST, COSINE = "ours, fast", "ours, lr 2e-3, cosine"
ARMS: dict[str, list[str]] = {
    "ours": [OURS],
    "ours, bf16": [OURS, "--precision=bf16"],
    FAST: [OURS, "--preset=fast"],
    COSINE: [OURS, "--lr=2e-3", "--lr-schedule=cosine"],
    "Pyro": ["benchmarks.job_torch", "Pyro"],
    "PyTorch": ["benchmarks.job_torch", "PyTorch"],
    "NumPyro": ["benchmarks.job_numpyro"],
    "pythae": ["benchmarks.job_torch", "pythae"],
}
LENGTHS = (1, 8, 30)
#: the arms whose compiled code is kept on the disk from one job to the next
KEPT = [arm for arm, (module, *_) in ARMS.items() if module in (OURS, "benchmarks.job_numpyro")]


def options(arm: str) -> list[str]:
    """All options of an arm's job but its length, those that a preset stands for included.

    A record is of use as long as its arm still has the options that the record was made with.
    """
    module, *words = ARMS[arm]
    if module == OURS:
        return [module, *job_ours.words(words), *(f"{key}={value}" for key, value in preset(arm).items())]
    sizes = {"hidden": HIDDEN, "latent": LATENT, "batch": BATCH, "lr": LR, "samples": SAMPLES}
    return [module, *words, *(f"{key}={value}" for key, value in sizes.items())]


def preset(arm: str) -> dict[str, object]:
    """The options for which the arm's preset stands; none without one."""
    return next((PRESETS[w.removeprefix("--preset=")] for w in ARMS[arm] if w.startswith("--preset=")), {})
