"""Make map.png: the page of `mirfeat demo` with a song chosen, as a browser shows it.

    mirfeat demo --no-open && python docs/images/make_map.py mirfeat-demo/demo.html

Needs Chromium, its driver and selenium.
"""

import shutil
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains


def main(page: str) -> None:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--window-size=1160,860"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    browser.get(Path(page).absolute().as_uri())
    canvas = browser.find_element("id", "map")
    x, y = browser.execute_script("return songMap.place(5)")
    width, height = canvas.rect["width"], canvas.rect["height"]
    actions = ActionChains(browser)
    actions.move_to_element_with_offset(canvas, round(x - width / 2), round(y - height / 2))
    actions.click().perform()
    time.sleep(2.5)
    browser.save_screenshot(str(Path(__file__).with_name("map.png")))
    browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
