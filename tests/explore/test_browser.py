"""The map in a real browser: a click on a point is heard. Needs Chromium and its driver."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirfeat.explore.map_page import write_map
from mirfeat.explore.players import sources
from mirfeat.explore.song_map import make_map
from tests.support.sounds import music, write_wav
from tests.support.tables import table_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
RATE = 16_000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that links to its songs, one that holds them, and one of songs that are not there."""
    folder = tmp_path_factory.mktemp("pages")
    paths = [folder / "music" / f"song {number}#.wav" for number in range(12)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        write_wav(path, music(70.0 if number == 0 else 6.0, RATE, seed=number), RATE)
    values = np.random.default_rng(0).standard_normal((12, 6)).astype(np.float32)
    for sound in ("link", "embed", "none"):
        found = sources(paths, folder / f"{sound}.html", sound)  # type: ignore[arg-type]
        labels = ["soft", "loud"] * 6
        songs = make_map(table_of(values), sounds=found, labels=labels, tags=[["calm"]] * 12)
        write_map(folder / f"{sound}.html", songs, "Songs")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    driver = shutil.which("chromedriver")
    if not (CHROMIUM and driver):
        pytest.skip("Chromium and chromedriver are not here")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()


def webdriver_actions(browser: Any) -> Any:
    """A mouse."""
    from selenium.webdriver.common.action_chains import ActionChains

    return ActionChains(browser)


def click(browser: Any, song: int) -> None:
    """A real click of the mouse on a point."""
    canvas = browser.find_element("id", "map")
    x, y = browser.execute_script("return songMap.place(arguments[0])", song)
    middle = canvas.rect["width"] / 2, canvas.rect["height"] / 2
    actions = webdriver_actions(browser)
    actions.move_to_element_with_offset(canvas, round(x - middle[0]), round(y - middle[1]))
    actions.click().perform()


def player(browser: Any) -> dict[str, Any]:
    return browser.execute_script(
        "const p = document.getElementById('player'); return {time: p.currentTime, "
        "silent: p.paused || p.muted || p.volume === 0, length: p.duration};"
    )


def heard(browser: Any, seconds: float = 20.0) -> bool:
    """Whether the player plays: sound is on, and its time moves."""
    until, first = time.monotonic() + seconds, None
    while time.monotonic() < until:
        state = player(browser)
        if not state["silent"] and state["time"] > 0:
            if first is not None and state["time"] > first + 0.2:
                return True
            first = state["time"] if first is None else first
        time.sleep(0.1)
    return False


def text(browser: Any, id: str) -> str:
    return browser.find_element("id", id).text


@pytest.mark.parametrize("sound", ["link", "embed"])
def test_a_click_on_a_point_is_heard(browser: Any, folder: Path, sound: str) -> None:
    browser.get((folder / f"{sound}.html").as_uri())
    click(browser, 3)
    assert text(browser, "name") == "clip3"
    assert text(browser, "tags") == "calm"
    assert heard(browser)
    assert len(browser.find_elements("css selector", "#near button")) == 5
    assert browser.get_log("browser") == []


def test_a_neighbour_is_heard_and_hovering_names_a_song(browser: Any, folder: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.get((folder / "embed.html").as_uri())
    click(browser, 5)
    tip = browser.find_element("id", "tip")
    assert tip.text == "clip5"
    first = browser.find_element("css selector", "#near button")
    wanted = first.find_element("class name", "title").text
    ActionChains(browser).move_to_element(first).click().perform()
    assert text(browser, "name") == wanted != "clip5"
    assert heard(browser)


def test_a_whole_song_starts_where_it_has_begun(browser: Any, folder: Path) -> None:
    browser.get((folder / "link.html").as_uri())
    click(browser, 0)
    assert heard(browser)
    state = player(browser)
    assert state["length"] == pytest.approx(70, abs=0.5)
    assert state["time"] >= 70 / 3


def test_a_song_that_is_not_there_says_so(browser: Any, folder: Path) -> None:
    browser.get((folder / "none.html").as_uri())
    click(browser, 2)
    assert text(browser, "silence") == "There is no audio to play for this song."


def test_a_phone_shows_the_page_without_scrolling_sideways(browser: Any, folder: Path) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get((folder / "embed.html").as_uri())
        click(browser, 7)
        assert heard(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def report_page(folder: Path) -> Path:
    """A report on songs of two classes that differ in nothing, so that some are confused."""
    pytest.importorskip("matplotlib")
    from mirfeat.cli import main

    names = sorted(path.name for path in (folder / "music").iterdir())
    lines = [f"{name},{'soft' if k % 2 else 'loud'}" for k, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    where = ("--audio", str(folder / "music"), "--labels", str(folder / "labels.csv"))
    what = ("-m", "mfcc", "--quick", "--sections", "svm-grid,map", "--folds", "2", "-q")
    assert main(["report", *where, *what, "-o", str(folder / "report")]) == 0
    return folder / "report" / "report.html"


def test_a_report_plays_confused_songs_and_its_map(browser: Any, report_page: Path) -> None:
    browser.get(report_page.as_uri())
    first = browser.find_elements("css selector", ".heard audio")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    # Its own button, by a click of the mouse: browsers play nothing that nobody asked for.
    actions = webdriver_actions(browser)
    actions.move_to_element_with_offset(first, round(24 - first.rect["width"] / 2), 0)
    actions.click().perform()
    until = time.monotonic() + 20
    while not (moved := browser.execute_script("return arguments[0].currentTime", first)):
        assert time.monotonic() < until
    assert moved > 0
    frame = browser.find_element("tag name", "iframe")
    browser.execute_script("arguments[0].scrollIntoView()", frame)
    browser.switch_to.frame(frame)
    try:
        click(browser, 3)
        assert heard(browser)
    finally:
        browser.switch_to.default_content()


def test_a_phone_shows_all_of_a_report(browser: Any, report_page: Path) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(report_page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        hidden = browser.execute_script(
            "return [...document.querySelectorAll('.plot svg.narrow')]"
            ".filter(s => s.getBoundingClientRect().right > 391).length"
        )
        assert hidden == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
