"""Images larger than the memory are streamed; the numbers are those of images in memory."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_vae.data import load_data
from pyro_vae.data.streaming import prefetched

STREAMED = """
import sys
import numpy as np, torch
from pathlib import Path
from pyro_vae.data import images, load_data

def anonymous_memory():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])

torch.set_num_threads(1)
images.free_memory = lambda device: 200 * 2**20
next(load_data("digits").train.chunks(100)).sum().item()  # what libraries take at their first use is not of the data
before = anonymous_memory()
train = load_data(sys.argv[1]).train.on(torch.device("cpu"))
order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
total = sum(train.batch(index).sum().item() for index in order.split(100))
expected = np.load(sys.argv[1], mmap_mode="r")[train.rows, 0, 0].astype(float).sum() / 255
print(isinstance(train.pixels, np.memmap), total, expected, anonymous_memory() - before)
"""


def test_a_memory_map_larger_than_the_device_is_streamed_in_bounded_memory(tmp_path):
    """In a process of its own: an engine that ran before lets the allocator keep what is freed."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc, which this system lacks")
    count, side = 100_000, 64  # 410 MB
    array = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (count, side, side))
    array[:, 0, 0] = np.arange(count) % 251
    array.flush()
    del array
    command = [sys.executable, "-c", STREAMED, str(tmp_path / "big.npy")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "True", "the training images stay on the disk"
    assert float(said[1]) == pytest.approx(float(said[2]), rel=1e-4)
    # KiB. The array has 400,000; looking through it in chunks of 2^20 pixels took 21,000 to 69,000.
    assert int(said[3]) < 150_000


def memory_map(path: Path, count: int = 200) -> str:
    rng = np.random.default_rng(0)
    np.save(path / "map.npy", rng.integers(0, 255, (count, 8, 8), dtype=np.uint8))
    return str(path / "map.npy")


class SlowLane:
    """A way to the device on which every copy is made as late as its contract allows, and whose buffers are spoilt
    where they may be."""

    def __init__(self, size: int):
        self.staged = torch.zeros(2, size, 1, 8, 8, dtype=torch.uint8)
        self.arrived = torch.zeros_like(self.staged)
        self.sent: dict[int, int] = {}
        self.calls: list[tuple[str, int]] = []

    def send(self, which, count):
        self.calls.append(("send", which))
        self.arrived[which] = 99
        self.sent[which] = count

    def _arrive(self, which):
        count = self.sent.pop(which, 0)
        self.arrived[which, :count] = self.staged[which, :count]

    def receive(self, which, count):
        self._arrive(which)
        return self.arrived[which, :count]

    def release(self, which):
        self.calls.append(("release", which))
        self.arrived[which] = 77

    def wait(self, which):
        self.calls.append(("wait", which))
        self._arrive(which)


def test_batches_that_are_fetched_ahead_are_those_in_memory_in_their_order(tmp_path):
    train = load_data(memory_map(tmp_path)).train
    order = list(torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).split(30))
    assert len(order[-1]) == 10, "the last batch is shorter"
    lane = SlowLane(30)
    fetched = [stored.clone() for stored in prefetched(train.pixels, [train.rows[i.numpy()] for i in order], lane)]
    for stored, index in zip(fetched, order, strict=True):
        torch.testing.assert_close(stored / 255, train.batch(index), rtol=0, atol=0)
    # The next batch is gathered while this one is worked on, and sent before that work is known to be done.
    assert lane.calls[:6] == [("send", 0), ("wait", 1), ("release", 0), ("send", 1), ("wait", 0), ("release", 1)]


def test_one_who_stops_early_or_asks_for_too_much_leaves_no_thread_behind(tmp_path):
    pixels = load_data(memory_map(tmp_path)).train.pixels
    rows = [np.arange(5), np.arange(5, 10), np.arange(195, 205)]
    batches = prefetched(pixels, rows, SlowLane(10))
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]
    with pytest.raises(IndexError):
        list(prefetched(pixels, rows, SlowLane(10)))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]


def test_a_run_on_a_streamed_memory_map_is_the_run_in_memory(tmp_path, train, monkeypatch):
    flags = ("--data", memory_map(tmp_path), "--epochs", "2", "--batch-size", "30")
    expected = train("in-memory", *flags).read_trace()
    monkeypatch.setattr("pyro_vae.data.images.free_memory", lambda device: 0)
    streamed = train("streamed", *flags).read_trace()
    assert [row[:9] for row in streamed] == [row[:9] for row in expected]  # all but the time


@pytest.mark.cuda
@pytest.mark.parametrize("kind", ["memory map", "array", "tensor"])
def test_what_is_too_large_for_the_device_goes_there_batch_by_batch(tmp_path, monkeypatch, kind):
    device = torch.device("cuda", 0)
    split = load_data(memory_map(tmp_path, 2000)).train
    order = list(torch.randperm(len(split), generator=torch.Generator().manual_seed(0)).split(100))
    expected = [split.batch(index) for index in order]
    if kind == "array":
        split = replace(split, pixels=np.array(split.pixels))
    elif kind == "tensor":
        split = replace(split, pixels=torch.from_numpy(np.array(split.pixels[split.rows])), rows=None)
    monkeypatch.setattr("pyro_vae.data.images.free_memory", lambda device: 0)
    split = split.on(device)
    assert isinstance(split.pixels, np.ndarray)
    busy = torch.randn(2000, 2000, device=device)
    for x, wanted in zip(split.minibatches([index.to(device) for index in order]), expected, strict=True):
        for _ in range(5):  # keeps the device behind the host, which the buffers have to bear
            busy = (busy @ busy).clamp(-1, 1)
        assert x.device == device
        torch.testing.assert_close(x.cpu(), wanted, rtol=2e-7, atol=0)  # CUDA multiplies by 1/255 where a CPU divides
    # Without a wait in between, the copies still arrive before they are read and not after.
    torch.testing.assert_close([x.sum() for x in split.minibatches(order)], [x.sum().to(device) for x in expected])
    together = torch.cat(list(split.chunks(64)))
    torch.testing.assert_close(together.cpu(), split.batch(slice(0, len(split))).cpu(), rtol=0, atol=0)
