"""Every guide that is found keeps the contract; of one that does not, ``check_guide`` says in words what is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from broken_guides import (
    Centred,
    Doubled,
    FixedShape,
    Flat,
    Flattened,
    Growing,
    Infinite,
    InfiniteElbo,
    Kinked,
    NoEvent,
    Normalised,
    NotANumber,
    OneForAll,
    Renamed,
    Repeated,
    SaysNoDensity,
    SaysOwnOnly,
    SecretNoise,
    Shifted,
    SiteHalved,
    Spare,
    Transformed,
    TwoHumps,
    Unplated,
    Unsaved,
    Widened,
    WrongDeterminant,
    WrongInverse,
    of_normals,
)
from torch import nn

from guides import GUIDES, MeanField
from pyro_vae.testing import check_guide

SMALL: dict[str, Any] = {"latent_dims": [2], "batch_sizes": [7], "image_shapes": [(1, 8, 8)]}


@pytest.mark.parametrize("latent_dim", [1, 2, 20])
@pytest.mark.parametrize("name", GUIDES)
def test_contract(name: str, latent_dim: int) -> None:
    # batches of 1, 7 and 256 images of two shapes, by default
    check_guide(GUIDES[name], latent_dims=[latent_dim])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Sylvester", {"variant": "householder"}),
        ("Sylvester", {"variant": "triangular"}),
        ("Sylvester", {"columns": 1}),
        ("NSF", {"autoregressive": True, "bins": 4}),
        ("LowRank", {"rank": 1}),
        ("Householder", {"reflections": 1}),
        ("Mixture", {"components": 1}),
        ("SemiAmortized", {"family": "IAF", "family_options": {"transforms": 1}, "steps": 1}),
        ("SemiAmortized", {"family": "guides.planar.Planar", "num_particles": 1}),
    ],
)
def test_contract_with_options(name: str, options: dict[str, Any]) -> None:
    check_guide(GUIDES[name], **(SMALL | {"latent_dims": [2, 5]}), **options)


def test_same_seed_same_verdict_and_the_caller_s_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check_guide(MeanField, **SMALL)
    assert torch.equal(torch.rand(1), expected)


BROKEN: list[tuple[Any, dict[str, Any], str]] = [
    (lambda encoder, latent_dim: nn.Linear(1, 1), {}, "it makes a Linear, which is not a guides.Guide"),
    (Flattened, {}, r"amortize\(x\) must have shape \(7, P\), not \(28,\)"),
    (NoEvent, {}, r"must have event_shape \(2,\), not \(\); has .to_event\(1\) been forgotten\?"),
    (OneForAll, {}, r"must have batch_shape \(7,\), not \(\)"),
    (of_normals(FixedShape), {}, r"samples of shape \(3,\) must be \(3, 7, 2\), not \(7, 2\)"),
    (of_normals(NotANumber), {}, "samples are not finite"),
    (of_normals(Flat), {}, r"log_prob must be \(7,\), not \(\)"),
    (of_normals(Infinite), {}, "log_prob of its own samples is not finite"),
    (SaysNoDensity, {}, "has_density is False, so log_prob must raise"),
    (SaysOwnOnly, {}, "scores_any_z is False, so log_prob of any other z must raise"),
    (Transformed, {"transform": WrongInverse}, "log_prob of a copy of its own sample differs by .* a wrong inverse"),
    (of_normals(Repeated), {}, r"all particles of posterior\(lam\).expand\(...\) are one sample"),
    (Renamed, {}, 'there is no sample site "z"; there are: latent'),
    (Unplated, {}, r'site "z" must be in pyro.plate\("data", 7, dim=-1\), not in \[\]'),
    (SiteHalved, {}, r'site "z" must have shape \(7, 2\), not \(7, 1\)'),
    (InfiniteElbo, {}, "the ELBO is not finite with fp32 layers"),
    (Kinked, {}, r"the gradient of encoder.layers.0.weight is not finite with fp32 layers"),
    (Spare, {}, "no gradient reaches the parameter spare"),
    (Normalised, {}, "lambda of the first image changes when only the other images change"),
    (Centred, {}, "the sample of the first image changes when only the other images change"),
    (Growing, {}, "its saved state does not load into a new guide of the same options"),
    (Unsaved, {}, "lambda is another after saving and loading: something is neither a parameter nor a buffer"),
    (Transformed, {"transform": WrongDeterminant}, "nats from the Jacobian's determinant by autograd"),
    (
        Transformed,
        {"transform": dist.transforms.AffineTransform, "distribution": SecretNoise},
        "samples are not the transforms of the base's samples",
    ),
    (of_normals(Doubled), {}, "log_prob integrates to 1.22. and not to 1"),
    (of_normals(Shifted), {}, "the samples' mean is .* standard errors from that of log_prob"),
    (of_normals(Widened), {}, "the samples' second moment is .* standard errors from that of log_prob"),
    (of_normals(TwoHumps), {}, r"samples and log_prob are two distributions \(energy test"),
]


@pytest.mark.parametrize(("broken", "options", "message"), BROKEN)
def test_broken_guides_are_told_what_is_wrong(broken: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_guide(broken, **SMALL, **options)


@pytest.mark.parametrize("base", [Doubled, Shifted, Widened])
def test_wrong_densities_show_in_many_dimensions_too(base: type[dist.Normal]) -> None:
    with pytest.raises(AssertionError, match="log_prob is not the density of the samples: the overlap"):
        check_guide(of_normals(base), **(SMALL | {"latent_dims": [20]}))


PLUGIN = """
import pyro.distributions as dist
from guides import Guide


class Plugged(Guide):
    def __init__(self, encoder, latent_dim):
        super().__init__(encoder, latent_dim, num_parameters=latent_dim)

    def posterior(self, lam):
        return dist.Normal(lam, 1.0).to_event(1)
"""


def test_a_guide_of_another_package_is_found_and_checked(tmp_path: Path) -> None:
    (tmp_path / "plugged.py").write_text(PLUGIN)
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pyro_vae.guides]\nPlugged = plugged:Plugged\nGone = plugged:Gone\n")
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from torch.distributions import Distribution; before = Distribution._validate_args\n"
        "import guides; from pyro_vae.testing import check_guide\n"
        "assert Distribution._validate_args == before  # zuko changes it\n"
        "assert 'Gone' not in guides.GUIDES and guides.Plugged is guides.GUIDES['Plugged']\n"
        "check_guide(guides.Plugged, latent_dims=[2], batch_sizes=[7]); print('kept')"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    run = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.stdout == "kept\n", run.stderr


def test_the_example_guide_is_short_and_keeps_the_contract() -> None:
    example = Path(__file__).parents[2] / "examples" / "my_guide.py"
    assert len(example.read_text().splitlines()) < 40
    run = subprocess.run([sys.executable, str(example)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
