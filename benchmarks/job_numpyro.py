"""The job of :mod:`benchmarks.job` in NumPyro, as in its example of a VAE: an epoch is one jitted loop.

python -m benchmarks.job_numpyro --epochs 8

Compiled code is kept in JAX's cache on the disk, so that only the first job compiles.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import lax, random
from jax.example_libraries import stax

from benchmarks.job import BATCH, HIDDEN, LATENT, LR, PIXELS, SAMPLES, Job, gray_images
from pyro_vae.user_cache import cache_folder

ENCODER = stax.serial(
    stax.Dense(HIDDEN),
    stax.Tanh,
    stax.FanOut(2),
    stax.parallel(stax.Dense(LATENT), stax.serial(stax.Dense(LATENT), stax.Exp)),
)
DECODER = stax.serial(stax.Dense(HIDDEN), stax.Tanh, stax.Dense(PIXELS))


def model(x: Any) -> None:
    decode = numpyro.module("decoder", DECODER, (BATCH, LATENT))
    with numpyro.plate("data", BATCH):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENT]).to_event(1))
        numpyro.sample("x", dist.Bernoulli(logits=decode(z)).to_event(1), obs=x)


def guide(x: Any) -> None:
    encode = numpyro.module("encoder", ENCODER, (BATCH, PIXELS))
    mean, scale = encode(x)
    with numpyro.plate("data", BATCH):
        numpyro.sample("z", dist.Normal(mean, scale).to_event(1))


def keep_compiled() -> None:
    """Let JAX keep all that it compiles on the disk; by itself it keeps nothing."""
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def main(epochs: int) -> None:
    job = Job()
    keep_compiled()
    job.parts["start"] = job.seconds()
    with job.part("data"):
        train, test = map(jnp.asarray, gray_images())
        test = random.bernoulli(random.PRNGKey(1), test).astype(test.dtype)
    svi = numpyro.infer.SVI(model, guide, numpyro.optim.Adam(LR), numpyro.infer.Trace_ELBO())
    many = numpyro.infer.Trace_ELBO(num_particles=SAMPLES)
    steps = len(train) // BATCH

    @jax.jit
    def epoch(state: Any, key: Any, images: Any) -> Any:
        order_key, draw_key = random.split(key)
        order = random.permutation(order_key, len(images))

        def body(i: Any, state: Any) -> Any:
            rows = lax.dynamic_slice_in_dim(order, i * BATCH, BATCH)
            gray = jnp.take(images, rows, axis=0)
            x = random.bernoulli(random.fold_in(draw_key, i), gray).astype(gray.dtype)
            return svi.update(state, x)[0]

        return lax.fori_loop(0, steps, body, state)

    def elbo(state: Any, key: Any, images: Any, loss: Any) -> Any:
        def body(i: Any, total: Any) -> Any:
            x = lax.dynamic_slice_in_dim(images, i * BATCH, BATCH)
            return total - loss.loss(random.fold_in(key, i), svi.get_params(state), model, guide, x)

        return lax.fori_loop(0, len(images) // BATCH, body, 0.0) / len(images)

    measure = jax.jit(lambda state, key, images: elbo(state, key, images, svi.loss))
    measure_many = jax.jit(lambda state, key, images: elbo(state, key, images, many))
    state = svi.init(random.PRNGKey(0), train[:BATCH])
    for i in range(epochs):
        with job.part("steps, the first of which compile"):
            state = jax.block_until_ready(epoch(state, random.PRNGKey(10 + i), train))
        with job.part("evaluation"):
            job.epoch(float(measure(state, random.PRNGKey(2), test)))
    with job.part("evaluation"):
        last = float(measure_many(state, random.PRNGKey(3), test))
    job.finish(last)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    main(parser.parse_args().epochs)
