"""Linear classifiers of clips from rows: regularised logistic regression, and least squares."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mirfeat.errors import LabelsError
from mirfeat.evaluation.inputs import Rows

PENALTIES = tuple(10.0**power for power in range(-4, 3))
"""Inverse strengths to choose from, scikit-learn's C; features are standardised."""

INNER_FOLDS = 5
STEPS = 300


def logistic_outputs(
    rows: Rows, numbers: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> np.ndarray:
    """Decision values of a regularised logistic regression for the test clips, [tests, classes].

    It learns from the mean row of each clip: what a linear model says of a clip's rows is on
    average what it says of their mean. C is the best of :data:`PENALTIES` on stratified inner folds
    of the training clips, five or as many as the smallest class has clips; 1 where that is a single
    one. Classes without a training clip are never predicted.
    """
    scaler = StandardScaler()
    inputs = scaler.fit_transform(mean_rows(rows, train))
    unseen = scaler.transform(mean_rows(rows, test))
    if inputs.shape[1] > len(inputs):
        # The penalty is the same in any rotation, and of as many dimensions as clips none is lost.
        basis = np.linalg.qr(inputs.T)[0]
        inputs, unseen = inputs @ basis, unseen @ basis
    known, targets = np.unique(numbers[train], return_inverse=True)
    outputs = np.full((len(test), classes), -np.inf)
    smallest = int(np.bincount(targets).min())
    # Threads of the linear algebra would wait for each other: the matrices are small.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A large C separates the clips without an end; whether it is any good the folds say.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", FutureWarning)
        if smallest < 2:
            model = LogisticRegression(max_iter=STEPS)
        else:
            inner = StratifiedKFold(min(INNER_FOLDS, smallest), shuffle=True, random_state=0)
            model = LogisticRegressionCV(Cs=PENALTIES, cv=inner, max_iter=STEPS)
        values = model.fit(inputs, targets).decision_function(unseen)
    if values.ndim == 1:  # of two classes scikit-learn gives the value of the second
        values = np.stack([-values, values], axis=1)
    outputs[:, known] = values
    return outputs


def least_squares_outputs(
    rows: Rows, numbers: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> np.ndarray:
    """Outputs of least squares on one-hot classes, averaged over a clip's rows: [tests, classes].

    Hamel et al. 2013, section 6.2. Without regularisation: where there are about as many rows as
    numbers the error has a peak.
    """
    seen, unseen = rows.of(train), rows.of(test)
    scaler = StandardScaler()
    # Standardising changes no prediction where the solution is unique. With fewer rows than
    # numbers, as in few-shot learning, it makes the smallest solution independent of units.
    inputs = scaler.fit_transform(seen.values.astype(np.float64))
    targets = np.eye(classes)[numbers[train]][seen.clips]
    offset = targets.mean(axis=0)
    weights = scipy.linalg.lstsq(inputs, targets - offset, lapack_driver="gelsy", cond=1e-10)[0]
    outputs = scaler.transform(unseen.values.astype(np.float64)) @ weights + offset
    return _means(rows.name, outputs, unseen.clips, len(test))


def peak_note(rows: Rows, train: np.ndarray) -> str:
    """A sentence where least squares has about as many rows as numbers; empty elsewhere."""
    numbers, seen = rows.values.shape[1], int(np.isin(rows.clips, train).sum())
    if not numbers / 2 <= seen <= 2 * numbers:
        return ""
    return (
        f"least squares without regularisation learned from {seen} rows of {numbers} numbers: "
        "its error has a peak where these are about as many, and the score says little of the "
        "features"
    )


def mean_rows(rows: Rows, clips: np.ndarray) -> np.ndarray:
    """The mean row of each of ``clips``, float64 [len(clips), D].

    Raises:
        LabelsError: a clip without rows.
    """
    some = rows.of(clips)
    return _means(rows.name, some.values.astype(np.float64), some.clips, len(clips))


def _means(name: str, values: np.ndarray, clips: np.ndarray, count: int) -> np.ndarray:
    counts = np.bincount(clips, minlength=count)
    if not counts.all():
        raise LabelsError(f"{name}: a clip has no rows.")
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, clips, values)
    return sums / counts[:, None]
