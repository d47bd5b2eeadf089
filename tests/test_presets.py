"""--preset and --precision auto: what they settle, and what goes before them."""

import pytest
import torch

from pyro_vae import svi
from pyro_vae.engine import precision
from pyro_vae.errors import InputError
from pyro_vae.options import make_parser, parse_arguments, settings_of, settle
from pyro_vae.presets import PRESETS
from pyro_vae.runs import RunFolder
from tests.small import SMALL_RUN


def parsed(*words):
    parser = make_parser()
    return settle(parser, parse_arguments(parser, list(words)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_options(name):
    found = parsed("--preset", name)
    assert {key: getattr(found.config, key) for key in PRESETS[name]} == PRESETS[name]
    assert found.text == settings_of(PRESETS[name]).text == settings_of({"preset": name}).text


def test_what_is_given_goes_before_it(tmp_path):
    (tmp_path / "a.yaml").write_text("lr: 0.5\n")
    for words in (["--lr", "0.5", "--preset=fast"], ["--preset", "fast", "--config", str(tmp_path / "a.yaml")]):
        found = parsed(*words).config
        assert found.lr == 0.5
        assert found.batch_size == PRESETS["fast"]["batch_size"]
    assert settings_of({"preset": "fast", "lr": 0.5}).config.lr == 0.5
    found = settings_of({"preset": "fast", "config": str(tmp_path / "a.yaml")}).config
    assert (found.lr, found.batch_size) == (0.5, parsed("--preset", "fast").config.batch_size)


def test_an_unknown_one_is_one_line():
    with pytest.raises(InputError, match=r"no preset 'fats'.*fast"):
        parsed("--preset", "fats")
    with pytest.raises(InputError, match=r"no preset 'fats'.*fast"):
        settings_of({"preset": "fats"})


@pytest.mark.parametrize(("gain", "taken"), [(3.0, "bf16"), (1.2, "fp32")])
def test_precision_auto_takes_bf16_where_a_product_is_faster_and_says_so(gain, taken, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("pyro_vae.training.prepare.bf16_gain", lambda *size: asked.append(size) or gain)
    svi.main([*SMALL_RUN, "--precision", "auto", "--batch-size", "50", "--out", str(tmp_path / "a")])
    assert asked == [(50, 64, torch.device("cpu"))]
    assert f"precision: {taken}" in RunFolder(tmp_path / "a").config_text()
    first = capsys.readouterr().out.splitlines()[0]
    assert f"precision {taken} (whose products take {1 / gain:.2f} of the time of fp32's here)" in first
    assert len(asked) == 1
    svi.main(["--resume", str(tmp_path / "a"), "--epochs", "2"])
    assert len(asked) == 1  # a resumed run keeps what it took


def test_the_gain_is_a_ratio_of_times():
    assert 0.001 < precision.bf16_gain(64, 128, torch.device("cpu")) < 1000
