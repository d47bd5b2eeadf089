"""Data in memory: the same run as from a file, the fingerprint kept, the data asked for again."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import pyro_vae
from pyro_vae.data import load_data
from pyro_vae.data.memory import MEMORY, arrays_of
from pyro_vae.errors import InputError
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options

SMALL = {"epochs": 2, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}


@pytest.fixture
def images():
    return np.random.default_rng(0).random((60, 5, 5), dtype=np.float32)


class Items(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return torch.from_numpy(self.images[i]), i % 3


class Stream(IterableDataset):
    def __init__(self, images):
        self.images = images

    def __iter__(self):
        return iter(self.images)


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, columns):
        self.table, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return self.table[name]

    def to_numpy(self):
        return np.stack(list(self.table.values()), -1)


def pixels_of(given):
    data = load_data(MEMORY, given=given)
    order = np.concatenate([split.rows for split in (data.train, data.validation, data.test)])
    found = torch.cat([split.batch(slice(None)) for split in (data.train, data.validation, data.test)])
    return found[torch.from_numpy(order.argsort())], data


def test_all_that_holds_images_gives_the_same_ones(images):
    kinds = {
        "array": images,
        "tensor": torch.from_numpy(images),
        "channels": images[:, None],
        "tensors": TensorDataset(torch.from_numpy(images)),
        "items": Items(images),
        "loader": DataLoader(Items(images), batch_size=7, shuffle=True),
        "stream": DataLoader(Stream(images), batch_size=7),
        "list": list(images),
        "names": {"x": images},
    }
    for name, given in kinds.items():
        found, data = pixels_of(given)
        assert torch.equal(found, torch.from_numpy(images)[:, None]), name
        assert (data.classes is not None) == (name in ("items", "loader")), name


def test_rows_of_numbers_and_data_frames(images):
    rows = images.reshape(60, 25)
    found, data = pixels_of(rows)
    assert data.image_shape == (1, 1, 25)
    frame = Frame({**{f"pixel {i}": rows[:, i] for i in range(25)}, "label": np.arange(60) % 2})
    same, labelled = pixels_of(frame)
    assert torch.equal(found, same)
    assert labelled.classes == ("0", "1")
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rows).assign(label=["even", "odd"] * 30)
    assert pixels_of(table)[1].classes == ("even", "odd")


def test_an_array_is_neither_copied_nor_converted_before_training_takes_it(images):
    bytes_ = (images * 255).astype(np.uint8)
    for given in (images, torch.from_numpy(images), bytes_):
        stored = load_data(MEMORY, given=given).train.pixels
        assert np.shares_memory(stored, given.numpy() if isinstance(given, torch.Tensor) else given)
    assert load_data(MEMORY, given=bytes_).train.divisor == 255


def test_own_splits_and_labels(images):
    given = {"x_train": images[:40], "y_train": np.arange(40) % 2, "x_test": images[40:], "y_test": np.arange(20) % 2}
    data = load_data(MEMORY, given=given)
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 20)
    assert load_data(MEMORY, given=(images, np.arange(60) % 4)).num_classes == 4


def test_a_run_on_an_array_is_that_on_its_file(images, tmp_path):
    np.save(tmp_path / "x.npy", images)
    of_file = pyro_vae.train(data=str(tmp_path / "x.npy"), out=tmp_path / "file", **SMALL)
    of_array = pyro_vae.train(data=images, out=tmp_path / "array", **SMALL)
    for one, other in zip(of_file.model.parameters(), of_array.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert of_array.config.data == MEMORY
    assert of_array.data["digest"] == of_file.data["digest"]
    found = pyro_vae.features(of_array, images)
    assert np.array_equal(found, pyro_vae.features(of_file, images[:, None]))
    assert np.array_equal(found, pyro_vae.features(of_array, DataLoader(Items(images), batch_size=7)))


def test_a_run_asks_for_its_data_again_and_refuses_others(images, tmp_path):
    run = pyro_vae.train(data=images, out=tmp_path / "a", **SMALL)
    few = Options(images=10, elbo_samples=5)
    for again in (
        lambda **data: pyro_vae.resume(tmp_path / "a", epochs=3, quiet=True, **data),
        lambda **data: evaluate([run.folder.path], few, ["elbo"], train=False, quiet=True, **data),
    ):
        with pytest.raises(InputError, match="were in memory: give them again"):
            again()
        with pytest.raises(InputError, match="has changed since"):
            again(data=images + 0.1)
        again(data=torch.from_numpy(images))
    whole = pyro_vae.train(data=images, out=tmp_path / "b", **{**SMALL, "epochs": 3})
    resumed = pyro_vae.load(tmp_path / "a")
    assert all(torch.equal(a, b) for a, b in zip(whole.guide.parameters(), resumed.guide.parameters(), strict=True))
    again = pyro_vae.train_or_resume(tmp_path / "b", data=images, **{**SMALL, "epochs": 3})
    assert again.weights == whole.weights


class Repeated:
    """A data frame in which a name stands for all its columns of that name, as in pandas."""

    def __init__(self, values, columns):
        self.values, self.columns = values, columns

    def __getitem__(self, name):
        return Repeated(self.values[:, [one == name for one in self.columns]], [])

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize("keep", [0, 5, 25])
def test_validation_images_of_ones_own_that_go_to_training_keep_their_labels(images, keep):
    own = {f"x_{part}": images[:20] + i / 100 for i, part in enumerate(("train", "validation", "test"))}
    own["x_validation"] = np.concatenate([own["x_validation"]] * 2)
    labels = {f"y_{part}": np.full(len(own[f"x_{part}"]), i) for i, part in enumerate(("train", "validation", "test"))}
    data = load_data(MEMORY, given={**own, **labels}, validation=keep)
    moved = np.concatenate([own["x_train"], own["x_validation"][: 40 - keep]])
    assert np.array_equal(data.train.batch(slice(None)).flatten(1), moved.reshape(len(moved), -1))
    assert data.train.labels.tolist() == [0] * 20 + [1] * (40 - keep)
    assert len(data.validation) == (keep or 40)


def test_what_holds_no_images_is_refused_in_one_line(images):
    for given, words in (
        ((images, images, images), "a tuple of 3"),
        ([], "images are N x H x W"),
        (Frame({"a": np.array(["x", "y"] * 30)}), r"column 'a' holds text or dates"),
        (Frame({"a": np.zeros(30), "y": np.zeros(30), "label": np.zeros(30)}), "leave one of labels"),
        (Repeated(np.zeros((30, 2)), ["a", "a"]), "two columns that are called 'a'"),
        ({"pixels": images}, "the images must be called x"),
        ({"x_train": images, "x_val": images, "x_test": images}, "holds x_val: splits are called train, validation"),
    ):
        with pytest.raises(InputError, match=words) as error:
            load_data(MEMORY, given=given)
        assert "\n" not in str(error.value)
    assert set(arrays_of((images, np.zeros(60)))) == {"x", "y"}
