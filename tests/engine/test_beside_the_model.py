"""What a training loop keeps beside its model: it makes no graph, unless the model reads it."""

import cProfile
import gc
import itertools
import pstats
import sys
from collections import deque
from pathlib import Path

import pytest
import torch
from engine_arms import X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO

AT = 5  #: the step before which something changes


class Logging:
    """A model beside its training loop's own: it logs, counts, keeps batches, and knows the kind of its call."""

    def __init__(self):
        self.scale = torch.tensor(1.0)
        self.history, self.recent, self.best = [], deque(maxlen=3), {}
        self.batches = itertools.cycle([40, 30])
        self.steps, self.supervised, self.shape = 0, False, None

    def log(self, loss):
        self.history.append(loss)
        self.recent.append(str(loss))
        self.best[len(self.history)] = loss
        self.steps += 1

    def sample(self):
        return next(self.batches)

    def model(self, x, y=None):
        self.supervised, self.shape = y is not None, x.shape
        with poutine.scale(scale=self.scale.log().exp() * (0.5 if self.supervised else 1.0)):
            model(x)

    def step(self, svi, i):
        loss = svi.step(X[: self.sample()], *([X] if i % 3 == 0 else []))
        self.log(loss)
        return loss


def test_what_the_training_loop_alone_keeps_on_the_models_object_makes_no_graph():
    """Two lengths, with labels and without: four graphs, however long the lists grow."""

    def make():
        held = Logging()
        return held.model, lambda x, y=None: guide(x), adam(), Trace_ELBO(), held

    svi = arms(make, steps=24, drive=lambda svi, context, i: context[0].step(svi, i))
    assert len(svi._captured.graphs) == 4


COLLECTED = 0


def count_collections(phase, info):
    global COLLECTED
    COLLECTED += 1


def test_what_runs_when_garbage_is_collected_makes_no_graph():
    threshold = gc.get_threshold()
    gc.callbacks.append(count_collections)
    gc.set_threshold(1)
    try:
        svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), steps=12)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(count_collections)
    assert COLLECTED
    assert len(svi._captured.graphs) == 1


def test_a_profiler_sees_all_steps_of_a_program_that_is_captured():
    with cProfile.Profile() as profiler:
        svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), steps=12)
    assert len(svi._captured.graphs) == 1
    calls = {(Path(file).name, name): count for (file, _, name), (_, count, *_) in pstats.Stats(profiler).stats.items()}
    assert calls["svi.py", "step"] == 12


@pytest.mark.parametrize("install", [sys.setprofile, sys.settrace])
def test_a_debuggers_function_stays(install):
    events = []

    def note(frame, event, _):
        events.append(event)

    before = sys.getprofile(), sys.gettrace()
    install(note)
    try:
        svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), steps=4)
        assert note in (sys.getprofile(), sys.gettrace())
    finally:
        install(before[install is sys.settrace])
    assert "call" in events
    assert len(svi._captured.graphs) == 1


@pytest.mark.filterwarnings("ignore:.*Profiler clears events:UserWarning")  # torch 2.11 says so
def test_torchs_profiler_sees_all_steps():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], with_stack=True):
        before = sys.getprofile()
        svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), steps=4)
        assert sys.getprofile() is before
    assert len(svi._captured.graphs) == 1


def test_a_table_whose_keys_have_points():
    class Held:
        def __init__(self):
            self.table = {"layer.0": [1.0]}

        def model(self, x):
            with poutine.scale(scale=sum(self.table["layer.0"])):
                model(x)

    def make():
        held = Held()
        return held.model, guide, adam(), Trace_ELBO(), held

    def drive(svi, context, i):
        if i == AT:
            context[0].table["layer.0"].append(1.0)
        return svi.step(X)

    arms(make, drive=drive, audit=False)
