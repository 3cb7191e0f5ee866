"""
Tags over time
==============

What the network hears in a song, and when.
"""

import matplotlib.pyplot as plt
import numpy as np

import mirfeat
from mirfeat.explore.players import Player
from mirfeat.explore.taggram import taggram

song = mirfeat.example("orchestral_peer_gynt")
Player(song)

# %%
# Averaged over the song:

extractor = mirfeat.load_extractor("choi2017")
for name, probability in extractor.tags(song, top=5):
    print(f"{probability:.2f} {name}")

# %%
# Two songs one after the other show that tags follow the music. Segments of choi2017 last 29 s, so each
# excerpt is repeated four times.

import soundfile  # noqa: E402

parts = []
for name in ("orchestral_peer_gynt", "metal_fear"):
    sound, rate = soundfile.read(mirfeat.example(name), dtype="float32", always_2d=True)
    mono = np.resize(sound.mean(1), 40 * rate)
    parts.append(mirfeat.Audio(mono, rate))
joined = np.concatenate([part.samples.ravel() for part in parts])
over_time = extractor.tags_over_time(joined, rate, top=6, hop_seconds=2)

figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
middle = (over_time.starts + over_time.ends) / 2
for name, line in zip(over_time.names, over_time.probabilities.T, strict=True):
    axes.plot(middle, line, label=name)
axes.set(xlabel="middle of the segment, s", ylabel="probability", ylim=(0, 1))
figure.legend(loc="outside right upper")
plt.show()

# %%
# ``taggram`` draws the same beside the mel spectrogram; ``mirfeat tags SONG --plot`` writes it to a file.

taggram(extractor, song, top=5, title="Peer Gynt Suite No. 1: Morning")
