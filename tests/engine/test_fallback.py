"""What cannot be captured says so by its line, and ``auto`` goes on eagerly."""

import inspect
import random

import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_cases import captured_step, images, run, vae
from torch import nn

from pyro_vae.engine import SVI, CaptureError, StepOptions


def reads_a_number(x, weight):
    scale = weight.sum().item()
    pyro.sample("x", dist.Normal(weight, abs(scale)).to_event(1), obs=x)


def branches_on_data(x, weight):
    if (weight * x).sum() > 0:
        weight = weight * 2
    pyro.sample("x", dist.Normal(weight, 1.0).to_event(1), obs=x)


def selects_by_data(x, weight):
    chosen = x[x > 0]
    pyro.sample("x", dist.Normal(weight.sum(), 1.0).expand(chosen.shape).to_event(1), obs=chosen)


def draws_from_python(x, weight):
    pyro.sample("x", dist.Normal(weight * random.random(), 1.0).to_event(1), obs=x)


def draws_from_a_generator(x, weight, generator=torch.Generator()):  # noqa: B008
    noise = torch.randn(3, generator=generator)
    pyro.sample("x", dist.Normal(weight + noise, 1.0).to_event(1), obs=x)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (reads_a_number, "weight.sum().item()"),
        (branches_on_data, "if (weight * x).sum() > 0"),
        (selects_by_data, "x[x > 0]"),
        (draws_from_python, "Python's random numbers are drawn"),
        (draws_from_a_generator, "a generator of the program's own"),
    ],
)
def test_what_breaks_capture_is_named_by_its_line(model, line):
    step, weight = captured_step(model)
    state = torch.get_rng_state()
    with pytest.raises(CaptureError) as error:
        step(torch.tensor([1.0, -2.0, 3.0]))
    message = str(error.value)
    assert line in message
    assert "\n" not in message
    if "drawn" not in message:
        source, first = inspect.getsourcelines(model)
        number = first + next(i for i, text in enumerate(source) if line in text)
        assert __file__ in message
        assert f":{number}," in message
    assert torch.equal(weight, torch.ones(3)), "an attempt at capture moved the parameters"
    assert torch.equal(torch.get_rng_state(), state), "an attempt at capture drew random numbers"


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        branches_on_data(x, self.weight)


def test_auto_falls_back_to_eager_and_says_why_in_one_line():
    model, x = Branching(), torch.ones(3)
    elbo = pyro.infer.Trace_ELBO()
    long = StepOptions(num_steps=10**6)
    svi = SVI(model, lambda x: None, torch.optim.SGD(model.parameters(), 0.1), elbo, engine="auto", options=long)
    with pytest.warns(UserWarning, match=r"runs eagerly.*if \(weight \* x\)") as caught:
        svi.step(x)
    assert "\n" not in str(caught[0].message)
    assert svi.engine == "eager"
    assert "test_fallback.py" in svi.fallback
    assert svi.step(x) > svi.step(x)
    named = SVI(model, lambda x: None, torch.optim.SGD(model.parameters(), 0.1), elbo, engine="compiled")
    with pytest.raises(CaptureError, match=r"if \(weight"):
        named.step(x)


def test_auto_captures_runs_of_some_seconds_and_compiles_long_ones():
    for steps, expected in [(None, "auto"), (100, "eager"), (2000, "captured"), (10**6, "compiled")]:
        svi = vae(engine="auto", num_steps=steps)
        svi._choose((images(),))
        assert svi.engine == expected
    with pytest.raises(ValueError, match="no engine"):
        vae(engine="warp").step(images())


@pytest.mark.parametrize("optim", [torch.optim.SGD([nn.Parameter(torch.ones(()))], 0.1), pyro.optim.SGD({"lr": 0.1})])
def test_auto_compiles_a_run_of_unknown_length_after_its_eager_steps(monkeypatch, optim):
    monkeypatch.setattr("pyro_vae.engine.svi.EAGER_STEPS", 3)
    mean = optim.param_groups[0]["params"][0] if isinstance(optim, torch.optim.Optimizer) else torch.ones(())

    def model(x):
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(pyro.param("mean", mean), 1.0), obs=x)

    svi = SVI(model, lambda x: None, optim, pyro.infer.Trace_ELBO())
    engines = []
    for _ in range(5):
        svi.step(torch.zeros(4))
        engines.append(svi.engine)
    assert engines == ["auto", "auto", "auto", "compiled", "compiled"]


def test_many_kinds_of_batches_run_eagerly_after_the_last_graph(monkeypatch):
    monkeypatch.setattr("pyro_vae.engine.captured.MAX_GRAPHS", 2)
    svi, eager = vae(engine="captured"), vae()
    batches = [images(n) for n in (1, 2, 3)]
    with pytest.warns(UserWarning, match="2 other kinds"):
        found = run(svi, 6, batches)
    torch.testing.assert_close(found, run(eager, 6, batches), rtol=1e-5, atol=1e-5)
    assert len(svi._captured.graphs) == 2


def test_without_a_compiler_the_graph_runs_by_itself(monkeypatch):
    import torch._inductor

    def broken(*args, **kwargs):
        raise RuntimeError("no g++ here")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    svi = vae(engine="compiled")
    with pytest.warns(UserWarning, match="one by one: RuntimeError: no g\\+\\+ here"):
        found = run(svi, 5)
    torch.testing.assert_close(found, run(vae(), 5), rtol=1e-5, atol=1e-5)
