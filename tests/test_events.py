"""TensorBoard's events, read back by TensorBoard's own reader."""

import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from pyro_vae import plots
from pyro_vae.events import SPLITS, Events, options
from pyro_vae.pictures import save_figure
from pyro_vae.runs import RunFolder, TraceRow

GUIDE = "guide: {class_path: guides.IAF, init_args: {transforms: 4}}\n"
CONFIG = GUIDE + "epochs: 3\nlr: 0.001\nout: runs/a\nlabels: null\n"


def rows(epoch: int, shift: float = 0.0) -> list[TraceRow]:
    """What a run adds after an epoch of ten steps."""
    norms = {"train": 2.0, "validation": None, "test": None}
    elbos = {split: -100.0 + epoch + i / 10 + shift for i, split in enumerate(SPLITS)}
    return [TraceRow(10 * epoch, epoch, s, e, e + 20, 20.0, 1.0, norms[s], 1e-3, 0.5, 1e4) for s, e in elbos.items()]


def read(path) -> EventAccumulator:
    return EventAccumulator(str(path), {"images": 0, "scalars": 0, "tensors": 0}).Reload()


def scalars(path) -> dict[str, list[tuple[int, float]]]:
    found = read(path)
    return {tag: [(e.step, round(e.value, 3)) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.fixture
def written(tmp_path):
    """Three epochs, of which only two are in the last checkpoint; then the run goes on with another third."""
    events = Events(tmp_path, CONFIG)
    for epoch in (1, 2, 3):
        for row in rows(epoch):
            events.add(row)
    events.pictures(tmp_path / "figures", 30)
    time.sleep(1.1)  # TensorBoard reads event files in the order of their names, which have the second
    again = Events(tmp_path, CONFIG, last_step=20)
    for row in rows(3, shift=0.5):
        again.add(row)
    again.finish(-96.25, 30)
    return tmp_path


def test_a_quantity_has_one_chart_with_every_split_in_it(written):
    found = {split: scalars(written / split) for split in SPLITS}
    bound = {"bound/elbo", "bound/log_likelihood", "bound/kl"}
    assert set(found["validation"]) == set(found["test"]) == bound
    assert set(found["train"]) == bound | {"steps/beta", "steps/lr", "steps/grad_norm"}  # once, not for each split
    assert sorted(found["train"])[:3] == sorted(bound)  # the ELBO stands first


def test_what_a_killed_run_wrote_after_its_checkpoint_is_dropped(written):
    assert scalars(written / "test")["bound/elbo"] == [(10, -98.8), (20, -97.8), (30, -96.3)]
    assert scalars(written / "train")["steps/grad_norm"] == [(10, 2.0), (20, 2.0), (30, 2.0)]
    assert scalars(written) == {"test_elbo": [(30, -96.25)]}


def test_runs_can_be_compared_by_their_options(written):
    found = read(written)
    plugin = found.summary_metadata
    start = metadata.parse_session_start_info_plugin_data(plugin[metadata.SESSION_START_INFO_TAG].plugin_data.content)
    values = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert values == {"guide": "IAF", "guide.transforms": 4, "epochs": 3, "lr": 0.001}
    whole = metadata.parse_experiment_plugin_data(plugin[metadata.EXPERIMENT_TAG].plugin_data.content)
    assert [metric.name.tag for metric in whole.metric_infos] == ["test_elbo"]
    end = metadata.parse_session_end_info_plugin_data(plugin[metadata.SESSION_END_INFO_TAG].plugin_data.content)
    assert end.status == 1  # success
    assert "config/text_summary" in found.Tags()["tensors"]


def test_options_are_flat():
    text = (
        "guide:\n  class_path: a.B\n  init_args: {inner: {class_path: c.D}, sizes: [1, 2], none: null}\ndevice: cpu\n"
    )
    assert options(text) == {"guide": "B", "guide.inner": "D", "guide.sizes": "[1, 2]"}


def test_pictures_come_seldom_and_the_last_ones_always(tmp_path):
    folder = RunFolder.create(tmp_path, CONFIG)
    save_figure(folder, "prior_samples", plots.image_square(np.zeros((4, 1, 8, 8)), "none"))
    events = Events(tmp_path, CONFIG)
    for step in range(10, 110, 10):
        events.pictures(folder.figures, step)
    events.pictures(folder.figures, 110, last=True)
    events.finish(0.0, 110)
    images = read(tmp_path).Images("prior_samples")
    assert [image.step for image in images] == [10, 20, 40, 80, 110]
    assert images[0].encoded_image_string.startswith(b"\x89PNG")
    assert images[0].width > 300


@pytest.mark.pictures
def test_a_run_leaves_events_with_its_pictures(train):
    folder = train("a", "--data", "digits")
    found = read(folder.path)
    assert {"latent", "prior_samples", "reconstructions", "trace"} <= set(found.Tags()["images"])
    assert found.Scalars("test_elbo")[0].value == pytest.approx(folder.read_metrics()["test_elbo"]["value"], rel=1e-6)
    steps = [row.step for row in folder.read_trace() if row.split == "validation"]
    assert [step for step, _ in scalars(folder.path / "validation")["bound/elbo"]] == steps
