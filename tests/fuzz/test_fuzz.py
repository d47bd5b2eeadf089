"""No input makes a traceback or a hang: 500 cases, and as many as PYRO_VAE_FUZZ says.

    PYRO_VAE_FUZZ=5000 python -m pytest -n 2 tests/fuzz

Each case is one command on something bad, in a fork of this process. Its exit code is one of those that
:mod:`pyro_vae.cli` lists, and a refusal is one line that leaves nothing half-written. The cases are the same in every
run, a hundred for each seed of Hypothesis; PYRO_VAE_FUZZ_FROM=N skips the first N hundred.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import forked
import materials as made
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pyro_vae import checkpoint
from pyro_vae.config import Config
from pyro_vae.metrics import Options

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

EACH = 100  #: cases for one seed of Hypothesis
CASES = int(os.environ.get("PYRO_VAE_FUZZ", "500"))
FROM = int(os.environ.get("PYRO_VAE_FUZZ_FROM", "0"))

TINY = ["--encoder.hidden_dims", "[4]", "--decoder.hidden_dims", "[4]", "--latent-dim", "2", "--batch-size", "16"]
SHORT = [*TINY, "--epochs", "2", "--final-samples", "2", "--engine", "eager", "--device", "cpu"]
MEASURE = ["--only", "elbo", "--images", "5", "--elbo-samples", "3", "--train", "false", "--device", "cpu"]

#: options that make a valid request longer, and so are given small, wrong or impossible values alone
LONG = {"epochs", "final_samples", "eval_samples", "patience"}
IMPOSSIBLE = st.sampled_from(["0", "-1", "nan", "1e400", "1.5", "x", "", "9" * 20, "9223372036854775808", "null", "[]"])


@pytest.fixture(scope="session")
def workplace():
    """A folder with a finished and measured run, and its data."""
    forked.preload()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "good").mkdir()
        (root / "good" / "x.npy").write_bytes(made.array_bytes())
        for command, argv in {"svi": ["--data", "x.npy", *SHORT, "--out", "r"], "evaluate": ["r", *MEASURE]}.items():
            done = forked.command(command, argv, root / "good")
            assert done.code == 0, done.error
        yield root


class Case:
    """A command on something bad: draws it, and writes it into a folder."""

    def __init__(self, draw: Any, folder: Path):
        self.draw, self.folder = draw, folder
        self.name, self.argv = "svi", ["--data", "x.npy", *SHORT, "--out", "new"]
        getattr(self, draw(st.sampled_from(KINDS_OF_CASES)))()

    def option_of_svi(self) -> None:
        name = self.draw(st.sampled_from([*Config.__dataclass_fields__, "config", "resume", "trust", "guide.x"]))
        value = self.draw(IMPOSSIBLE if name in LONG else made.words)
        self.argv += self.draw(st.sampled_from([[f"--{name}", value], [f"--{name}={value}"]]))

    def option_of_evaluate(self) -> None:
        names = [*Options.__dataclass_fields__, "only", "checkpoint", "against", "data_root", "annealing.chains", "x"]
        name, value = self.draw(st.sampled_from(names)), self.draw(IMPOSSIBLE)
        self.name, self.argv = (
            "evaluate",
            [
                "r",
                *MEASURE,
                f"--{name}",
                self.draw(st.one_of(st.just(value), made.words))
                if name in ("only", "checkpoint", "against", "data_root")
                else value,
            ],
        )

    def option_of_compare(self) -> None:
        names = ["guides", "seeds", "baseline", "confidence", "workers", "measures", "evaluate.images", "out", "x"]
        bad = self.draw(st.sampled_from(["0", "-1", "nan", "x", "", "9" * 20, "100000000", ",", "A,A", "IAF(", "~"]))
        self.name, self.argv = (
            "compare",
            ["--guides", "MeanField,IAF", *self.argv, f"--{self.draw(st.sampled_from(names))}={bad}", "--seeds=0"],
        )
        if self.draw(st.booleans()):
            self.argv = [*self.argv[:-1], "--baseline=nobody"]

    def words_of_traces(self) -> None:
        words = self.draw(st.lists(st.one_of(made.words, st.sampled_from(["r", "--save", "--x", "steps"])), max_size=4))
        self.name, self.argv = "traces", words

    def config_file(self) -> None:
        good = (self.folder / "r" / "config.yaml").read_bytes()
        text = self.draw(st.sampled_from(["spoilt", "line", "any"]))
        if text == "spoilt":
            content = self.draw(made.spoilt(good))
        elif text == "line":
            lines = good.decode().splitlines()
            at = self.draw(st.integers(0, len(lines) - 1))
            key = lines[at].partition(":")[0]
            value = "7" if key.strip() in LONG else self.draw(made.words)
            lines[at] = f"{key}: {value}"
            content = "\n".join(lines).encode()
        else:
            import yaml

            content = yaml.safe_dump(self.draw(made.values)).encode()
        (self.folder / "c.yaml").write_bytes(content)
        self.argv = ["--config", "c.yaml", *self.argv]

    def array_file(self) -> None:
        kind = self.draw(st.sampled_from(["header", "spoilt", "type", "zip", "zip"]))
        name = "d.npz" if kind == "zip" else "d.npy"
        if kind == "zip":
            content = self.draw(made.zips())
        elif kind == "header":
            content = self.draw(made.headers())
        elif kind == "spoilt":
            content = self.draw(made.spoilt(made.array_bytes()))
        else:
            shape = self.draw(
                st.sampled_from([(40, 4, 4), (40, 3, 4, 4), (40, 4, 4, 3), (19, 4, 4), (40, 0, 4), (40,)])
            )
            content = made.array_bytes(shape, self.draw(st.sampled_from(["<f2", "|u1", "<u2", "|b1", "<i4", "<c8"])))
        name = self.draw(st.sampled_from([name, name, name, "d.npy", "d.npz"]))
        (self.folder / name).write_bytes(content)
        self.argv[1] = name

    def picture_folder(self) -> None:
        folder = self.folder / "p"
        folder.mkdir()
        for i in range(self.draw(st.sampled_from([0, 1, 25]))):
            (folder / f"{i:02}.png").write_bytes(made.picture_bytes("png"))
        for i in range(self.draw(st.integers(1, 2))):
            suffix = self.draw(st.sampled_from(["png", "jpg", "gif", "tif", "bmp", "webp", "ppm"]))
            place = folder / self.draw(st.sampled_from([".", "a", "é", "$\\frac$", "a\nb"]))
            place.mkdir(exist_ok=True)
            (place / f"bad{i}.{suffix}").write_bytes(self.draw(made.pictures()))
        self.argv[1] = "p"

    def run_folder(self) -> None:
        files = sorted(path for path in (self.folder / "r").iterdir() if path.is_file() and "events" not in path.name)
        path = self.draw(st.sampled_from(files))
        kinds = ["spoilt", "spoilt", "spoilt", "swapped", "gone", "folder", "json", "json", "state", "state", "state"]
        kind = self.draw(st.sampled_from(kinds))
        if kind == "spoilt":
            path.write_bytes(self.draw(made.spoilt(path.read_bytes())))
        elif kind == "swapped":
            path.write_bytes(self.draw(st.sampled_from(files)).read_bytes())
        elif kind == "json":
            made.spoil_json(self.draw, self.folder / "r" / "metrics.json")
        elif kind == "state":  # as somebody could write it: with a digest that is right
            which = self.draw(st.sampled_from(["last", "best", "evaluation"]))
            path = self.folder / "r" / f"checkpoint.{which}.safetensors"
            state = self.draw(made.changed(checkpoint.unpack(path.read_bytes(), which)[0]))
            path.write_bytes(checkpoint.pack(state, which))
        else:
            path.unlink()
            if kind == "folder":
                path.mkdir()
        self.name, self.argv = self.draw(
            st.sampled_from(
                [("svi", ["--resume", "r", "--epochs", "3"]), ("evaluate", ["r", *MEASURE]), ("traces", ["r"])]
            )
        )


KINDS_OF_CASES = [name for name in vars(Case) if not name.startswith("_")]


def fault(case: Case, done: forked.Outcome, before: set[str]) -> str:
    """What is wrong with how a command ended; empty if nothing is."""
    if done.hung:
        return "it hangs"
    if "Traceback" in done.error or "Traceback" in done.said:
        return "a traceback"
    if "Warning: " in done.error:
        return "a library's warning"
    if done.code not in (0, 2):
        return f"exit code {done.code}"
    if done.code == 2 and sum(line.startswith("error: ") for line in done.error.splitlines()) != 1:
        return "the refusal is not one line"
    if done.code == 2 and not done.error.splitlines()[-1].startswith("error: "):
        return "something is said after the refusal"
    left = {str(path) for path in case.folder.rglob("*")} - before
    if any(name.endswith(".partial") for name in left):
        return "a partial file is left"
    if done.code == 2 and any("events.out" in name and "/r/" in name for name in left):
        return "a refused command leaves a file of events"
    return ""


@pytest.mark.parametrize("number", range(FROM, -(-CASES // EACH)))
def test_nothing_makes_a_traceback_or_a_hang(number, workplace):
    faults: dict[str, str] = {}  # by the last line of the error: each kind is told once

    @seed(number)
    @settings(
        max_examples=EACH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data):
        with tempfile.TemporaryDirectory(dir=workplace) as name:
            folder = Path(name) / "case"
            shutil.copytree(workplace / "good", folder)
            case = Case(data.draw, folder)
            before = {str(path) for path in folder.rglob("*")}
            done = forked.command(case.name, case.argv, folder)
            if wrong := fault(case, done, before):
                last = (done.error.splitlines() or [""])[-1]
                faults.setdefault(f"{wrong}: {last}", f"{case.name} {case.argv}\n{done.error[-2500:]}")

    one()
    assert not faults, "\n\n".join(f"{wrong}\n{told}" for wrong, told in faults.items())


def test_the_test_sees_what_it_looks_for(workplace, monkeypatch):
    """A traceback, a hang and an odd exit code are found."""

    class Made:
        folder = workplace

    def outcome(code, hung=False, error=""):
        return fault(Made, forked.Outcome(code, hung, "", error), {str(path) for path in workplace.rglob("*")})  # type: ignore[arg-type]

    assert outcome(0, hung=True) == "it hangs"
    assert outcome(1, error="Traceback (most recent call last)") == "a traceback"
    assert outcome(-11) == "exit code -11"
    assert outcome(2, error="error: a\nerror: b\n") == "the refusal is not one line"
    assert outcome(2, error="error: a\n") == outcome(0) == ""
