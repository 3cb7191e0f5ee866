"""Figures of single clips: what was predicted for them, how sure it was, where they are on a map.

They return a :class:`~mirfeat.evaluation.pages.drawing.Drawing` and raise ``ConfigError`` for
records that lack what is drawn, and ``MissingPackageError`` without matplotlib.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from mirfeat.errors import ConfigError
from mirfeat.evaluation.pages.drawing import (
    BLUE,
    FULL_WIDTH_CM,
    GREY,
    INK,
    MARKERS,
    MOST_VECTOR_SHAPES,
    MUTED,
    PALETTE,
    PAPER,
    Drawing,
    cells,
    legend_above,
    margin_cm,
    sheet,
    short,
    upright_labels,
)
from mirfeat.evaluation.records import Predictions, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLORED_CLASSES = 20


def confusion_matrix(predictions: Predictions) -> Drawing:
    """Clips by true and predicted class: counts, coloured by their share of the true class."""
    names = predictions.classes
    if not names or not len(predictions.rows):
        raise ConfigError("no clips, or no classes but values: see predicted_against_true().")
    size = len(names)
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, (predictions.truth, predictions.predicted), 1)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    words = [[str(count) if count else "" for count in row] for row in counts]
    # From 1 cm a cell, for few classes, to 0.5 cm with digits that are just readable in print.
    cell = float(np.clip(12 / size, 0.5, 1.0))
    point_size = float(np.clip(9 * cell, 4.5, 8.0))
    labels = [short(name, 24) for name in names]
    side = margin_cm(labels) + cell * size
    with sheet(side, side) as figure:
        axes = figure.subplots()
        cells(axes, shares, words, labels, labels, point_size)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(labelsize=float(np.clip(11 * cell, 5.0, 7.5)))
        upright_labels(axes)
    table = Table(
        "Confusion matrix",
        ("true", *names),
        tuple((name, *row) for name, row in zip(names, counts.tolist(), strict=True)),
        "Clips by true class (rows) and predicted class (columns); the stronger the colour, the "
        "larger the share of the true class.",
    )
    alt = f"Confusion matrix of {size} classes and {counts.sum()} clips, {np.trace(counts)} on the "
    return Drawing(figure, f"{alt}diagonal.{_largest_confusion(counts, names)}", table)


def predicted_against_true(predictions: Predictions) -> Drawing:
    """Predicted against true values of a regression, and the line on which they are equal."""
    if predictions.classes or not len(predictions.rows):
        raise ConfigError("no clips, or classes instead of values: see confusion_matrix().")
    truth, predicted = (
        np.asarray(values, np.float64) for values in (predictions.truth, predictions.predicted)
    )
    spread = ((truth - truth.mean()) ** 2).sum()
    r2 = 1 - ((truth - predicted) ** 2).sum() / spread if spread else np.nan
    with sheet(FULL_WIDTH_CM * 0.55, FULL_WIDTH_CM * 0.55) as figure:
        axes = figure.subplots()
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle="--")
        _scatter(axes, truth, predicted, of=len(truth), c=BLUE)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.set_aspect("equal", adjustable="datalim")
        axes.locator_params(nbins=6)
        axes.grid()
    rows = zip(predictions.rows.tolist(), truth.tolist(), predicted.tolist(), strict=True)
    said = "" if np.isnan(r2) else f"r² of all clips together: {r2:.3f}."
    columns = ("row", "true", "predicted")
    table = Table("Predicted and true values", columns, tuple(rows), f"Dashed: equal. {said}")
    alt = f"Scatter plot of predicted against true values of {len(truth)} clips. {said}".rstrip()
    return Drawing(figure, alt, table)


def expected_calibration_error(predictions: Predictions, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy, 0 (calibrated) to 1.

    The confidence of a clip is its highest probability. Clips are put into ``bins`` equal intervals
    of confidence, (0, 1/bins] and so on; the gaps |accuracy - mean confidence| of the intervals are
    averaged, weighted by their clips (Naeini et al. 2015; Guo et al. 2017, equation 3).

    Raises:
        ConfigError: no probabilities, no clips, or fewer than one bin.
    """
    table = _reliability(predictions, bins)
    gaps = [
        clips * abs(accuracy - confidence) for *_, clips, confidence, accuracy in table if clips
    ]
    return float(np.sum(gaps) / sum(row[2] for row in table))


def calibration(predictions: Predictions, bins: int = 10) -> Drawing:
    """Accuracy against confidence, how many clips have which, and the calibration error.

    Definitions are those of :func:`expected_calibration_error`.
    """
    rows = _reliability(predictions, bins)
    error = expected_calibration_error(predictions, bins)
    low, _, clips, confidence, accuracy = np.array(rows).T
    with sheet(FULL_WIDTH_CM * 0.55, FULL_WIDTH_CM * 0.62) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--", label="calibrated")
        style = {"color": BLUE, "label": "measured", "clip_on": False}
        upper.plot(confidence[clips > 0], accuracy[clips > 0], "o-", **style)
        upper.set_xlim(0, 1)
        upper.set_ylim(0, 1.02)
        upper.set_ylabel("accuracy")
        upper.grid()
        lower.bar(low, clips, 1 / bins, align="edge", color=GREY, edgecolor=PAPER, linewidth=0.8)
        lower.set_ylabel("clips")
        lower.set_xlabel("confidence, highest probability")
        legend_above(figure, upper)
    said = f"Expected calibration error {error:.3f}, {bins} bins."
    columns = ("from", "to", "clips", "mean confidence", "accuracy")
    table = Table("Calibration of probabilities", columns, rows, said)
    alt = f"Accuracy against confidence of {int(clips.sum())} clips. {said}"
    return Drawing(figure, alt, table)


def embedding_map(
    positions: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    names: Mapping[str, Sequence[float]] | None = None,
    label: str = "label",
) -> Drawing:
    """Clips on a map, coloured by their label (as Kim et al. 2019, Fig. 16).

    Args:
        positions: [n, 2], see :func:`~mirfeat.evaluation.maps.tsne_map`.
        labels: [n]; floats are coloured by value, all else by class. The 20 most frequent classes
            have a colour and a shape of their own, all others are grey.
        names: words to write on the map, with their positions [2]; NaN is left out.
        label: what the labels are.
    """
    places, values = np.asarray(positions, np.float64), np.asarray(labels)
    if places.shape != (len(values), 2) or not len(values):
        raise ConfigError(f"positions {places.shape} and {len(values)} labels: [n, 2] and n.")
    continuous = values.dtype.kind == "f"
    with sheet(FULL_WIDTH_CM, FULL_WIDTH_CM * 0.62) as figure:
        axes = figure.subplots()
        if continuous:
            _scatter_values(figure, axes, places, values, label)
        else:
            _scatter_classes(axes, places, values.astype(str))
            legend = figure.legend(loc="outside right upper", title=short(label), alignment="left")
            for handle in filter(None, legend.legend_handles):
                handle.set(sizes=[18.0], alpha=1.0)  # readable, however small the points are
        for name, place in (names or {}).items():
            if np.isfinite(place).all():
                box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
                axes.text(
                    place[0], place[1], short(name), ha="center", va="center", color=INK, bbox=box
                )
        # Neither axes nor distances between far groups mean anything.
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_aspect("equal", adjustable="datalim")
    rows = tuple(
        (*place, value) for place, value in zip(places.tolist(), values.tolist(), strict=True)
    )
    note = "Near clips have similar features; axes and large distances have no meaning."
    kinds = "by value" if continuous else f"by {len(set(values.tolist()))} classes"
    alt = f"Map of {len(values)} clips, coloured {kinds} of {label}."
    return Drawing(figure, alt, Table("Map of clips", ("x", "y", label), rows, note))


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray, *, of: int, **style: Any) -> Any:
    """Points, smaller the more there are of all: ``of``."""
    size = float(np.clip(9000 / of, 4.0, 16.0))
    vector = of <= MOST_VECTOR_SHAPES
    return axes.scatter(x, y, size, linewidths=0, alpha=0.8, rasterized=not vector, **style)


def _scatter_values(
    figure: Figure, axes: Axes, places: np.ndarray, values: np.ndarray, label: str
) -> None:
    """Points coloured by value, and a colour bar."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    # Without the ends of the colours, which are hard to see on black and on white.
    style: dict[str, Any] = {"c": values, "cmap": "viridis"}
    style |= {"vmin": low - 0.2 * (high - low), "vmax": high + 0.1 * (high - low)}
    points = _scatter(axes, places[:, 0], places[:, 1], of=len(places), **style)
    bar = figure.colorbar(points, label=short(label), fraction=0.04)
    bar.outline.set_visible(False)
    if high > low:
        bar.ax.set_ylim(low, high)


def _scatter_classes(axes: Axes, places: np.ndarray, classes: np.ndarray) -> None:
    """Points in the colours and shapes of the most frequent classes, the others grey below."""
    counts = sorted(Counter(classes.tolist()).items(), key=lambda item: (-item[1], item[0]))
    styles = product(MARKERS, PALETTE)
    colored = [name for name, _ in counts[:MOST_COLORED_CLASSES]]
    for name, (marker, color) in zip(colored, styles, strict=False):
        x, y = places[classes == name].T
        _scatter(axes, x, y, of=len(classes), c=color, marker=marker, label=short(name, 24))
    if others := len(counts) - len(colored):
        x, y = places[~np.isin(classes, colored)].T
        _scatter(axes, x, y, of=len(classes), c=GREY, zorder=0.5, label=f"{others} others")


def _largest_confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    if not wrong.any():
        return ""
    true, predicted = divmod(int(wrong.argmax()), len(counts))
    most = wrong[true, predicted]
    return f" Most frequent confusion: {names[true]} taken for {names[predicted]}, {most} clips."


def _reliability(predictions: Predictions, bins: int) -> tuple[tuple[Any, ...], ...]:
    """A row a bin: its ends, clips, mean confidence and accuracy, these two NaN without clips."""
    if predictions.probabilities is None or not len(predictions.rows) or bins < 1:
        raise ConfigError(
            f"calibration with bins={bins}: one bin or more, and predictions of one clip or more "
            "that have probabilities, are needed."
        )
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.probabilities.argmax(axis=1) == predictions.truth
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = []
    for place in range(bins):
        chosen = places == place
        count = int(chosen.sum())
        means = (
            (float(confidence[chosen].mean()), float(right[chosen].mean()))
            if count
            else (np.nan,) * 2
        )
        rows.append((place / bins, (place + 1) / bins, count, *means))
    return tuple(rows)
