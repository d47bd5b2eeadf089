"""Metrics are declared in one file each: found, checked, and a user's own is measured, kept, shown and compared."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

from pyro_vae.command_line import headline
from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate, elbo
from pyro_vae.evaluate import main
from pyro_vae.metrics import OWN, Compared, Finding, Metric, all_metrics, compared, find, found
from pyro_vae.testing import check_metric

FOLDER = Path(found.__file__).parent
#: files of the folder that are no metrics
OTHERS = {"__init__", "base", "contract", "found", "options"}


@pytest.mark.parametrize("name", OWN)
def test_each_keeps_its_contract(name):
    check_metric(OWN[name])


def test_every_file_of_the_folder_is_one_metric_that_is_found():
    files = {path.stem for path in FOLDER.glob("*.py")} - OTHERS
    here = {Path(sys.modules[one.__module__].__file__).stem: one for one in OWN.values()}
    missing = [f"{FOLDER / name}.py: class {name.title()}(Metric): name = {name!r}" for name in files - here.keys()]
    assert not missing, "\n".join(missing)
    assert [(stem, one.name) for stem, one in here.items() if stem != one.name] == []


def test_comparisons_show_what_is_declared_and_those_of_which_more_is_better_first():
    assert [*compared()] == [
        *("elbo", "iwae", "log_evidence"),
        *("log_likelihood", "kl"),
        *("inference_gap", "approximation_gap", "amortization_gap", "kl_to_q", "coverage_90"),
    ]


def test_the_order_puts_what_is_needed_first():
    names = [*all_metrics()]
    for name, metric in OWN.items():
        assert all(names.index(need) < names.index(name) for need in metric.needs)


@dataclass(frozen=True)
class Right(Metric):
    """The log-likelihood."""

    name = "right"
    piece = 4
    compared = (Compared("right", "the log-likelihood", "higher"),)
    draws: int = 3

    def measure(self, task):
        found = elbo(task.run.model, task.run.guide, task.x, self.draws, seed=task.seed)
        return Finding({"right": found.log_likelihood})


def giving(**changes):
    """A metric whose estimate has these attributes."""

    def measure(self, task):
        return Finding({"right": replace(Right.measure(self, task).estimates["right"], **changes)})

    return measure


def unseeded(self, task):
    return Finding({"right": Estimate.over(torch.rand(len(task.x)), "noise", 1)})


def spoiling(self, task):
    with torch.no_grad():
        next(task.run.guide.parameters()).add_(1)
    return Right.measure(self, task)


#: what is wrong with a metric, and what its author reads
BROKEN = {
    "no name": ({"name": None}, "has no name"),
    "name of two words": ({"name": "my metric"}, "has no name"),
    "unknown source": ({"on": ("validation",)}, "is measured on .* choose among test, train, simulated"),
    "pieces of drawn images": ({"on": ("simulated",)}, "draws its images in one piece"),
    "no title": ({"compared": (Compared("right", "", "higher"),)}, "compares 'right' without a title"),
    "no unit": ({"compared": (Compared("right", "words", "higher", ""),)}, "compares 'right' without a unit"),
    "no better side": ({"compared": (Compared("right", "words", "more"),)}, "better = 'more': choose higher, lower"),
    "no tuple": ({"compared": {"right": "words"}}, "compares no tuple of Compared"),
    "shows what it has not": ({"compared": (Compared("left", "words", "lower"),)}, "gives no estimate left"),
    "needs what is not there": ({"needs": ("nothing",)}, "needs nothing, which is no metric"),
    "needs what comes later": ({"needs": ("gap",), "place": 5}, "needs gap, so its place must be after"),
    "cheap of nothing": ({"cheap": MappingProxyType({"iwea_samples": 1})}, "cheap names iwea_samples"),
    "no docstring": ({"__doc__": " "}, "docstring says nothing"),
    "forgotten option": ({"settings": lambda self, options: {}}, "settings do not hold its option draws"),
    "settings of tuples": ({"settings": lambda self, options: {"draws": (3,)}}, "not the same after JSON"),
    "settings of objects": ({"settings": lambda self, options: {"draws": self}}, "cannot be written as JSON"),
    "no images": ({"images": lambda self, options: 0}, "images.. gives 0"),
    "a number": ({"measure": lambda self, task: 3.0}, "gives a float, not a Finding"),
    "nothing": ({"measure": lambda self, task: Finding({})}, "gives no estimate"),
    "no estimate": ({"measure": lambda self, task: Finding({"right": 3.0})}, "gives a float for right, not an Estim"),
    "name of an estimate": ({"measure": lambda self, task: Finding({"a b": 3.0})}, "names an estimate 'a b'"),
    "tensor": ({"measure": giving(value=torch.ones(()))}, "whose value is a Tensor"),
    "of unknown origin": ({"measure": giving(estimator="")}, "does not say how it was obtained"),
    "no values": ({"measure": giving(per_image=None)}, "without a value for each image"),
    "other values": ({"measure": giving(per_image=torch.ones(2))}, "with values of shape .2,"),
    "more images": ({"measure": giving(images=9, per_image=torch.ones(9))}, "of 9 images, and there are 6"),
    "error below zero": ({"measure": giving(standard_error=-1.0)}, "with the standard error -1"),
    "bits": ({"measure": giving(unit="bits")}, "gives right in bits, and its declaration says nats per image"),
    "no seed": ({"measure": unseeded}, "differs when it is measured again with the same seed"),
    "spoils the guide": ({"measure": spoiling}, "changes the model, the guide or the images"),
    "picture of no name": ({"picture": lambda self, found: object()}, "picture without a picture_name"),
    "name of no picture": ({"picture_name": "right"}, "picture without a picture_name, or the other way round"),
    "a sentence": ({"sentences": lambda self, found: ["no full stop"]}, "its sentences are no list"),
}


def test_a_right_one_passes():
    check_metric(Right)
    check_metric(Right, draws=2)


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_said(case):
    changes, words = BROKEN[case]
    broken = type("Broken", (Right,), {"__module__": __name__, "__doc__": "The log-likelihood.", **changes})
    with pytest.raises(AssertionError, match=f"^Broken.* {words}"):
        check_metric(broken)


def test_what_is_no_metric_is_said():
    with pytest.raises(AssertionError, match="is no Metric"):
        check_metric(dict)
    with pytest.raises(AssertionError, match="has no method measure"):
        check_metric(type("Half", (Metric,), {"name": "half"}))
    with pytest.raises(AssertionError, match=r"has options .steps. without @dataclass"):
        check_metric(type("Half", (Right,), {"__annotations__": {"steps": int}, "steps": 3}))


def test_what_an_earlier_metric_found_is_asked_for_by_name():
    def measure(self, task):
        return Finding({"right": Estimate.over(task.earlier("iwae", "iwae"), "of another", 1)})

    with pytest.raises(AssertionError, match="asks for the earlier iwae, which is not in its needs"):
        check_metric(type("Asking", (Right,), {"__doc__": "It asks.", "measure": measure}))
    check_metric(type("Asking", (Right,), {"__doc__": "It asks.", "measure": measure, "needs": ("iwae",)}))


# A user's own metric, by its import path.

MINE = '''
from dataclasses import dataclass
from pyro_vae.estimators import elbo
from pyro_vae.metrics import Compared, Finding, Metric


@dataclass(frozen=True)
class Mine(Metric):
    """The log-likelihood, with draws of its own.

    Args:
        draws: of z, for each image.
    """

    name = "mine"
    on = ("test", "train")
    piece = 7
    compared = (Compared("mine", "a log-likelihood of mine", "higher"),)
    draws: int = 3

    def measure(self, task):
        found = elbo(task.run.model, task.run.guide, task.x, self.draws, seed=task.seed)
        return Finding({"mine": found.log_likelihood})

    def sentences(self, found):
        return [f"Mine says {found['mine'].value:.2f}."]


class Wrong(Mine):
    name = "wrong"

    def measure(self, task):
        return 3.0


NoMetric = dict
'''


@pytest.fixture
def _my_module(tmp_path, monkeypatch):
    (tmp_path / "my_own_metrics.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(found, "_BY_PATH", {})
    yield
    sys.modules.pop("my_own_metrics", None)


@pytest.mark.usefixtures("_my_module")
def test_my_own_metric_is_measured_kept_and_shown(train, capsys):
    folder = train("run", "--guide", "MeanField").path
    words = [str(folder), "--only", "mmd,my_own_metrics.Mine", "--images", "16", "--gap-images", "5"]
    main([*words, "--mine.draws", "4", "--device", "cpu"])
    shown = capsys.readouterr().out
    record = json.loads((folder / "metrics.json").read_text())["evaluation"]
    assert record["test"]["mine"]["settings"]["draws"] == 4
    estimate = record["test"]["mine"]["figures"]["mine"]
    assert (estimate["samples"], estimate["images"]) == (4, 16)
    assert record["train"]["mine"]["figures"]["mine"]["images"] == 5
    row = next(line for line in shown.splitlines() if "test" in line and " mine " in line)
    assert f"{estimate['value']:.4g}" in row
    assert f"Mine says {estimate['value']:.2f}." in shown.splitlines()
    main([*words, "--mine.draws", "4", "--device", "cpu"])
    assert json.loads((folder / "metrics.json").read_text())["evaluation"] == record
    main([*words, "--device", "cpu"])  # other draws are measured again
    again = json.loads((folder / "metrics.json").read_text())["evaluation"]["test"]["mine"]
    assert (again["settings"]["draws"], again["figures"]["mine"]["samples"]) == (3, 3)


@pytest.mark.usefixtures("_my_module")
def test_a_wrong_one_is_one_line(train):
    folder = train("run", "--guide", "MeanField").path

    def line_of(*words):
        with pytest.raises(InputError) as error:
            main([str(folder), *words])
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "wrong on test images: gives a float, not a Finding" in line_of("--only", "my_own_metrics.Wrong")
    assert "my_own_metrics.NoMetric is no Metric" in line_of("--only", "my_own_metrics.NoMetric")
    assert "my_own_metrics.Away cannot be imported" in line_of("--only", "my_own_metrics.Away")
    assert "no_such_module.Mine cannot be imported" in line_of("--only", "no_such_module.Mine")
    assert "nearest mmd" in line_of("--only", "mdm")
    assert "draws" in line_of("--only", "my_own_metrics.Mine", "--mine.draws", "few")


@pytest.mark.usefixtures("_my_module")
def test_what_comparisons_show_holds_my_own_and_their_plan_its_options(monkeypatch):
    from pyro_vae.compare.options import make_plan

    words = ["--guides", "MeanField,FullRank", "--data", "digits"]
    plan = make_plan([*words, "--measures", "my_own_metrics.Mine", "--evaluate.mine.draws", "9"])
    assert [metric.name for metric in plan.metrics] == ["elbo", "mine"]
    assert plan.metrics[1].draws == 9
    assert compared()["mine"].title == "a log-likelihood of mine"


def test_a_file_names_no_code_of_a_metric(tmp_path, monkeypatch):
    from pyro_vae.compare.options import make_plan

    (tmp_path / "options.yaml").write_text("measures: my_own_metrics.Mine\n")
    with pytest.raises(InputError, match=r"a file names the metric my_own_metrics\.Mine, which is code"):
        make_plan(["--guides", "MeanField,FullRank", "--config", str(tmp_path / "options.yaml")])
    assert "my_own_metrics" not in sys.modules


def test_a_name_that_another_has_is_refused(monkeypatch):
    module = type(sys)("of_elbo")
    module.Other = type("Other", (Right,), {"name": "elbo", "__doc__": "Another."})
    monkeypatch.setitem(sys.modules, "of_elbo", module)
    with pytest.raises(InputError, match="has the name 'elbo', which another metric has"):
        find(["of_elbo.Other"])


def test_help_has_a_line_for_each(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, metric in OWN.items():
        assert f"{name} {headline(metric)}" in shown


@pytest.mark.parametrize(
    ("option", "least"),
    [("judgement.count", 1), ("planes.draws", 10), ("ranks.simulations", 10), ("predictive.count", 1)],
)
def test_an_own_option_that_is_too_small_is_one_line(option, least, tmp_path):
    with pytest.raises(InputError, match=f"--{option} is at least {least}, not 0"):
        main([str(tmp_path), f"--{option}", "0"])
