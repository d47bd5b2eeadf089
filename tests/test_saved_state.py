"""What stands in a checkpoint, though its digest is right: another structure, other numbers, another optimizer."""

import json
from pathlib import Path

import pytest
import torch

import pyro_vae
from pyro_vae import evaluate, svi
from pyro_vae.errors import InputError
from pyro_vae.optim import make_optimizer
from pyro_vae.saved_state import check_state, restore_optimizer


def resume(path: Path) -> None:
    svi.main(["--resume", str(path), "--epochs", "4"])


def measure(path: Path) -> None:
    evaluate.main([str(path), "--only", "elbo", "--images", "9", "--train", "false", "--device", "cpu"])


SPOILT = {
    "state": [3, [], {}, {"epoch": 1}, None],
    "image_shape": [3, ["a"], [0, 8, 8], [1e400, 8, 8], None, "x"],
    "model": [3, [], {"a": 1}, None],
    "guide": [{"a": None}],
    "num_classes": [-1, "x", 1.5],
    "classes": [3, [1, 2], "ab"],
    "stored": [[], ["uint8"], [1, 2], 3],
    "origin": [3, {"data": 3}, {"options": 3}, {"data": {}}],
    "optimizer": [3, {}, {"state": 1, "param_groups": []}, {"state": {}, "param_groups": [3]}],
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_entry_of_another_structure_is_named(name, train):
    folder = train("a")
    for which, command in {"last": resume, "best": measure}.items():
        good = folder.restore(which)
        for value in SPOILT[name] if name in good else []:
            folder.save(which, {**good, name: value})
            with pytest.raises(InputError, match=f"is not as a run writes it: its entry '{name}'"):
                command(folder.path)
        folder.save(which, good)
    pyro_vae.load(folder.path)


def test_a_whole_that_is_no_table_is_refused():
    for state in (3, [], None, {1: 2}):
        for which in ("last", "best", "evaluation"):
            with pytest.raises(InputError, match="is not"):
                check_state(state, which)


def test_weights_that_are_not_finite_are_refused(train):
    folder = train("a")
    for which, commands in {"best": (pyro_vae.load, measure), "last": (resume,)}.items():
        state = folder.restore(which)
        next(iter(state["guide"].values())).view(-1)[0] = float("nan")
        folder.save(which, state)
        for command in commands:
            with pytest.raises(InputError, match=f"checkpoint.{which}.safetensors are not finite numbers"):
                command(folder.path)


def stepped(name: str, size: int = 3) -> torch.optim.Optimizer:
    parameter = torch.nn.Parameter(torch.ones(size))
    optimizer = make_optimizer(name, [parameter], 1e-3, 0.0)  # type: ignore[arg-type]
    parameter.grad = torch.ones(size)
    optimizer.step()
    return optimizer


NAMES = ("Adam", "AdamW", "Adamax", "Adagrad", "RMSprop", "SGD")


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_takes_its_own_state_and_no_other(name):
    saved = stepped(name).state_dict()
    own = make_optimizer(name, [torch.nn.Parameter(torch.ones(3))], 1e-3, 0.0)
    restore_optimizer(own, saved)
    assert json.dumps(own.state_dict(), default=str) == json.dumps(saved, default=str)
    for other in NAMES:
        if other != name and {name, other} != {"Adam", "AdamW"}:
            with pytest.raises(InputError, match="another optimizer"):
                restore_optimizer(make_optimizer(other, [torch.nn.Parameter(torch.ones(3))], 1e-3, 0.0), saved)
    if name != "SGD":  # which keeps nothing of a parameter here
        with pytest.raises(InputError, match="other parameters"):
            restore_optimizer(make_optimizer(name, [torch.nn.Parameter(torch.ones(4))], 1e-3, 0.0), saved)


@pytest.mark.parametrize(
    "metrics",
    [[], 3, {"evaluation": []}, {"evaluation": {"test": 3}}, {"evaluation": {"test": {"elbo": {}}}},
     {"evaluation": {"test": {"elbo": {"settings": 3}}}}, {"test_elbo": 3}],
)  # fmt: skip
def test_metrics_of_another_structure_are_one_line_or_measured_again(metrics, train):
    folder = train("a")
    measure(folder.path)
    (folder.path / "metrics.json").write_text(json.dumps(metrics))
    try:
        measure(folder.path)
    except InputError as error:
        assert "metrics.json" in str(error)  # noqa: PT017 (either is right)
    else:
        assert "elbo" in folder.read_metrics()["evaluation"]["test"]


def test_an_estimate_of_a_later_version_is_one_line(train):
    folder = train("a")
    measure(folder.path)
    metrics = folder.read_metrics()
    metrics["evaluation"]["test"]["elbo"]["figures"]["elbo"]["newer"] = 1
    (folder.path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="is not as evaluate writes it"):
        measure(folder.path)
