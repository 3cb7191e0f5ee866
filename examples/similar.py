"""Which excerpts sound alike? Nearest neighbours of every clip by cosine similarity.

python examples/similar.py [EXTRACTOR [CHECKPOINT]]
"""

import sys
from pathlib import Path

from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

import mirfeat
from mirfeat.audio.collection import find_audio

MUSIC = Path(__file__).parent / "music"


def main(name: str = "mfcc", checkpoint: str | None = None) -> None:
    with mirfeat.load_extractor(name, checkpoint=checkpoint) as extractor:
        table = extractor.extract_files(find_audio([MUSIC]))
    vectors = StandardScaler().fit_transform(table.values)
    search = NearestNeighbors(n_neighbors=4, metric="cosine").fit(vectors)
    distances, neighbours = search.kneighbors(vectors)
    for row, (near, far) in enumerate(zip(neighbours, distances, strict=True)):
        # The nearest one is the clip itself.
        names = [
            f"{Path(table.ids[i]).stem} {1 - d:.2f}" for i, d in zip(near[1:], far[1:], strict=True)
        ]
        print(f"{Path(table.ids[row]).stem:30}  {',  '.join(names)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
