"""
A map to click and hear
=======================

t-SNE lays songs out so that those that sound alike lie near each other. On the page below a point is a
song: click it.
"""

# sphinx_gallery_thumbnail_path = 'images/map.png'
from html import escape

import mirfeat
from mirfeat.explore.map_page import build_map
from mirfeat.explore.players import sources
from mirfeat.explore.song_map import make_map

songs = list(mirfeat.list_examples().values())
paths = [song["path"] for song in songs]
with mirfeat.load_extractor("choi2017") as extractor:
    table = extractor.extract_files(paths, progress=False)

# %%
# ``sources`` puts ten seconds of each song into the page, so that it can be sent to others.

songs_on_a_map = make_map(
    table,
    sounds=sources(paths, "map.html", "embed"),
    labels=[song["style"] for song in songs],
    label_name="style",
    names=[f"{song['title']} · {song['artist']}" for song in songs],
)


class Page:
    """A page inside this one."""

    def _repr_html_(self):
        page = build_map(songs_on_a_map, "32 songs", "Click a point to hear it.")
        return (
            f'<iframe title="Map of 32 songs" srcdoc="{escape(page)}" width="100%" height="760" '
            'style="border: 0"></iframe>'
        )


Page()

# %%
# ``mirfeat map feats --open`` makes such a page of any folder of features.
