"""
First vectors
=============

From music to numbers, and what the numbers say: songs that sound alike have vectors that point in
similar directions.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import StandardScaler

import mirfeat
from mirfeat.explore.players import Player

# %%
# Thirty-two excerpts come with mirfeat. This is one of them.

songs = mirfeat.list_examples()
Player(songs["folk_tavern"]["path"])

# %%
# One call makes a table of them: a row for each song, 320 numbers each.

extractor = mirfeat.load_extractor("choi2017")
table = extractor.extract_files([song["path"] for song in songs.values()], progress=False)
table

# %%
# Each number gets mean 0 and standard deviation 1 over all songs, or the few with the largest values
# would decide alone. Then the cosine of the angle between two songs says how alike they are.

scaled = StandardScaler().fit_transform(table.values)
scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
alike = scaled @ scaled.T

figure, axes = plt.subplots(figsize=(7, 6), layout="constrained")
image = axes.imshow(alike, vmin=-1, vmax=1, cmap="RdBu_r")
styles = [song["style"] for song in songs.values()]
places = [np.flatnonzero(np.array(styles) == style).mean() for style in dict.fromkeys(styles)]
axes.set_xticks(places, dict.fromkeys(styles))
axes.set_yticks(places, dict.fromkeys(styles))
figure.colorbar(image, label="cosine similarity")
axes.set_title("32 songs against each other: four styles, four blocks")
plt.show()
