"""``python -m pyro_vae.evaluate``."""

from pyro_vae.cli import run_command
from pyro_vae.evaluate import main

run_command(main)
