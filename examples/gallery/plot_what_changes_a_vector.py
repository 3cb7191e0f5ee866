"""
What changes a vector
=====================

Nothing that is not music: the same file in another batch, order or format of an array gives the same
numbers. Loudness, noise and speed are another matter, and differ between extractors.
"""

import matplotlib.pyplot as plt
import numpy as np
import soundfile

import mirfeat
from mirfeat.explore.players import Player

song = mirfeat.example("folk_tavern")
sound, rate = soundfile.read(song, dtype="float32", always_2d=True)
sound = sound.T

# %%
# A file and its samples give the same vector, to the bit.

extractor = mirfeat.load_extractor("choi2017")
np.array_equal(extractor.extract(sound, rate), extractor.extract_file(song))

# %%
# Five things that may happen to a recording.

noise = np.random.default_rng(0).standard_normal(sound.shape).astype(np.float32)
changed = {
    "6 dB quieter": (sound / 2, rate),
    "mono": (np.tile(sound.mean(0), (2, 1)), rate),
    "noise at -40 dB": (sound + 0.01 * noise * np.abs(sound).max(), rate),
    "5 % faster": (sound, round(rate * 1.05)),
    "first half only": (sound[:, : sound.shape[1] // 2], rate),
}
everything = [song["path"] for song in mirfeat.list_examples().values()]

# %%
# How far each moves the vector, in units of the usual distance between two songs.

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
places = np.arange(len(changed))
for shift, name in zip((-0.2, 0.2), ("choi2017", "mfcc"), strict=True):
    with mirfeat.load_extractor(name) as one:
        table = one.extract_files(everything, progress=False).values
        scale = table.std(0) + 1e-9
        pairs = np.linalg.norm((table[:, None] - table[None]) / scale, axis=2)
        usual = np.median(pairs[pairs > 0])
        before = one.extract(sound, rate)
        moved = [
            np.linalg.norm((one.extract(*other) - before) / scale) / usual
            for other in changed.values()
        ]
    axes.barh(places + shift, moved, 0.38, label=name)
axes.set_yticks(places, changed)
axes.axvline(1, color="grey", linestyle="--")
axes.set_xlabel("distance moved / usual distance between two songs")
axes.invert_yaxis()
axes.legend()
plt.show()

# %%

Player(song)
