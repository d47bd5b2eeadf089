"""log p(x) of each row with its standard error, anomalies first, and the command ``score``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_vae.better import EFFECTIVE, Which, repaired
from pyro_vae.command_line import CommandParser
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate, Evidence, bounds_at, certify, iwae, log_evidence, optimize_posterior
from pyro_vae.estimators.certificate import rounded_up
from pyro_vae.estimators.sampling import Progress, silent
from pyro_vae.heartbeat import told
from pyro_vae.runs import Run, load
from pyro_vae.seeds import batches, seeded
from pyro_vae.tables import Column, Sheet, print_table
from pyro_vae.terminal import PlainConsole, on_stderr
from pyro_vae.use.command import Use
from pyro_vae.use.opened import device_of, opened
from pyro_vae.use.outputs import Output
from pyro_vae.use.rows import Rows, rows_of

#: rows at once: what is done of them is told after each such piece
AT_ONCE: dict[Which, int] = {"amortized": 250, "optimised": 250, "exact": 50}
LISTED = 10  #: rows in the table of the terminal
SAMPLED = "importance sampling"  #: how the estimator's words begin where it is one of importance weights
DRAWS = 1000  #: of z for each row, of importance sampling, where nothing else is asked for


class Scores(NamedTuple):
    """log p(x) of N rows, in their own order.

    Attributes:
        log_evidence: ``(N,)``, nats per row; a lower bound in expectation. By annealing it is close; by importance
            sampling it can be nats too low.
        standard_error: of each, from the spread of its draws or chains, ``(N,)``.
        order: the rows from the least to the most likely, ``(N,)``.
        estimator: in words.
        unreliable: the share of rows whose weights have a k-hat above 0.7, whose errors are too small; None where the
            estimator is no mean of importance weights.
        certified: how close two bounds come on simulated rows, nats; None where it was not asked for.
    """

    log_evidence: np.ndarray
    standard_error: np.ndarray
    order: np.ndarray
    estimator: str
    unreliable: float | None = None
    certified: float | None = None


@torch.no_grad()
def score(
    run: Run | Path | str,
    x: Any,
    posterior: Which = "exact",
    num_samples: int | None = None,
    certified: bool = False,
    seed: int = 0,
    trust: bool = False,
) -> Scores:
    """log p(x) of each row, with its standard error.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        x: what :func:`pyro_vae.features` takes; gray images become zeros and ones by a draw where training did so.
        posterior: what log p(x) is estimated from. exact anneals from each row's own best Gaussian to p(z|x), some
            seconds for tens of rows; amortized and optimised are importance sampling by the encoder's q(z|x), which is
            fast, or by its family's best q for each row.
        num_samples: draws of z for each row, by default 1000; exact takes none.
        certified: first raise the temperatures of exact until two bounds on simulated rows are 0.05 nats apart, or to
            80; ``certified`` of the result says how close they came.
        seed: of the draws.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Raises:
        InputError: where ``x`` does not fit the run, the guide has no density and is asked for importance weights, or
            the model needs labels, or an option is of another posterior.

    References:
        Neal 2001, Annealed Importance Sampling; Burda et al. 2015, equation 8.

    >>> scores = score("runs/digits", images)                        # doctest: +SKIP
    >>> strange = images[scores.order[:10]]                          # doctest: +SKIP
    """
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    source = x.source if isinstance(x, Rows) else rows_of(run, x, seed=seed).source
    draws = DRAWS if num_samples is None else num_samples
    opened(run, source, draws, trust)  # which refuses what does not fit
    repaired(run.model, run.guide, posterior, EFFECTIVE)
    if posterior == "exact" and num_samples is not None:
        raise InputError(
            "num_samples is of importance sampling: take posterior amortized or optimised, or leave it out"
        )
    if posterior != "exact" and certified:
        raise InputError(f"certified is of posterior exact, and {posterior} has no temperatures: leave out one of them")
    settings, reached = Evidence(), None
    if certified:
        with told(on_stderr, "measuring the bounds on simulated rows") as at:
            found = certify(run.model, run.guide, seed=seed, progress=lambda done, total: at(done / total))
        settings, reached = found.settings, found.reached
    parts, count = [], len(source.images)
    device = device_of(run)
    with told(on_stderr, f"log p(x) of {count:,} rows") as at:
        for rows, own in batches(count, AT_ONCE[posterior], seed):
            progress = partial(_tell, at, rows.start, count)
            with seeded(own), exact(device):
                images = source.batch(rows).to(device)
                parts.append(_estimate(run, images, posterior, draws, settings, own % 2**31, progress))
    joined = Estimate.join(parts)
    assert joined.per_image is not None
    assert joined.per_image_error is not None
    values = joined.per_image.cpu().numpy()
    order = np.argsort(values, kind="stable")
    how = joined.estimator if posterior == "exact" else f"{SAMPLED}, {draws:,} draws, {posterior} q"
    return Scores(values, joined.per_image_error.cpu().numpy(), order, how, joined.unreliable, reached)


def _tell(at: Callable[[float], None], before: int, count: int, done: int, _: int) -> None:
    at((before + done) / count)


def _estimate(
    run: Run,
    x: Tensor,
    posterior: Which,
    num_samples: int,
    settings: Evidence,
    seed: int,
    progress: Progress = silent,
) -> Estimate:
    if posterior == "exact":
        return log_evidence(run.model, run.guide, x, settings, seed, progress)
    if posterior == "amortized":
        return iwae(run.model, run.guide, x, num_samples, seed=seed, progress=progress)
    with torch.enable_grad():
        optimum = optimize_posterior(run.model, run.guide, x, seed=seed)
    found = bounds_at(run.model, run.guide, x, optimum, num_samples, seed=seed)
    progress(len(x), len(x))
    return found.iwae


USE = Use(
    "score",
    "Score images: log p(x) of each row with its standard error, nats, anomalies first.",
    score,
    "the scores as .csv (anomalies first), or in the order of the rows as .npy or .npz",
    "runs/iaf digits --posterior amortized --out scores.csv",
    flags={
        "certified": "first raise the temperatures of exact until two bounds on simulated rows are 0.05 nats apart, or"
        " to 80"
    },
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae score --help``."""
    given = USE.given(argv, needs_out=False)
    assert given.rows is not None
    found = score(given.run, given.rows, **given.own)
    columns = {**given.rows.columns(), "log_p": found.log_evidence, "standard_error": found.standard_error}
    table = {name: column[found.order] for name, column in columns.items()}
    arrays = {"log_p": found.log_evidence, "standard_error": found.standard_error, "order": found.order}
    print_table(PlainConsole(), _sheet(table, found))
    given.finish(Output({**arrays, **given.rows.label_array()}, table), _sentences(found))


def _what(found: Scores) -> str:
    """What the numbers are: annealing is close, and importance sampling is called what it is."""
    return "bound on log p(x)" if found.estimator.startswith(SAMPLED) else "log p(x)"


def _sheet(table: dict[str, np.ndarray], found: Scores) -> Sheet:
    """The least likely rows."""
    rows = []
    for i in range(min(LISTED, len(found.order))):
        labels = [str(table["label"][i])] if "label" in table else []
        rows.append([str(table["row"][i]), *labels, f"{table['log_p'][i]:.2f}", f"{table['standard_error'][i]:.2g}"])
    heads = [Column("row"), *([Column("label", left=True)] if "label" in table else []), Column(_what(found))]
    count = len(found.order)
    return Sheet(
        [*heads, Column("± draws")],
        [rows],
        f"The least likely of {count:,} rows, nats per row" if count > LISTED else "Rows, the least likely first",
        found.estimator,
    )


def _sentences(found: Scores) -> list[str]:
    count = len(found.log_evidence)
    mean = found.log_evidence.mean()
    error = f" ± {found.log_evidence.std(ddof=1) / count**0.5:.2f}" if count > 1 else ""
    lines = [f"{_what(found)}, mean of {count:,} rows: {mean:.2f}{error} nats per row"]
    if found.certified is not None:
        lines.append(f"certified to {rounded_up(found.certified)} nats on simulated rows")
    if found.unreliable:
        share = f"{found.unreliable:.0%}" if found.unreliable >= 0.005 else "under 1%"
        lines.append(
            f"k-hat above 0.7 for {share} of rows: their errors are too small and log p(x) perhaps too low;"
            " --posterior exact anneals instead"
        )
    return lines
