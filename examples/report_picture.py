"""A picture of the top of a report of ``compare``, as a browser shows it.

    python -m pyro_vae.compare --guides MeanField,FullRank,IAF --seeds 5 --epochs 100 --out comparison
    python examples/report_picture.py comparison/report.html report.png

It needs the extra ``browser`` and Chromium with its driver (apt-get install chromium chromium-driver).
"""

import base64
import shutil
import sys
from pathlib import Path

from pyro_vae.files import write_atomic

WIDTH, HEIGHT = 1280, 1180  #: of the window, in pixels

#: of a script in the page: it calls back when all plots are drawn, and painted
DRAWN = """
const done = arguments[0], plots = [...document.querySelectorAll(".plot")];
const look = () => requestAnimationFrame(() => plots.every((one) => one.querySelector(".main-svg"))
  ? setTimeout(done, 500) : look());
look();
"""


def picture(report: Path, dark: bool = False) -> bytes:
    """The PNG of the top of a report.

    Args:
        report: the file.
        dark: as a reader with a dark scheme sees it.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(report.resolve().as_uri())
        browser.set_script_timeout(60)
        browser.execute_async_script(DRAWN)
        return base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    finally:
        browser.quit()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/report_picture.py REPORT.html PICTURE.png")
    write_atomic(Path(sys.argv[2]), picture(Path(sys.argv[1])))
