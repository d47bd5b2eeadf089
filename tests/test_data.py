"""Splits that never change, arrays of every layout, and the draws that binary likelihoods see."""

import hashlib
import subprocess
import sys
import threading
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_vae.data import Binarizer, Images, binarize, load_data
from pyro_vae.data.streaming import prefetched
from pyro_vae.errors import InputError


def digest(part: Images) -> str:
    whole = np.concatenate([chunk.numpy() for chunk in part.chunks(100)])
    return hashlib.sha256(whole.tobytes()).hexdigest()[:12]


def test_the_splits_of_the_digits_are_fixed():
    data = load_data("digits")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1297, 250, 250]
    # The digests change only if the split or the pixels do, and with them every published number.
    assert [digest(part) for part in (data.train, data.validation, data.test)] == DIGITS
    assert data.train.labels is not None
    assert len(data.train.labels) == 1297


DIGITS = ["e28ede27860f", "52cb96b098fc", "0c157c1c7797"]


def test_mnist_keeps_its_own_test_images_and_the_last_training_images_for_validation(mnist_root):
    data = load_data("mnist", mnist_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    whole = load_data("mnist", mnist_root, validation=0)
    assert len(whole.train) == 60_000
    torch.testing.assert_close(whole.train.batch(slice(55_000, 55_010)), data.validation.batch(slice(0, 10)))
    # The mean binary entropy of the gray test images, in nats (45.53), which no ELBO on dynamic data can pass.
    x = torch.cat(list(data.test.chunks(1000))).double().clamp(1e-12, 1 - 1e-12)
    entropy = -(x * x.log() + (1 - x) * (1 - x).log()).flatten(1).sum(1).mean().item()
    assert entropy == pytest.approx(45.53, abs=0.005)


def test_frey_faces_are_upright_images_of_28_by_20(mnist_root):
    data = load_data("frey_faces", mnist_root)
    assert data.image_shape == (1, 28, 20)
    assert len(data.train) + len(data.validation) + len(data.test) == 1965
    # Neighbours resemble each other along both axes only where rows and columns are read in the right order.
    x = next(data.train.chunks(200))
    wrong = x.reshape(-1, 1, 20, 28)
    assert (x[..., 1:, :] - x[..., :-1, :]).abs().mean() < 0.6 * (wrong[..., 1:, :] - wrong[..., :-1, :]).abs().mean()
    assert (x[..., 1:] - x[..., :-1]).abs().mean() < 0.08


@pytest.mark.parametrize(
    ("array", "shape", "first"),
    [
        (np.arange(20 * 6, dtype=np.uint8).reshape(20, 2, 3), (1, 2, 3), 1 / 255),
        (np.arange(20 * 30).reshape(20, 3, 2, 5).astype(np.float32) / 600, (3, 2, 5), 1 / 600),
        (np.arange(20 * 90, dtype=np.float64).reshape(20, 6, 5, 3) / 2000, (3, 6, 5), 3 / 2000),
        (np.arange(20 * 6).reshape(20, 2, 3) % 2 == 1, (1, 2, 3), 1.0),
    ],
)
def test_arrays_of_the_usual_layouts_and_types(tmp_path, array, shape, first):
    np.save(tmp_path / "a.npy", array)
    data = load_data(str(tmp_path / "a.npy"))
    assert data.image_shape == shape
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 2, 2)
    assert data.likelihood == ("Bernoulli" if array.dtype == bool else "Gaussian")
    together = torch.cat([next(part.chunks(20)) for part in (data.train, data.validation, data.test)])
    assert together.dtype == torch.float32
    # The first image, wherever it went, still has its second pixel beside its first.
    starts = together[:, 0, 0, 0].sort()
    assert together[starts.indices[0] if array.dtype != bool else 0, 0, 0, 1].item() == pytest.approx(first)


def test_labels_follow_their_images(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (50, 4, 4), dtype=np.uint8)
    x[:, 0, 0] = np.arange(50)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(50))
    data = load_data(str(tmp_path / "a.npz"))
    for part in (data.train, data.validation, data.test):
        stored = (part.batch(slice(0, len(part)))[:, 0, 0, 0] * 255).round().long()
        assert torch.equal(stored, part.labels)


def test_a_folder_of_colour_pictures_with_a_class_for_each_subfolder(tmp_path):
    from PIL import Image

    for i in range(20):
        folder = tmp_path / ("cat" if i % 2 else "dog")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (6, 4), (i, 2 * i, 3 * i)).save(folder / f"{i:02}.png")
    data = load_data(str(tmp_path))
    assert data.image_shape == (3, 4, 6)
    red = (data.train.batch(slice(0, 16))[:, 0, 0, 0] * 255).round().long()
    assert torch.equal(red % 2 == 0, data.train.labels == 1)  # "cat" is class 0 and holds the odd numbers


def bad_array(kind: str) -> np.ndarray:
    good = np.random.default_rng(0).random((30, 4, 4))
    return {
        "NaN": np.where(good > 0.99, np.nan, good),
        "every pixel": np.full((30, 4, 4), 7, np.uint8),
        "empty": np.zeros((0, 4, 4)),
        "has shape": np.zeros((30, 16)),
        "holds <c16": good.astype(complex),
        "at least 20": good[:19],
        "store them as bool": (good > 0.5).astype(np.uint8),
        "first or last": np.zeros((30, 4, 4, 3)),
        "of this machine": good.astype(">f4"),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "NaN",
        "every pixel",
        "empty",
        "has shape",
        "holds <c16",
        "at least 20",
        "store them as bool",
        "first or last",
        "of this machine",
    ],
)
def test_arrays_that_are_not_images_are_named(tmp_path, kind):
    np.save(tmp_path / "bad.npy", bad_array(kind))
    with pytest.raises(InputError, match=kind):
        load_data(str(tmp_path / "bad.npy"))


def test_other_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no array")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be read as an array"):
        load_data(str(tmp_path / "a.npy"))
    with pytest.raises(InputError, match="no picture"):
        load_data(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="nearest are mnist"):
        load_data("mnits")


def test_without_network_one_line_says_what_was_tried_and_what_needs_none(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    for name in ("mnist", "frey_faces"):
        with pytest.raises(InputError) as error:
            load_data(name, tmp_path)
        said = str(error.value)
        assert "\n" not in said
        for part in (str(tmp_path), "could not be downloaded from http", "put ", "--data-root", "--data digits"):
            assert part in said


def test_a_torchvision_that_does_not_import_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(InputError, match="torchvision, which does not import"):
        load_data("mnist", tmp_path)


STREAMED = """
import sys
import numpy as np, torch
from pathlib import Path
from pyro_vae.data import images, load_data

def anonymous_memory():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])

torch.set_num_threads(1)
images._free_memory = lambda device: 200 * 2**20
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
    monkeypatch.setattr("pyro_vae.data.images._free_memory", lambda device: 0)
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
    monkeypatch.setattr("pyro_vae.data.images._free_memory", lambda device: 0)
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


def test_binarize_has_the_probability_of_the_gray_value():
    """Frequencies within five standard errors, of 4e5 draws each; black and white are certain."""
    gray = torch.tensor([0.0, 1 / 255, 0.3, 0.5, 254 / 255, 1.0])
    draws = binarize(gray.expand(400_000, 6), torch.Generator().manual_seed(0)).double()
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    error = (draws.mean(0) - gray.double()).abs()
    assert (error <= 5 * (gray * (1 - gray) / 400_000).sqrt() + 1e-12).all()
    # Thresholds that share a random word are independent all the same.
    centred = draws[:, 2:4] - draws[:, 2:4].mean(0)
    assert abs((centred[:, 0] * centred[:, 1]).mean()) < 5 * 0.25 / 400_000**0.5


def test_held_out_images_have_one_draw_whatever_the_size_of_the_parts():
    data, seen = load_data("digits"), Binarizer(True)
    whole = torch.cat(list(seen.held_out(data.test, 250)))
    torch.testing.assert_close(torch.cat(list(seen.held_out(data.test, 7))), whole, rtol=0, atol=0)
    assert not torch.equal(torch.cat(list(seen.held_out(data.test, 7, seed=1))), whole)
    gray = torch.cat(list(Binarizer(False).held_out(data.test, 64)))
    torch.testing.assert_close(gray, data.test.batch(slice(0, 250)), rtol=0, atol=0)
