"""Tables of labels: how they are read, what is predicted, and which clip a line is about."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirfeat.errors import LabelsError
from mirfeat.evaluation.labels import LabelTable, make_task, read_labels


def written(tmp_path: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def table(**columns: Sequence[str]) -> LabelTable:
    return LabelTable("labels.csv", {name: tuple(cells) for name, cells in columns.items()})


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("id,label\na/ü.wav,rock\nb.wav,jazz\n", "labels.csv"),
        ("id,label\na/ü.wav,rock\nb.wav,jazz", "labels"),
        ("\ufeffid,label\r\na/ü.wav,rock\r\n\r\nb.wav,jazz\r\n", "labels.csv"),
        (" id , label\na/ü.wav,rock\n\nb.wav,jazz\n\n", "labels.CSV"),
        ('"id","label"\n"a/ü.wav","rock"\n"b.wav","jazz"\n', "labels.csv"),
        ("id\tlabel\na/ü.wav\trock\nb.wav\tjazz\n", "labels.tsv"),
        ("\ufeffid\tlabel\r\na/ü.wav\trock\r\nb.wav\tjazz\r\n", "labels.TAB"),
    ],
)
def test_tables_are_read_however_they_were_written(tmp_path: Path, text: str, name: str) -> None:
    labels = read_labels(str(written(tmp_path, text, name)))
    assert dict(labels.columns) == {"id": ("a/ü.wav", "b.wav"), "label": ("rock", "jazz")}
    assert len(labels) == 2
    assert labels.path == str(tmp_path / name)


def test_cells_may_hold_commas_quotes_newlines_and_spaces(tmp_path: Path) -> None:
    text = 'id,label\n"a, ""live""\n2.wav"," rock"\n'
    labels = read_labels(written(tmp_path, text))
    assert labels.column("id") == ('a, "live"\n2.wav',)
    assert labels.column("label") == (" rock",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a line with column names and a line for each clip"),
        ("id,label\n", "a line for each clip"),
        ("\n\n", "a line for each clip"),
        ("id,label\na,rock\nb\n", "line 3 has 1 cells, the header has 2"),
        ('id,label\n\n"a\nb",rock\nc,jazz,x\n', "line 5 has 3 cells"),
        ("id,label\na,rock\n  \n", "line 3 has 1 cells"),
        ("id,label, label\na,x,y\n", "two columns have the same name among id, label, label"),
        (",a,\n1,2,3\n", "two columns have the same name"),
        (b"id,label\n\xff\xfe,rock\n", "not a readable table"),
        (f"id,label\na,{'x' * 140_000}\n", "not a readable table"),
    ],
)
def test_what_is_no_table_is_refused_by_name(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(LabelsError, match=f"labels.csv: .*{message}"):
        read_labels(written(tmp_path, text))


def test_a_missing_file_and_a_folder_are_no_tables(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(LabelsError, match=f"{path.name}: not a readable table"):
            read_labels(path)


# -- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ("path Label mood", "Label"),
        ("id genre label", "label"),
        ("id mood", "mood"),
        ("id artist fold mood", "mood"),
        ("Filename SPLIT Album emotion", "emotion"),
    ],
)
def test_the_column_to_predict_is_found(columns: str, target: str) -> None:
    assert table(**dict.fromkeys(columns.split(), ("x",))).target_column() == target


@pytest.mark.parametrize("columns", ["id arousal valence", "id artist"])
def test_a_doubtful_column_to_predict_is_asked_for(columns: str) -> None:
    with pytest.raises(LabelsError, match=rf"labels.csv: .*--target .*{columns.split()[-1]}"):
        table(**dict.fromkeys(columns.split(), ("x",))).target_column()


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    task = table(id=["a"], label=["x"])
    for options in ({"target": "genre"}, {"groups": "genre"}, {"folds": "genre"}):
        with pytest.raises(LabelsError, match=r"labels.csv: no column 'genre'.*id, label"):
            make_task(task, ["a"], **options)  # type: ignore[arg-type]


def test_groups_and_folds_are_found_the_narrowest_first() -> None:
    labels = table(
        id=["a", "b"], label=["x", "y"], album=["1", "2"], Artist=["p ", ""], Split=["", "s"]
    )
    task = make_task(labels, ["b", "a"])
    assert (task.group_name, task.groups) == ("Artist", ("", "p"))
    assert task.predefined == ("s", "")
    assert make_task(labels, ["a", "b"], groups="album").groups == ("1", "2")
    none = make_task(labels, ["a", "b"], groups="none", folds="none")
    assert (none.groups, none.predefined) == (None, None)
    # Whether folds tear them apart is told all the same.
    assert (none.ignored_groups, none.group_name) == (("p", ""), "Artist")
    assert task.ignored_groups is None


@pytest.mark.parametrize("name", ["artist", "Artist"])
def test_what_is_predicted_is_no_group(name: str) -> None:
    labels = table(**{"id": ["a", "b"], name: ["x", "y"], "album": ["p", "q"]})
    task = make_task(labels, ["a", "b"], target=name)
    assert (task.group_name, task.groups) == ("album", ("p", "q"))
    assert make_task(labels, ["a", "b"], target=name, groups=name).groups == ("x", "y")


# -- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["rock ", " jazz"], "classification"),
        (["0", "1"], "classification"),
        (["1990", "2001.0"], "classification"),
        (["0.5", "rock"], "classification"),
        ([" 0.5", "-1e-3 "], "regression"),
        (["1", "2.5"], "regression"),
    ],
)
def test_numbers_that_are_not_whole_are_a_regression(values: list[str], kind: str) -> None:
    task = make_task(table(id=["a", "b"], label=values), ["a", "b"])
    assert task.kind == kind
    assert task.regression == (kind == "regression")
    expected = (
        [float(value) for value in values] if task.regression else [v.strip() for v in values]
    )
    assert task.labels.tolist() == expected
    assert task.labels.dtype.kind == ("f" if task.regression else "U")


def test_the_kind_can_be_said() -> None:
    whole, broken = table(id=["a", "b"], y=["1", "2"]), table(id=["a", "b"], y=["0.5", "2"])
    assert make_task(whole, ["a", "b"], kind="regression").labels.tolist() == [1.0, 2.0]
    assert make_task(broken, ["a", "b"], kind="classification").labels.tolist() == ["0.5", "2"]


@pytest.mark.parametrize("bad", ["nan", "inf", "-Infinity", "rock", "1,5"])
def test_a_regression_on_what_is_no_number_is_refused(bad: str) -> None:
    with pytest.raises(LabelsError, match=r"labels.csv: 'y' (must be numbers|holds a number)"):
        make_task(table(id=["a", "b"], y=["0.5", bad]), ["a", "b"], kind="regression")


# -- clips ----------------------------------------------------------------------------------------


@given(st.permutations([f"sub/ü {k}.wav" for k in range(7)]), st.integers(0, 6))
def test_labels_follow_the_order_of_the_features(ids: list[str], without: int) -> None:
    names = sorted(ids)[:without] + sorted(ids)[without + 1 :]
    labels = table(path=names, label=[f"of {name}" for name in names], artist=names)
    task = make_task(labels, ids)
    assert [ids[row] for row in task.rows] == list(task.ids)
    assert task.rows.dtype == np.int64
    assert task.labels.tolist() == [f"of {id}" for id in task.ids]
    assert task.groups == task.ids
    assert sorted(task.ids) == names
    assert task.notes == ("1 clips have features and no labels; left out",)


def test_features_without_names_follow_the_lines() -> None:
    labels = table(label=["x", "", "z"], artist=["p", "q", "r"])
    task = make_task(labels, None, count=3)
    assert (task.ids, task.rows.tolist(), task.labels.tolist()) == (("0", "2"), [0, 2], ["x", "z"])
    assert task.groups == ("p", "r")
    assert task.notes == ("1 clips have no 'label' and were left out",)
    with pytest.raises(LabelsError, match=r"labels.csv: 3 lines for 4 rows of features"):
        make_task(labels, None, count=4)


def test_clips_with_labels_and_no_features_are_an_error() -> None:
    labels = table(id=["a", "b", "c"], label=["x", "y", "z"])
    with pytest.raises(LabelsError, match=r"labels.csv: 2 of 3 .*first 'b'.*like 'a'.*--root"):
        make_task(labels, ["a"])
    with pytest.raises(LabelsError, match=r"3 of 3 clips have no features.*like 'music/a'"):
        make_task(labels, ["music/a", "music/b"])
    with pytest.raises(LabelsError, match=r"3 of 3 clips have no features, first 'a'"):
        make_task(labels, [], failed=["a", "b", "c"])


def test_clips_that_could_not_be_read_are_left_out_and_told() -> None:
    labels = table(id=["a", "b", "c"], label=["x", "y", "z"])
    task = make_task(labels, ["c", "a"], failed=["b", "unknown"])
    assert task.ids == ("c", "a")
    assert task.notes == ("1 labelled clips could not be read, so have no features; left out",)


def test_clips_with_an_empty_label_are_left_out_and_told() -> None:
    labels = table(id=["a", "b", "c"], mood=["0.5", " ", "0.25"])
    task = make_task(labels, ["c", "b", "a"])
    assert (task.ids, task.rows.tolist(), task.labels.tolist()) == (("c", "a"), [0, 2], [0.25, 0.5])
    assert task.notes == ("1 clips have no 'mood' and were left out",)
    with pytest.raises(LabelsError, match=r"labels.csv: the column 'mood' is empty for all"):
        make_task(table(id=["a", "b"], mood=["", " "]), ["a", "b"])


def test_a_clip_with_two_lines_is_refused() -> None:
    labels = table(id=["a", "b", "a"], label=["x", "y", "x"])
    with pytest.raises(LabelsError, match=r"labels.csv: 'a' is twice in the column 'id'.*one line"):
        make_task(labels, ["a", "b"])


def test_a_table_must_say_which_clip_a_line_is_about() -> None:
    labels = table(song=["a"], label=["x"])
    with pytest.raises(LabelsError, match=r"labels.csv: no column says .*id, path.*song, label"):
        make_task(labels, ["a"])


def test_names_of_clips_must_be_the_same_to_the_letter() -> None:
    labels = table(id=["007", "1e3"], label=["x", "y"])
    with pytest.raises(LabelsError, match=r"first '007'; features are called like '7'"):
        make_task(labels, ["7", "1000.0"])
    task = make_task(labels, ["1e3", "007", "x" * 5000])
    assert task.labels.tolist() == ["y", "x"]


def test_a_line_without_a_label_needs_no_features() -> None:
    table = LabelTable("labels.csv", {"id": ("a", "b", "c"), "genre": ("x", "", "y")})
    task = make_task(table, ["a", "c"])
    assert task.ids == ("a", "c")


def test_a_table_of_a_million_columns_is_read_or_refused_in_few_words(tmp_path: Path) -> None:
    names = list(map(str, range(10**6)))
    large = read_labels(written(tmp_path, f"{','.join(names)}\n{','.join(names)}\n"))
    assert len(large.columns) == 10**6
    for wanted in ("none", None):
        with pytest.raises(LabelsError) as caught:
            make_task(large, ("a",), target=wanted)
        assert len(str(caught.value)) < 1000
    names[7] = "6"
    with pytest.raises(LabelsError, match="two columns have the same name") as caught:
        read_labels(written(tmp_path, f"{','.join(names)}\n{','.join(names)}\n"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("cell", ["9" * 5000, "x" * 5000])
def test_a_label_of_5000_digits_is_no_traceback(tmp_path: Path, cell: str) -> None:
    large = read_labels(written(tmp_path, f"id,label\na,1.5\nb,{cell}\n"))
    with pytest.raises(LabelsError, match="'label'") as caught:
        make_task(large, ("a", "b"), kind="regression")
    assert len(str(caught.value)) < 500
