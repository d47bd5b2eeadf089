# ruff: noqa: E402  (what is visible of CUDA is put back before PyTorch is imported)
"""What all tests share."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# pytest-xdist's processes start when CUDA is hidden already, and PyTorch looks once: they find here what was visible.
_visible = os.environ.setdefault("PYRO_VAE_TESTS_CUDA", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
os.environ.pop("CUDA_VISIBLE_DEVICES", None)
if _visible != "all":
    os.environ["CUDA_VISIBLE_DEVICES"] = _visible

import pyro
import pytest
import torch

from pyro_vae import svi
from pyro_vae.runs import RunFolder
from pyro_vae.training.log import Log

collect_ignore_glob = ["*conftest.py"]  # they hold no doctests, and two modules of one name cannot be collected

# Small tensors run faster on one thread, and pytest-xdist runs a process for each core. The threads of the processes
# that tests start would wait for each other, too.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests fork (``tests/fuzz``). PyTorch lets a child differentiate only if its parent had seen no device by its first
# backward pass; a graph that is captured makes one up.
torch.zeros((), requires_grad=True).backward()

# What the tests name is not to be remembered as this user's own; each process of pytest has a cache for itself.
_cache = tempfile.mkdtemp(prefix="pyro_vae-tests-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ["XDG_CACHE_HOME"] = _cache

# The tests test the same on every machine: but for those marked with ``cuda``, they and the processes that they start
# see no CUDA device.
_is_available = torch.cuda.is_available
HAS_CUDA = _is_available()
torch.cuda.is_available = lambda: False
os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True)
def _cuda(request, monkeypatch):
    if "cuda" not in request.keywords:
        return
    if not HAS_CUDA:
        pytest.skip("needs a CUDA device")
    monkeypatch.setattr(torch.cuda, "is_available", _is_available)
    if _visible == "all":
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", _visible)


@pytest.fixture
def _no_cuda():
    if HAS_CUDA:
        pytest.skip("there is a CUDA device")


@pytest.fixture(autouse=True)
def _own_random_numbers():
    """Each test starts from one seed and an empty parameter store."""
    torch.manual_seed(0)
    with pyro.get_param_store().scope():
        yield


@pytest.fixture
def _double():
    """Numbers are double: Pyro's own ELBOs take a deterministic site in the default precision alone."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def _no_pictures(request, monkeypatch):
    """Runs draw nothing, which takes longer than they train, but in tests marked with ``pictures``."""
    if "pictures" not in request.keywords:
        monkeypatch.setattr(Log, "pictures", lambda *_: None)


@pytest.fixture
def mnist_root() -> Path:
    """The folder that holds MNIST."""
    root = os.environ.get("PYRO_VAE_DATA")
    if not root or not (Path(root) / "MNIST" / "raw").is_dir():
        pytest.skip("PYRO_VAE_DATA does not name a folder with MNIST/raw")
    return Path(root)


@pytest.fixture
def train(tmp_path):
    """Trains a small run on the digits by the command's own entry; returns its folder."""

    def run(name: str, *flags: str) -> RunFolder:
        small = ["--epochs", "3", "--final-samples", "5", "--encoder.hidden_dims", "[16]", "--engine", "eager"]
        svi.main([*small, "--decoder.hidden_dims", "[16]", "--latent-dim", "3", *flags, "--out", str(tmp_path / name)])
        return RunFolder(tmp_path / name)

    return run
