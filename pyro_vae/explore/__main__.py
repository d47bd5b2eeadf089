"""``python -m pyro_vae.explore``."""

from pyro_vae.cli import run_command
from pyro_vae.explore import main

run_command(main)
