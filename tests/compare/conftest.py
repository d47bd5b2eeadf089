"""The comparison and the browser that the tests of the report's page look at."""

import pytest
from browsing import chromium
from comparisons import compare
from pages import WORDS, pictures


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A small comparison, its folder, and another with an arm that failed."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyro_vae.training.log.Log.pictures", lambda *_: None)
        compare(patch, *WORDS, "--out", str(out))
        for run in out.glob("runs/*"):
            for name, content in pictures().items():
                (run / "figures" / f"{name}.png").write_bytes(content)
        failing = [*WORDS[:2], "--lr", "0.001,1e30", "--seeds", "1", "--epochs", "2", "--measures", "elbo"]
        failed = compare(patch, *failing, "--out", str(out.parent / "failed"))
        comparison = compare(patch, *WORDS, "--out", str(out))
    return comparison, out, failed


@pytest.fixture(scope="session")
def browser():
    yield from chromium()
