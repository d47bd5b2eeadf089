"""The line of the user's program that cannot be captured, and what to write instead."""

import traceback
from pathlib import Path

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_vae.errors import InputError

_TORCH, _PYRO = (str(Path(module.__file__ or "").parent) for module in (torch, pyro))
_LIBRARIES = [_TORCH, _PYRO, str(Path(__file__).parent)]

#: what to write instead of an operation that has no static graph
ADVICE = {
    "_local_scalar_dense": "choose with torch.where, or give the number as an argument of the step",
    "tolist": "keep to operations of torch (torch.stack instead of torch.tensor of a list)",
    "is_nonzero": "choose with torch.where, or give the number as an argument of the step",
    "equal": "compare the shapes, or choose with torch.where",
    "index": "write torch.where(mask, x, 0), or poutine.mask(mask=...) around the site",
    "index_put_": "write torch.where(mask, value, x)",
    "masked_select": "write torch.where(mask, x, 0), or poutine.mask(mask=...) around the site",
    "nonzero": "keep all entries and give poutine.mask(mask=...) the ones that count",
}


class CaptureError(InputError, RuntimeError):
    """The program has no static graph. The message names the sample site, the line of the user's code, and a remedy."""


class NotStatic(RuntimeError):
    """An operation depends on the values of its data, so it has no static graph.

    Args:
        reason: the sentence for the user.
        name: of the operation; :data:`ADVICE` is looked up by it. It has a default, because Pyro raises a copy of an
            error with its text alone.
    """

    def __init__(self, reason: str, name: str = ""):
        super().__init__(reason)
        self.advice = ADVICE.get(name, "")


def is_users_file(file: str) -> bool:
    """Whether a file of code is the user's: none of PyTorch's, Pyro's or the engine's."""
    return not any(file.startswith(library) for library in _LIBRARIES)


def blame(stack: traceback.StackSummary) -> str:
    """The innermost line of a stack in the user's code; if there is none, in Pyro's; else in any code."""
    frames = [f for f in stack if not f.filename.startswith("<")]
    own = [f for f in frames if is_users_file(f.filename)]
    pyros = [f for f in frames if f.filename.startswith(_PYRO)]
    if not frames:
        return "an unknown line"
    frame = (own or pyros or frames)[-1]
    return f'{frame.filename}:{frame.lineno}, in {frame.name}: "{frame.line}"'


def refusal(error: BaseException, site: str | None) -> CaptureError:
    """The error for the user, in one line, from an error while tracing."""
    while isinstance(error.__cause__, type(error)):  # Pyro repeats an error with the shapes of the sites
        error = error.__cause__
    where = blame(traceback.extract_tb(error.__traceback__))
    near = "" if site is None else f" (after sample site {site!r})"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    advice = getattr(error, "advice", "")
    return CaptureError(f"no static graph: {where}{near}: {reason}" + (f"; {advice}" if advice else ""))


class SiteRecorder(Messenger):
    """Keeps the name of each sample site of a pass, in order, and a sum over its value and its distribution.

    The sums of two passes from the same random state show the first site where the passes differ.

    Args:
        sums: whether to keep names and sums; if not, only ``last``.

    Attributes:
        sums: a name and a scalar tensor for each site.
        last: the name of the site that was sampled last, or None.
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
