"""What ``evaluate`` measures: one file for each metric, which is found here.

Those of other packages are found through the entry-point group ``pyro_vae.metrics``, and the user's own by their import
path.
"""

from pyro_vae.metrics.base import Compared, Finding, Metric, Task
from pyro_vae.metrics.found import OWN, all_metrics, compared, find
from pyro_vae.metrics.options import Options

__all__ = ["OWN", "Compared", "Finding", "Metric", "Options", "Task", "all_metrics", "compared", "find"]
