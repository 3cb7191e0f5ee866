"""
A few labels
============

How many labelled songs a class are enough? Ten draws for each number of them; artists of training songs
are not in the test.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mirfeat

songs = list(mirfeat.list_examples().values())
styles = np.array([song["style"] for song in songs])
artists = np.array([song["group"] for song in songs])
paths = [song["path"] for song in songs]
tables = {}
for name in ("mfcc", "choi2017"):
    with mirfeat.load_extractor(name) as extractor:
        tables[name] = extractor.extract_files(paths, progress=False).values


def score(values, examples, seed):
    """Accuracy on songs by artists that are not among ``examples`` songs a style."""
    order = np.random.default_rng(seed).permutation(len(songs))
    train = np.concatenate([order[styles[order] == style][:examples] for style in set(styles)])
    test = np.flatnonzero(~np.isin(artists, artists[train]))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(values[train], styles[train]).score(values[test], styles[test])


# %%

counts = [1, 2, 3, 4]
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, values in tables.items():
    drawn = np.array([[score(values, count, seed) for seed in range(10)] for count in counts])
    axes.errorbar(counts, drawn.mean(1), drawn.std(1), fmt="o-", capsize=3, label=name)
axes.axhline(0.25, color="grey", linestyle="--", label="chance")
axes.set(xlabel="labelled songs a style", ylabel="accuracy", xticks=counts, ylim=(0, 1))
axes.legend(loc="lower right")
axes.grid()
plt.show()

# %%
# ``mirfeat evaluate few-shot --features feats --labels genres.csv`` draws this curve for your music, with
# intervals.
