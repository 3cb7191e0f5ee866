"""Numbers such as tempo and year as distributions over the parts of a Gaussian mixture.

Kim 2019, section 2.3. Fitted on training rows; other rows get their posteriors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from mirfeat.errors import LabelsError
from mirfeat.training.targets.word_counts import at_least_one


@dataclass(frozen=True, eq=False)
class GaussianFactors:
    """A mixture of Gaussians on a scalar; all float64 [k], in the order of the means.

    ``converged`` is False where 100 iterations did not settle it; the authors used these too.
    """

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    converged: bool

    @classmethod
    def fit(cls, values: np.ndarray, components: int = 50, seed: int = 0) -> GaussianFactors:
        """Fit to ``values`` [rows], NaN where unknown, in the unit in which they come.

        scikit-learn's GaussianMixture as in the authors' code: k-means start, 100 iterations, and
        1e-6 added to each variance. So a component may close in on one value that comes often, a
        year or a whole number of beats, with a deviation of 0.001 but never of 0. Components are
        as many as there are distinct values, if these are fewer.

        Raises:
            LabelsError: not one-dimensional, an infinite value, or none that is known.
            OptionError: ``components`` below 1.
        """
        at_least_one(components=components)
        values = _scalars(values)
        present = values[~np.isnan(values)]
        if not len(present):
            raise LabelsError(f"none of the {len(values)} values is known: nothing to learn.")
        k = min(components, len(np.unique(present)))
        model = GaussianMixture(k, max_iter=100, reg_covar=1e-6, random_state=seed)
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            # Two values at least are asked for; a value that comes twice weighs the same.
            model.fit((present if len(present) > 1 else present.repeat(2))[:, None])
        order = np.argsort(model.means_[:, 0], kind="stable")
        return cls(
            weights=model.weights_[order],
            means=model.means_[order, 0],
            deviations=np.sqrt(model.covariances_[order, 0, 0]),
            converged=bool(model.converged_),
        )

    def predict(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posteriors of the components float32 [rows, k], NaN where the value is; known [rows].

        Raises:
            LabelsError: not one-dimensional, or an infinite value.
        """
        values = _scalars(values)
        known = ~np.isnan(values)
        logs = (values[:, None] - self.means) / self.deviations
        logs = np.log(self.weights / self.deviations) - logs**2 / 2
        posteriors = np.full(logs.shape, np.nan, dtype=np.float32)
        logs = logs[known]
        posteriors[known] = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
        return posteriors, known


def _scalars(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise LabelsError(f"values have the shape {list(values.shape)}; one number a row is due.")
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise LabelsError(f"row {row} is {values[row]}; NaN says that a value is not known.")
    return values
