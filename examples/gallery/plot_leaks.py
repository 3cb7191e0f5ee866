"""
Leaks: the artist on both sides
===============================

A classifier that has songs of an artist in training and in test learns the artist. The score rises, and
says nothing about music it has not heard.
"""

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mirfeat

songs = list(mirfeat.list_examples().values())
styles = np.array([song["style"] for song in songs])

# %%
# To make the leak as plain as it is in many data sets, each song is cut into four clips of 2.5 s.

clips, labels, groups, titles = [], [], [], []
with mirfeat.load_extractor("mfcc") as extractor:
    for song in songs:
        sound, rate = soundfile.read(song["path"], dtype="float32", always_2d=True)
        for part in np.array_split(sound.T, 4, axis=1):
            clips.append(extractor.extract(part, rate))
            labels.append(song["style"])
            groups.append(song["group"])
            titles.append(song["title"])
clips, labels = np.array(clips), np.array(labels)

# %%
# The same features and classifier, three ways to deal clips out to folds.

classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
ways = {
    "clips at random": (StratifiedKFold(4, shuffle=True, random_state=0), None),
    "songs apart": (StratifiedGroupKFold(4, shuffle=True, random_state=0), titles),
    "artists apart": (StratifiedGroupKFold(4, shuffle=True, random_state=0), groups),
}
scores = {
    name: cross_val_score(classifier, clips, labels, cv=folds, groups=apart).mean()
    for name, (folds, apart) in ways.items()
}
scores

# %%

figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
bars = axes.barh(list(scores), list(scores.values()), color=["#d55e00", "#e69f00", "#009e73"])
axes.bar_label(bars, fmt="%.2f", padding=3)
axes.axvline(0.25, color="grey", linestyle="--")
axes.text(0.25, -0.75, "chance", ha="center", va="bottom", color="grey")
axes.set(xlim=(0, 1.08), xlabel="accuracy")
axes.invert_yaxis()
plt.show()

# %%
# The lowest score is the one to report. ``mirfeat evaluate`` and ``mirfeat report`` keep artists apart
# wherever labels name them.
