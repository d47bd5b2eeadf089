"""A trained run put to use, by functions and by commands of the same shape.

Each file of a command has ``command_parser`` and ``main``: :class:`~pyro_vae.use.command.Use` makes the options of its
function, reads RUN and DATA, and writes ``--out FILE``. A new one is one more file, and a line in
:data:`pyro_vae.commands.COMMANDS`.
"""

from pyro_vae.use.densities import anomaly_scores, log_densities
from pyro_vae.use.draws import posterior_draws
from pyro_vae.use.exported import Program, export
from pyro_vae.use.imputations import impute
from pyro_vae.use.reconstructions import reconstruct
from pyro_vae.use.rows import Reading, Rows, rows_of
from pyro_vae.use.samples import sample
from pyro_vae.use.scores import Scores, score

__all__ = [
    "Program",
    "Reading",
    "Rows",
    "Scores",
    "anomaly_scores",
    "export",
    "impute",
    "log_densities",
    "posterior_draws",
    "reconstruct",
    "rows_of",
    "sample",
    "score",
]
