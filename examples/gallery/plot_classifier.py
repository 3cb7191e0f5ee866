"""
A first classifier
==================

Four styles, eight songs each, a logistic regression. Songs by one artist are never on both sides.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mirfeat
from mirfeat.explore.players import Players

songs = list(mirfeat.list_examples().values())
styles = np.array([song["style"] for song in songs])
artists = np.array([song["group"] for song in songs])
with mirfeat.load_extractor("choi2017") as extractor:
    table = extractor.extract_files([song["path"] for song in songs], progress=False)

# %%
# Each song is predicted by a classifier that has heard nothing of its artist.

classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
predicted = cross_val_predict(classifier, table.values, styles, cv=folds, groups=artists)
print(f"accuracy {accuracy_score(styles, predicted):.2f}, by chance 0.25")

# %%

figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(styles, predicted, ax=axes, cmap="Blues", colorbar=False)
plt.show()

# %%
# The songs that it got wrong. Would you have known?

wrong = np.flatnonzero(styles != predicted)[:4]
Players(
    [songs[k]["path"] for k in wrong],
    [f"{songs[k]['title']}: {styles[k]}, taken for {predicted[k]}" for k in wrong],
)
