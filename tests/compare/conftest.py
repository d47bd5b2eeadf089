"""The comparison and the browser that the tests of the report's page look at."""

import pytest
from comparisons import compare
from pages import CHROMIUM, DRIVER, WORDS, pictures


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A small comparison, its folder, and another with an arm that failed."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyro_vae.training.log.Log.pictures", lambda *_: None)
        compare(patch, *WORDS, "--out", str(out))
        for run in out.glob("runs/*"):
            for name, content in pictures().items():
                (run / "figures" / f"{name}.png").write_bytes(content)
        failing = [*WORDS[:2], "--lr", "0.001,1e30", "--seeds", "1", "--epochs", "2", "--measures", "elbo"]
        failed = compare(patch, *failing, "--out", str(out.parent / "failed"))
        comparison = compare(patch, *WORDS, "--out", str(out))
    return comparison, out, failed


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium that keeps what the page logs and asks for."""
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
