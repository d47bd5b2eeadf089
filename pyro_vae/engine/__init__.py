"""How a step of SVI runs: the same numbers, at the price of the step's own arithmetic.

=============  =====================================================================================================
``eager``      the program runs through Pyro and Python at every step
``captured``   forward, backward and Pyro's optimizer as one graph, run operation by operation
``compiled``   that graph, compiled by Inductor
``cudagraph``  that graph, recorded once on a CUDA device and replayed
``auto``       the fastest of these that suits the device, the program and the length of the run
=============  =====================================================================================================

:class:`SVI` takes them by name, for any Pyro program. Which parts of the project are captured is in CAPTURE.md beside
this file. Each engine has a place between the gradients and a torch optimizer where several processes average them
(:mod:`pyro_vae.engine.parallel`).
"""

from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.graph import AuditError
from pyro_vae.engine.precision import Precision
from pyro_vae.engine.program import StepRecord, resident
from pyro_vae.engine.svi import SVI, EngineName, StepOptions
from pyro_vae.engine.training import training_step

__all__ = [
    "SVI",
    "AuditError",
    "CaptureError",
    "EngineName",
    "Precision",
    "StepOptions",
    "StepRecord",
    "resident",
    "training_step",
]
