"""How the metrics of ``evaluate`` are estimated: the command's options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyro_vae.estimators import Annealing, Demand, Evidence, GaussianFit, LocalOptimization, Search


@dataclass(frozen=True)
class Options:
    """How the metrics are estimated.

    Args:
        images: number of images of a split, the first ones; by default all of them on CUDA, 1,000 on a CPU.
        evidence_images: number of images for log p(x), the first ones, and at least gap_images if that is given; by
            default all of them on CUDA, 100 on a CPU.
        gap_images: number of images for the split gap, the first ones, and at most evidence_images; also the number of
            training images for every metric of theirs. By default 1,000 on CUDA, 50 on a CPU.
        elbo_samples: draws of z for each image, for the ELBO and the active units.
        iwae_samples: K of the importance-weighted bound.
        importance_samples: draws for each image, for k-hat.
        best_samples: draws for each image, for the ELBO and the bound on log p(x) at the optimised posterior q*.
        evidence: how log p(x) is estimated.
        tolerance: width of the bracket around log p(x) of simulated images, nats; the number of temperatures is raised
            until the bracket is so narrow.
        certificate_images: number of images that are drawn from the model for this bracket.
        most_temperatures: maximum number of temperatures.
        annealing: annealed importance sampling from the prior.
        local: the optimisation of the posterior of each image.
        calibration_images: number of images that are drawn from the model for the ranks.
        bracket_images: number of images that are drawn from the model for the bracket around AIS.
        aggregate_images: number of images for the aggregate posterior; its cost grows with the square.
        aggregate_samples: draws of z for each of these images.
        gradient_images: number of images in the batch whose gradient is measured.
        gradient_repeats: number of gradients of this batch.
        seed: random seed.

    Raises:
        ValueError: where a count is below 1.
    """

    images: int | None = None
    evidence_images: int | None = None
    gap_images: int | None = None
    elbo_samples: int = 100
    iwae_samples: int = 5000
    importance_samples: int = 2000
    best_samples: int = 1000
    evidence: Evidence = field(default_factory=Evidence)
    tolerance: float = 0.05
    certificate_images: int = 100
    most_temperatures: int = 80
    annealing: Annealing = field(default_factory=lambda: Annealing(chains=8, temperatures=500))
    local: LocalOptimization = field(default_factory=LocalOptimization)
    calibration_images: int = 1000
    bracket_images: int = 20
    aggregate_images: int = 500
    aggregate_samples: int = 2
    gradient_images: int = 100
    gradient_repeats: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int) and value < (0 if name == "seed" else 1):
                raise ValueError(f"{name} is too small: {value}")
            if isinstance(value, int) and value >= 2**63:
                raise ValueError(f"{name} must be below 2^63, not {value}")
        _ = self.demand  # which checks itself

    @property
    def demand(self) -> Demand:
        """What is asked of the certificate of log p(x)."""
        return Demand(self.tolerance, self.certificate_images, self.most_temperatures)


def options_of(given: Mapping[str, Any]) -> Options:
    """Options from what the command line gives, where settings of settings are plain values.

    Raises:
        ValueError: where a value makes no sense.
    """
    plain = {name: value.as_dict() if hasattr(value, "as_dict") else value for name, value in given.items()}
    evidence = plain.pop("evidence")
    settings = Evidence(
        Annealing(**evidence["annealing"]), Search(**evidence["search"]), GaussianFit(**evidence["fit"])
    )
    annealing, local = Annealing(**plain.pop("annealing")), LocalOptimization(**plain.pop("local"))
    return Options(**plain, annealing=annealing, local=local, evidence=settings)
