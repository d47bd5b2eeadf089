"""The pictures of the runs in the report."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # its parts come when they are used
from PIL import Image

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.metrics import all_metrics

ELSEWHERE = ("trace", "inference_gap")  #: the report draws these from the numbers
LEAST = 0.02  #: a block of images covers this part of a picture


def gallery(reports: Iterable[ArmReport]) -> list[dict[str, Any]]:
    """The pictures of each arm's first finished run, kind by kind."""
    from pyro_vae.run_pictures import run_pictures

    of_runs = run_pictures()
    titles = {**{name: (one.title, one.alt) for name, one in of_runs.items()}, **_of_metrics()}
    of_images = {name for name, one in of_runs.items() if one.of_images}
    first = [(report.name, *next(iter(report.results.items()))) for report in reports if report.results]
    there = {path.stem for _, _, result in first for path in (result.trial.path / "figures").glob("*.png")}
    found = []
    for name in [*(name for name in titles if name in there), *sorted(there - set(titles) - set(ELSEWHERE))]:
        title, alt = titles.get(name) or (_plain(name), _plain(name))
        of = [
            {"arm": arm, "seed": seed, **_picture(path, name in of_images)}
            for arm, seed, result in first
            if (path := result.trial.path / "figures" / f"{name}.png").exists()
        ]
        found.append({"title": title, "alt": alt, "of": of})
    return found


def _of_metrics() -> dict[str, tuple[str, str]]:
    """Title and words of the metrics' pictures, by the name of the file."""
    found = {}
    for metric in all_metrics().values():
        if (name := metric.picture_name) and name not in ELSEWHERE:
            title = metric.picture_title or _plain(name)
            found[name] = (title, metric.picture_alt or title)
    return found


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").capitalize()


def _picture(path: Path, of_images: bool) -> dict[str, Any]:
    content = path.read_bytes()
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    height, width = pixels.shape[:2]
    insets = [inset_of(block, height, width) for block in blocks(pixels)] if of_images else []
    return {"png": base64.b64encode(content).decode(), "width": width, "height": height, "insets": insets}


def blocks(pixels: np.ndarray) -> list[tuple[slice, slice]]:
    """The blocks of images in a picture ``(H, W, 3)`` on white: what is connected and large, which no letter is.

    The lines between images reach from edge to edge of a block, so each block is one piece, whatever its images.
    """
    labels, _ = scipy.ndimage.label((pixels < 250).any(-1))
    found = scipy.ndimage.find_objects(labels)
    least = LEAST * pixels.shape[0] * pixels.shape[1]
    return [(y, x) for y, x in found if (y.stop - y.start) * (x.stop - x.start) >= least]


def inset_of(block: tuple[slice, slice], height: int, width: int) -> str:
    """The place of a block as CSS's inset(): from top, right, bottom and left."""
    y, x = block
    parts = (y.start / height, 1 - x.stop / width, 1 - y.stop / height, x.start / width)
    return " ".join(f"{100 * part:.3f}%" for part in parts)
