"""The answers about one image under one run, as the page's JSON; each is made once."""

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate, planes
from pyro_vae.estimators.grid import PosteriorGrid
from pyro_vae.explore import look, regions
from pyro_vae.explore.asked import Asked
from pyro_vae.explore.drawing import Drawn
from pyro_vae.explore.memory import Memory
from pyro_vae.explore.opened import Exhibit, Opened

Table = dict[str, Any]
Key = tuple[str, int]  #: "image" and its number in the test set, or "drawn" and its number


class Answers:
    """Looks at the images of an exhibit.

    Args:
        memory: keeps them; images that were drawn are in it, too.
    """

    def __init__(self, exhibit: Exhibit, memory: Memory):
        self.exhibit, self.memory = exhibit, memory

    def key(self, asked: Asked) -> Key:
        """Which image is asked for.

        Raises:
            InputError: where there is none such.
        """
        if "drawn" in asked.fields:
            return "drawn", asked.number("drawn", 2**31)
        return "image", asked.number("image", len(self.exhibit.gray))

    def seen(self, opened: Opened, key: Key) -> Tensor:
        """An image as the model sees it, ``(1, C, H, W)``."""
        kind, index = key
        if kind == "image":
            return opened.subject.x[index, None]
        drawn: Drawn | None = self.memory.get(key)
        if drawn is None:
            raise InputError("this drawing is gone: draw it again")
        return drawn.seen(opened)

    def own(self, opened: Opened, key: Key) -> Table:
        """What the guide says: ELBO, k-hat, code, the image as the model sees it, and its reconstruction."""
        x, found = self.seen(opened, key), self._own(opened, key)
        return {
            "elbo": _plain(found.elbo),
            "k_hat": _plain(found.k_hat),
            "why": found.why,
            "code": found.code.tolist(),
            "seen": as_text(opened.shown(x)),
            "reconstruction": as_text(opened.shown(found.reconstruction)),
        }

    def evidence(self, opened: Opened, key: Key) -> Table:
        """log p(x), and the gap to the ELBO."""
        found = self._of("evidence", opened, key, lambda: look.evidence(opened, self.seen(opened, key)))
        bound = self._own(opened, key).elbo
        return {"evidence": _plain(found), "gap": _plain(None if bound is None else look.gap(found, bound))}

    def regions(self, opened: Opened, key: Key, axes: tuple[int, int]) -> Table:
        """Lines around q and the true posterior in a plane, and the two dimensions where they differ most."""
        x = self.seen(opened, key)
        q = self._of("own draws", opened, key, lambda: look.own_draws(opened, x))
        grid = self._of("grid", opened, key, lambda: look.grid_of(opened, x) or "none")
        if isinstance(grid, PosteriorGrid):
            turned = axes == (1, 0)
            both = [_turned(lines, turned) for lines in (regions.of_guide(opened, x, q), regions.of_grid(grid))]
            return {"own": both[0], "true": both[1], "apart": list(axes), "how": "grid"}
        p = self._of("draws", opened, key, lambda: look.true_draws(opened, x))
        lines = [regions.of_draws(draws[:, list(axes)]) for draws in (q, p)]
        apart = planes(p[:, None], q[:, None])[0].tolist()
        return {"own": lines[0], "true": lines[1], "apart": apart, "how": f"{look.SHOWN_DRAWS} draws"}

    def _own(self, opened: Opened, key: Key) -> look.Own:
        found: look.Own = self._of("own", opened, key, lambda: look.own(opened, self.seen(opened, key)))
        return found

    def _of(self, what: str, opened: Opened, key: Key, make: Any) -> Any:
        return self.memory.of((what, opened.name, key), make)


def _plain(estimate: Estimate | None) -> Table | None:
    return None if estimate is None else estimate.to_dict()


def as_text(images: np.ndarray) -> Table:
    """The first of images ``(M, H, W, C)``, as JSON can hold it."""
    return {"shape": list(images.shape[1:]), "pixels": base64.b64encode(images[0].tobytes()).decode()}


def _turned(lines: list[regions.Line], turned: bool) -> list[regions.Line]:
    return [[[y, x] for x, y in line] for line in lines] if turned else lines


def codes_line(opened: Opened, first: int, last: int, count: int) -> Tensor:
    """Places in equal steps from the code of one test image to that of another, both included, ``(count, D)``."""
    weights = torch.linspace(0, 1, count, device=opened.codes.device)[:, None]
    return torch.lerp(opened.codes[first], opened.codes[last], weights)
