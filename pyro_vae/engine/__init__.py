"""The engines that run a step of SVI, with the same numbers up to float32 rounding.

=============  =====================================================================================================
``eager``      the program runs through Pyro and Python at every step
``captured``   forward, backward and Pyro's optimizer as one graph, run operation by operation
``compiled``   that graph, compiled by Inductor
``cudagraph``  that graph, recorded once on a CUDA device and replayed
``auto``       the fastest of these that suits the device, the program and the length of the run
=============  =====================================================================================================

:class:`SVI` takes an engine by name, for any Pyro program. CAPTURE.md beside this file lists the parts of the project
that are captured. With a torch optimizer, every engine can average the gradients of several processes before the
optimizer's step (:mod:`pyro_vae.engine.parallel`).
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
