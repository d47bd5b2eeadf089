"""Does log p(x) tell images of another kind from those the model was made for?"""

import torch
from torch import Tensor

from pyro_vae.estimators.estimate import Estimate


def told_apart(inside: Tensor, outside: Tensor) -> Estimate:
    """The area under the ROC curve: the chance that an image of the own kind scores higher than one of the other.

    One half says that the score tells nothing; less than that, that it is misled, as likelihoods are known to be
    (Nalisnick et al. 2019).

    Args:
        inside: a score of images of the own kind, such as log p(x), ``(N,)``.
        outside: of the others, ``(M,)``.

    References:
        DeLong, DeLong & Clarke-Pearson 1988, for the standard error.

    >>> told_apart(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])).value
    0.75
    """
    inside, outside = inside.double().cpu(), outside.double().cpu()

    def ranks_among(values: Tensor, others: Tensor) -> Tensor:
        """The share of ``others`` below each value, equal ones counted half."""
        others = others.sort().values
        below = torch.searchsorted(others, values) + torch.searchsorted(others, values, right=True)
        return below / (2 * len(others))

    above, below = ranks_among(inside, outside), 1 - ranks_among(outside, inside)
    enough = min(len(inside), len(outside)) > 1
    error = (above.var() / len(above) + below.var() / len(below)).sqrt().item() if enough else None
    how = "area under the ROC curve, standard error by DeLong"
    return Estimate(above.mean().item(), error, how, 0, len(inside) + len(outside), unit="probability")
