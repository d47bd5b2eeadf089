"""Checks for the tests of authors of guides, models and their parts: each says in words what is wrong."""

from pyro_vae.testing.data_set import check_data_set
from pyro_vae.testing.guide import check_guide
from pyro_vae.testing.likelihood import check_likelihood
from pyro_vae.testing.lr_schedule import check_lr_schedule
from pyro_vae.testing.metric import check_metric
from pyro_vae.testing.model import check_model
from pyro_vae.testing.network import check_decoder, check_encoder
from pyro_vae.testing.objective import check_objective
from pyro_vae.testing.prior import check_prior
from pyro_vae.testing.run_picture import check_run_picture
from pyro_vae.testing.schedule import check_schedule
from pyro_vae.testing.tracker import check_tracker

__all__ = [
    "check_data_set",
    "check_decoder",
    "check_encoder",
    "check_guide",
    "check_likelihood",
    "check_lr_schedule",
    "check_metric",
    "check_model",
    "check_objective",
    "check_prior",
    "check_run_picture",
    "check_schedule",
    "check_tracker",
]
