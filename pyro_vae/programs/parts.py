"""The pair as a Model and a Guide."""

from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.poutine import Trace
from torch import Tensor, nn

from guides import Guide
from pyro_vae.estimators.sampling import NotDefined
from pyro_vae.models import Model
from pyro_vae.objectives.sites import sample_sites
from pyro_vae.params import announce
from pyro_vae.programs.coordinates import natural, summed
from pyro_vae.programs.family import Arguments, product
from pyro_vae.programs.layout import read_arguments
from pyro_vae.programs.passes import Part, Programs
from pyro_vae.programs.weights import Program
from pyro_vae.seeds import forked


class ProgramModel(Part, Model):
    """A Pyro model of anybody's writing; see :func:`pyro_vae.wrap`.

    Latent sites that all rows share (weights with a prior, say) are drawn in training mode. In evaluation mode they
    stay at their means under the guide: figures are of p(x|theta) at that theta, without the KL of theta.
    """

    def __init__(self, programs: Programs):
        super().__init__()
        self.programs = programs
        self.weight = nn.ParameterDict()

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        """The number D of coordinates of z."""
        return sum(site.size for site in self.programs.require().sites)

    @property
    def image_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Of one row of x."""
        return tuple(self.programs.require().row_shape)

    @property
    def sees_binary(self) -> bool:
        """Whether the observed sites are zeros and ones."""
        return self.programs.require().binary

    def set_num_images(self, num_images: int) -> None:
        self.programs.num_rows = num_images

    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The Pyro model at the rows x, or n rows that it draws; returns rows."""
        announce(self)
        if x is None:
            assert n is not None, "either the rows or their number must be given"
            return self._drawn(n)
        with self.programs.outside(x, self.training) as rows:
            self.programs.model(rows)
        return x

    def _drawn(self, n: int) -> Tensor:
        """Rows that the model draws, as site "x".

        Raises:
            NotDefined: where they would be no rows that the programs take.
        """
        layout = self.programs.require()
        for what in ("draws", "z"):
            if what in layout.lacks:
                raise NotDefined(f"the model draws no rows of its own: {layout.lacks[what]}")
        like = next(iter(self.parameters()), torch.zeros(()))
        blank = layout.blank(n, like)
        with poutine.trace() as kept, self.programs.outside(blank, self.training, drawn=True) as rows:
            self.programs.model(rows)
        drawn: Any = kept.trace.nodes["x"]["value"]
        return drawn.detach()

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) in nats: ``(..., N, *row), (..., N, D) -> (..., N)``; z is in unconstrained coordinates.

        Raises:
            NotDefined: where the latent sites have none.
        """
        layout = self.programs.layout(x if x.dim() == 1 + len(self._row(x)) else x.reshape(-1, *self._row(x)))
        if "z" in layout.lacks:
            raise NotDefined(f"log p(x, z) is not there: {layout.lacks['z']}")
        rank = len(layout.row_shape)
        lead = torch.broadcast_shapes(x.shape[: x.dim() - rank], z.shape[:-1])
        rows = x.expand(*lead, *layout.row_shape).reshape(-1, *layout.row_shape)
        values, log_volume = natural(layout.sites, z.expand(*lead, z.shape[-1]).reshape(-1, z.shape[-1]))
        given = poutine.condition(self.programs.model, data={**values, **self.programs.shared(rows)})
        trace = self.programs.trace(given, rows)
        trace.compute_log_prob()
        return (log_volume + _of_rows(trace, layout.plate)).reshape(lead)

    def _row(self, x: Tensor) -> torch.Size:
        known = self.programs.known()
        return x.shape[1:] if known is None else known.row_shape

    @property
    def prior(self) -> Callable[[], TorchDistribution] | None:
        """p(z), where it is one for all rows."""
        layout = self.programs.known()
        return None if layout is None or "prior" in layout.lacks else self._prior

    def _prior(self) -> TorchDistribution:
        layout = self.programs.require()
        like = next(iter(self.parameters()), torch.zeros(()))
        blank = layout.blank(2, like)
        with forked(), torch.no_grad(), pyro.validation_enabled(False):
            given = poutine.condition(self.programs.model, data=self.programs.shared(blank))
            found = read_arguments(self.programs.trace(given, blank), layout.plate, layout.sites)
        return product([found[site.name].row() for site in layout.sites], layout.sites)


def _of_rows(trace: Trace, plate: str) -> Tensor:
    """The log density of each row's sites, as Pyro's handlers count it, without the scale of the rows' plate."""
    total: Tensor | None = None
    for _, site in sample_sites(trace, None):
        frame = next((frame for frame in site["cond_indep_stack"] if frame.name == plate), None)
        if frame is None:
            continue
        part = site["log_prob"].expand(site["fn"].batch_shape).movedim(frame.dim, 0)
        part = summed(part, 1)
        if frame.full_size not in (None, frame.size):
            part = part * (frame.size / frame.full_size)
        total = part if total is None else total + part
    assert total is not None
    return total


class ProgramGuide(Part, Guide):
    """A Pyro guide of anybody's writing; see :func:`pyro_vae.wrap`."""

    chosen_by_name = False

    def __init__(self, programs: Programs):
        nn.Module.__init__(self)
        self.programs = programs
        self.weight = nn.ParameterDict()

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        """The number D of coordinates of z."""
        return sum(site.size for site in self.programs.require().sites)

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        """Whether no site of the rows is a point."""
        layout = self.programs.known()
        return layout is None or layout.has_density

    def amortize(self, x: Tensor) -> Tensor:
        """Rows to variational parameters ``(N, P)``: the arguments of the guide's own distributions, unconstrained.

        Raises:
            NotDefined: where there are none: a site depends on another's draw, or all rows share one.
        """
        layout = self.programs.layout(x)
        if layout.family is None:
            raise NotDefined(f"q(z|x) has no variational parameters of one row: {layout.lacks['family']}")
        return layout.family.read(self._arguments(x))

    def posterior(self, lam: Tensor) -> TorchDistribution:
        layout = self.programs.require()
        if layout.family is None:
            raise NotDefined(f"q(z|x) has no variational parameters of one row: {layout.lacks['family']}")
        blank = layout.blank(2, lam)
        with torch.no_grad():
            like = self._arguments(blank)
        return layout.family.posterior(lam, like)

    def _arguments(self, x: Tensor) -> dict[str, Arguments]:
        layout = self.programs.require()
        with forked(), pyro.validation_enabled(False):
            return read_arguments(self.programs.trace(self.programs.guide, x), layout.plate, layout.sites)

    def forward(self, x: Tensor) -> Any:
        """The Pyro guide, its sites shown outside with the draws' dimensions and the rows'; returns what it returns."""
        announce(self)
        with self.programs.outside(x, self.training) as rows:
            return self.programs.guide(rows)


def parts_of(model: Program, guide: Program) -> tuple[ProgramModel, ProgramGuide]:
    """A Model and a Guide of two Pyro programs that take rows of x, in evaluation mode."""
    programs = Programs(model, guide)
    parts = ProgramModel(programs), ProgramGuide(programs)
    programs.parts = parts
    return parts[0].eval(), parts[1].eval()
