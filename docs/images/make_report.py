"""Make report.png: the first screen of a report on the bundled excerpts, as a browser shows it.

    mirfeat report -m mfcc -m choi2017 --audio examples/music --labels examples/music/labels.csv \
        --target style --groups group --folds 4 --quick -o report
    python docs/images/make_report.py report/report.html

Needs Chromium, its driver and selenium.
"""

import shutil
import sys
import time
from pathlib import Path

from selenium import webdriver


def main(page: str) -> None:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--window-size=1160,700"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    browser.get(Path(page).absolute().as_uri())
    time.sleep(1)
    browser.save_screenshot(str(Path(__file__).with_name("report.png")))
    browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
