"""Named data sets: each keeps its contract, and help, README and command line list what is declared.

python tests/data/test_sets.py        # writes the table in README.md
"""

import urllib.error
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from pyro_vae import plugs, svi
from pyro_vae.data import load_data
from pyro_vae.data.sets import OWN, data_sets
from pyro_vae.data.sets.digits import DIGITS
from pyro_vae.errors import InputError
from pyro_vae.testing import check_data_set

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- data sets: python tests/data/test_sets.py writes this table -->\n"
END = "<!-- end of data sets -->\n"
HEAD = "| `--data` | train / validation / test | image | likelihood | |\n| --- | --- | --- | --- | --- |\n"


def written() -> str:
    """README.md with the table of what is declared."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    rows = "".join(f"{one.line()}\n" for _, one in sorted(OWN.items()))
    return f"{before}{BEGIN}\n{HEAD}{rows}\n{END}{rest.partition(END)[2]}"


def test_readme_lists_what_is_declared():
    assert README.read_text(encoding="utf-8") == written(), "write it: python tests/data/test_sets.py"


@pytest.mark.parametrize("name", OWN)
def test_each_keeps_its_contract(name, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("a test downloads nothing")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    try:
        check_data_set(OWN[name])
    except InputError as absent:
        pytest.skip(str(absent))


twin = replace(DIGITS, name="twin")


@pytest.fixture
def _twin_is_declared(monkeypatch):
    points = [EntryPoint("twin", "test_sets:twin", "pyro_vae.data_sets")]
    monkeypatch.setattr(plugs, "entry_points", lambda group: [point for point in points if point.group == group])
    plugs.declared.cache_clear()
    yield
    plugs.declared.cache_clear()


@pytest.mark.usefixtures("_twin_is_declared")
def test_one_of_an_installed_package_is_found_by_name_and_in_the_help(capsys):
    assert data_sets().keys() == {*OWN, "twin"}
    found, own = load_data("twin"), load_data("digits")
    assert found.name == "twin"
    assert torch.equal(found.test.batch(slice(None)), own.test.batch(slice(None)))
    with pytest.raises(SystemExit):
        svi.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ", ".join(sorted([*OWN, "twin"])) in shown
    with pytest.raises(InputError, match="nearest are twin"):
        load_data("twni")


def overlapping(root):
    train, validation, _ = DIGITS.read(root)
    return train, validation, validation


def changing(root, reads=[]):  # noqa: B006 (counts its calls)
    reads.append(1)
    train, validation, test = DIGITS.read(root)
    return (train, validation, test) if len(reads) % 2 else (train, test, validation)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": (1297, 250, 251)}, "test images: there are 250, and 251 are declared"),
        ({"image_shape": (1, 8, 9)}, "training images: an image must have shape"),
        ({"likelihood": "Poisson"}, "likelihood is 'Poisson'"),
        ({"name": "my digits"}, "its name must be letters"),
        ({"read": overlapping}, "an image is in two splits"),
        ({"read": changing}, "a second reading gives other images"),
    ],
)
def test_what_is_wrong_is_said(changes, words):
    with pytest.raises(AssertionError, match=words):
        check_data_set(replace(DIGITS, **changes))


if __name__ == "__main__":
    README.write_text(written(), encoding="utf-8")
    print(f"wrote {README}")
