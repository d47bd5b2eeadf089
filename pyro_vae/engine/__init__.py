"""How a step of SVI runs: the same numbers, at the price of the step's own arithmetic.

=============  =====================================================================================================
``eager``      the program runs through Pyro and Python at every step
``compiled``   forward and backward captured as one graph, compiled by Inductor; the optimizer captured beside it
``cudagraph``  the captured step, optimizer included, recorded once on a CUDA device and replayed
``auto``       the fastest of these that suits the device, the program and the length of the run
=============  =====================================================================================================

:class:`SVI` takes them by name; :func:`capture` is for any static Pyro program. Which parts of the project are captured
is in CAPTURE.md beside this file. Each engine has a place between the gradients and the optimizer where several
processes average them (:mod:`pyro_vae.engine.parallel`).
"""

from collections.abc import Callable
from typing import Literal

import pyro.infer

from pyro_vae.engine.base import AnyOptimizer, Engine
from pyro_vae.engine.capture import CaptureError
from pyro_vae.engine.compiled import Compiled
from pyro_vae.engine.cudagraph import CudaGraph
from pyro_vae.engine.precision import Precision
from pyro_vae.engine.program import Program, StepRecord, resident
from pyro_vae.engine.svi import SVI, EngineName

__all__ = ["SVI", "CaptureError", "EngineName", "Precision", "StepRecord", "capture", "resident"]


def capture(
    model: Callable,
    guide: Callable,
    elbo: pyro.infer.ELBO,
    optimizer: AnyOptimizer,
    *,
    clip_norm: float | None = None,
    per_image: bool = False,
    precision: Precision = "fp32",
    backend: Literal["inductor", "aten", "cudagraph"] = "inductor",
) -> Engine:
    """Make an SVI step of a model and a guide that costs what its arithmetic costs.

    The step that is returned is called with the arguments of the model and the guide, in place of Pyro's
    ``SVI(...).step``. At the first call with arguments of a shape it runs the program three times without effect, once
    with Pyro's validation, and captures it.

    Args:
        model: any Pyro model, a module or a function with ``pyro.param`` statements.
        guide: its guide, likewise.
        elbo: a Pyro ELBO.
        optimizer: a torch optimizer over the parameters; or, where these are known only after a first pass, a
            function from the list of (unconstrained) parameters to an optimizer, or one of Pyro's optimizers with one
            dictionary of arguments. It is then the step's ``optimizer`` after the first call.
        clip_norm: gradients are scaled down to this total norm; None leaves them.
        per_image: divide the loss by the length of the first argument. Pyro does not.
        precision: of the networks' products; see :mod:`pyro_vae.engine.precision`.
        backend: ``inductor`` compiles the graph; ``aten`` runs it operation by operation; ``cudagraph`` replays it.

    Returns:
        A function from a batch to a :class:`StepRecord`, which raises :class:`CaptureError` where there is no static
        graph.

    What a program needs in order to be captured:

    - The same operations at every step. Python's ``if``, ``while`` and ``int()`` on a tensor's value, ``.item()``,
      ``print`` of it, and shapes that depend on data (``x[x > 0]``, ``unique``) are refused by the line they stand on.
    - Its tensors as arguments, or as tensors that are changed in place; for a CUDA graph all on its device. Numbers
      among the arguments are part of the graph: another number is another graph, and after eight the step runs
      eagerly. Give what changes as a tensor.
    - Randomness from torch's own generator. Python's or NumPy's, or a counter, would be frozen; two passes that differ
      under one seed are refused. What Python does besides (a print, a list that grows) happens while capturing only.
    - An ELBO that reads no number back within Pyro itself, as ``RenyiELBO`` does: it is refused by Pyro's line.

    Example:
        >>> import pyro, torch
        >>> import pyro.distributions as dist
        >>> from pyro_vae.engine import capture
        >>> def model(x):
        ...     mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        ...     with pyro.plate("data", len(x)):
        ...         pyro.sample("x", dist.Normal(mean, 1.0), obs=x)
        >>> def guide(x):
        ...     loc = pyro.param("loc", torch.tensor(0.0))
        ...     scale = pyro.param("scale", torch.tensor(1.0), constraint=dist.constraints.positive)
        ...     pyro.sample("mean", dist.Normal(loc, scale))
        >>> with pyro.get_param_store().scope():
        ...     adam = pyro.optim.Adam({"lr": 0.05})
        ...     step = capture(model, guide, pyro.infer.Trace_ELBO(), adam, backend="aten")
        ...     _ = torch.manual_seed(0)
        ...     x = 3 + torch.randn(100)
        ...     for _ in range(300):
        ...         record = step(x)
        ...     print(abs(pyro.param("loc").item() - x.mean().item()) < 0.1)
        True
    """
    parameters = [p for g in getattr(optimizer, "param_groups", []) for p in g["params"]]
    program = Program(model, guide, elbo, parameters, clip_norm, per_image, precision)
    if backend == "cudagraph":
        return CudaGraph(program, optimizer)
    return Compiled(program, optimizer, inductor=backend == "inductor")
