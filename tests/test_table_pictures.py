"""Pictures of a table: all columns or a word on the rest, ticks that can be read, no room where no value can be."""

import numpy as np
import pytest
from looks import check_figure

from pyro_vae import table_pictures


def rows(columns):
    """The first is positive and has large numbers; the second is zeros and ones; the others depend on nothing."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    income = np.exp(10.5 + z + 0.3 * rng.normal(size=200))
    others = 70_000 + 9_000 * rng.normal(size=(columns - 2, 200))
    return np.stack([income, (z > 0).astype(float), *others], -1)


@pytest.mark.parametrize("draw", [table_pictures.marginals, table_pictures.pairs])
def test_large_numbers_do_not_lie_on_each_other(draw):
    x = rows(8)
    figure = draw(x, x[::-1], tuple("abcdefgh"))
    check_figure(figure)
    said = {label.get_text() for axes in figure.axes for label in axes.get_xticklabels()}
    assert "70k" in said or "80k" in said


@pytest.mark.parametrize(
    ("columns", "rest"), [(5, ""), (6, "; 1 more column is not shown"), (8, "; 3 more columns are")]
)
def test_the_picture_of_pairs_says_how_many_columns_it_leaves_out(columns, rest):
    x = rows(columns)
    title = table_pictures.pairs(x, x, tuple("abcdefgh"[:columns])).get_suptitle()
    assert rest in title
    assert ("shown" in title) == bool(rest)


def test_an_axis_of_positive_numbers_does_not_begin_far_below_zero():
    x = rows(3)
    income = table_pictures.pairs(x, x, ("income", "yes", "c")).axes[3]  # yes against income
    low, high = income.get_xlim()
    assert -0.05 * high < low < x[:, 0].min()
    assert high > x[:, 0].max()
