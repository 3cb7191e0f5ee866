"""Features of a folder or bucket of music, computed on a Ray cluster.

python examples/on_ray.py [MUSIC [ADDRESS]]

MUSIC is a folder that every node sees, or a URL such as s3://bucket/music; ADDRESS is "local" (Ray
on this machine), "auto" or host:port. Run it again to go on after an interruption.
"""

import sys
from pathlib import Path

import mirfeat
from mirfeat.audio.collection import survey
from mirfeat.distributed.cluster import extract_dataset

MUSIC = Path(__file__).parent / "music"
OUTPUT = Path("on_ray")


def main(music: str = str(MUSIC), address: str = "local") -> None:
    files, root = survey([music])
    report = extract_dataset(files, OUTPUT, "mfcc", root=root, address=address, batch_files=8)
    print(f"{report.done} done, {report.skipped} there already, {report.failed} failed")
    print(mirfeat.load_features(OUTPUT))


if __name__ == "__main__":
    main(*sys.argv[1:])
