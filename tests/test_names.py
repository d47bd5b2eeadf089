"""Names of runs tell what differs."""

import pytest

from pyro_vae.names import run_name
from pyro_vae.options import settings_of


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "digits-MeanField"),
        ({"guide": "IAF"}, "digits-IAF"),
        ({"objective": "RenyiELBO"}, "digits-MeanField-RenyiELBO"),
        ({"objective": {"class_path": "IWAE", "init_args": {"num_particles": 5}}, "guide": "IAF"}, "digits-IAF-IWAE5"),
        (
            {"objective": {"class_path": "Trace_ELBO", "init_args": {"num_particles": 8}}},
            "digits-MeanField-Trace_ELBO8",
        ),
        ({"objective": "TraceMeanField_ELBO"}, "digits-MeanField-TraceMeanField_ELBO"),
        ({"prior": "VampPrior"}, "digits-MeanField-VampPrior"),
        ({"model": "BayesianVAE", "data": "mnist"}, "mnist-BayesianVAE-MeanField"),
        ({"data": "/tmp/pictures.npz"}, "pictures-MeanField"),
    ],
)
def test_a_name_has_what_is_not_the_default(options, name):
    assert run_name(settings_of(options).config) == name
