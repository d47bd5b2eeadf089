"""A local page to play with runs: the latent plane, and where each guide puts q(z|x).

    python -m pyro_vae.explore runs/digits-MeanField-1 runs/digits-IAF-1

The page talks to this process alone, and this process answers this machine alone. Every number of the page is that of
a public function of :mod:`pyro_vae.estimators`, of this very image.
"""

from pyro_vae.explore.command import command_parser, explore, main

__all__ = ["command_parser", "explore", "main"]
