"""Where this user's files are kept that can be made again: downloads, records, compiled code."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """This user's cache folder, under XDG_CACHE_HOME if that is absolute."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "pyro_vae"
