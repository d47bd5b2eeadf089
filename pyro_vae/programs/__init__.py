"""An ordinary Pyro pair, model and guide of anybody's writing, as a Model and a Guide of this project.

``weights`` holds the pair's parameters apart from Pyro's global store, ``layout`` says what a trace of the pair shows,
``rows`` lets a program that is written for rows run inside plates of draws, ``coordinates`` makes z of the latent sites
and back, ``family`` reads the variational parameters, and ``parts`` puts these together.
"""

from pyro_vae.programs.named import named_pair
from pyro_vae.programs.parts import ProgramGuide, ProgramModel, parts_of

__all__ = ["ProgramGuide", "ProgramModel", "named_pair", "parts_of"]
