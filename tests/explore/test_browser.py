"""Demo, map, report and gallery in a real browser: a click is heard, and all of it is seen.

Needs Chromium and its driver; the gallery is that of the site, which ``make docs`` builds.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirfeat
from mirfeat.cli import main
from mirfeat.cli import map as cli_map
from mirfeat.explore.map_page import write_map
from mirfeat.explore.players import sources
from mirfeat.explore.song_map import make_map
from tests.conftest import REPOSITORY
from tests.support.sounds import music, write_wav
from tests.support.tables import table_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
RATE = 16_000
DEMO_SONGS = 8
GALLERY = REPOSITORY / "docs" / "_build" / "gallery"
# Width and height in pixels, whether a finger, and what the system prefers.
SCREENS = {
    "desktop": (1280, 900, False, "light"),
    "desktop in the dark": (1280, 900, False, "dark"),
    "phone": (390, 844, True, "light"),
    "phone in the dark": (390, 844, True, "dark"),
}
# Texts whose contrast with what is behind them is below what WCAG 2 asks for (AA, 1.4.3).
FAINT = """
const channel = v => (v /= 255, v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const behind = e => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const found = [];
for (const e of document.body.querySelectorAll("*")) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.closest("svg, script, [hidden]") || !e.getClientRects().length) continue;
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const large = parseFloat(getComputedStyle(e).fontSize) >= 24;
  const text = e.textContent.trim().slice(0, 40);
  if (ratio < (large ? 3 : 4.5)) found.push(`${text}: ${ratio.toFixed(2)}`);
}
return found;
"""
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


def listen(browser: Any, audio: Any) -> None:
    """Click the button of an audio element, and wait until its time moves."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", audio)
    # By a click of the mouse: browsers play nothing that nobody asked for.
    actions = webdriver_actions(browser)
    actions.move_to_element_with_offset(audio, round(24 - audio.rect["width"] / 2), 0)
    actions.click().perform()
    until = time.monotonic() + 20
    while not browser.execute_script("return arguments[0].currentTime", audio):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not browser.execute_script("return arguments[0].muted", audio)


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


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``mirfeat demo`` writes, of some of its songs."""
    few = dict(list(mirfeat.list_examples().items())[:: 32 // DEMO_SONGS])
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_map, "list_examples", lambda: few)
        assert main(["demo", "--no-open", "-q", "-o", str(folder)]) == 0
    return folder / "demo.html"


@pytest.fixture(scope="module")
def report_page(folder: Path) -> Path:
    """A report on songs of two classes that differ in nothing, so that some are confused."""
    pytest.importorskip("matplotlib")
    names = sorted(path.name for path in (folder / "music").iterdir())
    lines = [f"{name},{'soft' if k % 2 else 'loud'}" for k, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    where = ("--audio", str(folder / "music"), "--labels", str(folder / "labels.csv"))
    what = ("-m", "mfcc", "--quick", "--sections", "svm-grid,map", "--folds", "2", "-q")
    assert main(["report", *where, *what, "-o", str(folder / "report")]) == 0
    return folder / "report" / "report.html"


@contextmanager
def map_inside(browser: Any) -> Iterator[None]:
    """Be in the map that a page has in a frame."""
    frame = browser.find_element("tag name", "iframe")
    browser.execute_script("arguments[0].scrollIntoView()", frame)
    browser.switch_to.frame(frame)
    try:
        yield
    finally:
        browser.switch_to.default_content()


def test_a_report_plays_confused_songs_and_its_map(browser: Any, report_page: Path) -> None:
    browser.get(report_page.as_uri())
    listen(browser, browser.find_elements("css selector", ".heard audio")[0])
    with map_inside(browser):
        click(browser, 3)
        assert heard(browser)


@pytest.fixture(params=SCREENS)
def screen(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The browser as one of several screens."""
    width, height, mobile, scheme = SCREENS[request.param]
    size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    prefers = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [prefers]})
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def seen(browser: Any) -> None:
    """Nothing is beside the screen, and every text stands out from what is behind it."""
    width = browser.execute_script("return innerWidth")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(FAINT) == []


@pytest.mark.parametrize("page", ["demo", "map"])
def test_demo_and_map_on_every_screen(
    screen: Any, page: str, folder: Path, demo_page: Path
) -> None:
    screen.get((demo_page if page == "demo" else folder / "link.html").as_uri())
    click(screen, 5)
    assert heard(screen)
    # What the browser prefers is what the page looks like.
    dark = screen.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
    paper = screen.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") != dark
    tip, canvas = (screen.find_element("id", name).rect for name in ("tip", "map"))
    assert canvas["x"] <= tip["x"]
    assert tip["x"] + tip["width"] <= canvas["x"] + canvas["width"] + 1
    seen(screen)
    assert screen.get_log("browser") == []


def test_a_report_on_every_screen(screen: Any, report_page: Path) -> None:
    screen.get(report_page.as_uri())
    seen(screen)
    cut = screen.execute_script(
        "return [...document.querySelectorAll('.plot svg.narrow')]"
        ".filter(s => s.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert cut == 0
    with map_inside(screen):
        click(screen, 3)
        assert heard(screen)
        seen(screen)
        # One page to scroll, not one within the other.
        inside = "return document.documentElement.scrollHeight - innerHeight"
        assert screen.execute_script(inside) <= 0


@pytest.mark.skipif(not GALLERY.is_dir(), reason="the site is not built: make docs")
@pytest.mark.parametrize("page", ["plot_similar_songs", "plot_map"])
def test_the_gallery_on_every_screen(screen: Any, page: str) -> None:
    screen.get((GALLERY / f"{page}.html").as_uri())
    width = screen.execute_script("return innerWidth")
    assert screen.execute_script("return document.documentElement.scrollWidth") <= width
    if page == "plot_map":
        with map_inside(screen):
            click(screen, 3)
            assert heard(screen)
    else:
        first = screen.find_elements("tag name", "audio")[0]
        listen(screen, first)
