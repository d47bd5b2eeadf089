"""``pyro_vae.wrap``: an ordinary Pyro pair, as it is, as a Model and a Guide that everything here works with."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_vae.encoding import Statistic, encode
from pyro_vae.engine import SVI, EngineName, StepOptions
from pyro_vae.errors import InputError, speaking_python
from pyro_vae.estimators.sampling import NotDefined, posterior_draws
from pyro_vae.evaluate.in_memory import USUAL, Evaluation, evaluate_pair
from pyro_vae.metrics import Metric, Options
from pyro_vae.objectives import Objective, Trace_ELBO
from pyro_vae.programs import ProgramGuide, ProgramModel, parts_of
from pyro_vae.seeds import random_seed, seeded
from pyro_vae.waiting import considerate


class Pair(NamedTuple):
    """A Pyro model and its guide, as the Model and the Guide that estimators and objectives take.

    ``model, guide = pair`` takes it apart: ``pyro_vae.estimators.elbo(*pair, x)``.
    """

    model: ProgramModel
    guide: ProgramGuide

    @speaking_python()
    def evaluate(
        self,
        x: Any,
        options: Options | None = None,
        metrics: Sequence[str | Metric] | None = USUAL,
        quiet: bool = False,
    ) -> Evaluation:
        """The ELBO, log p(x) with its certificate, the split inference gap and k-hat, of rows of x.

        Figures are in nats per row, at the present weights, in evaluation mode. A metric that the pair does not allow
        is named with the reason.

        Args:
            x: rows that the programs take, an array or a tensor.
            options: how the figures are estimated, as for ``evaluate``.
            metrics: names, import paths or objects; None for all but those that are measured on demand.
            quiet: print nothing.

        Raises:
            InputError: where the programs cannot be run on x, or a metric is unknown.
        """
        rows = self._rows(x)
        self.model.programs.layout(rows)
        self.model.eval(), self.guide.eval()
        return evaluate_pair(self.model, self.guide, rows, options, metrics, quiet)

    @speaking_python()
    def train(
        self,
        x: Any,
        epochs: int = 100,
        batch_size: int = 100,
        lr: float = 1e-3,
        objective: Objective | None = None,
        engine: EngineName = "auto",
        seed: int = 0,
    ) -> list[float]:
        """Train by :class:`pyro_vae.SVI` and Adam, on the weights that Pyro's statements name.

        Args:
            x: rows that the programs take, an array or a tensor.
            epochs: passes over them.
            batch_size: rows in a step.
            lr: Adam's learning rate.
            objective: what is maximised; by default the ELBO.
            engine: of :class:`pyro_vae.SVI`.
            seed: of the order of the rows and the draws.

        Returns:
            the bound of each epoch, nats per row, on the rows as they came.

        Raises:
            InputError: where the programs cannot be run on x, or have no parameters.
        """
        rows = self._rows(x)
        self.model.programs.layout(rows)
        parameters = [p for p in (*self.model.parameters(), *self.guide.parameters()) if p.requires_grad]
        if not parameters:
            raise InputError("the programs have no parameters: name them by pyro.module or pyro.param")
        steps = -(-len(rows) // batch_size)
        self.model.set_num_images(len(rows))
        svi = SVI(
            self.model,
            self.guide,
            torch.optim.Adam(parameters, lr=lr),
            objective or Trace_ELBO(),
            engine=engine,
            options=StepOptions(per_image=True, num_steps=epochs * steps),
        )
        order = torch.Generator().manual_seed(random_seed(seed, "order"))
        self.model.train(), self.guide.train()
        bounds = []
        with considerate(), seeded(seed):
            for _ in range(epochs):
                batches = torch.randperm(len(rows), generator=order).to(rows.device).split(batch_size)
                losses = [svi.step(rows[batch]) * len(batch) for batch in batches]
                bounds.append(-sum(losses) / len(rows))
        self.model.eval(), self.guide.eval()
        return bounds

    @speaking_python()
    def features(self, x: Any, statistic: Statistic = "mean", num_samples: int | None = None, seed: int = 0) -> Any:
        """Means, standard deviations or samples of q(z|x), as :func:`pyro_vae.features`; z is unconstrained.

        Args:
            x: rows that the programs take.
            statistic: of q(z|x): "mean", "std" (the standard deviation) or "samples".
            num_samples: of z for each row.
            seed: of the samples.

        Returns:
            ``(N, D)``, or for samples ``(num_samples, N, D)``: an array for an array, a tensor for a tensor.
        """
        rows = self._rows(x)
        self.model.programs.layout(rows)
        try:
            found = encode(self.model, self.guide, rows, statistic, num_samples, seed=seed)
        except NotDefined:  # without variational parameters; its draws are there
            draws = posterior_draws(self.guide, rows, num_samples or (1 if statistic == "samples" else 256), seed)
            found = {"mean": lambda: draws.mean(0), "std": lambda: draws.std(0), "samples": lambda: draws}[statistic]()
        return found if isinstance(x, Tensor) else found.cpu().numpy()

    def _rows(self, x: Any) -> Tensor:
        """As a tensor on the device of the weights."""
        rows = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
        if not rows.dim() or not len(rows):
            raise InputError("x must hold at least one row")
        like = next(iter((*self.model.parameters(), *self.guide.parameters())), None)
        own = torch.get_default_dtype() if like is None else like.dtype
        given = rows.is_floating_point() and not isinstance(x, Tensor)  # NumPy's numbers are double by habit
        return rows.to("cpu" if like is None else like.device, own if given else rows.dtype)


def wrap(model: Callable[..., Any], guide: Callable[..., Any], x: Any = None) -> Pair:
    """An ordinary Pyro pair as a Model and a Guide of this project; neither is changed.

    Both take rows of x: ``model(x)`` observes them, ``guide(x)`` draws the latent sites. They may be functions, methods
    or modules, with sites and plates of any names. The first rows that the pair is given show them: a plate has one
    element for each row, and in it are the observed site and the latent ones. z is the latent sites of that plate, in
    the order of their names, in unconstrained coordinates.

    The weights are those that the programs have now: modules' own, and ``pyro.param``'s as Pyro's store has them. Later
    changes of the store do not change the pair.

    Args:
        model: the Pyro model.
        guide: its guide.
        x: some rows, to look at the programs at once; otherwise the first ones that are given later.

    Raises:
        InputError: where they cannot be run on x.

    Example:
        >>> import pyro, torch
        >>> import pyro.distributions as dist
        >>> from pyro_vae import wrap
        >>> def model(x):
        ...     with pyro.plate("rows", len(x)):
        ...         height = pyro.sample("height", dist.Normal(0.0, 1.0))
        ...         pyro.sample("seen", dist.Normal(height, 1.0), obs=x)
        >>> def guide(x):
        ...     with pyro.plate("rows", len(x)):
        ...         pyro.sample("height", dist.Normal(x / 2, 0.5**0.5))
        >>> pair = wrap(model, guide)
        >>> found = pair.evaluate(torch.randn(20), metrics=["elbo", "importance"], quiet=True)
        >>> round(found["k_hat"].value, 3)
        0.0
    """
    pair = Pair(*parts_of(model, guide))
    if x is not None:
        pair.model.programs.layout(pair._rows(x))
    return pair
