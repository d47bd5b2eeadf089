"""A YAML file is a table of plain values, read at once or refused in one line."""

import time
from itertools import pairwise

import pytest
import yaml

import pyro_vae
from pyro_vae import svi
from pyro_vae.errors import InputError
from pyro_vae.options import make_parser, parse_arguments, settings_from, settings_of
from pyro_vae.yaml_table import read_table


def bomb(first: str, line: str) -> str:
    """Ten lines, of which each repeats the one before nine times."""
    names = "abcdefghij"
    return first + "".join(f"{own}: &{own} {line % ','.join([f'*{before}'] * 9)}\n" for before, own in pairwise(names))


BAD_YAML = {
    "a bomb": (bomb("a: &a [x]\n", "[%s]"), "values"),
    "a bomb of merges": (bomb("a: &a {x: 1}\n", "{<<: [%s]}"), "values"),
    "a merge with itself": ("a: &a\n  <<: *a\n", "stands in"),
    "a list in itself": ("a: &a [*a]\n", "stands in"),
    "init_args in itself": ("guide: &g {class_path: IAF, init_args: *g}\n", "stands in"),
    "a key twice": ("seed: 1\nepochs: 2\nseed: 2\n", "'seed' comes twice"),
    "a key twice beneath": ("guide: {class_path: IAF, class_path: os.system}\n", "'class_path' comes twice"),
    "deep": ("a: " + "[" * 40 + "]" * 40 + "\n", "nested deeper"),
    "deeper": ("[" * 90_000, "cannot be read"),
    "long": ("a: " + "x" * 200_000, "letters"),
    "a bomb in a text": ("lr: '[&a [x], *a]'\n", "alias"),
    "a python tag": ("a: !!python/object/apply:os.system [x]\n", "tag"),
    "no table": ("[]\n", "not a table"),
    "empty": ("", "not a table"),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_yaml_is_one_line_at_once(tmp_path, name):
    text, words = BAD_YAML[name]
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "trace.csv").write_text("")
    for way in (
        lambda: read_table(text, "FILE"),
        lambda: svi.main(["--config", str(tmp_path / "config.yaml")]),
        lambda: pyro_vae.load(tmp_path),
        lambda: svi.main(["--resume", str(tmp_path)]),
    ):
        began = time.process_time()
        with pytest.raises(InputError, match=words) as told:
            way()
        assert "\n" not in str(told.value)
        assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["guide: null", "guide: {}", "prior: ~", "beta:", "data: null", "seed: null", "lr:"])
def test_null_is_not_read_as_the_default(tmp_path, text):
    """But where null is the default, as of the likelihood, which the data choose then."""
    name = text.partition(":")[0]
    file = tmp_path / "c.yaml"
    file.write_text(text)
    for way in (
        lambda: settings_from(text),
        lambda: parse_arguments(make_parser(), ["--config", str(file)]),
        lambda: settings_of({"config": file}),
        lambda: settings_of(yaml.safe_load(text)),
    ):
        with pytest.raises(InputError, match=f"gives no value to {name}: leave it out for its default"):
            way()
    assert settings_from("likelihood: null\npatience: null\n").text == settings_from("{}").text


def test_numbers_of_a_file_are_those_of_the_command_line():
    table = read_table("lr: 1e-3\nweight_decay: 1.5e3\nclip_norm: .5\ndata: 2020-01-01\nseed: 3\n", "FILE")
    assert table == {"lr": 1e-3, "weight_decay": 1500.0, "clip_norm": 0.5, "data": "2020-01-01", "seed": 3}
