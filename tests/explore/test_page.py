"""The page in a browser: a drag, keys, both schemes, a phone's width, and no request to outside."""

import numpy as np
import pytest
from browsing import asked, element, js, see, wait

pytestmark = pytest.mark.usefixtures("browser")
PIXELS = (
    "(() => { const c = document.getElementById('decoded');"
    " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); })()"
)
PLACE = "JSON.stringify(state.z)"


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
