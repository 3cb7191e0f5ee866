"""Make map.png, the page of `mirfeat demo` with a song chosen, and similar.png, its list of similar songs.

    mirfeat demo --no-open && python docs/images/make_map.py mirfeat-demo/demo.html

Needs Chromium, its driver and selenium.
"""

import sys
import time
from pathlib import Path

from browser import opened
from selenium.webdriver.common.action_chains import ActionChains


def main(page: str) -> None:
    """Write the pictures beside this file."""
    browser = opened(page, 1160, 860)
    canvas = browser.find_element("id", "map")
    x, y = browser.execute_script("return songMap.place(5)")
    width, height = canvas.rect["width"], canvas.rect["height"]
    actions = ActionChains(browser)
    actions.move_to_element_with_offset(canvas, round(x - width / 2), round(y - height / 2))
    actions.click().perform()
    time.sleep(2.5)
    browser.save_screenshot(str(Path(__file__).with_name("map.png")))
    browser.find_element("id", "card").screenshot(str(Path(__file__).with_name("similar.png")))
    browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
