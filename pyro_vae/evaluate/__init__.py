"""Measure finished runs: how good is the model, how good is the guide, and why.

    python -m pyro_vae.evaluate runs/digits-MeanField-1

Every metric goes into the run's ``metrics.json`` with its estimator, settings and standard error. What is there
already, with the same settings and weights, is not measured again; an evaluation that was stopped goes on where it was.
"""

from pyro_vae.evaluate.command import command_parser, evaluate, main

__all__ = ["command_parser", "evaluate", "main"]
