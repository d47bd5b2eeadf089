"""Each image's own base of annealing: a mixture of Gaussians, or Student's t, fitted to the modes of its posterior."""

from dataclasses import dataclass, replace
from math import log, pi

import torch
from torch import Tensor, nn

from pyro_vae.estimators.gaussian_fit import GaussianFit, Gaussians, fit_gaussians
from pyro_vae.estimators.hmc import Densities, LogJoint
from pyro_vae.estimators.importance import pareto_k
from pyro_vae.estimators.modes import Search, find_modes

INFLATION = 0.1  #: by which each scale is made larger, for the base must be wider than the posterior where it errs
FULL = 10  #: dimensions up to which it is; beyond, its square falls with their number, and what it costs stays
TAILS = (5.0, 2.0, 1.0)  #: degrees of freedom of Student's t, from light to heavy
NEGLIGIBLE = 7.0  #: nats: a mode whose mass is so much smaller than the largest one's is left out
LEAST_CHAINS = 2  #: of each mode; two, so that their spread is seen


@dataclass(frozen=True)
class Proposal:
    r"""For each of N images a mixture :math:`q(z) = \sum_s w_s q_s(z)` over S components.

    A chain begins in a component that is fixed beforehand and moves in its coordinates,
    :math:`z = \mu_s + L_s u`. The pair (s, z) has the density :math:`w_s q_s(z)` at the start and
    :math:`p(x, z) w_s q_s(z) / q(z)` at the end, whose sum over s is p(x, z). The log ratio of both is
    :math:`\log p(x, z) - \log q(z)`, the same for each s, so that far modes do not see each other's draws as rare.

    Attributes:
        loc: ``(N, S, D)``.
        scale_tril: ``(N, S, D, D)``.
        counts: how many chains begin in each component, ``(N, S)``; 0 for one that is not there.
        freedom: of Student's t, ``(N,)``; infinite for a Gaussian.
        elbo: of the Gaussian of each component, ``(N, S)``, nats.
    """

    loc: Tensor
    scale_tril: Tensor
    counts: Tensor
    freedom: Tensor
    elbo: Tensor

    @property
    def log_weight(self) -> Tensor:
        """log w_s, ``(N, S)``."""
        return (self.counts / self.counts.sum(-1, keepdim=True)).log()

    @property
    def modes(self) -> Tensor:
        """How many components are there, ``(N,)``."""
        return (self.counts > 0).sum(-1)

    def take(self, rows: Tensor) -> "Proposal":
        """That of some images, without the components that none of them has."""
        width = int(self.modes[rows].max())
        return Proposal(
            self.loc[rows, :width],
            self.scale_tril[rows, :width],
            self.counts[rows, :width],
            self.freedom[rows],
            self.elbo[rows, :width],
        )

    def strata(self) -> Tensor:
        """The component of each chain, ``(C, N)``: as many of each as ``counts`` says."""
        ends = self.counts.cumsum(-1)
        chains = torch.arange(int(ends[0, -1]), device=ends.device)
        return (chains[:, None, None] >= ends).sum(-1)

    def choose(self, chains: int) -> Tensor:
        """Components drawn by their weights, ``(C, N)``."""
        return torch.multinomial(self.log_weight.exp(), chains, replacement=True).T

    def choose_at(self, z: Tensor) -> Tensor:
        """Components drawn by their share in q at z, ``(C, N, D) -> (C, N)``: exact draws of s where z is one."""
        return torch.distributions.Categorical(logits=self.log_components(z)).sample()

    def draw(self, component: Tensor) -> Tensor:
        """u of the base for chains of these components, ``(C, N) -> (C, N, D)``."""
        u = torch.randn(*component.shape, self.loc.shape[-1], dtype=self.loc.dtype, device=self.loc.device)
        tail = self.freedom.isfinite()
        freedom = torch.where(tail, self.freedom, 1.0)
        scale = (torch.distributions.Chi2(freedom).sample(component.shape[:1]) / freedom).sqrt()
        return u / torch.where(tail, scale, 1.0)[..., None]

    def place(self, u: Tensor, component: Tensor) -> Tensor:
        """z of u, ``(C, N, D)``."""
        if self.loc.shape[1] == 1:
            return self.loc[:, 0] + torch.einsum("nde,cne->cnd", self.scale_tril[:, 0], u)
        rows = torch.arange(len(self.loc), device=u.device)
        return self.loc[rows, component] + (self.scale_tril[rows, component] @ u[..., None])[..., 0]

    def whiten(self, z: Tensor, component: Tensor) -> Tensor:
        """u of z, the inverse of :meth:`place`."""
        rows = torch.arange(len(self.loc), device=z.device)
        centred = (z - self.loc[rows, component])[..., None]
        return torch.linalg.solve_triangular(self.scale_tril[rows, component], centred, upper=False)[..., 0]

    def _log_base(self, squares: Tensor) -> Tensor:
        """The log density of u from its squared length, ``(..., N)``."""
        size = self.loc.shape[-1]
        tail = self.freedom.isfinite()
        nu = torch.where(tail, self.freedom, 1.0)
        heavy = ((nu + size) / 2).lgamma() - (nu / 2).lgamma() - size / 2 * (nu * pi).log()
        heavy = heavy - (nu + size) / 2 * (squares / nu).log1p()
        return torch.where(tail, heavy, -squares / 2 - size / 2 * log(2 * pi))

    def _log_widths(self) -> Tensor:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_components(self, z: Tensor) -> Tensor:
        """log w_s q_s(z), ``(..., N, D) -> (..., N, S)``."""
        centred = z[..., None, :] - self.loc
        u = torch.linalg.solve_triangular(self.scale_tril, centred[..., None], upper=False)[..., 0]
        return self._log_base(u.square().sum(-1).movedim(-1, 0)).movedim(0, -1) - self._log_widths() + self.log_weight

    def densities(self, log_joint: LogJoint, x: Tensor, component: Tensor) -> Densities:
        """Both ends of the path, for chains of these components, as functions of u."""
        constant = (self.log_weight - self._log_widths()).gather(1, component.T).T

        def both(u: Tensor) -> tuple[Tensor, Tensor]:
            z = self.place(u, component)
            start = self._log_base(u.square().sum(-1)) + constant
            whole = start if self.loc.shape[1] == 1 else self.log_components(z).logsumexp(-1)
            return start, log_joint(x, z) - whole

        return both


def propose(
    model: nn.Module, guide: nn.Module | None, x: Tensor, search: Search, fit: GaussianFit, chains: int, seed: int = 0
) -> Proposal:
    """Fit the base of each image; all choices are made by draws of their own, which no estimate uses again.

    Args:
        guide: whose draws are among the starts.
        x: images ``(N, *image_shape)``.
        chains: to be shared out among the components by the mass that their ELBO promises.
        seed: of the guide's draws.
    """
    log_joint: LogJoint = model.log_joint  # type: ignore[assignment]
    found = find_modes(model, guide, x, search, seed)
    fitted = fit_gaussians(log_joint, x[found.image], found.z, fit)
    return _gathered(fitted, found.image, len(x), chains)


def _gathered(fitted: Gaussians, image: Tensor, images: int, chains: int) -> Proposal:
    """From a list of fits to components for each image, the one of the most mass first."""
    order = fitted.elbo.argsort(descending=True)
    order = order[image[order].argsort(stable=True)]
    image, loc, tril, elbo = image[order], fitted.loc[order], fitted.scale_tril[order], fitted.elbo[order]
    first = torch.searchsorted(image, image)
    rank = torch.arange(len(image), device=image.device) - first
    width, size = int(rank.max()) + 1, loc.shape[-1]
    filled = torch.full((images, width), -torch.inf, device=image.device, dtype=elbo.dtype)
    filled[image, rank] = elbo
    locs, trils = loc[first].new_zeros(images, width, size), torch.eye(size).to(tril).repeat(images, width, 1, 1)
    locs[image, rank], trils[image, rank] = loc, (1 + INFLATION * min(1.0, FULL / size) ** 0.5) * tril
    filled = torch.where(filled < filled[:, :1] - NEGLIGIBLE, -torch.inf, filled)
    filled = torch.where(_repeated(locs, trils, filled), -torch.inf, filled)
    order = filled.argsort(-1, descending=True)
    locs = locs.gather(1, order[..., None].expand_as(locs))
    trils = trils.gather(1, order[..., None, None].expand_as(trils))
    filled = filled.gather(1, order)
    return Proposal(locs, trils, shares(filled, chains), torch.full_like(filled[:, 0], torch.inf), filled)


def _repeated(loc: Tensor, tril: Tensor, elbo: Tensor) -> Tensor:
    """Which components lie within one standard deviation of a larger one, ``(N, S)``."""
    from_each = (loc[:, None] - loc[:, :, None])[..., None]  # (N, of, to, D, 1)
    u = torch.linalg.solve_triangular(tril[:, :, None], from_each, upper=False)[..., 0]
    near = u.square().sum(-1) < 1
    there = elbo.isfinite()
    larger = torch.ones_like(near[0]).triu(1)
    return (near & there[:, :, None] & larger).any(1) & there


def shares(elbo: Tensor, chains: int) -> Tensor:
    """How many of the chains each component gets, ``(N, S)``: by its mass, at least :data:`LEAST_CHAINS`.

    >>> shares(torch.tensor([[0.0, -0.1, -5.0], [0.0, -torch.inf, -torch.inf]]), 16)
    tensor([[ 6,  8,  2],
            [16,  0,  0]])
    """
    there = elbo.isfinite()
    kept = there.cumsum(-1) <= max(1, chains // LEAST_CHAINS)
    there = there & kept
    masses = torch.where(there, elbo, -torch.inf).softmax(-1)
    counts = torch.where(there, (masses * chains).round().long().clamp(min=min(LEAST_CHAINS, chains)), 0)
    counts[:, 0] += chains - counts.sum(-1)
    return counts


def with_tails(proposal: Proposal, log_joint: LogJoint, x: Tensor, draws: int = 200) -> tuple[Proposal, Tensor]:
    r"""Student's t for the images where it makes the better base, and k-hat of the Gaussian base, ``(N,)``.

    Light tails do not reach what they miss, so that two bases are judged by draws of the heavier: the better has the
    smaller :math:`KL(p(z|x) || q)`. (The second moment of the weights would hang on the largest of few, and in many
    dimensions take a t whose radius is far off.) An image goes from a Gaussian to 5, 2 and 1 degrees of freedom as long
    as each is better than the one before.
    """
    component = proposal.choose(draws)
    ratio = proposal.densities(log_joint, x, component)(proposal.draw(component))[1]
    k_hat = pareto_k(ratio.nan_to_num(-torch.inf).clamp(min=-1e30)).to(x.device)
    going = torch.ones_like(proposal.freedom, dtype=torch.bool)
    for tail in TAILS:
        heavy = replace(proposal, freedom=torch.full_like(proposal.freedom, tail))
        going &= _is_better(heavy, proposal, log_joint, x, draws)
        if not going.any():
            break
        proposal = replace(proposal, freedom=torch.where(going, tail, proposal.freedom))
    return proposal, k_hat


def _is_better(heavy: Proposal, light: Proposal, log_joint: LogJoint, x: Tensor, draws: int) -> Tensor:
    """Whether the heavier base is the closer one, by its weighted draws: ``(N,)``."""
    component = heavy.choose(draws)
    u = heavy.draw(component)
    log_heavy = heavy.densities(log_joint, x, component)(u)[1].double().nan_to_num(-torch.inf)
    log_light = light.densities(log_joint, x, component)(u)[1].double().nan_to_num(-torch.inf)
    return (log_heavy.softmax(0) * (log_light - log_heavy)).sum(0) > 0
