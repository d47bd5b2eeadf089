"""``python -m pyro_vae``: the same as the console command ``pyro-vae``."""

from pyro_vae.commands import main

if __name__ == "__main__":
    main()
