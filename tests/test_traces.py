"""The table and the picture of ELBO traces."""

import pytest

from pyro_vae import traces
from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder, TraceRow


def row(step: int, split: str, elbo: float) -> TraceRow:
    return TraceRow(step, step // 10, split, elbo, elbo + 20, 20.0, 1.0, None, 1e-3, step / 100, 1e4)


@pytest.fixture
def two_runs(tmp_path):
    for name, elbos in {"a": (-150.0, -99.25, -101.5), "b": (-140.0, -120.0, -110.125)}.items():
        folder = RunFolder.create(tmp_path / name, "eval_samples: 3\n")
        folder.write_trace([row(10 * (i + 1), s, e) for i, e in enumerate(elbos) for s in ("train", "test")])
    return [tmp_path / "a", tmp_path / "b"]


def test_the_table_has_first_best_and_last_with_terms_and_time(two_runs, capsys):
    traces.main([str(path) for path in two_runs])
    said = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line[:3] in (" a ", " b ")}
    assert lines["a"] == ["-150.00", "-99.25", "-79.25", "20.00", "20", "0.2", "-101.50", "30"]
    assert lines["b"] == ["-140.00", "-110.12", "-90.12", "20.00", "30", "0.3", "-110.12", "30"]
    assert "3 sample(s) of z" in said
    assert "nats per image" in said
    assert (two_runs[0].parent / "traces.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("x", "last"), [("steps", 30), ("epochs", 3), ("seconds", 0.3)])
def test_the_picture_has_the_curves_of_every_run_and_split(two_runs, x, last):
    rows = {path.name: RunFolder(path).read_trace() for path in two_runs}
    figure = traces.trace_figure(rows, x)
    elbo, log_likelihood, kl = figure.axes
    assert len(log_likelihood.lines) == len(kl.lines) == 4
    assert len(elbo.lines) == 4 + 2  # the best epoch of each run is marked
    assert [line.get_ydata().tolist() for line in elbo.lines[4:]] == [[-99.25], [-110.125]]
    curve = next(line for line in elbo.lines if line.get_label() == "a, test")
    assert curve.get_xdata()[-1] == last
    assert curve.get_ydata().tolist() == [-150.0, -99.25, -101.5]
    assert kl.lines[0].get_ydata().tolist() == [20.0] * 3


def test_the_best_epoch_is_that_of_the_weights_which_are_kept():
    validation = [row(10, "validation", -3.0), row(20, "validation", -5.0)]
    rows = [*validation, row(10, "test", -9.0), row(20, "test", -8.0), row(30, "test", -7.0)]
    assert traces.best_row(rows).elbo == -9.0  # not the highest of the test ELBOs
    assert traces.best_row(rows[2:]).elbo == -7.0
    assert traces.best_row(rows[:1]) is None


def test_save_goes_where_it_is_told(two_runs, tmp_path, capsys):
    traces.main([str(two_runs[0]), "--save", str(tmp_path / "new" / "picture.svg")])
    assert (tmp_path / "new" / "picture.svg").read_text().startswith("<?xml")
    assert "picture.svg" in capsys.readouterr().out


def test_what_is_no_run_or_has_no_trace_is_named(two_runs, tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        traces.main([str(tmp_path)])
    RunFolder.create(tmp_path / "new", "eval_samples: 1\n")
    with pytest.raises(InputError, match="no trace yet"):
        traces.main([str(tmp_path / "new")])
    (tmp_path / "new" / "trace.csv").write_text("nonsense\n1\n")
    with pytest.raises(InputError, match="is not a trace"):
        traces.main([str(tmp_path / "new")])
    with pytest.raises(InputError, match="cannot be saved"):
        traces.main([str(two_runs[0]), "--save", str(tmp_path / "picture.nonsense")])


def test_the_same_command_over_all_that_is_in_a_folder_works_twice(two_runs, capsys):
    for _ in range(2):  # as a shell makes of runs/*, with the picture among the runs from the second time on
        traces.main([str(path) for path in sorted(two_runs[0].parent.iterdir())])
        assert f"picture: {two_runs[0].parent / 'traces.png'}" in capsys.readouterr().out
    with pytest.raises(InputError, match="is no folder"):
        traces.main([str(two_runs[0].parent / "traces.png")])
