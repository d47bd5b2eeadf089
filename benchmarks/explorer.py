"""The explorer's page: how long a drag takes to show its image, and how long the command takes to start.

    python -m benchmarks.explorer --data-root DIR

The page is dragged in headless Chromium, a movement every 30 ms; each is timed by the page itself, from the movement to
the picture on its canvas. Of movements that come before the answer to an earlier one only the latest is asked for, so
that fewer pictures than movements are timed. Chromium, the server and its measurements share the machine's processors.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import pyro_vae
from benchmarks.results import command, machine, table, write_section

MOVES, PAUSE = 300, 0.03  #: movements of a drag, and seconds between them
DRAG, START = 50.0, 5.0  #: the targets: ms of the median drag, seconds of a start beyond importing torch
NETWORK: dict[str, Any] = {"hidden_dims": [500], "activation": "tanh"}


def runs(folder: Path, data_root: str | None) -> dict[str, Path]:
    """A run on the digits, and AEVB's network on MNIST; trained once."""
    common: dict[str, Any] = {"quiet": True, "engine": "eager", "device": "cpu", "final_samples": 2}
    digits, mnist = folder / "digits", folder / "mnist"
    pyro_vae.train_or_resume(digits, data="digits", latent_dim=2, epochs=60, **common)
    networks = {
        "encoder": {"class_path": "MLPEncoder", "init_args": NETWORK},
        "decoder": {"class_path": "MLPDecoder", "init_args": NETWORK},
    }
    root = {} if data_root is None else {"data_root": Path(data_root)}
    pyro_vae.train_or_resume(mnist, data="mnist", latent_dim=20, epochs=1, **networks, **root, **common)
    return {"digits, 2 dimensions, 250 codes": digits, "MNIST, 20 dimensions, 2,000 codes": mnist}


@contextmanager
def explored(run: Path) -> Iterator[tuple[str, float]]:
    """The address of a run's page, and the seconds from the command to its first answer."""
    began = time.monotonic()
    words = [sys.executable, "-m", "pyro_vae.explore", str(run), "--no-browser", "--device", "cpu"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split()[1]
        urllib.request.urlopen(address).read()
        yield address, time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


class Start(NamedTuple):
    """Seconds to start, on the clock and of the processor: of the command to its first answer, less importing torch."""

    seconds: float
    processor: float
    beyond: float
    processor_beyond: float


def processor_time() -> float:
    """Processor seconds of the processes that this one has started and waited for."""
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of_children.ru_utime + of_children.ru_stime


def starts(run: Path, times: int) -> Start:
    """The medians over starts of the command and of importing torch alone, by turns."""
    found = []
    for _ in range(times):
        began, spent = time.monotonic(), processor_time()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        torch, of_torch = time.monotonic() - began, processor_time() - spent
        with explored(run) as (_, seconds):
            pass
        whole = processor_time() - spent - of_torch
        found.append(Start(seconds, whole, seconds - torch, whole - of_torch))
    return Start(*(median(column) for column in zip(*found, strict=True)))


@contextmanager
def chromium() -> Iterator[Any]:
    """Headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = which("chromium") or which("google-chrome") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def drag(browser: Any, address: str, busy: bool) -> np.ndarray:
    """Milliseconds from a movement to its picture, of each that was shown.

    Args:
        busy: images are chosen meanwhile, whose posteriors the server measures.
    """
    browser.get(address)
    while browser.execute_script("return document.documentElement.dataset.ready") != "yes":
        time.sleep(0.1)
    time.sleep(1)
    box = browser.execute_script("return document.getElementById('plane').getBoundingClientRect().toJSON()")

    def mouse(kind: str, turn: float) -> None:
        at = {"x": box["x"] + box["width"] * (0.5 + 0.3 * math.cos(turn))}
        at["y"] = box["y"] + box["height"] * (0.5 + 0.3 * math.sin(1.7 * turn))
        more = {"button": "left", "buttons": 1, "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **at, **more})

    browser.execute_script("latencies.length = 0")
    mouse("mousePressed", 0.0)
    for i in range(MOVES):
        if busy and i % 100 == 0:
            browser.execute_script("look({ image: arguments[0] })", i // 100)
        mouse("mouseMoved", i / 20)
        time.sleep(PAUSE)
    mouse("mouseReleased", MOVES / 20)
    time.sleep(1)
    return np.array(browser.execute_script("return latencies"))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", help="the folder with MNIST")
    parser.add_argument("--out", type=Path, default=Path("build/explorer"), help="where the runs are kept")
    parser.add_argument("--starts", type=int, default=7)
    given = parser.parse_args()
    if given.data_root:
        os.environ["PYRO_VAE_DATA"] = given.data_root
    rows, medians, started = [], [], []
    for name, run in runs(given.out, given.data_root).items():
        with explored(run) as (address, _), chromium() as browser:
            for busy in (False, True):
                took = drag(browser, address, busy)
                words = f"{name}; {'while posteriors are measured' if busy else 'alone'}"
                middle, late = np.quantile(took, [0.5, 0.95])
                rows.append([words, f"{middle:.0f}", f"{late:.0f}", f"{len(took)} of {MOVES + 1}"])
                medians.append(middle)
        found = starts(run, given.starts)
        met = "met" if found.beyond <= START else "not met"
        started.append(f"{met} for {name.partition(',')[0]} ({found.beyond:.1f} s)")
        print(rows[-2:], found, flush=True)
        rows[-2] += [f"{found.seconds:.1f}", f"{found.beyond:.1f}", f"{found.processor_beyond:.1f}"]
        rows[-1] += [""] * 3
    load = os.getloadavg()[1]
    columns = [
        "page",
        "drag, median ms",
        "95 %",
        "pictures",
        "start, s",
        "beyond `import torch`, s",
        "of it processor time, s",
    ]
    verdict = "met" if max(medians) <= DRAG else "not met"
    about = (__doc__ or "").partition("DIR")[2].strip()
    body = (
        f"`{command('explorer', parser, given)}` on {machine()}; the machine's load, other work included, was"
        f" {load:.0f}, and these processes had the priority (nice) {os.nice(0)}.\n\n"
        f"{about}\n\n{table(columns, rows)}\n\n"
        f"The median drag is to take at most {DRAG:.0f} ms: {verdict}. The start, to the first answer of the page,"
        f" is to take at most {START:.0f} s more than `import torch` alone: {', '.join(started)};"
        f" medians of {given.starts} turns."
    )
    write_section("explorer", "The explorer's page", body)


if __name__ == "__main__":
    main()
