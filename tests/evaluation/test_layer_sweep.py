"""Combinations of layers, and the published scores of Choi et al. from the authors' features."""

from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from mirfeat.errors import OptionError
from mirfeat.evaluation.choi2017 import layer_strategies, layer_sweep, steps_needed, svm_grid
from mirfeat.evaluation.folds import make_folds
from mirfeat.evaluation.labels import read_labels
from mirfeat.evaluation.material import Options
from mirfeat.evaluation.models.svm import GridSearch
from mirfeat.evaluation.protocols import evaluate
from mirfeat.evaluation.published import published_scores
from mirfeat.evaluation.records import ScoreReport
from mirfeat.evaluation.text import as_text, reproduced

NEVER = GridSearch(scaling="never")
LABELS = np.array(list("abc") * 8)
FOLDS = make_folds(LABELS, count=2)


def layers_of(digits: str) -> dict[str, np.ndarray]:
    """Layers that know more the higher they are."""
    random, numbers = np.random.default_rng(3), np.unique(LABELS, return_inverse=True)[1]
    return {
        digit: random.standard_normal((24, 1 + int(digit))) + 0.3 * int(digit) * numbers[:, None]
        for digit in digits
    }


def test_the_strategies_of_the_paper_are_28() -> None:
    paper, every = layer_strategies(), layer_strategies(which="all")
    assert every == [
        "".join(chosen) for size in (5, 4, 3, 2, 1) for chosen in combinations("12345", size)
    ]
    assert len(every) == len(set(every)) == 31
    assert [name for name in every if name not in paper] == ["1235", "1245", "1345"]
    assert set(paper) == set(published_scores("choi2017", "gtzan-genre")) - {"mfcc", "12345+mfcc"}
    assert layer_strategies("13") == ["13", "1", "3"]
    with pytest.raises(OptionError, match=r"strategies 'most': .*'paper' \(28\) or 'all' \(31\)"):
        layer_strategies(which="most")


def test_each_combination_scores_as_its_layers_side_by_side() -> None:
    layers, mfcc = layers_of("135"), layers_of("2")["2"]
    reports = layer_sweep(layers, LABELS, FOLDS, mfcc=mfcc, search=NEVER)
    expected = {
        **{name: [layers[digit] for digit in name] for name in layer_strategies("135")},
        "135+mfcc": [mfcc, *layers.values()],
        "mfcc": [mfcc],
    }
    assert [report.features for report in reports] == list(expected)
    for report, parts in zip(reports, expected.values(), strict=True):
        alone = svm_grid(np.concatenate(parts, axis=1), LABELS, FOLDS, search=NEVER, nested=False)
        assert report.scores == alone.scores
        assert report.settings["numbers"] == sum(part.shape[1] for part in parts)
        assert report.protocol == "layer-sweep"
    assert len({report.main.mean for report in reports}) > 3


def test_a_combination_has_the_nested_score_of_its_layers_side_by_side() -> None:
    layers = layers_of("25")
    (report,) = layer_sweep(layers, LABELS, FOLDS, strategies=["25"], search=NEVER, nested=True)
    alone = svm_grid(np.concatenate([*layers.values()], axis=1), LABELS, FOLDS, search=NEVER)
    assert report.scores == alone.scores
    assert report.scores[1].metric == "accuracy, nested"


def test_strategies_can_be_chosen_and_progress_is_announced() -> None:
    calls: list[int] = []
    reports = layer_sweep(
        layers_of("12345"),
        LABELS,
        FOLDS,
        strategies=["5", "52"],
        search=NEVER,
        progress=lambda: calls.append(1),
    )
    assert [report.features for report in reports] == ["5", "52"]
    assert [report.settings["numbers"] for report in reports] == [6, 9]
    assert [scores.metric for scores in reports[0].scores] == ["accuracy"]
    assert len(calls) == steps_needed(FOLDS, nested=False, combinations=2) == 4


@pytest.mark.parametrize(
    ("strategies", "message"),
    [
        (["1", "27"], r"no layers \['2', '7'\] in these features, which have \['1', '3'\]"),
        (["13", ""], r"strategies \[''\]"),
        (["11"], r"strategies \['11'\]: each names layers, each of them once"),
    ],
)
def test_strategies_that_cannot_be_are_refused(strategies: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        layer_sweep(layers_of("13"), LABELS, FOLDS, strategies=strategies, search=NEVER)


def sweep(folder: Path, data: str, target: str, task: str, **options: object) -> list[ScoreReport]:
    """Reports on the authors' features, beside what they published."""
    specs = [f"layer{k + 1}={folder / f'{data}_layer_{k}.npy'}" for k in range(5)]
    if options.pop("mfcc", False):
        specs.append(f"mfcc={folder / f'{data}_mfcc.npy'}")
    chosen = Options(target=target, published=task, scaling="never", **options)  # type: ignore[arg-type]
    result = evaluate("layer-sweep", [specs], read_labels(folder / f"{data}.csv"), chosen)
    assert "published scores: median absolute difference" in as_text(result)
    return list(result.reports)


@pytest.mark.shared
def test_published_scores_are_reproduced_from_the_authors_features(choi2017_data: Path) -> None:
    reports = sweep(choi2017_data, "gtzan_genre", "label", "gtzan-genre", strategies="12345,5")
    assert [report.features for report in reports] == ["12345", "5"]
    for report in reports:
        assert reproduced(report) == pytest.approx(report.published, abs=1e-4)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "target", "task"),
    [
        ("gtzan_genre", "label", "gtzan-genre"),
        ("emoMusic", "label_arousal", "emomusic-arousal"),
        ("emoMusic", "label_valence", "emomusic-valence"),
    ],
)
def test_all_published_scores_are_reproduced(
    choi2017_data: Path, data: str, target: str, task: str
) -> None:
    reports = sweep(choi2017_data, data, target, task, mfcc=True)
    assert len(reports) == 30
    differences = [abs(reproduced(r) - r.published) for r in reports if r.published is not None]
    assert len(differences) == 30
    assert median(differences) < 0.003
    assert max(differences) < 0.02
