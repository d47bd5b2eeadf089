"""The command ``encode``: moments or samples of q(z|x) of each row. Its Python name is :func:`pyro_vae.features`."""

import numpy as np

from pyro_vae.command_line import CommandParser
from pyro_vae.encoding import features
from pyro_vae.use.command import Use
from pyro_vae.use.outputs import Output, flat

USE = Use(
    "encode",
    "Encode images: means, standard deviations or samples of z for each row.",
    features,
    "the codes as .npy, .npz or .csv",
    "runs/iaf digits --split test --out codes.csv",
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae encode --help``."""
    given = USE.given(argv)
    assert given.rows is not None
    found = features(given.run, given.rows.source, **given.own)
    columns = given.rows.columns()
    if given.own["statistic"] == "samples":
        draws, count = found.shape[:2]
        number = {"draw": np.repeat(np.arange(draws), count)}
        table = {**number, **{name: np.tile(column, draws) for name, column in columns.items()}}
        table |= flat(found.reshape(draws * count, -1), "z")
    else:
        table = {**columns, **flat(found, "z")}
    words = (
        f"{given.own['statistic']} of z, {given.own['posterior']}, for {len(given.rows):,} rows: shape {found.shape}"
    )
    given.finish(Output({"z": found, **given.rows.label_array()}, table), [words])
