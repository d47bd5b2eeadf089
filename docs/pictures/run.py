"""The pictures of the concepts: ``python -m docs.pictures.run`` trains and measures one run, five minutes on one core.

They are the pictures that every run and every evaluation makes, in fewer colours, so that they are small.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

FOLDER = Path(__file__).parent.parent / "concepts" / "pictures"
TRAIN = "pyro_vae.svi --latent-dim 5 --epochs 100 --out run"
EVALUATE = "pyro_vae.evaluate run --images 100 --evidence-images 20 --gap-images 20 --certificate-images 30"


def copy_pictures(figures: Path) -> None:
    """Every picture of a run folder, in 64 colours."""
    FOLDER.mkdir(exist_ok=True)
    for path in sorted(figures.glob("*.png")):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(64).save(FOLDER / path.name, optimize=True)


def main() -> None:
    with TemporaryDirectory() as folder:
        for command in (TRAIN, EVALUATE):
            subprocess.run([sys.executable, "-m", *command.split()], cwd=folder, check=True)
        copy_pictures(Path(folder) / "run" / "figures")


if __name__ == "__main__":
    main()
