"""``python -m pyro_vae.compare``."""

from pyro_vae.cli import run_command
from pyro_vae.compare.command import main

if __name__ == "__main__":
    run_command(main)
