"""MNIST."""

from pyro_vae.data.sets.base import NamedData
from pyro_vae.data.torchvision import files_of, read_torchvision

MNIST = NamedData(
    name="mnist",
    read=lambda root: read_torchvision("mnist", "MNIST", root),
    likelihood="Bernoulli",
    images=(55_000, 5_000, 10_000),
    image_shape=(1, 28, 28),
    about="256 gray values; downloaded on first use",
    files=lambda root: files_of("MNIST", root),
)
