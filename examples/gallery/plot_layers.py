"""
Which layer knows what
======================

choi2017 gives the averages of five layers. Early layers hear sound, later ones what tags are made of:
which of them a task needs is found out by trying.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mirfeat

songs = list(mirfeat.list_examples().values())
styles = np.array([song["style"] for song in songs])
artists = np.array([song["group"] for song in songs])
with mirfeat.load_extractor("choi2017") as extractor:
    table = extractor.extract_files([song["path"] for song in songs], progress=False)
with mirfeat.load_extractor("mfcc") as extractor:
    mfcc = extractor.extract_files([song["path"] for song in songs], progress=False)

# %%
# Two tasks: the style of a song, and how loud its middle frequencies are (a number of mfcc).

loudness = mfcc.values[:, 0]
tasks = {
    "style (accuracy)": (LogisticRegression(max_iter=1000), styles),
    "loudness (r²)": (RidgeCV(np.logspace(-2, 4, 13)), loudness),
}
blocks = ["layer1", "layer2", "layer3", "layer4", "layer5"]
scores = {}
for name, (model, truth) in tasks.items():
    pipeline = make_pipeline(StandardScaler(), model)
    scores[name] = [
        cross_val_score(
            pipeline, table.select(block).values, truth, cv=GroupKFold(5), groups=artists
        ).mean()
        for block in blocks
    ]

# %%

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name, line in scores.items():
    axes.plot(blocks, line, "o-", label=name)
axes.set(ylim=(min(0, *scores["loudness (r²)"]), 1.02), ylabel="score, artists apart")
axes.legend()
axes.grid()
plt.show()

# %%
# ``mirfeat evaluate layer-sweep`` does this for all 28 combinations of Choi et al. (2017).
