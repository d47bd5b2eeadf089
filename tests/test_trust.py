"""A run folder or a configuration from somebody else: what it names is neither imported nor called."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from small import SMALL_RUN

import pyro_vae
from guides import MeanField
from pyro_vae import own, svi, traces
from pyro_vae.compare.options import make_plan
from pyro_vae.config import KINDS
from pyro_vae.errors import InputError
from pyro_vae.evaluate import main as evaluate_main
from pyro_vae.options import make_parser, parse_arguments, settings_from, settings_of
from pyro_vae.trust import check_names, plugs

# What an attacker would name, and what it would be given: each leaves the file MARK, or another mark, if it is called.
MARK = "MARK"


CALLABLES = {
    "os.system": {"command": f"touch {MARK}"},
    "os.popen": {"cmd": f"touch {MARK}"},
    "os.mkdir": {"path": MARK},
    "os.makedirs": {"name": MARK},
    "os.remove": {"path": "victim"},
    "os.rename": {"src": "victim", "dst": MARK},
    "os.symlink": {"src": "victim", "dst": MARK},
    "shutil.rmtree": {"path": "victims"},
    "shutil.copy": {"src": "victim", "dst": MARK},
    "shutil.move": {"src": "victim", "dst": MARK},
    "subprocess.getoutput": {"cmd": f"touch {MARK}"},
    "subprocess.Popen": {"args": ["touch", MARK]},
    "subprocess.run": {"args": ["touch", MARK]},
    "runpy.run_path": {"path_name": "payload.py"},
    "timeit.timeit": {"stmt": f"open({MARK!r}, 'w')", "number": 1},
    "cProfile.run": {"statement": f"open({MARK!r}, 'w')"},
    "pty.spawn": {"argv": ["touch", MARK]},
    "torch.save": {"obj": 1, "f": MARK},
    "torch.hub.download_url_to_file": {"url": "file:victim", "dst": MARK},
    "torch.load": {"f": "payload.pt"},
    "builtins.eval": {"source": f"open({MARK!r}, 'w')"},
    "builtins.exec": {"source": f"open({MARK!r}, 'w')"},
    "this.s": {},  # prints where it is imported
    "payload.Payload": {},  # a module beside the folder, which leaves the mark where it is imported
}


OUTSIDE = {"this", "payload"} - set(sys.modules)  # nothing but such a file would load these


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A run of one epoch, whose configuration the tests garble."""
    out = tmp_path_factory.mktemp("good") / "run"
    small = ["--epochs", "1", "--latent-dim", "2", "--final-samples", "2", "--engine", "eager"]
    networks = ["--encoder.hidden_dims", "[8]", "--decoder.hidden_dims", "[8]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyro_vae.training.log.Log.pictures", lambda *_: None)
        svi.main([*small, *networks, "--out", str(out)])
    return out


@pytest.fixture
def foreign(good, tmp_path, monkeypatch):
    """A working directory with a victim and payloads; returns what makes a foreign run of a value of one option."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "victim").write_text("here")
    (tmp_path / "victims").mkdir()
    payload = f"open({str(tmp_path / MARK)!r}, 'w')\n"
    (tmp_path / "payload.py").write_text(payload + "class Payload: pass\n")

    def make(**options) -> Path:
        shutil.copytree(good, tmp_path / "foreign", dirs_exist_ok=True)
        config = {**yaml.safe_load((good / "config.yaml").read_text()), **options}
        (tmp_path / "foreign" / "config.yaml").write_text(yaml.safe_dump(config))
        return tmp_path / "foreign"

    return make


def _compare_onto(folder: Path) -> None:
    runs = Path("comparison") / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for name in ("MeanField-seed0", "FullRank-seed0"):
        shutil.copytree(folder, runs / name, dirs_exist_ok=True)
    make_plan(["--guides", "MeanField,FullRank", "--seeds", "1", "--epochs", "1", "--out", "comparison"])


COMMANDS = {
    "load": lambda folder: pyro_vae.load(folder),
    "features": lambda folder: pyro_vae.features(folder, torch.zeros(2, 1, 8, 8)),
    "train": lambda folder: pyro_vae.train(config=folder / "config.yaml", out="again"),
    "svi --resume": lambda folder: svi.main(["--resume", str(folder), "--epochs", "2"]),
    "svi --config": lambda folder: svi.main(["--config", str(folder / "config.yaml"), "--out", "again"]),
    "svi --config=": lambda folder: svi.main([f"--config={folder / 'config.yaml'}", "--out", "again"]),
    "evaluate": lambda folder: evaluate_main([str(folder), "--only", "elbo"]),
    "compare --config": lambda folder: make_plan(
        ["--config", str(folder / "config.yaml"), "--guides", "MeanField,FullRank", "--out", "comparison"]
    ),
    "compare onto": _compare_onto,
}


def untouched(folder: Path) -> None:
    here = folder.parent
    assert (here / "victim").read_text() == "here"
    assert (here / "victims").is_dir()
    assert not (here / MARK).exists()
    assert not OUTSIDE & set(sys.modules)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("path", CALLABLES)
def test_no_callable_that_a_foreign_file_names_is_called_or_imported(foreign, path, command):
    """In a class option as class_path, as text, or deep beneath a registered class: the three take turns."""
    spec = {"class_path": path, "init_args": CALLABLES[path]}
    turn = list(CALLABLES).index(path) + list(COMMANDS).index(command)
    option = list(KINDS)[turn % len(KINDS)]  # the options take turns, too; all of them are tried below
    beneath = {"class_path": "guides.SemiAmortized", "init_args": {"family_options": {"deep": [[spec]]}}}
    folder = foreign(**({option: spec}, {option: path}, {"guide": beneath})[turn % 3])
    with pytest.raises(InputError) as told:
        COMMANDS[command](folder)
    assert path in str(told.value)
    assert "--trust" in str(told.value) or "pass trust=True" in str(told.value)
    assert "\n" not in str(told.value)
    untouched(folder)


@pytest.mark.parametrize("option", KINDS)
def test_every_class_option_is_checked(foreign, option):
    for path in CALLABLES:
        for value in (path, {"class_path": path, "init_args": CALLABLES[path]}):
            with pytest.raises(InputError, match="no installed plug"):
                settings_from(yaml.safe_dump({option: value}))


def test_traces_reads_a_foreign_run_without_its_classes(foreign, capsys):
    for flags in ([], ["--live"]):
        folder = foreign(beta={"class_path": "os.system", "init_args": {"command": f"touch {MARK}"}}, guide="payload.X")
        traces.main([str(folder), *flags, "--save", "traces.png"])
        assert "Test ELBO" in capsys.readouterr().out
        untouched(folder)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:jsonargparse")  # the parser has its own opinion of os.system
def test_even_trusted_a_class_option_takes_a_class_of_its_kind_and_calls_nothing_else(foreign):
    spec = {"class_path": "os.system", "init_args": {"command": f"touch {MARK}"}}
    for value in (spec, "os.system", "guides.MeanField", "pyro_vae.schedules.BetaSchedule"):
        folder = foreign(beta=value)
        with pytest.raises(InputError):
            pyro_vae.load(folder, trust=True)
        untouched(folder)
    for words in (
        ["--beta", "os.system"],
        ["--beta.class_path", "os.system", "--beta.init_args.command", "touch MARK"],
    ):
        with pytest.raises(InputError):
            parse_arguments(make_parser(), words)
    for value in (spec, "os.system", lambda: None, MeanField, 3):
        with pytest.raises(InputError):
            settings_of({"beta": value})
    untouched(folder)


def a_function(encoder, latent_dim: int) -> MeanField:
    return MeanField(encoder, latent_dim)


def test_a_function_that_returns_a_guide_is_no_guide():
    for value in (a_function, f"{__name__}.a_function", {"class_path": f"{__name__}.a_function"}):
        with pytest.raises(InputError):
            settings_of({"guide": value})


def test_a_family_of_semiamortized_is_checked_as_text_and_by_kind(foreign):
    folder = foreign(guide={"class_path": "guides.SemiAmortized", "init_args": {"family": "payload.Payload"}})
    with pytest.raises(InputError, match=r"payload.Payload.*--trust"):
        pyro_vae.load(folder)
    untouched(folder)
    from guides import MLPEncoder, SemiAmortized

    for family in ("os.system", "no_such_module.X", "guides.MLPEncoder"):
        with pytest.raises(ValueError, match=r"is no guide|cannot be imported"):
            SemiAmortized(MLPEncoder((1, 4, 4)), 2, family=family)


@pytest.mark.parametrize(
    "text",
    [
        "beta.class_path: os.system\n",
        "beta: {class_path: pyro_vae.schedules.Constant, init_args.x: os.system}\n",
        "config: other.yaml\n",
        "guide: {class_path: [os, system]}\n",
        "guide: '{class_path: os.system}'\n",
        "guide: {class_path: {class_path: os.system}}\n",
        "encoder: {init_args: {activation: os.system}}\n",
        "encoder: {dict_kwargs: {x: os.system}}\n",
    ],
)
def test_no_way_of_writing_hides_a_name(tmp_path, text, monkeypatch):
    # no class that another test typed is the user's own
    monkeypatch.setattr(own, "_here", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "other.yaml").write_text("beta: os.system\n")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=r"no installed plug|no place|must be the name"):
        settings_from(text)
    with pytest.raises(InputError, match=r"no installed plug|no place|must be the name"):
        parse_arguments(make_parser(), ["--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize("option", KINDS)
def test_every_registered_name_is_accepted(option):
    for name in sorted(plugs(option)):
        check_names({option: name}, "FILE")
        check_names({option: {"class_path": name}}, "FILE")
    assert len(plugs(option)) >= 3


def test_out_and_data_root_of_a_file_are_not_obeyed_in_silence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "foreign.yaml"
    for option, value in {"out": "../escape", "data_root": str(tmp_path / "elsewhere")}.items():
        config.write_text(f"{option}: {value}\n")
        for way in (
            lambda: svi.main(["--config", str(config), *SMALL_RUN]),
            lambda: pyro_vae.train(config=config),
            lambda: make_plan(["--config", str(config), "--guides", "MeanField,FullRank"]),
        ):
            with pytest.raises(InputError, match=rf"{option}: .*type (--)?{option} .* or (--trust|trust=True)"):
                way()
    assert not (tmp_path.parent / "escape").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"foreign.yaml"}
    config.write_text("out: ../escape\nepochs: 1\n")
    parsed = parse_arguments(make_parser(), ["--config", str(config), "--out", "here"])
    assert (str(parsed.out), parsed.epochs) == ("here", 1)


def test_a_data_root_that_was_typed_is_the_users_own(good, tmp_path, monkeypatch, capsys):
    root = tmp_path / "root"
    root.mkdir()
    svi.main([*SMALL_RUN, "--data-root", str(root), "--out", str(tmp_path / "run")])
    svi.main(["--config", str(tmp_path / "run" / "config.yaml"), "--out", str(tmp_path / "again")])
    capsys.readouterr()
    evaluate_main([str(tmp_path / "run"), "--only", "elbo"])
    assert "note" not in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new_user"))
    svi.main(["--resume", str(tmp_path / "run"), "--epochs", "2"])
    assert f"note: data are taken from {root}" in capsys.readouterr().err
    root.rmdir()
    for refused in (
        lambda: svi.main(["--resume", str(tmp_path / "run")]),
        lambda: evaluate_main([str(tmp_path / "run"), "--only", "elbo"]),
    ):
        with pytest.raises(InputError, match="no folder yet"):
            refused()
    assert not root.exists()
