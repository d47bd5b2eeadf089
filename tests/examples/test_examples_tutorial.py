"""examples/tutorial.ipynb and its Korean edition: one code, run top to bottom, and the outputs that it really has."""

import contextlib
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
EDITIONS = ("tutorial.ipynb", "tutorial.ko.ipynb")
AGAIN = "execute both again: jupyter nbconvert --to notebook --execute --inplace examples/tutorial*.ipynb"
NUMBER = r"-?\d[\d,]*\.?\d*(?:e[-+]\d+)?"


def cells(edition: str, kind: str) -> list[dict[str, Any]]:
    notebook = json.loads((EXAMPLES / edition).read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def printed(cell: dict[str, Any]) -> str:
    """What a cell that was executed has printed."""
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def words(text: str) -> list[str]:
    return re.sub(NUMBER, "", text).split()


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(NUMBER, text)]


def test_the_editions_differ_in_their_text_alone():
    english, korean = ([(c["id"], source(c)) for c in cells(edition, "code")] for edition in EDITIONS)
    assert english == korean
    texts = [[(c["id"], source(c)) for c in cells(edition, "markdown")] for edition in EDITIONS]
    assert [name for name, _ in texts[0]] == [name for name, _ in texts[1]]
    for (name, ours), (_, theirs) in zip(*texts, strict=True):
        displayed = [re.findall(r"\$\$.*?\$\$", text, re.S) for text in (ours, theirs)]
        assert displayed[0] == displayed[1], f"{name}: the equations differ"
        assert bool(re.search("[가-힣]", theirs)), f"{name} is not in Korean"


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_equation_has_its_line_of_code(edition):
    text = "\n".join(map(source, cells(edition, "markdown")))
    equations = [int(n) for n in re.findall(r"\\qquad \((\d+)\)", text)]
    assert equations == list(range(1, len(equations) + 1))
    comments = " ".join(re.findall(r"#.*", "\n".join(map(source, cells(edition, "code")))))
    assert set(equations) == {int(n) for n in re.findall(r"\((\d+)\)", comments)}
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        assert (EXAMPLES / link).exists(), link


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_outputs_are_of_one_clean_execution(edition):
    code = cells(edition, "code")
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1)), AGAIN
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {o["output_type"] for o in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(o["name"] == "stdout" for o in outputs if o["output_type"] == "stream"), "a warning"
    said = "\n".join("".join(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in outputs)
    assert not re.search(r"(?<![\w.])[/~]\w+/|[A-Z]:\\", said), "a path of the machine that executed it"
    drawn = [c["id"] for c in code if any("image/png" in o.get("data", {}) for o in c["outputs"])]
    assert drawn == [c["id"] for c in code if re.search(r"plt\.subplots|trace_figure\(|plots\.\w+\(", source(c))]
    assert (EXAMPLES / edition).stat().st_size < 1_300_000


@pytest.fixture
def said(tmp_path, monkeypatch) -> dict[str, str]:
    """Runs the code top to bottom, any warning an error: what each cell prints, by the cell's name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names: dict[str, Any] = {"__name__": "__main__"}
    found = {}
    with matplotlib.rc_context():
        for cell in cells(EDITIONS[0], "code"):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(source(cell), cell["id"], "exec"), names)
            found[cell["id"].removeprefix("code-")] = out.getvalue()
            pyplot.close("all")
    return found


def test_it_runs_top_to_bottom_and_its_numbers_check_each_other(said):
    for cell in cells(EDITIONS[0], "code"):
        name = cell["id"].removeprefix("code-")
        assert words(said[name]) == words(printed(cell)), f"{name} prints something else than is shown: {AGAIN}"
    found = {name: numbers(text) for name, text in said.items()}

    on_grid, closed = found["bayes"]
    assert on_grid == pytest.approx(closed, abs=1e-5)
    sampled, error, closed, *_, zero = found["kl"]
    assert (sampled, zero) == (pytest.approx(closed, abs=4 * error), 0)
    # "by (7)" and "by (8)" are numbers too.
    _, seventh, _, eighth, kl, total, evidence, at_the_posterior = found["elbo"]
    assert seventh == eighth == pytest.approx(evidence - kl, abs=1e-5)
    assert total == at_the_posterior == pytest.approx(evidence, abs=1e-5)
    truth, path, path_error, path_variance, score, score_error, score_variance, _, _ = found["gradients"]
    assert path == pytest.approx(truth, abs=4 * path_error)
    assert score == pytest.approx(truth, abs=4 * score_error)
    assert score_variance > 10 * path_variance

    first, last = found["svi"]
    elbo, _, log_likelihood, _, kl, _ = found["test-elbo"]
    assert first < elbo < last + 1
    assert elbo == pytest.approx(log_likelihood - kl, abs=0.02)
    assert found["same"][0] < 1e-5
    rows = [found["train"][i : i + 4] for i in range(0, 16, 4)]
    assert [row[0] for row in rows] == [1, 5, 30, 60]
    assert all(row[1] == pytest.approx(row[2] - row[3], abs=0.02) for row in rows)

    inside = [float(share) for share in re.findall(r"(\d+)%", said["ae"])]
    assert inside[0] < 0.6 * inside[1]
    guides = re.findall(rf"^\w+ +({NUMBER}) +({NUMBER}) +({NUMBER})$", said["evidence"], re.M)
    assert len(guides) == 3
    gaps = [float(gap) for _, _, gap in guides]
    assert min(gaps) == gaps[2] > 0  # IAF's
    bounds = [float(bound) for bound in re.findall(rf"K=\d+: ({NUMBER})", said["iwae"])]
    log_p = found["iwae"][-1]
    assert bounds[0] < bounds[-1] - 0.5
    assert log_p - 0.3 < bounds[-1] < log_p + 0.05
    splits = [found["gap"][i : i + 3] for i in range(0, 9, 3)]
    for (approximation, amortization, inference), gap in zip(splits, gaps, strict=True):
        assert inference == pytest.approx(approximation + amortization, abs=0.002)
        assert inference == pytest.approx(gap, abs=0.05)
        assert 0 < approximation < amortization

    right = [float(share) for share in re.findall(rf"({NUMBER})% ", said["features"] + said["bayes-classifier"])]
    assert len(right) == 8
    assert min(right) > 60
    assert min(right[-2:]) > 90
    digits, negatives = (float(value) for value in re.findall(rf"log p\(x\) >= +({NUMBER})", said["odd"]))
    assert negatives < digits - 300
