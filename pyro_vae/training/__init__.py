"""What surrounds Algorithm 1: a run is prepared, begun or resumed, and recorded after every epoch.

:mod:`pyro_vae.svi` has the algorithm, the loop and the command.
"""
