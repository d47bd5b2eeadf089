"""The surroundings of Algorithm 1: prepare a run, start or resume it, and record it after every epoch.

:mod:`pyro_vae.svi` has the algorithm, the loop and the command.
"""
