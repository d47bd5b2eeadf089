"""When compiling repays. The rule counts operations and measures no time, so that a repeated run decides the same."""

#: the time to get the compiled code of a run from Inductor's cache, on two cores; the first time it takes 10 to 20 s
COMPILE_SECONDS = 8.0
SAVED_SECONDS = 2.5e-3  #: a compiled step saves this time of Python and Pyro
SAVED_PER_FLOP = 2.5e-12  #: and this time of arithmetic, by fusion and oneDNN, seconds per flop


def repays(num_steps: int, rows: int, parameters: int) -> bool:
    """Whether a run is long enough to repay the compilation of its step.

    Args:
        num_steps: of the run.
        rows: images in a step times samples of each.
        parameters: numbers that are trained.
    """
    return num_steps * (SAVED_SECONDS + SAVED_PER_FLOP * 6 * rows * parameters) > COMPILE_SECONDS
