"""Classes that the user typed are the user's own, and are remembered with their file and its digest."""

import sys
from pathlib import Path

import pytest
import torch
from small import SMALL_RUN

import pyro_vae
from guides import Guide, MeanField
from pyro_vae import own, svi
from pyro_vae.errors import InputError
from pyro_vae.evaluate import main as evaluate_main
from pyro_vae.options import make_parser, parse_arguments, settings_from, settings_of, settle
from pyro_vae.runs import RunFolder

OWN = "from guides import MeanField\n\n\nclass Mine(MeanField):\n    pass\n"


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A module of the user's own, typed on a command line and then forgotten by this process; returns its file."""
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "own_guide_of_the_user.py"
    file.write_text(OWN)
    yield file
    sys.modules.pop(file.stem, None)


def another_process(monkeypatch, file: Path) -> None:
    monkeypatch.setattr(own, "_here", {})
    sys.modules.pop(file.stem, None)


def test_what_the_user_typed_is_not_asked_about_again(own_module, tmp_path, monkeypatch):
    name = f"{own_module.stem}.Mine"
    out = tmp_path / "run"
    svi.main([*SMALL_RUN, "--guide", name, "--out", str(out)])
    assert name in RunFolder(out).config_text()
    for again in (
        lambda: pyro_vae.load(out),
        lambda: svi.main(["--resume", str(out), "--epochs", "2"]),
        lambda: svi.main(["--config", str(out / "config.yaml"), "--out", str(tmp_path / "again")]),
        lambda: evaluate_main([str(out), "--only", "elbo"]),
        lambda: pyro_vae.features(out, torch.zeros(2, 1, 8, 8)),
    ):
        another_process(monkeypatch, own_module)
        again()
    assert not [path for path in out.rglob("*") if "own" in path.name], "what is remembered is not in the run folder"


def test_another_module_of_a_remembered_name_is_not_the_users_own(own_module, tmp_path, monkeypatch):
    name = f"{own_module.stem}.Mine"
    svi.main([*SMALL_RUN, "--guide", name, "--out", str(tmp_path / "run")])
    another_process(monkeypatch, own_module)
    elsewhere = tmp_path / "downloaded"
    elsewhere.mkdir()
    (elsewhere / own_module.name).write_text(OWN)  # the same text, in another folder, which comes first
    monkeypatch.syspath_prepend(str(elsewhere))
    with pytest.raises(InputError, match="no installed plug: if"):
        pyro_vae.load(tmp_path / "run")
    assert own_module.stem not in sys.modules
    (elsewhere / own_module.name).unlink()
    pyro_vae.load(tmp_path / "run")


def test_a_module_that_was_changed_is_asked_about_once(own_module, tmp_path, monkeypatch):
    name = f"{own_module.stem}.Mine"
    svi.main([*SMALL_RUN, "--guide", name, "--out", str(tmp_path / "run")])
    own_module.write_text(OWN + "# edited\n")
    pyro_vae.load(tmp_path / "run")  # in this process it is loaded already, and the old one runs
    another_process(monkeypatch, own_module)
    with pytest.raises(InputError, match=r"own_guide_of_the_user.py has changed since you named it: .*--trust"):
        svi.main(["--resume", str(tmp_path / "run")])
    svi.main(["--resume", str(tmp_path / "run"), "--trust"])
    another_process(monkeypatch, own_module)
    pyro_vae.load(tmp_path / "run")


def test_trust_is_for_one_process_and_is_not_remembered(own_module, tmp_path, monkeypatch):
    config = tmp_path / "foreign.yaml"
    config.write_text(f"guide: {own_module.stem}.Mine\n")
    words = ["--config", str(config), *SMALL_RUN, "--out"]
    with pytest.raises(InputError, match="--trust"):
        svi.main([*words, str(tmp_path / "a")])
    with pytest.raises(InputError, match="trust=True"):
        pyro_vae.train(config=config, out=tmp_path / "a")
    assert own_module.stem not in sys.modules
    svi.main([*words, str(tmp_path / "a"), "--trust"])
    another_process(monkeypatch, own_module)
    with pytest.raises(InputError, match="--trust"):
        evaluate_main([str(tmp_path / "a")])
    evaluate_main([str(tmp_path / "a"), "--only", "elbo", "--trust"])
    another_process(monkeypatch, own_module)
    assert isinstance(pyro_vae.load(tmp_path / "a", trust=True).guide, MeanField)


def test_a_folder_called_like_a_class_does_not_make_it_typed(own_module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"{own_module.stem}.Mine"
    Path(name).mkdir()
    (Path(name) / "config.yaml").write_text(f"guide: {name}\n")
    for words in (["--resume", name], ["--config", f"{name}/config.yaml"], ["--data", name, "--resume", name]):
        with pytest.raises(InputError, match="--trust"):
            svi.main(words)
    assert own_module.stem not in sys.modules


def test_a_record_that_others_can_write_is_none(own_module, tmp_path, monkeypatch):
    name = f"{own_module.stem}.Mine"
    parse_arguments(make_parser(), ["--guide", name])
    another_process(monkeypatch, own_module)
    assert own.known(name) == "own"
    record = own._record(name, own.origin_of(name).file)
    record.chmod(0o666)
    assert own.known(name) == "unknown"
    record.chmod(0o600)
    record.rename(tmp_path / "elsewhere")
    record.symlink_to(tmp_path / "elsewhere")
    assert own.known(name) == "unknown"


def test_without_a_cache_what_was_typed_holds_for_the_process(own_module, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    parser = make_parser()
    settings = settle(parser, parse_arguments(parser, ["--guide", f"{own_module.stem}.Mine"]))
    settings_from(settings.text)


class MineToo(MeanField):
    """A guide of the test's own, in no package."""


def test_a_class_itself_is_named_by_its_path():
    settings = settings_of({"guide": MineToo})
    assert f"{__name__}.MineToo" in settings.text
    assert issubclass(settings_from(settings.text).config.guide.args[-1], Guide)


def test_a_class_of_a_script_is_found_in_the_same_script(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys.modules["__main__"], "InMain", type("InMain", (MeanField,), {"__module__": "__main__"}), raising=False
    )
    text = settings_of({"guide": "__main__.InMain"}).text
    assert "__main__.InMain" in text
    settings_from(text)
