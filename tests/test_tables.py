"""Tables of the terminal: names whole, columns that fit, nothing cut in silence."""

import io

import pytest
from rich.console import Console

from pyro_vae import traces
from pyro_vae.estimators import Estimate
from pyro_vae.evaluate import report
from pyro_vae.evaluate.ledger import Entry
from pyro_vae.live import live_table
from pyro_vae.runs import RunFolder, TraceRow
from pyro_vae.tables import Column, Sheet, print_table

NAME = "digits-FullRank-VampPrior-IWAE5-1"


def shown(sheet: Sheet, width: int, terminal: bool = True) -> list[str]:
    out = io.StringIO()
    print_table(Console(file=out, width=width, force_terminal=terminal, color_system=None), sheet)
    return out.getvalue().splitlines()


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.create(tmp_path / NAME, "eval_samples: 3\nepochs: 5\n")
    row = [TraceRow(10, 1, s, -101.25, -80.0, 21.25, 1.0, None, 1e-3, 12.0, 1e4) for s in ("train", "test")]
    folder.write_trace(row)
    return folder


@pytest.fixture
def sheets(folder):
    figures = {name: Estimate(0.5, 0.1, "an estimator with a long description of itself", 50, 250) for name in "ab"}
    evaluation = {NAME: {"test": {"x": Entry({}, 1.0, figures, None)}}}
    return [traces.trace_table({NAME: folder.read_trace()}, {NAME: 3}), report.table(evaluation)]


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 120, 200])
def test_a_name_is_never_folded_and_what_is_left_out_is_said(sheets, width):
    for sheet in sheets:
        lines = shown(sheet, width)
        head = next(line for line in lines if NAME in line or " run " in line)
        assert NAME in "\n".join(lines)
        words = " ".join(" ".join(lines).split())
        assert "…" not in words
        for column in sheet.columns:
            here = column.name in head.split() or column.name in head
            assert here or column.name in words.partition("no room for:")[2], column.name
        needed = max(len(line.rstrip()) for line in lines)
        assert needed <= width or all(column.name in head for column in sheet.columns if not column.keep)


@pytest.mark.parametrize("width", [40, 80])
def test_what_is_no_terminal_has_every_column_on_one_line(sheets, width):
    for sheet in sheets:
        lines = shown(sheet, width, terminal=False)
        assert "no room" not in "\n".join(lines)
        for row in sheet.sections[0]:
            assert any(line.split() == " ".join(row).split() for line in lines), row


def test_at_forty_columns_run_and_best_stay(sheets):
    lines = shown(sheets[0], 40)
    assert any(line.split() == [NAME] or line.split() == [NAME, "-101.25"] for line in lines)
    short = Sheet(sheets[0].columns, [[["digits-IAF-1", *sheets[0].sections[0][0][1:]]]])
    assert all(len(line.rstrip()) <= 40 for line in shown(short, 40) if "no room" not in line)
    assert any(line.split()[:2] == ["digits-IAF-1", "-101.25"] for line in shown(short, 40))


def test_words_wrap_into_what_is_left_and_are_whole():
    text = "importance weighting with draws of the guide, 500 each"
    sheet = Sheet([Column("run", left=True), Column("by", 1, left=True, wraps=12)], [[["a", text]]])
    lines = shown(sheet, 30)
    assert max(map(len, lines)) <= 30
    assert text in " ".join(" ".join(line.strip().removeprefix("a ") for line in lines).split())
    assert "by" not in shown(sheet, 12)[1]


def test_a_name_cannot_steer_the_terminal():
    lines = shown(Sheet([Column("run")], [[["a\x1b[2Jb"]]], caption="c\x1b[2J"), 80)
    assert "\x1b[2J" not in "\n".join(lines)
    assert any("a\\x1b[2Jb" in line for line in lines)


def test_markup_in_a_name_is_text():
    assert any("[red]run[/red]" in line for line in shown(Sheet([Column("run")], [[["[red]run[/red]"]]]), 80))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_live_table_fits_and_its_columns_have_names_of_their_own(folder, width):
    table = live_table([folder.path], width=width)
    names = [str(column.header) for column in table.columns]
    assert len(names) == len(set(names))
    assert {"run", "test ELBO"} <= set(names)
    console = Console(file=io.StringIO(), width=200)
    assert console.measure(table).maximum <= max(width, len(NAME) + 14)
    assert ("course" in names) == (width == 120)
