"""Pages in headless Chromium: opened as a reader does, looked at, and reached by keys."""

import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")


def chromium() -> Iterator[Any]:
    """Headless Chromium that keeps what the page logs and asks for; the body of a fixture."""
    pytest.importorskip("selenium", reason="selenium is not installed: pip install pyro_vae[browser]")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no Chromium with its chromedriver here: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


def see(browser, page, scheme="light", width=1280):
    """Open a page, a file or an address, as a reader with this scheme and width of the window does."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(page.as_uri() if isinstance(page, Path) else page)
    return browser


def asked(browser):
    """The addresses that were asked for since the page was opened."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def js(browser, code, *values):
    """The value of an expression in the page."""
    return browser.execute_script(f"return {code}", *values)


def count(browser, selector):
    return js(browser, "document.querySelectorAll(arguments[0]).length", selector)


def element(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_element(By.CSS_SELECTOR, selector)


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
