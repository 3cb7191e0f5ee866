"""Protocol of Kim et al. 2019 for classification and regression: a multilayer perceptron.

Section 4.4.2: two hidden layers of 256 ReLU units, Adam, 200 iterations, scikit-learn's defaults
otherwise (eldrin/MTLMusicRepresentation-PyTorch); five repeats with other splits, accuracy or r².
Whether the authors standardised features is not recorded; the paper does not say so. Recommendation
is in ``recommendation.py``, the comparison of many representations in ``comparison.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.records import Predictions, ScoreReport, Scores

REPEATS = 5
# Of the authors' stratified five folds.
SEED = 1234


class _NetworkFit(NamedTuple):
    """Score of one network, what it predicted, with which probabilities, if it used up its time."""

    score: float
    predicted: np.ndarray
    shares: np.ndarray
    stopped: bool


def mlp(
    vectors: np.ndarray,
    labels: np.ndarray,
    folds: Folds,
    *,
    regression: bool = False,
    repeats: int = REPEATS,
    standardise: bool = False,
    seed: int = 0,
    workers: int = 2,
    name: str = "features",
    progress: Callable[[], object] = lambda: None,
) -> ScoreReport:
    """Accuracy, or r² of a regression.

    Args:
        vectors: [n, D].
        labels: [n], classes or float64 values.
        folds: five folds are the paper's five splits of 80 to 20. A single, predefined split is
            repeated ``repeats`` times with other seeds, as the authors did.
        regression: whether labels are values.
        repeats: see ``folds``.
        standardise: scale features by the statistics of the training clips.
        seed: of the first fit; the others count up from it.
        workers: fits at a time.
        name: what the report calls the features.
        progress: called after each fit.
    """
    splits = list(folds) if len(folds) > 1 else list(folds) * repeats
    classes: tuple[str, ...] = ()
    targets = np.asarray(labels)
    if not regression:
        names, targets = np.unique(targets, return_inverse=True)
        classes = tuple(map(str, names))
    inputs = vectors.astype(np.float64)

    def fit(place: int, train: np.ndarray, test: np.ndarray) -> _NetworkFit:
        kind = MLPRegressor if regression else MLPClassifier
        network = kind(hidden_layer_sizes=(256, 256), max_iter=200, random_state=seed + place)
        model = make_pipeline(StandardScaler(), network) if standardise else network
        model.fit(inputs[train], targets[train])
        predicted = model.predict(inputs[test])
        shares = np.zeros((len(test), len(classes)))
        if not regression:
            shares[:, network.classes_] = model.predict_proba(inputs[test])
        score = r2_score if regression else accuracy_score
        progress()
        value = float(score(targets[test], predicted))
        return _NetworkFit(value, predicted, shares, network.n_iter_ >= network.max_iter)

    # Threads of the linear algebra would wait for each other: the matrices are small.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # 200 iterations are the protocol; whether they were enough is in the notes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        done: list[_NetworkFit] = Parallel(workers, backend="threading")(
            delayed(fit)(place, *split) for place, split in enumerate(splits)
        )
    unfinished = sum(fit.stopped for fit in done)
    note = (
        f"{unfinished} of {len(done)} fits used all 200 iterations, where the protocol stops: "
        "features whose values are large or small learn slowly and score lower for it "
        "(--standardise)"
    )
    rows = np.concatenate([test for _, test in splits])
    return ScoreReport(
        "mlp",
        name,
        (Scores("r2" if regression else "accuracy", tuple(fit.score for fit in done)),),
        {
            "numbers": vectors.shape[1],
            "folds": folds.description,
            "fits": len(splits),
            "standardise": standardise,
            "seed": seed,
        },
        (*folds.notes, note) if unfinished else folds.notes,
        predictions=Predictions(
            rows,
            targets[rows],
            np.concatenate([fit.predicted for fit in done]),
            classes,
            None if regression else np.concatenate([fit.shares for fit in done]),
        ),
    )
