"""How many images each metric takes, where the options leave it open."""

import pytest
import torch

from pyro_vae.evaluate.run import complete
from pyro_vae.metrics import Options


@pytest.mark.parametrize(
    ("given", "evidence", "gap"),
    [({}, 100, 50), ({"evidence_images": 20}, 20, 20), ({"gap_images": 120}, 120, 120), ({"images": 30}, 30, 30)],
)
def test_log_p_of_x_is_taken_of_as_many_images_as_were_asked_for(given, evidence, gap):
    found = complete(Options(**given), torch.device("cpu"))
    assert (found.evidence_images, found.gap_images) == (evidence, gap)
