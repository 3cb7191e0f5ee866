"""
The form of a piece
===================

All rows of a clip instead of their average: what comes back, and when something new begins.
"""

import matplotlib.pyplot as plt
import numpy as np
import soundfile

import mirfeat

# %%
# A piece of four parts: tavern, metal, tavern again, electronic.

order = ["folk_tavern", "metal_fear", "folk_tavern", "electronic_valley"]
parts = []
for name in order:
    sound, rate = soundfile.read(mirfeat.example(name), dtype="float32", always_2d=True)
    parts.append(sound.mean(1))
piece = np.concatenate(parts)

# %%
# ``embed`` gives a row for each segment, with its times. The segments of hamel2013 are short.

with mirfeat.load_extractor("hamel2013-tag") as extractor:
    embedding = extractor.embed(piece, rate)
embedding

# %%
# Rows that are alike are bright: the tavern comes back in the third part.

rows = (embedding.values - embedding.values.mean(0)) / (embedding.values.std(0) + 1e-6)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
end = embedding.ends[-1]
image = axes.imshow(rows @ rows.T, extent=(0, end, end, 0), cmap="magma", vmin=-0.5, vmax=1)
for edge in np.cumsum([len(part) / rate for part in parts])[:-1]:
    axes.axhline(edge, color="white", linewidth=0.6)
    axes.axvline(edge, color="white", linewidth=0.6)
axes.set(xlabel="seconds", ylabel="seconds")
figure.colorbar(image, label="cosine similarity")
plt.show()
