"""A page in a browser without a window, for pictures of it."""

import shutil
from pathlib import Path

from selenium import webdriver


def opened(page: str, width: int, height: int) -> webdriver.Chrome:
    """Chromium with a page on disk open, so many pixels wide and high."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     f"--window-size={width},{height}"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    browser.get(Path(page).absolute().as_uri())
    return browser
