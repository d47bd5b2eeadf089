"""The engine that ends a run on a CPU soonest.

The rule counts steps and operations and measures no time, so that a repeated run decides the same.
"""

from typing import Literal

CAPTURE_SECONDS = 0.6  #: the time to capture a step
CAPTURED_SAVES = 1.2e-3  #: a captured step saves this time of Pyro and of autograd, seconds
#: the time to get the compiled code of a run from Inductor's cache, on two cores; the first time it takes 10 to 20 s
COMPILE_SECONDS = 8.0
COMPILED_SAVES = 2.5e-3  #: a compiled step saves this time of Python and Pyro, seconds
SAVED_PER_FLOP = 2.5e-12  #: and this time of arithmetic, by fusion and oneDNN, seconds per flop


def fastest(num_steps: int, rows: int, parameters: int) -> Literal["eager", "captured", "compiled"]:
    """The engine that saves most, when the time to make its graph is taken off.

    Args:
        num_steps: of the run.
        rows: images in a step times samples of each.
        parameters: numbers that are trained.
    """
    compiled_saves = COMPILED_SAVES + SAVED_PER_FLOP * 6 * rows * parameters
    saved: dict[Literal["eager", "captured", "compiled"], float] = {
        "eager": 0.0,
        "captured": num_steps * CAPTURED_SAVES - CAPTURE_SECONDS,
        "compiled": num_steps * compiled_saves - COMPILE_SECONDS,
    }
    return max(saved, key=lambda engine: saved[engine])
