"""Which style is it? A scikit-learn pipeline from files to labels, cross-validated.

Folds are disjoint in composers: with the same composer on both sides a classifier learns the
composer, the commonest mistake of the field. With 32 excerpts this is a demonstration, not a
result; a standard deviation over folds is beside each score.

    python examples/genres.py [CHECKPOINT]
"""

import csv
import sys
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirfeat.adapters.scikit_learn import AudioFeatures

MUSIC = Path(__file__).parent / "music"


def main(checkpoint: str = "open") -> None:
    with (MUSIC / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [MUSIC / row["path"] for row in rows]
    styles, composers = [row["style"] for row in rows], [row["group"] for row in rows]
    folds = StratifiedGroupKFold(n_splits=4, shuffle=True, random_state=0)
    print(f"{len(paths)} excerpts, styles {sorted(set(styles))}, chance {1 / len(set(styles)):.2f}")
    for title, features in (
        ("mfcc, the baseline", AudioFeatures("mfcc")),
        ("choi2017, untrained (a control)", AudioFeatures("choi2017", checkpoint="random")),
        (f"choi2017, {checkpoint} weights", AudioFeatures("choi2017", checkpoint=checkpoint)),
    ):
        # Features do not depend on labels or folds: compute them once, outside the folds.
        vectors = features.transform(paths)
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        scores = cross_val_score(classifier, vectors, styles, groups=composers, cv=folds)
        print(f"  {title:34}{scores.mean():.2f} ± {scores.std():.2f}")
    # From files to a label in one object:
    pipeline = make_pipeline(AudioFeatures("mfcc"), StandardScaler(), LogisticRegression(C=0.1))
    pipeline.fit(paths[1:], styles[1:])
    print(f"  {paths[0].name}: {pipeline.predict(paths[:1])[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
