"""The page in a browser: a drag, keys, both schemes, a phone's width, and no request to outside."""

import numpy as np
import pytest
from browsing import asked, element, js, see, wait

pytestmark = pytest.mark.usefixtures("browser")
PIXELS = (
    "(() => { const c = document.getElementById('decoded');"
    " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); })()"
)
MINUS = "\u2212"


def opened(browser, client, scheme="light", width=1280):
    see(browser, client.address, scheme, width)
    wait(browser, "document.documentElement.dataset.ready === 'yes'", 20)
    wait(browser, "!asking")
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_it_opens_without_error_or_outside_request_and_fits(client, browser, scheme, width):
    opened(browser, client, scheme, width)
    assert browser.get_log("browser") == []
    urls = asked(browser)
    assert urls
    assert all(url.startswith((client.address, "data:")) for url in urls), urls
    assert js(browser, "document.documentElement.scrollWidth") <= width
    paper = js(browser, "getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 26)"}[scheme]
    element(browser, "#theme").click()
    assert js(browser, "getComputedStyle(document.body).backgroundColor") != paper


def test_a_drag_changes_the_image_to_that_of_the_place(client, browser):
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, client)
    before, plane = js(browser, PIXELS), element(browser, "#plane")
    ActionChains(browser).move_to_element(plane).click_and_hold().move_by_offset(80, 40).release().perform()
    wait(browser, "!asking && latencies.length > 0")
    z = js(browser, "state.z")
    assert z[0] > 0.5
    assert z[1] < -0.2
    assert js(browser, PIXELS) != before
    assert js(browser, PIXELS) == client.ask("decode", run=0, z=[z]).ravel().tolist()
    assert f"z₁ = {z[0]:.2f}" in js(browser, "document.getElementById('z').textContent")


def test_keys_move_zoom_and_choose(client, browser):
    from selenium.webdriver.common.keys import Keys

    opened(browser, client)
    plane, half = element(browser, "#plane"), js(browser, "plane.half")
    before = js(browser, PIXELS)
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP):
        plane.send_keys(key)
    x, y = js(browser, "state.z")
    assert 0 < x < y == pytest.approx(2 * x)
    plane.send_keys(Keys.SHIFT, Keys.ARROW_LEFT)
    assert js(browser, "state.z")[0] == pytest.approx(-9 * x)
    wait(browser, f"!asking && JSON.stringify({PIXELS}) !== '{before}'.replaceAll(' ', '')")
    assert js(browser, "getComputedStyle(document.activeElement).outlineStyle") == "solid"
    plane.send_keys("+")
    assert js(browser, "plane.half") < half
    plane.send_keys("0")
    assert js(browser, "state.z") == [0, 0]
    plane.send_keys(Keys.ENTER)
    codes = client.ask("codes", run=0)
    nearest = int(np.square(codes).sum(1).argmin())
    assert js(browser, "state.image.image") == nearest
    assert js(browser, "state.z") == pytest.approx(codes[nearest].tolist())


def test_a_click_on_a_point_chooses_its_image(client, browser):
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, client)
    codes = client.ask("codes", run=0)
    index = int(np.square(codes).sum(1).argsort()[len(codes) // 2])
    x, y = js(browser, "plane.toPixels(arguments[0], arguments[1])", *codes[index].tolist())
    plane = element(browser, "#plane")
    middle = js(browser, "plane.side()") / 2
    ActionChains(browser).move_to_element_with_offset(plane, round(x - middle), round(y - middle)).click().perform()
    chosen = js(browser, "state.image.image")
    assert np.linalg.norm(codes[chosen] - codes[index]) <= np.linalg.norm(codes - codes[index], axis=1)[index] + 0.1
    assert js(browser, "state.z") == pytest.approx(codes[chosen].tolist())


def test_of_many_dimensions_two_are_chosen_and_the_others_held(client, browser):
    from selenium.webdriver.support.select import Select

    opened(browser, client)
    Select(element(browser, "#run")).select_by_value("1")
    wait(browser, "state.run === 1 && state.z.length === 4 && !asking")
    assert js(browser, "state.axes") == client.ask("start")["runs"][1]["axes"]
    browser.execute_script("choose(3)")
    code = client.ask("codes", run=1)[3].tolist()
    assert js(browser, "state.z") == pytest.approx(code)
    Select(element(browser, "#hold")).select_by_value("0")
    axes = js(browser, "state.axes")
    assert js(browser, "state.z") == pytest.approx([value if d in axes else 0 for d, value in enumerate(code)])
    Select(element(browser, "#across")).select_by_value(str(axes[1]))
    assert js(browser, "state.axes") == axes[::-1]
    assert js(browser, "plane.titles") == [f"z{'₀₁₂₃₄'[d + 1]}" for d in axes[::-1]]


def figures(browser, run=0):
    """The numbers on the card of a run, when all are there."""
    names = ("elbo", "evidence", "gap", "k_hat")
    for name in names:
        wait(browser, f"document.getElementById('figure-{run}-{name}').dataset.value !== undefined", 60)
    found = {name: js(browser, f"document.getElementById('figure-{run}-{name}').dataset.value") for name in names}
    return {name: float(value) for name, value in found.items()}


def test_the_numbers_of_a_chosen_image_are_the_servers(client, browser):
    opened(browser, client)
    element(browser, "#after").click()
    shown = figures(browser)
    own, evidence = (client.ask(name, run=0, image=0) for name in ("own", "evidence"))
    assert shown == {
        "elbo": own["elbo"]["value"],
        "k_hat": own["k_hat"]["value"],
        "evidence": evidence["evidence"]["value"],
        "gap": evidence["gap"]["value"],
    }
    text = js(browser, "document.getElementById('figure-0-gap').textContent")
    assert text == f"{shown['gap']:.2f} ± {evidence['gap']['sampling_error']:.2f}".replace("-", MINUS)
    wait(browser, "plane.regions.length === 2 && document.querySelectorAll('.card .pixels').length === 4", 60)
    assert browser.get_log("browser") == []


def test_a_drawn_digit_gives_numbers(client, browser):
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, client)
    canvas = element(browser, "#canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    stroke = ActionChains(browser).move_to_element_with_offset(canvas, 0, -80).click_and_hold()
    for _ in range(8):
        stroke = stroke.move_by_offset(0, 20)
    stroke.release().perform()
    wait(browser, "state.image && state.image.drawn !== undefined", 20)
    shown = figures(browser)
    assert shown["evidence"] - shown["elbo"] == pytest.approx(shown["gap"])
    assert shown["gap"] > 0
    pixels = js(browser, "[...document.querySelector('#drawn canvas').getContext('2d').getImageData(0,0,8,8).data]")
    image = np.array(pixels).reshape(8, 8, 4)[..., 0]
    assert image[:, 3:5].mean() > 60 > 20 > image[:, :2].mean()


def test_a_digit_is_drawn_by_keys(client, browser):
    from selenium.webdriver.common.keys import Keys

    opened(browser, client)
    element(browser, "#canvas").send_keys(Keys.SPACE, *[Keys.ARROW_DOWN] * 15, Keys.SPACE, *[Keys.ARROW_RIGHT] * 3)
    wait(browser, "state.image && state.image.drawn !== undefined", 20)
    assert figures(browser)["gap"] > 0
    data = "document.getElementById('canvas').getContext('2d').getImageData(0, 0, 168, 168).data"
    ink = f"{data}.filter((value) => value === 255).length"
    drawn = js(browser, ink)
    element(browser, "#canvas").send_keys(Keys.DELETE)
    assert js(browser, ink) < 200 < 1000 < drawn  # the ring that shows the pen is left


def test_between_two_images_a_slider_moves_z(client, browser):
    from selenium.webdriver.common.keys import Keys

    opened(browser, client)
    wait(browser, "document.querySelectorAll('.strip canvas').length === 26", 20)
    slider = element(browser, "#slide")
    slider.send_keys(Keys.END)
    assert js(browser, "state.z") == pytest.approx(client.ask("codes", run=0)[1].tolist(), rel=1e-5)
    slider.send_keys(Keys.HOME)
    assert js(browser, "state.z") == pytest.approx(client.ask("codes", run=0)[0].tolist(), rel=1e-5)


def test_the_worst_images_are_listed_and_chosen(client, browser):
    opened(browser, client)
    wait(browser, "!document.getElementById('measure').hidden", 20)
    element(browser, "#measure").click()
    wait(browser, "document.querySelectorAll('#lists li button').length === 16", 120)
    found = client.ask("worst", run=0, measure=True)["inference_gap"]["worst"]
    assert js(browser, "document.querySelector('#lists li button').textContent") == f"{found[0]['value']:.2f}"
    browser.execute_script("document.querySelector('#lists li button').click()")
    assert js(browser, "state.image.image") == found[0]["image"]


def test_keys_reach_every_control_and_each_has_a_name(client, browser):
    from selenium.webdriver.common.keys import Keys

    opened(browser, client)
    wait(browser, "!document.getElementById('measure').hidden", 20)
    wanted = js(
        browser,
        "[...document.querySelectorAll('a[href], button:not(:disabled), select, input, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility()).length",
    )
    browser.execute_script("window.reached = new Set()")
    for _ in range(wanted + 3):
        (browser.switch_to.active_element or element(browser, "body")).send_keys(Keys.TAB)
        js(browser, "window.reached.add(document.activeElement).size")
        name = "((e) => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent).trim())"
        assert js(browser, f"{name}(document.activeElement)")
        if js(browser, "document.activeElement === document.body"):
            break
        assert js(browser, "getComputedStyle(document.activeElement).outlineStyle") in ("solid", "auto")
    assert js(browser, "[...window.reached].filter((e) => e !== document.body).length") == wanted
