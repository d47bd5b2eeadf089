"""Data of the tests of wrapped pairs."""

import pytest
import torch


@pytest.fixture
def counted():
    """Rows of a real number and a count, `(20, 2)`."""
    torch.manual_seed(0)
    return torch.stack([torch.randn(20), torch.poisson(torch.full((20,), 6.0))], -1).double()
