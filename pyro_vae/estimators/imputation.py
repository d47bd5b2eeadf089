"""Missing values filled in from p(x^m | x^o), by weighted draws of z."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.distributions import Levels
from pyro_vae.estimators.gap import optimize_posterior
from pyro_vae.estimators.posterior import Draws, posterior
from pyro_vae.models import VAE, Columns
from pyro_vae.seeds import seeded

From = Literal["amortized", "optimised", "exact"]
AT_ONCE = 2**22  #: values of decoded rows that are held


class Filled(NamedTuple):
    """Rows whose missing values are filled in; what was seen is unchanged.

    Attributes:
        values: ``(N, *image_shape)``, the best value of each.
        draws: ``(M, N, *image_shape)``, completed copies of the rows.
        effective: what the draws of z behind each row are worth in independent draws of p(z|x), ``(N,)``.
    """

    values: Tensor
    draws: Tensor
    effective: Tensor


class Weighted(NamedTuple):
    """Draws of z ``(K, N, D)`` with weights ``(K, N)`` that sum to 1 in each row, and what they are worth, ``(N,)``."""

    z: Tensor
    weight: Tensor
    effective: Tensor


@torch.no_grad()
def filled(
    model: VAE,
    guide: Guide,
    x: Tensor,
    draws: int = 0,
    which: From = "amortized",
    num_samples: int = 1000,
    seed: int = 0,
) -> Filled:
    r"""Fill in the missing values (NaN) of rows.

    The best value is :math:`E[x^m|x^o] = \sum_k w_k E[x^m|z_k]` with self-normalised weights
    :math:`w_k \propto p(x^o, z_k) / q(z_k|x^o)`; a count's is rounded, and in a Bernoulli or Categorical column of
    a table it is the most probable value. Completed copies take z by these weights, and then each missing value from
    p(x|z).

    Args:
        model: whose likelihood leaves out missing values.
        guide: whose q, or the best q of whose family, the draws come from; of "exact" its draws are among the starts.
        x: rows as the model sees them, ``(N, *image_shape)``.
        draws: M, the number of completed copies.
        which: "amortized", the guide's q(z|x); "optimised", its family's best q for each row; "exact", p(z|x) itself.
        num_samples: draws of z for each row, K; "exact" draws as many as are worth K.
        seed: of all draws.

    References:
        Mattei & Frellsen 2019, MIWAE: Deep Generative Modelling and Imputation of Incomplete Data Sets, equations 10
        to 12.
    """
    with seeded(seed):
        found = weighted_draws(model, guide, x, which, num_samples, seed)
        missing = x.isnan()
        best = torch.where(missing, _best(model, found), x)
        rows = torch.multinomial(found.weight.T, max(1, draws), replacement=True).T[:draws]
        z = found.z.gather(0, rows[..., None].expand(-1, -1, found.z.shape[-1]))
        copies = [torch.where(missing, model.likelihood(model.decode(one)).sample(), x) for one in z]
        none = x.new_empty(0, *x.shape)
        return Filled(best, torch.stack(copies) if copies else none, found.effective)


def weighted_draws(model: VAE, guide: Guide, x: Tensor, which: From, num_samples: int, seed: int) -> Weighted:
    """Weighted draws of p(z|x), for rows with missing values: those of :func:`filled`."""
    if which == "exact":
        true = posterior(model, guide, x, draws=Draws(effective=num_samples), seed=seed)
        return Weighted(true.z, true.weight, true.effective)
    if which == "optimised":
        with torch.enable_grad():
            lam = optimize_posterior(model, guide, x, seed=seed).lam
    else:
        lam = guide.amortize(x)
    q = guide.posterior(lam)
    z = q.sample(torch.Size([num_samples]))
    log_q = q.log_prob(z)
    log_joint = torch.cat([model.log_joint(x, part) for part in z.split(_at_once(x))])
    weight = (log_joint - log_q).double().softmax(0)
    return Weighted(z, weight, 1 / weight.square().sum(0))


def _best(model: VAE, found: Weighted) -> Tensor:
    """The weighted mean of each value (of a count, rounded), or the most probable level, ``(N, *image_shape)``."""
    weight = found.weight.to(found.z.dtype)
    size = _at_once(found.z.new_empty(found.z.shape[1], *model.image_shape))
    parts = list(zip(found.z.split(size), weight.split(size), strict=True))
    if not isinstance(model.likelihood, Columns):
        return sum((_mean(model.likelihood(model.decode(z)).mean, w) for z, w in parts), torch.zeros(()))
    total: Tensor = torch.zeros(())
    shares: dict[int, Tensor] = {}
    for z, w in parts:
        by_column = model.likelihood.by_column(model.decode(z))
        total = total + _mean(by_column.mean, w)
        for i, group in enumerate(by_column.groups):
            if isinstance(group.fn, Levels):
                shares[i] = shares.get(i, torch.zeros(())) + _mean(group.fn.log_share.exp(), w)
    rows = total.flatten(1)
    for i, group in enumerate(by_column.groups):
        if isinstance(group.fn, Levels):
            rows[:, group.places] = Levels(shares[i].log(), group.fn.levels).mode
        elif getattr(group.fn.support, "is_discrete", False):
            rows[:, group.places] = rows[:, group.places].round()
    return rows.reshape(total.shape)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """``(K, N, ...), (K, N) -> (N, ...)``."""
    return torch.einsum("kn...,kn->n...", values, weight)


def _at_once(x: Tensor) -> int:
    """How many draws of z are decoded at once for rows ``(N, *image_shape)``."""
    return max(1, AT_ONCE // max(1, x.numel()))
