"""Few images and draws for the tests of wrapped pairs."""

from pyro_vae.estimators import LocalOptimization
from pyro_vae.metrics import Options

QUICK = Options(
    images=40,
    evidence_images=20,
    gap_images=20,
    elbo_samples=100,
    importance_samples=200,
    certificate_images=20,
    best_samples=200,
    local=LocalOptimization(num_samples=20, lr=0.02, check_every=25, patience=3, max_steps=300),
)
