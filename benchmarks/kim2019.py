"""What sources and sharing cost: the networks of Kim 2019 on 30 s of stereo in memory."""

from __future__ import annotations

import mirfeat
from benchmarks.tables import excerpt_loop, medians, print_machine, print_table
from mirfeat.networks.kim2019 import BRANCH_POINTS


def main() -> None:
    """Print the table."""
    audio = excerpt_loop(30.0, 22_050).T
    loaded = {f"{name}, all sources": {"name": name} for name in BRANCH_POINTS}
    loaded["kim2019-ss-r"] = loaded.pop("kim2019-ss-r, all sources")
    loaded["kim2019-mss-cr, sources='tag'"] = {"name": "kim2019-mss-cr", "sources": "tag"}
    loaded["kim2019-ms-cr-6, sources='tag'"] = {"name": "kim2019-ms-cr-6", "sources": "tag"}
    tasks = {}
    for label, options in loaded.items():
        extractor = mirfeat.load_extractor(checkpoint="random", **options)  # type: ignore[arg-type]
        tasks[label] = lambda extractor=extractor: extractor.extract(audio, 22_050)
    seconds = medians(tasks)
    one = seconds["kim2019-ss-r"]
    rows = [(name, f"{1e3 * t:.1f}", f"{t / one:.2f}") for name, t in seconds.items()]
    print_table("30 s of audio to vector", ("network", "ms", "x kim2019-ss-r"), rows)


if __name__ == "__main__":
    print_machine()
    main()
