"""The ELBO and its two terms."""

from dataclasses import dataclass
from typing import Any

from pyro_vae.estimators import elbo, in_bits
from pyro_vae.metrics.base import Compared, Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Elbo(Metric):
    """ELBO, with its terms log-likelihood and KL(q(z|x) || p(z))."""

    name = "elbo"
    on = ("test", "train")
    against = "ELBO"
    place = 10
    piece = 500
    compared = (
        Compared("elbo", "ELBO", "higher"),
        Compared("log_likelihood", "log-likelihood E_q[log p(x|z)]", "neither"),
        Compared("kl", "KL(q(z|x) || p(z))", "neither"),
    )
    in_comparisons = True

    def settings(self, options: Options) -> dict[str, Any]:
        return {"samples": options.elbo_samples}

    def measure(self, task: Task) -> Finding:
        run, samples = task.run, task.options.elbo_samples
        found = elbo(run.model, run.guide, task.x, samples, seed=task.seed, progress=task.progress)
        return Finding({**found._asdict(), **in_bits(run.model, "elbo", found.elbo, task.seen)})
