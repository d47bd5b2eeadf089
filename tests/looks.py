"""What can be asserted of a picture: its size, its blank margins, its grays and colours, and what lies over what."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from pyro_vae.plots import COLOURS

SIDES = (100, 1900)  #: pixels that a side of a picture may have


def looked_at(path: Path) -> np.ndarray:
    """The pixels ``(H, W, 3)`` of a picture, of a bearable size and without a blank strip at any edge."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    check_pixels(pixels)
    return pixels


def check_pixels(pixels: np.ndarray) -> None:
    height, width, _ = pixels.shape
    assert SIDES[0] <= min(height, width) <= max(height, width) <= SIDES[1], (width, height)
    drawn = (pixels < 250).any(-1)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    blank = (rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1])
    assert max(blank) <= 25, f"blank pixels at the top, bottom, left, right: {blank}"


def grays(path: Path) -> int:
    """How many shades of gray, other than those of text on white, a picture has in plenty."""
    pixels = looked_at(path)
    gray = pixels[(pixels == pixels[..., :1]).all(-1)][:, 0]
    return int((np.bincount(gray, minlength=256) >= 20).sum())


def coloured(path: Path) -> int:
    """How many of the colours of plots are in a picture, as they are or laid thinly on white."""
    pixels = looked_at(path).reshape(-1, 3).astype(int)
    found = 0
    for colour in COLOURS:
        exact = np.array(to_rgb(colour)) * 255
        shades = (exact, 0.85 * exact + 0.15 * 255)
        found += any((abs(pixels - shade).max(-1) <= 2).sum() >= 10 for shade in shades)
    return found


def rendered(figure: Figure) -> np.ndarray:
    """Draw a figure, so that its boxes are known; its pixels ``(H, W, 3)``."""
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def text_boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """The box of each text that a drawn figure shows: titles, names of axes and ticks, legends."""
    texts = [t for axes in figure.axes if axes.get_visible() for t in _texts_of(axes)]
    texts += [t for legend in figure.legends for t in legend.get_texts()]
    texts += [t for t in (figure._suptitle, figure._supxlabel, figure._supylabel) if t is not None]
    return [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text() and t.get_visible()]


def _texts_of(axes):
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    x = [t for t, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=False) if left <= at <= right]
    y = [t for t, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=False) if low <= at <= high]
    legend = axes.get_legend()
    return [axes.title, axes.xaxis.label, axes.yaxis.label, *x, *y, *(legend.get_texts() if legend else [])]


def check_figure(figure: Figure) -> None:
    """No text lies over another or beyond the edge, no legend over the axes, and the size is bearable."""
    pixels = rendered(figure)
    check_pixels(pixels)
    boxes = text_boxes(figure)
    whole = figure.bbox
    for i, (words, box) in enumerate(boxes):
        inside = whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1 and whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1
        assert inside, f"{words!r} is cut"
        for others, other in boxes[i + 1 :]:
            assert not _overlap(box, other), f"{words!r} and {others!r} overlap"
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend in legends:
        for axes in figure.axes:
            assert not _overlap(legend.get_window_extent(), axes.get_window_extent()), "a legend lies over an axes"


def _overlap(a: Bbox, b: Bbox, room: float = 1.0) -> bool:
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    upright = min(a.y1, b.y1) - max(a.y0, b.y0)
    return across > room and upright > room
