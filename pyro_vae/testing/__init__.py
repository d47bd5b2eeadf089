"""What authors of guides call in their own tests."""

from pyro_vae.testing.guide import check_guide

__all__ = ["check_guide"]
