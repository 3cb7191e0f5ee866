"""Do few examples rank features as logistic regression with inner folds does?

    python -m benchmarks.few_shot LABELS TARGET FEATURES FEATURES [...]

FEATURES are folders of ``mirfeat extract``. At every number of training clips a class: accuracy of
the protocol ``few-shot``, of scikit-learn's LogisticRegressionCV on the same draws, written down
here once more, and of the least squares of Hamel et al. 2013.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tables import print_machine, print_table
from mirfeat.evaluation.few_shot import EXAMPLES, few_shot
from mirfeat.evaluation.folds import Folds, make_folds
from mirfeat.evaluation.inputs import one_row_each, read_features
from mirfeat.evaluation.labels import make_task, read_labels


def reference(values: np.ndarray, labels: np.ndarray, folds: Folds, count: int) -> float:
    """Mean accuracy of logistic regression after ``count`` clips a class, the draws of seed 0."""
    generator, scores = np.random.default_rng(0), []
    orders = [generator.permutation(train) for train, _ in folds]
    for order, (_, test) in zip(orders, folds, strict=True):
        own = [order[labels[order] == name][:count] for name in np.unique(labels)]
        train = np.concatenate(own)
        smallest = min(map(len, own))
        model = LogisticRegression(max_iter=300)
        if smallest > 1:
            inner = StratifiedKFold(min(5, smallest), shuffle=True, random_state=1)
            model = LogisticRegressionCV(Cs=np.logspace(-4, 2, 7), cv=inner, max_iter=300)
        fitted = make_pipeline(StandardScaler(), model).fit(values[train], labels[train])
        scores.append(fitted.score(values[test], labels[test]))
    return float(np.mean(scores))


def main(table: str, target: str, stores: Sequence[str]) -> None:
    """Print accuracies, and whether the rankings agree."""
    labels, scores, rows = read_labels(table), {}, []
    for store in stores:
        features = read_features([store])
        task = make_task(labels, features.ids, target=target, failed=features.failed)
        values = features.values[task.rows].astype(np.float64)
        own = one_row_each(features).of(task.rows)
        folds = make_folds(task.labels, seed=0)
        started = time.perf_counter()
        ours = few_shot(own, task.labels, folds)
        seconds = time.perf_counter() - started
        paper = few_shot(own, task.labels, folds, solver="paper")
        for report, least_squares in zip(ours, paper, strict=True):
            count = report.settings["examples_per_class"]
            theirs = reference(values, task.labels, folds, count)
            scores[count, features.name] = (report.main.mean, theirs)
            low, high = report.main.interval
            cells = (f"{report.main.mean:.3f} ({low:.3f} to {high:.3f})", f"{theirs:.3f}")
            rows.append((features.name, count, *cells, f"{least_squares.main.mean:.3f}"))
            print(*rows[-1], flush=True)
        print(f"{features.name}: {seconds:.0f} s", flush=True)
    header = ("features", "clips a class", "few-shot (95 %)", "reference", "least squares")
    print_table(f"Few examples, {target}", header, rows)
    names = sorted({name for _, name in scores})
    for count in [number for number in EXAMPLES if (number, names[0]) in scores]:
        orders = [sorted(names, key=lambda name: -scores[count, name][k]) for k in (0, 1)]
        print(f"{count} clips a class: {'same ranking' if orders[0] == orders[1] else orders}")


if __name__ == "__main__":
    print_machine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
