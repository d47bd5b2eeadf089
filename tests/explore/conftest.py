"""Runs on the digits, their page, and a browser."""

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install pyro_vae[explore]")
pytest.importorskip("starlette", reason="Starlette is not installed: pip install pyro_vae[explore]")

from browsing import chromium
from served import serving

import pyro_vae
from pyro_vae.explore.command import exhibited

SMALL = {"epochs": 12, "final_samples": 5, "engine": "eager", "device": "cpu"}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Folders: two latent dimensions with a Gaussian guide, four with a flow that scores its own samples alone."""
    folder = tmp_path_factory.mktemp("runs")
    pyro_vae.train(quiet=True, latent_dim=2, out=str(folder / "plain"), **SMALL)
    pyro_vae.train(quiet=True, latent_dim=4, guide="Planar", out=str(folder / "flow"), **SMALL)
    return [folder / "plain", folder / "flow"]


@pytest.fixture(scope="session")
def exhibit(runs):
    return exhibited(runs, device="cpu")


@pytest.fixture(scope="session")
def client(exhibit):
    with serving(exhibit) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    yield from chromium()
