"""Result records, and how a terminal shows them."""

import json
import math
from typing import Any

import numpy as np
import pytest

from mirfeat.evaluation.records import Evaluation, ScoreReport, Scores, Table
from mirfeat.evaluation.text import (
    as_text,
    cell_text,
    ranks,
    reproduced,
    score_table,
    text_table,
)


def report(name: str, *values: float, metric: str = "accuracy", **more: Any) -> ScoreReport:
    higher = metric != "log-loss"
    scores = Scores(metric, values, higher_is_better=higher)
    return ScoreReport(more.pop("protocol", "linear"), name, (scores,), **more)


# -- records --------------------------------------------------------------------------------------


def test_means_are_weighted_by_folds_where_they_have_weights() -> None:
    scores = Scores("accuracy", (0.0, 1.0, 0.5))
    assert scores.mean == pytest.approx(0.5)
    assert scores.std == pytest.approx(0.5)
    assert scores.standard_error == pytest.approx(0.5 / math.sqrt(3))
    assert Scores("accuracy", (0.0, 1.0), weights=(1.0, 3.0)).mean == pytest.approx(0.75)
    single = Scores("accuracy", (0.5,))
    assert (single.mean, math.isnan(single.std), math.isnan(single.standard_error)) == (0.5, 1, 1)


def test_intervals_of_a_mean_are_student_s() -> None:
    # Critical value of t with 3 degrees of freedom, from a printed table: 3.182.
    scores = Scores("accuracy", (0.4, 0.5, 0.6, 0.7))
    reach = 3.182 * scores.standard_error
    assert scores.interval == pytest.approx((0.55 - reach, 0.55 + reach), abs=1e-4)
    assert all(map(math.isnan, Scores("accuracy", (0.5,)).interval))


def test_scores_are_found_by_metric() -> None:
    both = ScoreReport("linear", "f", (Scores("accuracy", (0.5,)), Scores("r2", (0.25,))))
    assert both.main.metric == "accuracy"
    assert both["r2"].mean == 0.25
    with pytest.raises(KeyError, match=r"no 'f1' here, but \['accuracy', 'r2'\]"):
        both["f1"]
    assert repr(report("f", 0.25, 0.75)) == (
        "ScoreReport(linear, f: accuracy 0.5000 ± 0.3536 over 2)"
    )


def test_results_are_json_that_any_reader_takes() -> None:
    result = Evaluation(
        (report("f", 0.5, published=math.nan, origin="o"), report("g", math.nan, 1.0, math.inf)),
        (Table("t", ("name", "value"), (("é", math.nan), ("b", 1.5), ("c", None)), "note"),),
    )
    text = json.dumps(result.to_dict(), allow_nan=False)
    read = json.loads(text)
    assert read["reports"][0] == {
        "protocol": "linear",
        "features": "f",
        "origin": "o",
        "scores": [
            {
                "metric": "accuracy",
                "mean": 0.5,
                "std": None,
                "standard_error": None,
                "interval": [None, None],
                "values": [0.5],
            }
        ],
        "published": None,
        "settings": {},
        "notes": [],
    }
    assert read["reports"][1]["scores"][0]["values"] == [None, 1.0, None]
    assert read["tables"][0]["rows"] == [
        {"name": "é", "value": None},
        {"name": "b", "value": 1.5},
        {"name": "c", "value": None},
    ]


# -- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (np.float64(2.0), "2.0000"),
        (-0.5, "-0.5000"),
        (3, "3"),
        (0, "0"),
        (0.0, "0.0000"),
        (None, ""),
        (math.nan, ""),
        ("ü", "ü"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    rows = [("ab", 1, 0.5, None), ("c", 20, math.nan, None), ("", None, -3.0, "x")]
    assert text_table(("name", "n", "score", "more"), rows).splitlines() == [
        "name   n    score  more",
        "----  --  -------  ----",
        "ab     1   0.5000",
        "c     20",
        "          -3.0000  x",
    ]


def test_a_table_may_be_empty() -> None:
    assert text_table(("a", "bc"), []).splitlines() == ["a  bc", "-  --"]


@pytest.mark.parametrize(
    ("metric", "expected"), [("accuracy", [3, 1, 3, 1, 5]), ("log-loss", [2, 4, 2, 4, 1])]
)
def test_equal_scores_share_a_rank(metric: str, expected: list[int]) -> None:
    reports = [report("f", value, metric=metric) for value in (0.5, 0.75, 0.5, 0.75, 0.25)]
    assert ranks(reports) == expected


def test_a_score_that_is_no_number_is_the_last() -> None:
    for metric in ("accuracy", "log-loss"):
        assert ranks([report("f", value, metric=metric) for value in (math.nan, 0.5)]) == [2, 1]


def test_columns_are_those_that_say_something() -> None:
    one = score_table([report("f", 0.5)])
    assert one == (["features", "accuracy"], [["f", 0.5]])
    both = ScoreReport("l", "g", (Scores("accuracy", (0.5, 1.0)), Scores("loss", (0.25,))))
    columns, rows = score_table([report("f", 0.5, published=0.6), both])
    assert columns == [
        *("features", "rank", "accuracy", "± s.e.", "loss", "published", "difference")
    ]
    assert rows[0][:3] == ["f", 2, 0.5]
    assert math.isnan(rows[0][3])
    assert rows[0][4:] == [None, 0.6, pytest.approx(-0.1)]
    assert rows[1] == ["g", 1, 0.75, pytest.approx(0.25), 0.25, None, None]


def test_few_examples_are_no_ranking() -> None:
    reports = [report("f", 0.5, settings={"examples_per_class": count}) for count in (1, 2)]
    columns, rows = score_table(reports)
    assert columns == ["features", "examples", "accuracy"]
    assert [row[1] for row in rows] == [1, 2]


def test_the_published_score_is_compared_with_the_grid_that_never_scaled() -> None:
    scores = (
        Scores("accuracy", (0.9,)),
        Scores("accuracy, nested", (0.8,)),
        Scores("accuracy, never scaled", (0.7,)),
    )
    whole = ScoreReport("layer-sweep", "5", scores, published=0.75)
    assert reproduced(whole) == 0.7
    assert reproduced(report("f", 0.5)) == 0.5
    columns, rows = score_table([whole])
    assert rows[0][columns.index("difference")] == pytest.approx(-0.05)


# -- pages ----------------------------------------------------------------------------------------


def test_a_page_has_a_table_for_each_protocol_and_origin() -> None:
    settings = {"folds": "4 folds"}
    reports = (
        report("5", 0.5, protocol="layer-sweep", origin="choi", settings=settings),
        report("4", 0.75, protocol="layer-sweep", origin="choi", settings=settings),
        report("5", 0.5, protocol="layer-sweep", origin="random", settings=settings),
        report("f", 0.5, 0.75),
    )
    lines = as_text(Evaluation(reports)).splitlines()
    heads = [line for line in lines if line.startswith(("layer-sweep", "linear"))]
    assert heads == ["layer-sweep, choi: 4 folds", "layer-sweep, random: 4 folds", "linear"]
    assert sum(line.startswith("features") for line in lines) == 3
    assert lines[4:6] == ["5            2    0.5000", "4            1    0.7500"]


def test_notes_are_told_once_with_their_number() -> None:
    reports = (
        report("a", 0.5, notes=("leak", "leak", "steps")),
        report("b", 0.5, notes=("leak",)),
        report("c", 0.5),
    )
    notes = [line for line in as_text(Evaluation(reports)).splitlines() if "note:" in line]
    assert notes == ["note: leak (2 of 3)", "note: steps (1 of 3)"]
    assert as_text(Evaluation(reports[:1])).endswith("note: leak\nnote: steps")


def test_published_scores_are_summed_up() -> None:
    published = (0.5, 0.6, 0.9, 0.52, None, math.nan)
    reports = tuple(report(str(k), 0.5, published=score) for k, score in enumerate(published))
    assert (
        "against the 4 published scores: median absolute difference 0.0600, largest 0.4000"
    ) in as_text(Evaluation(reports))
    assert "published" not in as_text(Evaluation(reports[4:]))


def test_tables_have_their_notes_and_details_are_left_out() -> None:
    tables = (
        Table("Nearest", ("class", "1"), (("a", "b"),), note="By L1."),
        Table("Curve", ("k",), ((1,),), detail=True),
        Table("Bare", ("k",), ((1,),)),
    )
    assert as_text(Evaluation((), tables)) == (
        "Nearest\n\nclass  1\n-----  -\na      b\nBy L1.\n\nBare\n\nk\n-\n1"
    )
    assert as_text(Evaluation()) == ""
