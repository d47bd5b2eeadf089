"""The report in a browser: it says what it should, draws, answers to its switches, and asks the network for nothing."""

import json
import shutil
from html.parser import HTMLParser

import pytest
from comparisons import compare

CHROMIUM = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small comparison with an arm that failed, and its folder."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    words = ["--guides", "MeanField,FullRank", "--seeds", "2", "--epochs", "2", "--measures", "elbo,iwae,ais,gap"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyro_vae.training.log.Log.pictures", lambda *_: None)
        compare(patch, *words, "--out", str(out))
        for run in out.glob("runs/*"):
            (run / "figures" / "prior_samples.png").write_bytes(PIXEL)
        failing = [*words[:2], *words[2:], "--lr", "0.001,1e30", "--seeds", "1", "--measures", "elbo"]
        failed = compare(patch, *failing, "--out", str(out.parent / "failed"))
        comparison = compare(patch, *words, "--out", str(out))
    return comparison, out, failed


class Page(HTMLParser):
    """What a reader without eyes goes by."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, text):
        if text.strip() and self.inside[-1] not in ("script", "style"):
            self.texts.append((self.inside[-1], text.strip()))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(made):
    return Page((made[1] / "report.html").read_text())


def test_the_page_says_what_was_found(made, page):
    comparison, _, _ = made
    said = " ".join(text for _, text in page.texts)
    found = comparison.reports["FullRank"]
    for interval in (found.figures["elbo"], found.figures["inference_gap"]):
        assert f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]" in said
    shown = found.differences["elbo"]
    assert f"{shown.value:+.2f} [{shown.low:+.2f}, {shown.high:+.2f}]" in said
    assert shown.verdict in said
    assert f"{found.cost.guide_parameters:,}" in said
    assert "python -m pyro_vae.svi --guide FullRank" in said
    assert "--seed 1" in said
    assert "torch " in said


def test_the_page_is_one_that_can_be_heard(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("img")) == 2  # one of each arm
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) > 3
    assert all(head.get("scope") in ("row", "col") for head in page.all("th"))
    assert len(page.all("legend")) == len(page.all("fieldset"))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in page.all("a"):
        assert link["href"][1:] in ids
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids


def test_a_failed_run_is_in_the_report(made):
    _, out, comparison = made
    said = " ".join(text for _, text in Page((out.parent / "failed" / "report.html").read_text()).texts)
    assert "2 runs failed" in said
    assert "failed: " in said
    assert "no longer finite" in said
    assert comparison.reports["MeanField, lr=0.001"].differences == {}
    assert "not compared" in said


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium that keeps what the page logs and asks for."""
    selenium = pytest.importorskip("selenium", reason="selenium is not installed")
    del selenium
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


def count(browser, selector):
    return browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector)


def press(browser, name, value):
    """Reach a control and press the space bar on it, as one without a mouse does."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.find_element(By.CSS_SELECTOR, f'input[name="{name}"][value="{value}"]').send_keys(Keys.SPACE)


def axis(browser, which):
    return browser.execute_script(f"return document.getElementById('curves').layout.{which}.title.text")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_opens_from_disk_without_error_or_request_and_fits(made, browser, scheme, width):
    see(browser, made[1] / "report.html", scheme, width)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {
        m["params"]["request"]["url"].partition(":")[0] for m in messages if m["method"] == "Network.requestWillBeSent"
    }
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert count(browser, "#curves .scatterlayer .trace") == 4
    assert count(browser, "#differences .scatterlayer .trace") == 1
    assert count(browser, "#gaps .barlayer .point") == 4
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 26)"}[scheme]


def test_a_run_that_is_switched_off_has_no_curve(made, browser):
    see(browser, made[1] / "report.html")
    names = "return document.getElementById('curves').data.map((curve) => curve.hovertemplate.split(',')[0])"
    assert browser.execute_script(names) == ["MeanField-seed0", "MeanField-seed1", "FullRank-seed0", "FullRank-seed1"]
    press(browser, "run", "MeanField-seed1")
    assert browser.execute_script(names) == ["MeanField-seed0", "FullRank-seed0", "FullRank-seed1"]
    assert count(browser, "#curves .scatterlayer .trace") == 3
    assert browser.execute_script("return document.querySelector('[name=arm][value=MeanField]').indeterminate")
    press(browser, "arm", "FullRank")
    assert browser.execute_script(names) == ["MeanField-seed0"]
    assert "1 curve shown" in browser.execute_script("return document.getElementById('shown').textContent")
    press(browser, "arm", "FullRank")
    assert count(browser, "#curves .scatterlayer .trace") == 3


def test_terms_axes_and_splits_are_switched(made, browser):
    comparison, out, _ = made
    see(browser, out / "report.html")
    assert (axis(browser, "xaxis"), axis(browser, "yaxis")) == ("epochs", "ELBO, nats per image")
    press(browser, "term", "kl")
    press(browser, "x", "step")
    press(browser, "split", "train")
    assert (axis(browser, "xaxis"), axis(browser, "yaxis")[:2]) == ("steps of SVI", "KL")
    assert count(browser, "#curves .scatterlayer .trace") == 8
    curves = browser.execute_script(
        "return document.getElementById('curves').data.map((c) => [c.hovertemplate, [...c.x], [...c.y]])"
    )
    result = comparison.reports["MeanField"].results[0]
    from pyro_vae.runs import RunFolder

    rows = [row for row in RunFolder(result.trial.path).read_trace() if row.split == "train"]
    [drawn] = [curve for curve in curves if curve[0].startswith("MeanField-seed0, train")]
    assert drawn[1] == [row.step for row in rows]
    assert drawn[2] == pytest.approx([row.kl for row in rows], rel=1e-4)


def test_the_picture_of_differences_is_of_the_figure_that_is_chosen(made, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    comparison, out, _ = made
    see(browser, out / "report.html")
    Select(browser.find_element(By.ID, "difference-of")).select_by_value("amortization_gap")
    drawn = browser.execute_script(
        "const d = document.getElementById('differences').data[0];"
        "return [d.x[0], d.error_x.array[0], d.error_x.arrayminus[0]]"
    )
    shown = comparison.reports["FullRank"].differences["amortization_gap"]
    assert drawn == pytest.approx([shown.value, shown.high - shown.value, shown.value - shown.low])
