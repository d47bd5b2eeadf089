"""The exported page: what it holds, how large it is, and that it works from disk alone."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from browsing import asked, element, js, see, wait
from PIL import Image

from pyro_vae.errors import InputError
from pyro_vae.explore import command, one_page


@pytest.fixture(scope="module")
def flow(exhibit):
    """The run of four dimensions, alone."""
    return replace(exhibit, opened=exhibit.opened[1:])


@pytest.fixture(scope="module")
def page(flow, tmp_path_factory):
    return one_page.export_page(flow, tmp_path_factory.mktemp("page") / "new" / "plane.html")


def tiles(sprite):
    """The images of a sprite, ``(side, side, H, W)``."""
    pixels = np.asarray(Image.open(io.BytesIO(sprite.png)))
    height, width = sprite.shape
    return pixels.reshape(sprite.side, height, sprite.side, width).swapaxes(1, 2)


def test_the_sprite_has_the_decoded_images_at_their_places(flow):
    opened = flow.opened[0]
    sprite = one_page.sprite_of(opened)
    found, at = tiles(sprite), torch.linspace(-sprite.half, sprite.half, sprite.side)
    for row, column in [(0, 0), (3, 50), (63, 10)]:
        z = torch.zeros(1, 4)
        z[0, opened.axes[0]], z[0, opened.axes[1]] = at[column], at[sprite.side - 1 - row]
        expected = opened.decoded(z)[0, ..., 0].astype(int)
        assert np.abs(found[row, column] - expected).max() <= 1  # of rounding in batches of other sizes
    assert np.abs(found[0, 0].astype(int) - found[-1, -1]).max() > 50
    inside = (opened.codes[:, list(opened.axes)].abs() <= sprite.half).double().mean()
    assert inside > 0.98


@pytest.mark.parametrize(("name", "most"), [("BYTES", 30_000), ("PIXELS", 16 * 16 * 64)])
def test_the_size_is_bounded(flow, monkeypatch, name, most):
    whole = one_page.sprite_of(flow.opened[0])
    assert whole.side == 64
    monkeypatch.setattr(one_page, name, most)
    less = one_page.sprite_of(flow.opened[0])
    assert 8 <= less.side < 64
    assert {"BYTES": len(less.png), "PIXELS": less.side**2 * 64}[name] <= most


def test_the_page_is_self_contained_and_several_runs_are_refused(page, exhibit, tmp_path):
    text = page.read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert text.count(" src=") == 1
    assert 'src="data:image/png' in text
    with pytest.raises(InputError, match="writes the plane of one run, and there are 2"):
        one_page.export_page(exhibit, tmp_path / "both.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        one_page.export_page(replace(exhibit, opened=exhibit.opened[:1]), tmp_path / "file" / "plane.html")


def test_the_command_writes_it_and_needs_no_server(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pyro_vae.explore.server.find_spec", lambda name: None)
    command.main([str(runs[0]), "--export", str(tmp_path / "plane.html")])
    assert capsys.readouterr().out.startswith(f"page: {tmp_path / 'plane.html'} (0.")
    assert (tmp_path / "plane.html").stat().st_size < 2**20


@pytest.mark.parametrize("width", [1280, 375])
def test_it_works_from_disk_by_pointer_and_keys(page, flow, browser, width):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    see(browser, page, "dark", width)
    wait(browser, "document.documentElement.dataset.ready === 'yes'")
    assert js(browser, "document.documentElement.scrollWidth") <= width
    assert js(browser, "getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 26)"
    plane = element(browser, "#plane")
    if width == 1280:
        ActionChains(browser).move_to_element(plane).click_and_hold().move_by_offset(60, 30).release().perform()
    else:
        plane.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    at = js(browser, "state.z")
    assert at[0] > 0 > at[1]
    opened = flow.opened[0]
    z = torch.zeros(1, 4)
    z[0, opened.axes[0]], z[0, opened.axes[1]] = at
    data = "document.getElementById('decoded').getContext('2d').getImageData(0, 0, 8, 8).data"
    shown = np.array(js(browser, f"[...{data}]")).reshape(8, 8, 4)[..., 0]
    assert np.abs(shown - opened.decoded(z)[0, ..., 0].astype(int)).max() <= 8  # between places it is a mean
    plane.send_keys(Keys.ENTER)
    assert js(browser, "document.getElementById('chosen-words').textContent").startswith("The code of test image")
    assert browser.get_log("browser") == []
    assert {url.partition(":")[0] for url in asked(browser)} <= {"file", "data"}
