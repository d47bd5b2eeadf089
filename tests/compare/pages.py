"""What the tests of the report's page share: a small comparison with every part of the page."""

import numpy as np
from browsing import element
from matplotlib.figure import Figure

from pyro_vae.pictures import figure_bytes
from pyro_vae.plots import image_grid

WORDS = ["--guides", "MeanField,FullRank", "--seeds", "2", "--epochs", "12", "--batch_size", "500"]
WORDS += ["--measures", "elbo,iwae,importance,units,evidence,gap,judgement"]
WORDS += [
    "--evaluate.judgement.count",
    "4",
    "--evaluate.judgement.draws",
    "100",
    "--evaluate.judgement.effective",
    "50",
]


def pictures():
    """A picture of gray images, and one of a plot."""
    rng = np.random.default_rng(0)
    plot = Figure(figsize=(4, 3))
    plot.subplots().plot([0, 1], [0, 1], color="black")
    grid = image_grid({"one": rng.uniform(size=(6, 1, 8, 8)), "two": np.ones((6, 1, 8, 8))}, "Images")
    return {"reconstructions": figure_bytes(grid), "latent": figure_bytes(plot)}


def press(browser, name, value):
    """Reach a control and press the space bar on it, as one without a mouse does."""
    from selenium.webdriver.common.keys import Keys

    tag = "button" if name == "view" else "input"
    element(browser, f'{tag}[name="{name}"][value="{value}"]').send_keys(Keys.SPACE)
