"""A map of clips and what its regions are about (Kim et al. 2019, section 5.5, Fig. 16)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mirfeat.errors import ConfigError, LabelsError, OptionError
from mirfeat.evaluation.inputs import Features
from mirfeat.evaluation.labels import ID_COLUMNS, read_labels
from mirfeat.evaluation.records import Table

FEWEST_CLIPS = 5
# Up to here threads have so little to do at a time that they mostly wait for each other: 30 clips
# took half a second on one and 75 s on two that others used as well.
_ONE_THREAD = 2000


def tsne_map(
    vectors: np.ndarray, *, perplexity: float = 30.0, seed: int = 0, components: int = 50
) -> np.ndarray:
    """Positions on a map on which clips with similar vectors are near each other.

    Dimensions are standardised, reduced to at most ``components`` principal components, and these
    laid out by t-SNE (scikit-learn) from a random start. The paper names t-SNE and no settings;
    these are the usual ones. Distances between far groups mean nothing, nor do the axes.

    Args:
        vectors: [n, D], n ≥ 5.
        perplexity: about how many neighbours a clip has, 1 or more. Cut to (n - 1) / 3, which
            leaves neighbours apart from others.
        seed: start of the layout; the same seed gives the same map on the same machine.
        components: 1 or more.

    Returns:
        float32 [n, 2], without unit.

    Raises:
        ConfigError: fewer than five clips, values that are not finite, another shape.
        OptionError: a perplexity or number of components below 1.
    """
    rows = _finite(vectors, "vectors")
    if len(rows) < FEWEST_CLIPS or not rows.shape[1]:
        raise ConfigError(f"vectors {rows.shape}: a map needs {FEWEST_CLIPS} clips or more.")
    for name, value in (("perplexity", perplexity), ("components", components)):
        if not value >= 1:
            raise OptionError(f"{name}={value}: 1 or more.")
    tsne = TSNE(
        2, perplexity=min(perplexity, (len(rows) - 1) / 3), init="random", random_state=seed
    )
    with threadpool_limits(1 if len(rows) <= _ONE_THREAD else None):
        scaled = StandardScaler().fit_transform(rows)
        reduced = PCA(min(components, *scaled.shape), random_state=seed).fit_transform(scaled)
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class TopicMap:
    """The strongest topics of a map, strongest first, and the strongest topic of every clip.

    ``names``: [top]; ``shares``: float64 [top], mean share over clips; ``counts``: int64 [top],
    clips whose strongest topic it is; ``centres``: float64 [top, 2], where to write its name: the
    median position of these clips, NaN where there is none. ``strongest``: int64 [n], for each clip
    the index of its strongest topic among all topics, to colour it by.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    counts: np.ndarray
    centres: np.ndarray
    strongest: np.ndarray

    def table(self) -> Table:
        """A row for each of the strongest topics; a centre that is nowhere is None."""
        centres = [(None, None) if math.isnan(x) else (x, y) for x, y in self.centres.tolist()]
        numbers = zip(self.names, self.shares.tolist(), self.counts.tolist(), strict=True)
        rows = tuple((*row, *centre) for row, centre in zip(numbers, centres, strict=True))
        title = "Strongest topics of the map (Kim et al. 2019, Fig. 16)"
        return Table(title, ("topic", "mean share", "clips", "x", "y"), rows)


def strongest_topics(
    topic_shares: np.ndarray, names: Sequence[str], positions: np.ndarray, top: int = 5
) -> TopicMap:
    """Which topics are strongest over all clips, which one in each, and where on the map.

    Args:
        topic_shares: [n, K], shares of K topics in each clip, such as the z that a source's head
            predicts; 0 or more.
        names: K names of topics, for example their strongest terms.
        positions: [n, 2], see :func:`tsne_map`.
        top: how many topics to keep; all if there are fewer.

    Raises:
        ConfigError: shapes that do not belong together, shares that are negative or not finite.
        OptionError: ``top`` below 1.
    """
    shares, places = _finite(topic_shares, "topic_shares"), _finite(positions, "positions")
    if shares.shape != (len(places), len(names)) or places.shape[1] != 2 or not shares.size:
        raise ConfigError(
            f"topic_shares {shares.shape}, {len(names)} names and positions {places.shape}: "
            "[n, K], K names and [n, 2] are needed, of one clip or more."
        )
    if shares.min() < 0:
        raise ConfigError(
            f"topic_shares go down to {shares.min():.3g}; shares are 0 or more. If these are the "
            "outputs of a head, apply a softmax first."
        )
    if top < 1:
        raise OptionError(f"top={top}: 1 or more.")
    means, strongest = shares.mean(axis=0), shares.argmax(axis=1)
    order = np.argsort(-means, kind="stable")[:top]
    centres = [
        np.median(places[strongest == topic], axis=0) if topic in strongest else [math.nan] * 2
        for topic in order
    ]
    return TopicMap(
        names=tuple(names[topic] for topic in order),
        shares=means[order],
        counts=np.bincount(strongest, minlength=len(names))[order],
        centres=np.array(centres),
        strongest=strongest,
    )


def read_topics(path: Path, features: Features) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of topics, and their shares in the clips of ``features``, float64 [n, topics].

    Raises:
        LabelsError: not a table of clips with a column of numbers for each topic.
        OptionError: features without ids.
    """
    table = read_labels(path)
    column = table.first_of(ID_COLUMNS)
    if column is None or features.ids is None:
        raise OptionError(f"{path}, {features.name}: both must name their clips, by a column id.")
    place = {id: row for row, id in enumerate(table.column(column))}
    names = tuple(name for name in table.columns if name != column)
    try:
        rows = [place[id] for id in features.ids]
        shares = np.array([table.column(name) for name in names], dtype=np.float64).T
    except KeyError as error:
        raise LabelsError(f"{path}: no line for clip {error}.") from error
    except ValueError as error:
        raise LabelsError(f"{path}: topics are columns of numbers: {error}.") from error
    return names, shares[rows]


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    """float64 [n, columns]."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ConfigError(f"{name} {rows.shape}: a table of finite numbers is needed.")
    return rows
