"""Where in the user's program a line stands, and what to write in its place."""

import traceback
from pathlib import Path

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_vae.errors import InputError

_TORCH, _PYRO = (str(Path(module.__file__ or "").parent) for module in (torch, pyro))
_LIBRARIES = [_TORCH, _PYRO, str(Path(__file__).parent)]

#: what to write in place of an operation that has no static graph
ADVICE = {
    "_local_scalar_dense": "choose with torch.where, or give the number as an argument of the step",
    "is_nonzero": "choose with torch.where, or give the number as an argument of the step",
    "equal": "compare the shapes, or choose with torch.where",
    "index": "write torch.where(mask, x, 0), or poutine.mask(mask=...) around the site",
    "index_put_": "write torch.where(mask, value, x)",
    "masked_select": "write torch.where(mask, x, 0), or poutine.mask(mask=...) around the site",
    "nonzero": "keep all entries and give poutine.mask(mask=...) the ones that count",
}


class CaptureError(InputError, RuntimeError):
    """The program has no static graph. The message names the sample site, the line of the user's code, and a mend."""


class NotStatic(RuntimeError):
    """What one operation would need to know of its data before it runs.

    Args:
        reason: for the reader.
        name: of the operation. Pyro repeats errors by their text alone.
    """

    def __init__(self, reason: str, name: str = ""):
        super().__init__(reason)
        self.advice = ADVICE.get(name, "")


def blame(stack: traceback.StackSummary) -> str:
    """The innermost line of a stack that is the user's; else Pyro's; else any."""
    frames = [f for f in stack if not f.filename.startswith("<")]
    own = [f for f in frames if not any(f.filename.startswith(library) for library in _LIBRARIES)]
    pyros = [f for f in frames if f.filename.startswith(_PYRO)]
    if not frames:
        return "an unknown line"
    frame = (own or pyros or frames)[-1]
    return f'{frame.filename}:{frame.lineno}, in {frame.name}: "{frame.line}"'


def refusal(error: BaseException, site: str | None) -> CaptureError:
    """What the user reads of an error while tracing, in one line."""
    while isinstance(error.__cause__, type(error)):  # Pyro repeats an error with the shapes of the sites
        error = error.__cause__
    where = blame(traceback.extract_tb(error.__traceback__))
    near = "" if site is None else f" (after sample site {site!r})"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    advice = getattr(error, "advice", "")
    return CaptureError(f"no static graph: {where}{near}: {reason}" + (f"; {advice}" if advice else ""))


class SiteRecorder(Messenger):
    """Keeps, for each sample site of a pass in order, its name and a sum over its value and its distribution.

    Two passes from the same random state that differ have a first site whose sums differ.

    Attributes:
        sums: a name and a scalar tensor for each site.
        last: the site that was sampled last, or None.
    """

    def __init__(self, sums: bool = True):
        super().__init__()
        self.wanted = sums
        self.sums: list[tuple[str, Tensor]] = []
        self.last: str | None = None

    def _pyro_post_sample(self, msg: dict) -> None:
        self.last = msg["name"]
        if self.wanted and not torch._C._functorch.maybe_current_level():
            self.sums.append((msg["name"], _checksum(msg)))


@torch.no_grad()
def _checksum(msg: dict) -> Tensor:
    """One number that changes with the value, the distribution's parameters and the scale of a site."""
    found = [msg["value"], msg["scale"], msg["mask"]]
    inner = [msg["fn"]]
    for _ in range(4):  # Independent, Masked, Expanded and Transformed distributions hold another one
        inner = [value for fn in inner for value in getattr(fn, "__dict__", {}).values()]
        found += inner
        inner = [value for value in inner if isinstance(value, torch.distributions.Distribution)]
    total = torch.zeros((), dtype=torch.float64)
    for value in found:
        if isinstance(value, Tensor) and value.numel() and not value.is_complex() and not value.is_sparse:
            total = total.to(value.device) + value.detach().double().sum()
        elif isinstance(value, (int, float)):
            total = total + value
    return total
