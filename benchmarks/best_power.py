r"""How much power any test can have that allows for a wild arm: a bound on what ``compare`` could reach.

Arms a and b are held against each other in a grid of normal means: each seed has an effect of its own on all arms, and
one of the two arms may have r times the standard deviation of the others. A test must not show a difference that is
not there in more than 5 % of the grids, whatever r and whichever of the two arms it is. Let :math:`f_1` be the density
of the data where the arms differ by so many standard deviations and all are alike, and :math:`f_r` those without a
difference. For any weights :math:`\lambda_r \ge 0`, no such test has more power than

.. math:: 0.05 \sum_r \lambda_r + E_{f_1}\Big[\Big(1 - \sum_r \lambda_r f_r / f_1\Big)_+\Big]

(Lehmann & Romano 2005, section 3.8). The bound below is the least over weights. Its tests know neither the effects of
seeds, nor the means of other arms, nor the scale; the densities are those of the data up to these (Hunt & Stein:
section 8.5). It grants more than any rule has: the images have no noise, the difference sought is known, and one
comparison is made.
"""

from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

ALPHA = 0.05
RATIOS = (1.5, 2, 3, 4, 6, 10, 20, 40)  #: of the standard deviation of the wild arm to the others'
SCALES = np.exp(np.linspace(np.log(0.2), np.log(8), 80))  #: of the integral over the standard deviation


class Layout:
    """A grid whose arms 0 and 1 are held against each other, up to what no test may know.

    Args:
        arms, seeds: how many.
    """

    def __init__(self, arms: int, seeds: int):
        self.arms, self.seeds = arms, seeds
        of_seeds = np.tile(np.eye(seeds), (arms, 1))
        of_others = np.repeat(np.eye(arms)[:, 2:], seeds, 0)
        self.unknown = np.hstack([of_seeds, of_others])  # (A S, what is not known)
        self.shift = np.repeat(np.eye(arms)[:, 0], seeds)
        self.freedom = arms * seeds - self.unknown.shape[1]

    def quadratic(self, spreads: np.ndarray) -> tuple[np.ndarray, float]:
        """The matrix of the residual sum of squares for these standard deviations, and the density's log constant."""
        weight = np.repeat(spreads**-2.0, self.seeds)
        information = self.unknown.T @ (weight[:, None] * self.unknown)
        of_unknown = weight[:, None] * self.unknown
        matrix = np.diag(weight) - of_unknown @ np.linalg.solve(information, of_unknown.T)
        return matrix, np.log(weight).sum() / 2 - np.linalg.slogdet(information)[1] / 2

    def without_difference(self, y: np.ndarray, spreads: np.ndarray) -> np.ndarray:
        """The log density of data ``(N, A S)`` up to the scale."""
        matrix, constant = self.quadratic(spreads)
        squares = np.einsum("ni,ij,nj->n", y, matrix, y)
        integral = np.log(0.5) + self.freedom / 2 * np.log(2) + gammaln(self.freedom / 2)
        return constant + integral - self.freedom / 2 * np.log(squares)

    def with_difference(self, y: np.ndarray, effect: float) -> np.ndarray:
        """The same where arm 0 is ``effect`` standard deviations above or below arm 1, and all arms are alike."""
        matrix, constant = self.quadratic(np.ones(self.arms))
        own = np.einsum("ni,ij,nj->n", y, matrix, y)
        cross, of_shift = y @ matrix @ self.shift, self.shift @ matrix @ self.shift
        parts = []
        for scale in SCALES:
            sd = scale * np.sqrt(own / self.freedom)
            both = [own - 2 * sign * effect * sd * cross + (effect * sd) ** 2 * of_shift for sign in (1, -1)]
            parts.append(logsumexp([-b / (2 * sd**2) for b in both], axis=0) - np.log(2) - self.freedom * np.log(sd))
        return constant + logsumexp(parts, axis=0) + np.log(np.log(SCALES[1] / SCALES[0]))


def most_power(arms: int, seeds: int, effect: float, times: int = 20_000) -> float:
    """The bound of this module, by so many simulated grids.

    Args:
        effect: the difference that is sought, in standard deviations of a run.
    """
    layout, worlds = Layout(arms, seeds), [np.ones(arms)]
    for ratio, wild in product(RATIOS, (0, 1)):
        worlds.append(np.where(np.arange(arms) == wild, ratio, 1.0))

    def ratios(rng: np.random.Generator) -> np.ndarray:
        y = rng.standard_normal((times, arms * seeds)) + effect * layout.shift
        densities = np.stack([layout.without_difference(y, world) for world in worlds], 1)
        return np.exp(np.minimum(densities - layout.with_difference(y, effect)[:, None], 50))

    seen = ratios(np.random.default_rng(0))

    def bound(log_weights: np.ndarray) -> tuple[float, np.ndarray]:
        weights = np.exp(log_weights)
        left = 1 - seen @ weights
        slope = weights * (ALPHA - (seen * (left > 0)[:, None]).mean(0))
        return ALPHA * weights.sum() + np.maximum(left, 0).mean(), slope

    limits = [(-30.0, 30.0)] * len(worlds)
    best = np.exp(minimize(bound, np.zeros(len(worlds)), jac=True, method="L-BFGS-B", bounds=limits).x)
    fresh = ratios(np.random.default_rng(1))  # the weights were chosen by other grids
    return float(ALPHA * best.sum() + np.maximum(1 - fresh @ best, 0).mean())
