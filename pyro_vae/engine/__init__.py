"""How a step of SVI runs: the same numbers, at the price of the step's own arithmetic."""

from pyro_vae.engine.program import StepRecord, resident
from pyro_vae.engine.svi import SVI

__all__ = ["SVI", "StepRecord", "resident"]
