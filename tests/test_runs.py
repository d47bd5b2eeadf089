"""The files of a run folder: what goes in comes out, whole or not at all."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_vae.errors import InputError
from pyro_vae.files import write_atomic
from pyro_vae.runs import RunFolder, TraceRow

numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | st.text()
tensors = st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(torch.tensor)
states = st.recursive(
    scalars | tensors,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(0, 99), inner, max_size=3),
    max_leaves=12,
)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=60)
@given(state=st.dictionaries(st.text(), states, max_size=4))
def test_a_checkpoint_gives_back_any_nested_state(tmp_path_factory, state):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.save("last", state)
    assert same(state, folder.restore("last"))


def test_an_optimizer_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path):
    def trained(optimizer, parameter, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (parameter**4).sum().backward()
            optimizer.step()

    whole = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    trained(torch.optim.Adam([whole], lr=0.1), whole, 7)
    first = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    optimizer = torch.optim.Adam([first], lr=0.1)
    trained(optimizer, first, 4)
    folder = RunFolder(tmp_path)
    folder.save("last", {"weights": first, "optimizer": optimizer.state_dict()})
    state = folder.restore("last")
    second = torch.nn.Parameter(state["weights"])
    optimizer = torch.optim.Adam([second], lr=0.5)
    optimizer.load_state_dict(state["optimizer"])
    trained(optimizer, second, 3)
    assert torch.equal(second, whole)


row_values = st.tuples(*[numbers] * 4, st.none() | numbers, *[numbers] * 3)


@given(epochs=st.lists(st.lists(row_values, min_size=2, max_size=2), max_size=3), steps=st.integers(1, 10**8))
@settings(deadline=None, max_examples=40)
def test_a_trace_gives_back_every_bit_of_its_rows(tmp_path_factory, epochs, steps):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    rows = [
        TraceRow(steps * epoch, epoch, split, *values)
        for epoch, both in enumerate(epochs, 1)
        for split, values in zip(("train", "test"), both, strict=True)
    ]
    folder.write_trace(rows)
    assert folder.read_trace() == rows


def test_metrics_replace_their_own_entries_and_leave_the_others(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.read_metrics() == {}
    folder.update_metrics(a=1, b={"value": math.pi})
    folder.update_metrics(a=2)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": 2, "b": {"value": math.pi}}
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        folder.read_metrics()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a", "old")

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr("pyro_vae.files.os.replace", fail)
    with pytest.raises(OSError, match="no"):
        write_atomic(tmp_path / "a", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]
