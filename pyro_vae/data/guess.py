"""What is known of the columns of a table: a likelihood for each, guessed from its values unless it is given."""

import numpy as np

from pyro_vae.columns import KINDS, Column, given_kinds
from pyro_vae.data.images import DataSet, Images
from pyro_vae.data.support import WHY, outside
from pyro_vae.errors import InputError, nearest_names

FEW = 10  #: distinct whole numbers that are still levels
GAIN = 0.1  #: nats of a row by which another kind must beat the Gaussian
LARGEST_COUNT = 1000
MOST_LEVELS = 100
FREEDOMS = (3.0, 5.0, 10.0)  #: degrees of freedom that are tried
#: single precision shows a column whose values differ by less than this part of them only by steps
SMALLEST_SPREAD = 1e-5


def columns_of(data: DataSet, given: str | None = None) -> tuple[Column, ...]:
    """The columns of a table, from its training rows; levels and supports are looked for in all rows.

    Args:
        data: whose rows are of shape 1, 1, P.
        given: ``NAME=KIND,...`` for the columns whose kind is not guessed.

    Raises:
        InputError: if a column has no value, or one value alone, or does not suit the kind that is given.
    """
    if data.image_shape[:2] != (1, 1):
        raise InputError(
            f"--likelihood Columns is for tables (N x P numbers), and {data.name} has images of {data.image_shape}"
        )
    names = data.train.names or tuple(f"column {i + 1}" for i in range(data.image_shape[2]))
    kinds = given_kinds(given)
    for name in kinds:
        if name not in names:
            near = nearest_names(name, names) or list(names)[:5]
            raise InputError(f"--columns: {data.name} has no column {name!r}; nearest are {', '.join(near)}")
    train = _values(data.train)
    every = np.concatenate([train, _values(data.validation), _values(data.test)])
    return tuple(_column(name, train[:, i], every[:, i], kinds.get(name), data.name) for i, name in enumerate(names))


def _values(part: Images) -> np.ndarray:
    """Rows as a run sees them, ``(N, P)``: single precision, in double."""
    return part.batch(slice(None)).flatten(1).numpy(force=True).astype(np.float64)


def _column(name: str, train: np.ndarray, every: np.ndarray, given: str | None, table: str) -> Column:
    x, all_x = train[~np.isnan(train)], every[~np.isnan(every)]
    where = f"{table}: column {name!r}"
    if not len(x):
        raise InputError(f"{where} has no value in the training rows: leave it out")
    if x.min() == x.max():
        raise InputError(f"{where} is {x[0]:g} in every training row: there is nothing to learn, leave it out")
    kind = given or guess(x, all_x)
    if fault := _fault(kind, all_x):
        raise InputError(f"{where} holds {fault}, so its likelihood cannot be {kind}: choose another by --columns")
    if kind == "Categorical":
        levels, counts = np.unique(all_x)[:, None], x[None]
        shares = (levels == counts).mean(1)
        return Column(name, kind, 0.0, 1.0, tuple(levels[:, 0].tolist()), tuple(shares.tolist()))
    seen = np.log(x) if kind == "LogNormal" else x
    centre, scale = float(seen.mean()), float(seen.std())
    if scale < SMALLEST_SPREAD * abs(centre):
        raise InputError(
            f"{where} varies by {scale:.1g} around {centre:.6g}, which single precision shows as steps: subtract its"
            " mean"
        )
    return Column(name, kind, centre, scale)


def _fault(kind: str, x: np.ndarray) -> str | None:
    """What a column has that its kind cannot have."""
    bad = outside(kind, x)
    if bad.any():
        return f"{x[bad][0]:g}, {WHY[kind]}"
    if kind == "Categorical" and len(np.unique(x)) > MOST_LEVELS:
        return f"{len(np.unique(x))} different values, and {MOST_LEVELS} is the most"
    return None


def guess(x: np.ndarray, every: np.ndarray | None = None) -> str:
    """The kind of a column's likelihood.

    Zeros and ones are Bernoulli. Two other whole numbers, or 3 to 10 one after another, are Categorical. Other whole
    numbers that begin below 10 and do not exceed 1000 are counts: Poisson, or NegativeBinomial where the variance is
    over twice the mean. What else there is is Gaussian, unless the best LogNormal (of positive numbers) or StudentT of
    3, 5 or 10 degrees of freedom makes the values more probable by over 0.1 nats each. The values' own distribution is
    looked at, and not their distribution given z, so it is a guess.

    Args:
        x: the training values that are seen, ``(N,)``.
        every: all values, for the support; by default ``x``.

    >>> guess(np.array([0.0, 1.0, 1.0])), guess(np.array([1.0, 3.0, 2.0, 2.0])), guess(np.array([0.3, -1.2, 0.1]))
    ('Bernoulli', 'Categorical', 'Gaussian')
    """
    every = x if every is None else every
    levels = np.unique(every)
    if np.isin(levels, (0, 1)).all():
        return "Bernoulli"
    if (levels % 1 == 0).all():
        if len(levels) == 2 or (3 <= len(levels) <= FEW and levels[-1] - levels[0] == len(levels) - 1):
            return "Categorical"
        if 0 <= levels[0] < FEW and levels[-1] <= LARGEST_COUNT:
            return "Poisson" if x.var() <= 2 * x.mean() else "NegativeBinomial"
    found = {"Gaussian": _normal(x), "StudentT": max(_student(x, freedom) for freedom in FREEDOMS) - GAIN}
    if every.min() > 0:
        found["LogNormal"] = _normal(np.log(x)) - np.log(x).mean() - GAIN
    return max(found, key=lambda kind: (found[kind], -KINDS.index(kind)))


def _normal(x: np.ndarray) -> float:
    """The mean log density of the best normal distribution, nats."""
    return -0.5 * float(np.log(2 * np.pi * x.var()) + 1)


def _student(x: np.ndarray, freedom: float, steps: int = 50) -> float:
    """The mean log density of the best Student's t of these degrees of freedom, by its EM algorithm, nats."""
    from scipy.special import gammaln

    centre, square = float(np.median(x)), float(x.var())
    for _ in range(steps):
        weight = (freedom + 1) / (freedom + (x - centre) ** 2 / square)
        centre = float((weight * x).sum() / weight.sum())
        square = float((weight * (x - centre) ** 2).mean()) or square
    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi * square)
    return float(constant - (freedom + 1) / 2 * np.log1p((x - centre) ** 2 / (freedom * square)).mean())
