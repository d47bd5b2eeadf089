"""What the tests of the report's page share: a small comparison with every part of the page, and a headless browser."""

import io
import shutil
import time

import numpy as np
from matplotlib.figure import Figure

from pyro_vae.pictures import figure_bytes
from pyro_vae.plots import image_grid

CHROMIUM = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
WORDS = ["--guides", "MeanField,FullRank", "--seeds", "2", "--epochs", "12", "--batch_size", "500"]
WORDS += ["--measures", "elbo,iwae,importance,units,evidence,gap"]


def pictures():
    """A picture of gray images, and one of a plot."""
    rng = np.random.default_rng(0)
    plot = Figure(figsize=(4, 3))
    plot.subplots().plot([0, 1], [0, 1], color="black")
    grid = image_grid({"one": rng.uniform(size=(6, 1, 8, 8)), "two": np.ones((6, 1, 8, 8))}, "Images")
    return {"reconstructions": figure_bytes(grid), "latent": figure_bytes(plot)}


def see(browser, path, scheme="light", width=1280):
    """Open a page as a reader with this scheme and width of the window does."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(path.as_uri())
    return browser


def js(browser, code, *values):
    """The value of an expression in the page."""
    return browser.execute_script(f"return {code}", *values)


def count(browser, selector):
    return js(browser, "document.querySelectorAll(arguments[0]).length", selector)


def element(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.CSS_SELECTOR, selector)


def press(browser, name, value):
    """Reach a control and press the space bar on it, as one without a mouse does."""
    from selenium.webdriver.common.keys import Keys

    tag = "button" if name == "view" else "input"
    element(browser, f'{tag}[name="{name}"][value="{value}"]').send_keys(Keys.SPACE)


def wait(browser, code, seconds=5.0):
    """Until an expression in the page is true."""
    until = time.monotonic() + seconds
    while not js(browser, code):
        assert time.monotonic() < until, code
        time.sleep(0.05)


def shot(browser, selector):
    """What is seen of an element, ``(H, W, 3)`` in [0, 255]."""
    from PIL import Image

    found = element(browser, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
    return np.asarray(Image.open(io.BytesIO(found.screenshot_as_png)).convert("RGB"))
