"""
Similar songs
=============

Which songs sound most like this one? Ask an index of a table, and listen to the answer.
"""

# sphinx_gallery_thumbnail_path = 'images/similar.png'
from pathlib import Path

import mirfeat
from mirfeat.explore.neighbours import Neighbours
from mirfeat.explore.players import Players

songs = mirfeat.list_examples()
with mirfeat.load_extractor("choi2017") as extractor:
    table = extractor.extract_files([song["path"] for song in songs.values()], progress=False)
index = Neighbours(table)

# %%
# The song asked for, and its three nearest. It is never its own neighbour.

query = Path(songs["metal_fear"]["path"])
near = index.nearest_to(query.name, top=3)
for clip in near:
    print(f"{clip.value:.2f} {clip.id}")

# %%

titles = {Path(song["path"]).name: f"{song['title']} · {song['artist']}" for song in songs.values()}
ids = [query.name, *(clip.id for clip in near)]
Players([query.parent / id for id in ids], [titles[id] for id in ids])

# %%
# The same from the shell, for a folder of your own:
#
# .. code-block:: text
#
#     mirfeat extract music/ -m choi2017 -o feats
#     mirfeat similar song.mp3 feats
