"""Make report.png: the first screen of a report on the bundled excerpts, as a browser shows it.

    mirfeat report -m mfcc -m choi2017 --audio examples/music --labels examples/music/labels.csv \
        --target style --groups group --folds 4 --quick -o report
    python docs/images/make_report.py report/report.html

Needs Chromium, its driver and selenium.
"""

import sys
import time
from pathlib import Path

from browser import opened


def main(page: str) -> None:
    """Write the picture beside this file."""
    browser = opened(page, 1160, 700)
    time.sleep(1)
    browser.save_screenshot(str(Path(__file__).with_name("report.png")))
    browser.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
