"""Figures show the numbers they are given, and say the same in words and in csv files."""

import csv
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mirfeat.errors import ConfigError, MissingPackageError
from mirfeat.evaluation.pages.clip_figures import (
    calibration,
    confusion_matrix,
    embedding_map,
    expected_calibration_error,
    predicted_against_true,
)
from mirfeat.evaluation.pages.drawing import GREY, Drawing, line_styles, short
from mirfeat.evaluation.pages.figures import few_shot_curves, layer_sweep, score_bars
from mirfeat.evaluation.pages.table_figures import (
    coefficients,
    heat_map,
    precision_curves,
)
from mirfeat.evaluation.records import Predictions, ScoreReport, Scores, Table

matplotlib = pytest.importorskip("matplotlib")

NASTY = "<script>alert('$1$')</script> & \x01_naïve_"


def report(
    features: str, *values: float, nested: float | None = None, **more: object
) -> ScoreReport:
    scores = [Scores("accuracy", values)]
    scores += [Scores("accuracy, nested", (nested,))] if nested is not None else []
    return ScoreReport("protocol", features, tuple(scores), **more)  # type: ignore[arg-type]


def sweep() -> list[ScoreReport]:
    scores = {"mfcc": 0.66, "12": 0.88, "1": 0.78, "2": 0.8, "3": 0.84, "4": 0.8, "5": 0.9}
    return [report(name, score, score + 0.01) for name, score in scores.items()]


def few_shots() -> list[ScoreReport]:
    return [
        report(name, score, score + 0.02, settings={"examples_per_class": count})
        for name in ("tags", "genres")
        for count, score in ((10, 0.6), (1, 0.2))
    ]


def classified(classes: int = 3, clips: int = 40) -> Predictions:
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(classes), clips)
    truth = generator.integers(0, classes, clips)
    names = tuple(f"class {place}" for place in range(classes))
    return Predictions(np.arange(clips), truth, shares.argmax(axis=1), names, shares)


def regressed(clips: int = 20) -> Predictions:
    truth = np.linspace(-1, 1, clips)
    return Predictions(np.arange(clips), truth, 0.5 * truth)


PRECISION = Table("Precision", ("k", "L1", "cosine"), ((1, 0.6, 0.7), (2, 0.5, 0.6)))
COMPONENTS = Table("Components", ("source", "a", "b"), (("tag", 70.0, None), ("bpm", 3.0, 96.0)))
EFFECTS = [("SS-R", -0.7, -0.9, -0.5), ("MSS-CR", 0.1, -0.1, 0.3)]
MAP = np.random.default_rng(1).normal(size=(60, 2))

EVERY: dict[str, Callable[[], Drawing]] = {
    "layer_sweep": lambda: layer_sweep(sweep(), sweep()[1:3]),
    "score_bars": lambda: score_bars(sweep()),
    "few_shot_curves": lambda: few_shot_curves(few_shots()),
    "precision_curves": lambda: precision_curves(PRECISION),
    "heat_map": lambda: heat_map(COMPONENTS),
    "coefficients": lambda: coefficients(EFFECTS),
    "confusion_matrix": lambda: confusion_matrix(classified()),
    "predicted_against_true": lambda: predicted_against_true(regressed()),
    "calibration": lambda: calibration(classified()),
    "embedding_map": lambda: embedding_map(MAP, ["a", "b", "c"] * 20),
    "embedding_map, values": lambda: embedding_map(MAP, MAP[:, 0]),
}


@cache
def made(name: str) -> Drawing:
    """Figures that several tests look at."""
    return EVERY[name]()


def texts(drawing: Drawing) -> list[str]:
    """All words in a figure."""
    found = drawing.figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def column(drawing: Drawing, name: str) -> list[object]:
    return [row[drawing.data.columns.index(name)] for row in drawing.data.rows]


@pytest.mark.parametrize("name", EVERY)
def test_bytes_are_the_same_whenever_they_are_made(name: str) -> None:
    first, second = made(name), EVERY[name]()
    svg, png = first.svg(), first.png(40)
    assert (png, svg) == (second.png(40), second.svg())
    assert svg == first.svg()
    assert "<dc:date>" not in svg
    assert b"Software" not in png


@pytest.mark.parametrize("name", EVERY)
def test_files_are_an_image_a_drawing_and_the_numbers_behind_them(
    name: str, tmp_path: Path
) -> None:
    drawing = made(name)
    png, svg, data = drawing.save(tmp_path / "figures", "one")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    header, *lines = csv.reader(data.read_text(encoding="utf-8").splitlines())
    assert tuple(header) == drawing.data.columns
    missing = (None, "nan")
    assert lines == [
        ["" if cell is None or str(cell) in missing else str(cell) for cell in row]
        for row in drawing.data.rows
    ]
    assert sorted(path.name for path in png.parent.iterdir()) == ["one.csv", "one.png", "one.svg"]


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_has_words(name: str) -> None:
    assert made(name).alt.endswith(".")
    assert made(name).data.title


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    assert precision_curves(PRECISION)._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_layer_sweep_ranks_combinations_and_puts_mfccs_last() -> None:
    drawing = layer_sweep(sweep())
    assert column(drawing, "features") == ["12", "1", "2", "3", "4", "5", "mfcc"]
    assert column(drawing, "rank") == [2, 6, 4, 3, 4, 1, None]
    bars = sorted(drawing.figure.axes[0].patches, key=lambda bar: bar.get_x())
    np.testing.assert_allclose(
        [bar.get_height() for bar in bars], column(drawing, "accuracy"), rtol=1e-12
    )
    colors = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in bars]
    assert len(set(colors)) == 4
    assert colors.count(colors[5]) == colors.count(colors[1]) == colors.count(colors[6]) == 1
    assert [text for text in texts(drawing) if text in "23456"].count("4") >= 2
    assert "0.665 (mfcc)" not in drawing.alt
    assert "0.905 (5)" in drawing.alt
    assert "scale starts at 0.6" in drawing.data.note


def test_layer_sweep_shows_controls_published_and_nested_scores_where_there_are_any() -> None:
    plain = layer_sweep(sweep())
    assert not {"published", "nested", "random network"} & {*plain.data.columns, *texts(plain)}
    reports = [report("1", 0.7, nested=0.6, published=0.72), report("2", 0.5)]
    drawing = layer_sweep(reports, [report("2", 0.3)])
    assert column(drawing, "published")[0] == 0.72
    assert column(drawing, "nested")[0] == 0.6
    assert column(drawing, "random network")[1] == 0.3
    assert {"published", "nested", "random network"} <= set(texts(drawing))
    lines = {line.get_label(): line.get_ydata() for line in drawing.figure.axes[0].lines}
    np.testing.assert_array_equal(lines["published"], [0.72, math.nan])
    grey = [bar for bar in drawing.figure.axes[0].patches if bar.get_width() == 0.2]
    np.testing.assert_array_equal([bar.get_height() for bar in grey], [math.nan, 0.3])


def test_ranks_of_losses_count_from_the_lowest_and_ties_share_the_better_one() -> None:
    losses = [
        ScoreReport("p", str(place), (Scores("loss", (value,), higher_is_better=False),))
        for place, value in enumerate([1.0, 0.5, 1.0, 2.0])
    ]
    assert column(layer_sweep(losses), "rank") == [2, 1, 2, 4]
    assert column(score_bars(losses), "features") == ["1", "0", "2", "3"]
    assert column(layer_sweep([report(str(k), 1.0) for k in range(8)]), "rank") == [1] * 8


def test_layer_sweep_draws_the_state_of_the_art_where_the_paper_has_one() -> None:
    words = "state of the art then: 0.945"
    reports = [report(name, 0.8, state_of_the_art=0.945) for name in ("12", "5")]
    assert words in layer_sweep(reports).svg()
    assert "state of the art" not in layer_sweep([report("12", 0.8)]).svg()


def test_layer_sweep_takes_scores_below_zero_and_baselines_alone() -> None:
    drawing = layer_sweep([report("1", -0.2), report("2", 0.1)])
    assert drawing.figure.axes[0].get_ylim()[0] < -0.2
    assert column(layer_sweep([report("mfcc", 0.5)]), "accuracy") == [0.5]


def test_score_bars_are_sorted_with_errors_and_grey_baselines() -> None:
    drawing = score_bars([report("mfcc", 0.5, 0.6), report("net", 0.8, 0.9, published=0.84)])
    assert column(drawing, "features") == ["net", "mfcc"]
    np.testing.assert_allclose(column(drawing, "standard error"), [0.05, 0.05])
    bars = drawing.figure.axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [0.85, 0.55])
    assert matplotlib.colors.to_hex(bars[1].get_facecolor()) == GREY
    assert {"0.850 ± 0.050", "0.550 ± 0.050", "published"} <= set(texts(drawing))
    (whiskers,) = (
        artist
        for artist in drawing.figure.axes[0].collections
        if isinstance(artist, matplotlib.collections.LineCollection)
    )
    np.testing.assert_allclose(whiskers.get_segments()[0][:, 0], [0.8, 0.9])


def test_unknown_scores_are_last() -> None:
    reports = [report("nan", math.nan), report("a", 0.5), report("b", 0.6)]
    assert column(layer_sweep(reports), "rank") == [3, 2, 1]
    assert column(score_bars(reports), "features") == ["b", "a", "nan"]
    assert "from 0.500 (a) to 0.600 (b)" in score_bars(reports).alt
    assert layer_sweep(reports[:1]).alt.endswith("of 1 sets of features.")


def test_a_score_without_spread_has_no_plus_minus() -> None:
    drawing = score_bars([report("one", 0.5)])
    assert "0.500" in texts(drawing)
    assert "standard error" not in drawing.data.columns


def test_few_shot_lines_follow_the_number_of_examples() -> None:
    axes = few_shot_curves(few_shots()).figure.axes[0]
    lines = [line for line in axes.lines if line.get_marker() in ("o", "^")]
    assert len(lines) == 2
    for line in lines:
        np.testing.assert_allclose(line.get_xydata(), [[1, 0.21], [10, 0.61]])
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10"]


def test_precision_curves_have_a_line_for_each_column() -> None:
    drawing = precision_curves(PRECISION)
    lines = {line.get_label(): line.get_ydata() for line in drawing.figure.axes[0].lines}
    np.testing.assert_array_equal(lines["L1"], [0.6, 0.5])
    assert "cosine 0.600" in drawing.alt
    assert drawing.data is PRECISION


def test_heat_map_writes_numbers_and_leaves_missing_ones_empty() -> None:
    drawing = heat_map(COMPONENTS)
    assert {"70.0", "–", "3.0", "96.0", "tag", "b"} <= set(texts(drawing))
    assert "96: bpm, b" in drawing.alt
    colors = drawing.figure.axes[0].collections[0].get_array()
    np.testing.assert_allclose(colors[..., 3], [[70 / 96, 0], [3 / 96, 1]])
    signed = heat_map(Table("t", ("n", "a"), (("x", -1.0), ("y", 0.5))))
    above, below = signed.figure.axes[0].collections[0].get_array()[:, 0]
    assert above[2] < above[0]
    assert below[2] > below[0]
    assert "–" in texts(heat_map(Table("t", ("n", "a"), (("x", None),))))


def test_coefficients_that_may_be_zero_are_grey() -> None:
    drawing = coefficients(EFFECTS, unit="effect")
    intervals = [line for line in drawing.figure.axes[0].lines if line.get_marker() != "o"][1:]
    np.testing.assert_array_equal(intervals[0].get_xdata(), [-0.9, -0.5])
    assert [line.get_color() == GREY for line in intervals] == [False, True]
    assert "MSS-CR 0.1 (-0.1 to 0.3)" in drawing.alt


def test_confusion_matrix_counts_clips() -> None:
    predictions = Predictions(
        np.arange(4), np.array([0, 0, 1, 0]), np.array([0, 1, 1, 1]), ("rock", "pop", "none")
    )
    drawing = confusion_matrix(predictions)
    assert drawing.data.rows == (("rock", 1, 2, 0), ("pop", 0, 1, 0), ("none", 0, 0, 0))
    assert "rock taken for pop, 2 clips" in drawing.alt
    shares = drawing.figure.axes[0].collections[0].get_array()[..., 3]
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert drawing.figure.axes[0].yaxis_inverted()


@pytest.mark.parametrize("classes", [1, 2, 50])
def test_confusion_matrices_of_any_size_are_drawn(classes: int) -> None:
    drawing = confusion_matrix(classified(classes, 200))
    assert len(drawing.svg()) < 1_000_000
    smallest = min(text.get_size() for text in drawing.figure.axes[0].texts)
    assert smallest >= 4.5


def test_predicted_against_true_shows_every_clip() -> None:
    drawing = predicted_against_true(regressed())
    points = drawing.figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 1], 0.5 * points[:, 0])
    assert "r² of all clips together: 0.750" in drawing.alt
    constant = Predictions(np.arange(2), np.ones(2), np.ones(2))
    assert "r²" not in predicted_against_true(constant).alt


def test_expected_calibration_error_is_that_of_a_computation_by_hand() -> None:
    # In (0.8, 1]: confidence 0.9, accuracy 1/2. In (0.4, 0.6]: confidence 0.6, accuracy 1.
    shares = np.array([[0.85, 0.15], [0.95, 0.05], [0.6, 0.4]])
    predictions = Predictions(
        np.arange(3), np.array([0, 1, 0]), np.zeros(3, dtype=int), ("a", "b"), shares
    )
    error = expected_calibration_error(predictions, bins=5)
    assert error == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.4)
    drawing = calibration(predictions, bins=5)
    assert column(drawing, "clips") == [0, 0, 1, 0, 2]
    assert f"{error:.3f}" in drawing.alt
    assert [bar.get_height() for bar in drawing.figure.axes[1].patches] == [0, 0, 1, 0, 2]


def test_certain_and_right_predictions_are_calibrated() -> None:
    shares = np.eye(3)
    sure = Predictions(np.arange(3), np.arange(3), np.arange(3), ("a", "b", "c"), shares)
    assert expected_calibration_error(sure) == 0


def test_maps_give_the_frequent_classes_a_look_of_their_own_and_the_rest_grey() -> None:
    labels = [f"class {place % 20:02}" for place in range(50)] + [f"rare {k}" for k in range(10)]
    drawing = embedding_map(MAP, labels, {"topic": (0, 0), "unplaced": (math.nan, 0)})
    groups = drawing.figure.axes[0].collections
    assert sum(len(group.get_offsets()) for group in groups) == 60
    assert len(groups) == 21
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend[0] == "class 00"
    assert legend[-1] == "10 others"
    looks = {(str(g.get_facecolor()), str(g.get_paths()[0].vertices)) for g in groups}
    assert len(looks) == 21
    assert "topic" in texts(drawing)
    assert "unplaced" not in texts(drawing)


def test_maps_of_values_have_a_colour_bar() -> None:
    drawing = embedding_map(MAP, MAP[:, 0], label="arousal")
    assert len(drawing.figure.axes) == 2
    np.testing.assert_array_equal(drawing.figure.axes[0].collections[0].get_array(), MAP[:, 0])
    assert drawing.data.columns == ("x", "y", "arousal")
    np.testing.assert_allclose(drawing.figure.axes[1].get_ylim(), [MAP.min(0)[0], MAP.max(0)[0]])
    for odd in (np.zeros(60), np.full(60, math.nan)):
        assert len(embedding_map(MAP, odd).figure.axes) == 2


def test_large_maps_are_images_inside_the_drawing() -> None:
    many = np.random.default_rng(0).normal(size=(5000, 2))
    svg = embedding_map(many, np.zeros(5000, dtype=int)).svg()
    assert "data:image/png" in svg
    assert len(svg) < 300_000


def test_names_are_words_whatever_they_look_like() -> None:
    reports = [report(NASTY, 0.5, 0.6), report("_hidden", 0.4, 0.5), report("日本語" * 40, 0.3)]
    for drawing in (layer_sweep(reports), score_bars(reports)):
        root = ElementTree.fromstring(drawing.svg())
        assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
        assert any("<script>" in (text.text or "") for text in root.iter())
        assert all(len(text) < 40 for text in texts(drawing))
    shots = [
        ScoreReport("p", r.features, r.scores, {"examples_per_class": 1}, (), None) for r in reports
    ]
    legend = few_shot_curves(shots).figure.legends[0]
    assert len(legend.get_texts()) == 3
    odd = Predictions(np.arange(2), np.array([0, 1]), np.array([0, 1]), (NASTY, "x" * 200))
    assert any("…" in text for text in texts(confusion_matrix(odd)))
    assert NASTY in embedding_map(MAP, [NASTY] * 60).data.rows[0]


def test_short_keeps_what_fits_and_cuts_the_rest() -> None:
    assert short("a\n b") == "a b"
    assert short("x" * 10, 5) == "xxxx…"
    assert short("_a") == "\u200b_a"


def test_lines_differ() -> None:
    styles = [tuple(style.values()) for style in islice(line_styles(), 24)]
    assert len(set(styles)) == 24


@pytest.mark.parametrize(
    "make",
    [
        lambda: layer_sweep([]),
        lambda: score_bars([]),
        lambda: few_shot_curves([report("a", 1.0)]),
        lambda: score_bars([report("a", 1.0), ScoreReport("p", "b", (Scores("r2", (1.0,)),))]),
        lambda: precision_curves(Table("t", ("k",), ((1,),))),
        lambda: heat_map(Table("t", ("a", "b"), ())),
        lambda: heat_map(Table("t", ("a", "b"), (("x", "y"),))),
        lambda: coefficients([]),
        lambda: confusion_matrix(regressed()),
        lambda: predicted_against_true(classified()),
        lambda: calibration(regressed()),
        lambda: expected_calibration_error(classified(), bins=0),
        lambda: embedding_map(MAP, ["a"]),
        lambda: embedding_map(np.empty((0, 2)), []),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: Callable[[], Drawing]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[evaluation\]'"):
        score_bars(sweep())
