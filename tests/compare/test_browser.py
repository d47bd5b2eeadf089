"""The report in a browser: it draws, answers to its switches and keys, fits, and asks the network for nothing."""

import json
import time

import numpy as np
import pytest
from browsing import asked, count, element, js, see, shot, wait
from pages import press

from pyro_vae.runs import RunFolder

CURVES = "document.getElementById('curves')"
NAMES = f"{CURVES}.data.filter((c) => c.meta && c.meta.run).map((c) => c.meta.run + ' ' + c.meta.split)"
DRAWN = """((id, n, i) => {
  const d = document.getElementById(id).data[n];
  return [d.x[i], d.error_x.array[i], d.error_x.arrayminus[i]];
})"""
OVER = """((id) => {
  const boxes = (s) => [...document.querySelectorAll(`#${id} ${s}`)].map((e) => e.getBoundingClientRect());
  return boxes('.annotation-text').some((a) => boxes('.barlayer .point path').some((b) => b.width > 1
    && a.bottom > b.top + 2 && a.top < b.bottom - 2 && a.left < b.right && a.right > b.left));
})"""
RANGES = f"[{CURVES}.layout.xaxis.range, {CURVES}.layout.yaxis.range]"

pytestmark = pytest.mark.usefixtures("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_it_opens_from_disk_without_error_or_request_and_fits(made, browser, scheme, width):
    see(browser, made[1] / "report.html", scheme, width)
    assert browser.get_log("browser") == []
    urls = asked(browser)
    assert urls
    assert {url.partition(":")[0] for url in urls} <= {"file", "data", "blob"}
    assert len(js(browser, NAMES)) == 4
    assert count(browser, "#differences .scatterlayer .trace") == 1
    assert count(browser, "#gaps .barlayer .point") == 4
    assert count(browser, "#gaps .errorbar") == 2
    assert count(browser, "#sources .barlayer .point") == 3
    assert js(browser, "document.documentElement.scrollWidth") <= width
    paper = js(browser, "getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 20, 26)"}[scheme]


def drag(browser, selector, start, end):
    from selenium.webdriver.common.action_chains import ActionChains

    target = element(browser, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", target)
    actions = ActionChains(browser).move_to_element_with_offset(target, *start).click_and_hold()
    actions.move_to_element_with_offset(target, *end).release().perform()


def test_a_zoom_is_kept_at_every_toggle_and_undone_by_its_button(made, browser):
    see(browser, made[1] / "report.html")
    whole = js(browser, RANGES)
    drag(browser, "#curves .draglayer .nsewdrag", (-100, -60), (120, 80))
    wait(browser, f"JSON.stringify({RANGES}) !== '{json.dumps(whole, separators=(',', ':'))}'")
    zoomed = js(browser, RANGES)
    assert whole[0][0] < zoomed[0][0] < zoomed[0][1] < whole[0][1]
    for name, value in [("split", "validation"), ("split", "train"), ("run", "MeanField-seed1"), ("arm", "FullRank")]:
        press(browser, name, value)
        assert js(browser, RANGES) == zoomed, f"{name} {value}"
    assert js(browser, "document.getElementById('unzoom').disabled") is False
    press(browser, "term", "kl")
    assert js(browser, RANGES)[0] == zoomed[0]
    assert js(browser, RANGES)[1] != zoomed[1]
    press(browser, "term", "elbo")
    browser.execute_script("document.getElementById('unzoom').click()")
    assert js(browser, "document.getElementById('unzoom').disabled") is True
    assert js(browser, RANGES)[0][1] > zoomed[0][1]


def test_a_view_that_is_chosen_is_pressed(made, browser):
    see(browser, made[1] / "report.html")
    pressed = "[...document.querySelectorAll('[name=view]')].map((b) => [b.value, b.getAttribute('aria-pressed')])"
    assert js(browser, pressed) == [["whole", "false"], ["late", "true"], ["end", "false"]]
    late = js(browser, RANGES)
    press(browser, "view", "whole")
    assert js(browser, pressed)[0] == ["whole", "true"]
    assert js(browser, RANGES)[1][0] < late[1][0]
    press(browser, "view", "end")
    assert js(browser, pressed) == [["whole", "false"], ["late", "false"], ["end", "true"]]
    assert js(browser, RANGES)[0][0] >= 8.5  # of twelve epochs


def test_a_run_that_is_switched_off_has_no_curve_and_none_at_all_a_hint(made, browser):
    see(browser, made[1] / "report.html")
    runs = ["MeanField-seed0 test", "MeanField-seed1 test", "FullRank-seed0 test", "FullRank-seed1 test"]
    assert js(browser, NAMES) == runs
    press(browser, "run", "MeanField-seed1")
    assert js(browser, NAMES) == [runs[0], *runs[2:]]
    assert js(browser, "document.querySelector('[name=arm][value=MeanField]').indeterminate")
    press(browser, "arm", "FullRank")
    assert js(browser, NAMES) == runs[:1]
    assert "1 curve of 1 of 4 runs" in js(browser, "document.getElementById('shown').textContent")
    press(browser, "run", "MeanField-seed0")
    assert js(browser, NAMES) == []
    assert "No curve is chosen" in js(browser, f"{CURVES}.textContent")


def test_a_click_in_the_legend_hides_an_arm_and_shows_it_again(made, browser):
    from selenium.webdriver.common.action_chains import ActionChains

    see(browser, made[1] / "report.html")
    for runs in (2, 4):
        toggle = element(browser, "#curves .legend .traces:nth-child(1) .legendtoggle")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", toggle)
        ActionChains(browser).move_to_element(toggle).click().perform()
        wait(browser, f"{NAMES}.length === {runs}")
        time.sleep(0.5)  # longer than what makes two clicks a double click
        assert js(browser, "document.querySelector('[name=arm][value=MeanField]').checked") is (runs == 4)


def test_colour_and_marker_are_the_arm_and_the_dash_is_the_split(made, browser):
    see(browser, made[1] / "report.html")
    for split in ("train", "validation"):
        press(browser, "split", split)
    lines = js(
        browser, f"{CURVES}.data.filter((c) => c.meta && c.meta.run).map((c) => [c.meta, c.line.color, c.line.dash])"
    )
    assert len(lines) == 12
    assert len({(meta["arm"], colour) for meta, colour, _ in lines}) == 2
    assert {(meta["split"], dash) for meta, _, dash in lines} == {
        ("test", "solid"),
        ("train", "dot"),
        ("validation", "dash"),
    }
    arms = {colour for _, colour, _ in lines}
    gray = js(browser, "document.getElementById('gaps').data.slice(0, 2).map((c) => c.marker.color)")
    assert not arms & set(gray)


def test_terms_axes_splits_and_smoothing_are_drawn_from_the_trace(made, browser):
    from selenium.webdriver.support.select import Select

    comparison, out, _ = made
    see(browser, out / "report.html")
    for name, value in [("term", "kl"), ("x", "step"), ("split", "train")]:
        press(browser, name, value)
    title = f"{CURVES}.layout.{{}}.title.text"
    assert js(browser, title.format("xaxis")) == "steps of SVI"
    assert js(browser, title.format("yaxis")).startswith("KL")
    of_run = f"{CURVES}.data.find((c) => c.meta && c.meta.run === 'MeanField-seed0' && c.meta.split === 'train')"
    rows = RunFolder(comparison.reports["MeanField"].results[0].trial.path).read_trace()
    kl = np.array([row.kl for row in rows if row.split == "train"])
    assert js(browser, f"[...{of_run}.x]") == [row.step for row in rows if row.split == "train"]
    assert js(browser, f"[...{of_run}.y]") == pytest.approx(kl, rel=1e-4)
    Select(element(browser, "#smooth")).select_by_value("5")
    means = [kl[max(0, i - 2) : i + 3].mean() for i in range(len(kl))]
    assert js(browser, f"[...{of_run}.y]") == pytest.approx(means, rel=1e-4)


def test_the_picture_of_differences_is_of_the_quantity_that_is_chosen(made, browser):
    from selenium.webdriver.support.select import Select

    comparison, out, _ = made
    see(browser, out / "report.html")
    Select(element(browser, "#difference-of")).select_by_value("amortization_gap")
    drawn = js(browser, f"{DRAWN}('differences', 0, 0)")
    shown = comparison.reports["FullRank"].differences["amortization_gap"]
    assert drawn == pytest.approx([shown.value, shown.high - shown.value, shown.value - shown.low])


def test_the_parts_of_a_difference_have_their_intervals(made, browser):
    comparison, out, _ = made
    see(browser, out / "report.html")
    [(arm, source)] = comparison.verdict.parts.items()
    drawn = js(browser, f"{DRAWN}('sources', 3, 0)")
    elbo = source.elbo
    assert drawn == pytest.approx([elbo.value, elbo.high - elbo.value, elbo.value - elbo.low])
    said = js(browser, "document.getElementById('sources').data[1].customdata[0]")
    low, high = (f"{end:+.2f}" for end in (source.family.low, source.family.high))
    assert said == f"{arm}, family: {source.family.value:+.2f} [{low}, {high}]"


def test_a_quantity_in_another_unit_says_so(made, browser):
    from selenium.webdriver.support.select import Select

    see(browser, made[1] / "report.html")
    Select(element(browser, "#difference-of")).select_by_value("kl_to_q")
    assert not js(browser, "document.getElementById('of-nats').hidden")
    Select(element(browser, "#difference-of")).select_by_value("coverage_90")
    assert js(browser, "document.getElementById('of-nats').hidden")
    assert js(browser, "document.getElementById('of-unit').textContent") == "probability"


def test_the_bars_of_the_gap_have_the_intervals_of_the_table(made, browser):
    comparison, out, _ = made
    see(browser, out / "report.html")
    for i, arm in enumerate(["MeanField", "FullRank"]):
        found = comparison.reports[arm].figures["inference_gap"]
        drawn = js(browser, f"{DRAWN}('gaps', 2, {i})")
        assert drawn == pytest.approx([found.value, found.high - found.value, found.value - found.low])


def test_a_term_explains_itself_to_pointer_and_focus(made, browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    see(browser, made[1] / "report.html", width=375)
    word = element(browser, "#arms .term")
    tip = "[document.getElementById('tip').hidden, document.getElementById('tip').textContent]"
    browser.execute_script("arguments[0].focus({preventScroll: false})", word)
    time.sleep(0.3)  # the page has scrolled to it
    hidden, text = js(browser, tip)
    assert not hidden
    assert "log p(x) minus the inference gap" in " ".join(text.split())
    box = js(browser, "document.getElementById('tip').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert box["right"] <= 375
    word.send_keys(Keys.ESCAPE)
    assert js(browser, tip)[0]
    browser.execute_script(
        "arguments[0].blur(); arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", word
    )
    away = element(browser, "#arms tbody th")  # the pointer may have been over the word
    ActionChains(browser).move_to_element(away).move_to_element(word).perform()
    wait(browser, "!document.getElementById('tip').hidden")


def test_the_keyboard_reaches_everything_that_a_pointer_does(made, browser):
    from selenium.webdriver.common.keys import Keys

    see(browser, made[1] / "report.html")
    wanted = js(
        browser,
        "[...document.querySelectorAll('a[href], button:not(:disabled), select, input, pre, .scroll')]"
        ".filter((e) => e.closest('dialog') === null && !(e.type === 'radio' && !e.checked)).length",
    )
    reached, body = [], element(browser, "body")
    browser.execute_script("window.seen = new Set()")
    for _ in range(wanted + 5):
        (browser.switch_to.active_element or body).send_keys(Keys.TAB)
        reached.append(js(browser, "window.seen.add(document.activeElement).size"))
        name = js(
            browser,
            "((e) => (e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent"
            " || e.querySelector('img')?.alt || '').trim())(document.activeElement)",
        )
        assert name, js(browser, "document.activeElement.outerHTML.slice(0, 200)")
        if js(browser, "document.activeElement === document.body"):
            break
    found = js(browser, "[...window.seen].filter((e) => e !== document.body).length")
    assert found == wanted
    outline = js(browser, "getComputedStyle(document.querySelector('.skip')).outlineStyle")
    assert outline is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_at_375_pixels_nothing_overlaps_and_tables_show_name_and_verdict(made, browser, scheme):
    see(browser, made[1] / "report.html", scheme, 375)
    apart = (
        "((id, one, other) => { const box = (s) => document.querySelector(`#${id} ${s}`).getBoundingClientRect();"
        " const [a, b] = [box(one), box(other)];"
        " return a.bottom <= b.top + 1 || b.bottom <= a.top + 1; })"
    )
    assert js(browser, f"{apart}('curves', '.legend', '.nsewdrag')")
    assert js(browser, "document.querySelector('#gaps .legend') === null")
    keys = "document.querySelector('#answers .keys').getBoundingClientRect().bottom"
    assert js(browser, f"{keys} <= document.getElementById('gaps').getBoundingClientRect().top")
    for picture in ("gaps", "sources"):
        assert not js(browser, f"{OVER}('{picture}')"), picture
    row = js(
        browser, "[...document.querySelector('#arms tbody tr').children].map((c) => c.getBoundingClientRect().right)"
    )
    assert row[1] <= 375
    cut = js(
        browser,
        "[...document.querySelectorAll('.wide')].map((w) => [w.querySelector('.scroll').scrollWidth >"
        " w.querySelector('.scroll').clientWidth + 1, !w.querySelector('.hint').hidden])",
    )
    assert all(more == hinted for more, hinted in cut)
    assert any(more for more, _ in cut)
    wide = js(browser, "[...document.querySelectorAll('pre')].every((p) => p.scrollWidth <= p.clientWidth)")
    assert wide, "a command is cut"


def test_in_the_dark_pictures_are_dark_and_their_images_keep_their_grays(made, browser):
    page = made[1] / "report.html"
    seen = {}
    for scheme in ("light", "dark"):
        see(browser, page, scheme)
        seen[scheme] = [shot(browser, f".gallery:nth-of-type({i}) .frame") for i in (1, 2)]
    for light, dark in zip(seen["light"], seen["dark"], strict=True):
        edge = (slice(3, 10), slice(3, 10))
        assert light[edge].min() > 240
        assert dark[edge].max() < 60
    images, plot = seen["dark"]
    assert plot.mean() < 60
    block = (slice(int(0.4 * len(images)), int(0.9 * len(images))), slice(images.shape[1] // 3, -20))
    assert np.abs(images[block].astype(int) - seen["light"][0][block]).mean() < 8


def test_a_picture_enlarges_on_click_and_on_enter_and_closes(made, browser):
    from selenium.webdriver.common.keys import Keys

    see(browser, made[1] / "report.html")
    small = js(browser, "document.querySelector('.gallery .frame').getBoundingClientRect().width")
    frame = element(browser, ".gallery .frame")
    frame.send_keys(Keys.ENTER)
    assert js(browser, "document.getElementById('large').open")
    assert js(browser, "document.querySelector('#large img').getBoundingClientRect().width") > 1.2 * small
    element(browser, "#large button").send_keys(Keys.ESCAPE)
    assert not js(browser, "document.getElementById('large').open")
    assert js(browser, "document.activeElement === document.querySelector('.gallery .frame')")


def test_on_paper_there_are_no_controls_and_all_is_light(made, browser):
    see(browser, made[1] / "report.html", "dark")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    assert js(browser, "getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    hidden = js(
        browser, "[...document.querySelectorAll('nav, .controls')].every((e) => getComputedStyle(e).display === 'none')"
    )
    assert hidden
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
