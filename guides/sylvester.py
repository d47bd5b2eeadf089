"""Sylvester flows: many hidden units in one planar step."""

from typing import Literal

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.transforms.householder import ConditionedHouseholder
from torch import Tensor, nn
from torch.distributions import Transform, constraints

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import scaled_flow
from pyro_vae.nn import require_positive


class SylvesterTransform(Transform):
    r""":math:`f(z) = z + Q R \tanh(S Q^T z + b)` (van den Berg et al. 2018).

    Args:
        q: M orthonormal columns, ``(N, D, M)``.
        r: upper triangular, ``(N, M, M)``.
        s: upper triangular, ``(N, M, M)``; the products of the diagonals of r and s are above -1.
        b: ``(N, M)``.

    Pyro's ``Sylvester`` is the same function with one set of matrices for all images, so it cannot be amortized.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, q: Tensor, r: Tensor, s: Tensor, b: Tensor):
        super().__init__()
        self.outwards, self.inwards, self.b = q @ r, s @ q.mT, b
        self.diagonal = r.diagonal(dim1=-2, dim2=-1) * s.diagonal(dim1=-2, dim2=-1)

    def _call(self, z: Tensor) -> Tensor:
        return self.call_and_ladj(z)[0]

    def call_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f(z) and the log of its Jacobian determinant, by the matrix determinant lemma."""
        hidden = torch.tanh((self.inwards @ z.unsqueeze(-1)).squeeze(-1) + self.b)
        ladj = torch.log1p((1 - hidden**2) * self.diagonal).sum(-1)
        return z + (self.outwards @ hidden.unsqueeze(-1)).squeeze(-1), ladj

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]


class Sylvester(Guide):
    r"""Noise through T Sylvester steps with amortized matrices, then scaled and shifted.

    A planar flow sees one direction a step, this one M. The inverse has no closed form, so the distribution scores only
    its own samples. The paper scales and shifts the noise before the steps; here the steps come first, so their
    parameters are in units of the posterior's scale, and those of a step are damped (:class:`guides.base.Head`).

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and, for each step, two triangular
            matrices, M offsets and what ``variant`` needs for Q.
        variant: where the orthonormal columns of Q come from. "orthogonal": M free columns, made orthonormal by a QR
            decomposition (the paper iterates; this is exact). "householder": the product of ``reflections``
            reflections, M = D. "triangular": the identity and the reversal of all dimensions in turn, M = D.
        transforms: the number T of steps.
        columns: M of the orthogonal variant; more than D are never used.
        reflections: the number of reflections of the householder variant.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        van den Berg, Hasenclever, Tomczak & Welling 2018, Sylvester Normalizing Flows for Variational Inference, the
        section on Sylvester normalizing flows.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, Sylvester
        >>> guide = Sylvester(MLPEncoder((1, 8, 8)), latent_dim=2, variant="triangular")
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    scores_any_z = False
    above: Tensor

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        variant: Literal["orthogonal", "householder", "triangular"] = "orthogonal",
        transforms: int = 4,
        columns: int = 16,
        reflections: int = 8,
    ):
        require_positive(transforms=transforms, columns=columns, reflections=reflections)
        m = min(columns, latent_dim) if variant == "orthogonal" else latent_dim
        start = {
            "orthogonal": lambda: torch.linalg.qr(torch.randn(transforms, latent_dim, m))[0],
            "householder": lambda: torch.randn(transforms, reflections, latent_dim) / latent_dim**0.5,
            "triangular": lambda: torch.zeros(transforms, 0),
        }[variant]()
        couplings = transforms * (m * (m + 2) + start[0].numel())
        super().__init__(encoder, latent_dim, 2 * latent_dim + couplings, couplings, groups=transforms)
        self.variant, self.hidden = variant, m
        # Q's raw numbers are these plus an amortized change: QR and reflections have no direction at 0.
        self.frames = nn.Parameter(start, requires_grad=latent_dim > 1) if start.numel() else None
        self.num_transforms = transforms
        rows, columns_above = torch.triu_indices(m, m, 1)
        self.register_buffer("above", rows * m + columns_above, persistent=False)  # where in the flattened matrix

    def _triangle(self, entries: Tensor, raw_diagonal: Tensor) -> Tensor:
        """An upper triangular matrix with a diagonal between -1 and 1, ``(N, M, M)``."""
        flat = entries.new_zeros(*entries.shape[:-1], self.hidden**2).index_copy(-1, self.above, entries)
        # Slightly less than the paper's tanh: a product of exactly -1 would have no logarithm.
        return flat.unflatten(-1, (self.hidden, self.hidden)) + torch.diag_embed(0.99 * torch.tanh(raw_diagonal))

    def _frame(self, step: int, raw: Tensor) -> Tensor:
        """Q of one step, ``(N, D, M)`` or ``(D, D)``."""
        if self.frames is None:
            identity = torch.eye(self.latent_dim, dtype=raw.dtype, device=raw.device)
            return identity if step % 2 == 0 else identity.flip(0)
        frame = self.frames[step] + raw.unflatten(-1, self.frames[step].shape)
        if self.variant == "orthogonal":
            return torch.linalg.qr(frame)[0]
        identity = torch.eye(self.latent_dim, dtype=raw.dtype, device=raw.device)
        return ConditionedHouseholder(frame.unsqueeze(-3))(identity)

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, numbers = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        m, half = self.hidden, self.hidden * (self.hidden - 1) // 2
        steps = numbers.unflatten(-1, (self.num_transforms, -1)).unbind(-2)
        transforms = []
        for step, raw in enumerate(steps):
            r_above, s_above, r_raw, s_raw, b, frame = raw.split([half, half, m, m, m, raw.shape[-1] - m * (m + 2)], -1)
            # With R near 0 and S near the identity the step starts near the identity, but not at a saddle.
            r, s = self._triangle(r_above, r_raw), self._triangle(s_above, s_raw + 1)
            transforms.append(SylvesterTransform(self._frame(step, frame), r, s, b))
        return scaled_flow(loc, raw_scale, transforms, invertible=False)
