"""The programs with networks in NumPyro, from the same first weights; see :mod:`benchmarks.program_networks`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.infer import Trace_ELBO, TraceMeanField_ELBO, autoguide, init_to_feasible

from benchmarks.numpyro_arm import Pair, Start, array, pair
from benchmarks.program_case import coins, draws


def weights(name: str, start: Start) -> dict[str, Any]:
    """The parameters of a module, those that its twin in Pyro's store starts from."""
    held = {key.removeprefix(f"{name}$$$"): value for key, value in start.items() if key.startswith(f"{name}$$$")}
    return numpyro.param(f"{name}$params", held)


def dense(layers: dict[str, Any], within: str = "") -> Callable[[Any], Any]:
    """Linear layers with softplus between them."""
    names = sorted(key.removesuffix(".weight") for key in layers if key.startswith(within) and key.endswith(".weight"))

    def apply(x: Any) -> Any:
        for i, name in enumerate(names):
            x = x @ layers[f"{name}.weight"].T + layers[f"{name}.bias"]
            x = jax.nn.softplus(x) if i < len(names) - 1 else x
        return x

    return apply


def _autoencoder(start: Start, sizes: tuple[int, int, int] = (50, 64, 5), labels: int = 0, loss: Any = None) -> Pair:
    rows, pixels, latent = sizes
    x = array(coins(rows, pixels))
    y = jax.nn.one_hot(jnp.arange(rows) % 3, 3) if labels else jnp.zeros((rows, 0))

    def model(x: Any, y: Any) -> None:
        decode = dense(weights("decoder", start))
        with numpyro.plate("data", rows):
            z = numpyro.sample("z", dist.Normal(jnp.zeros((rows, latent)), 1.0).to_event(1))
            logits = decode(jnp.concatenate([z, y], -1))
            numpyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: Any, y: Any) -> None:
        loc, scale = jnp.split(dense(weights("encoder", start))(jnp.concatenate([x, y], -1)), 2, -1)
        with numpyro.plate("data", rows):
            numpyro.sample("z", dist.Normal(loc, jax.nn.softplus(scale)).to_event(1))

    return Pair(model, guide, (x, y), lr=1e-3, loss=loss)


@pair("autoencoder_Trace")
def _(start: Start) -> Pair:
    return _autoencoder(start)


@pair("autoencoder_TraceMeanField")
def _(start: Start) -> Pair:
    return _autoencoder(start, loss=TraceMeanField_ELBO())


@pair("autoencoder_of_the_size_of_digits")
def _(start: Start) -> Pair:
    return _autoencoder(start, (128, 784, 20))


@pair("conditional_autoencoder")
def _(start: Start) -> Pair:
    return _autoencoder(start, labels=3)


def gru(layer: dict[str, Any], inputs: Any) -> Any:
    """The states of PyTorch's GRU, ``(N, T, hidden)``; one step after the other, as the time is short."""
    hidden = layer["rnn.weight_hh_l0"].shape[1]
    state, states = jnp.zeros((len(inputs), hidden)), []
    for t in range(inputs.shape[1]):
        given = inputs[:, t] @ layer["rnn.weight_ih_l0"].T + layer["rnn.bias_ih_l0"]
        own = state @ layer["rnn.weight_hh_l0"].T + layer["rnn.bias_hh_l0"]
        reset, update = jnp.split(jax.nn.sigmoid(given[:, : 2 * hidden] + own[:, : 2 * hidden]), 2, -1)
        new = jnp.tanh(given[:, 2 * hidden :] + reset * own[:, 2 * hidden :])
        state = (1 - update) * new + update * state
        states.append(state)
    return jnp.stack(states, 1)


@pair("deep_markov_model")
def _(start: Start) -> Pair:
    def model(x: Any) -> None:
        layers = weights("markov", start)
        move, emit = dense(layers, "move."), dense(layers, "emit.")
        with numpyro.plate("sequences", len(x)):
            z = jnp.zeros((len(x), 4))
            for t in range(x.shape[1]):
                loc, scale = jnp.split(move(z), 2, -1)
                z = numpyro.sample(f"z_{t}", dist.Normal(loc, jax.nn.softplus(scale)).to_event(1))
                numpyro.sample(f"x_{t}", dist.Bernoulli(logits=emit(z)).to_event(1), obs=x[:, t])

    def guide(x: Any) -> None:
        layers = weights("markov", start)
        states, combine = gru(layers, x[:, ::-1])[:, ::-1], dense(layers, "combine.")
        with numpyro.plate("sequences", len(x)):
            z = jnp.zeros((len(x), 4))
            for t in range(x.shape[1]):
                loc, scale = jnp.split(combine(jnp.concatenate([z, states[:, t]], -1)), 2, -1)
                z = numpyro.sample(f"z_{t}", dist.Normal(loc, jax.nn.softplus(scale)).to_event(1))

    clipped = numpyro.optim.ClippedAdam(lambda step: 1e-3 * 0.999 ** (step + 1), clip_norm=10.0)
    return Pair(model, guide, (array(coins(20, 6, 6)),), optim=clipped)


@pair("sparse_gamma_network")
def _(start: Start) -> Pair:
    def layer(name: str, shape: tuple[int, ...]) -> Any:
        return numpyro.sample(name, dist.Gamma(0.1 * jnp.ones(shape), 0.3).to_event(len(shape)))

    def model(x: Any) -> None:
        top, low = layer("w_top", (4, 8)), layer("w_low", (8, 16))
        with numpyro.plate("data", len(x)):
            z = numpyro.sample("z_top", dist.Gamma(0.1 * jnp.ones(4), 0.1).to_event(1))
            z = numpyro.sample("z_low", dist.Gamma(0.1 * jnp.ones(8), 0.1 / (z @ top + 1e-2)).to_event(1))
            numpyro.sample("x", dist.Poisson(z @ low + 1e-2).to_event(1), obs=x)

    guide = autoguide.AutoNormal(model, init_loc_fn=init_to_feasible)
    return Pair(model, guide, (array(coins(20, 16) * 3),), optim=numpyro.optim.ClippedAdam(1e-3, clip_norm=10.0))


@pair("bayesian_network")
def _(start: Start) -> Pair:
    def model(x: Any, y: Any) -> None:
        def layer(name: str, inputs: int, outputs: int) -> tuple[Any, Any]:
            weight = numpyro.sample(f"{name}.weight", dist.Normal(0.0, 1.0).expand([outputs, inputs]).to_event(2))
            return weight, numpyro.sample(f"{name}.bias", dist.Normal(0.0, 1.0).expand([outputs]).to_event(1))

        weight, bias = layer("first", 3, 16)
        hidden = jnp.tanh(x @ weight.T + bias)
        weight, bias = layer("second", 16, 1)
        noise = numpyro.sample("noise", dist.HalfNormal(1.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("y", dist.Normal((hidden @ weight.T + bias)[:, 0], noise), obs=y)

    x = draws(100, 3)
    guide = autoguide.AutoNormal(model, init_loc_fn=init_to_feasible)
    return Pair(model, guide, (array(x), array(x.sin().sum(-1))), loss=Trace_ELBO())
