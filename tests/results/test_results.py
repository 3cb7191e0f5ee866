"""Moments, embeddings and tables."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mirfeat
from mirfeat.errors import MissingPackageError, OptionError, StoreError
from mirfeat.results.embedding import Embedding
from mirfeat.results.moments import Moments, check_statistics
from mirfeat.results.outcomes import Failure
from mirfeat.results.table import FeatureTable
from tests.support.sounds import music
from tests.support.stores import PROVENANCE
from tests.support.tables import table_of

NAMES = (
    "choi2017.layer1.00.mean",
    "choi2017.layer2.00.mean",
    "choi2017.layer1.00.std",
    "mfcc.delta.00.mean",
)


@st.composite
def weighted_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and variances float32 [T, D], weights [T] as segments have them."""
    count, size = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    value = st.floats(-1e3, 1e3, width=32)
    means = draw(hnp.arrays(np.float32, (count, size), elements=value))
    variance = st.floats(0, 1e3, width=32)
    variances = draw(hnp.arrays(np.float32, (count, size), elements=variance))
    weights = draw(hnp.arrays(np.float64, count, elements=st.floats(0.5, 1.0)))
    return means, variances, weights


def moments_of(means: np.ndarray, variances: np.ndarray, weights: np.ndarray) -> Moments:
    moments = Moments(means.shape[1])
    for mean, variance, weight in zip(means, variances, weights, strict=True):
        moments.add(mean, variance, float(weight))
    return moments


def by_formula(
    means: np.ndarray, variances: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The one formula of the module, literally."""
    m, v, w = means.astype(np.float64), variances.astype(np.float64), weights[:, None]
    mean = (w * m).sum(0) / w.sum()
    return mean, np.sqrt((w * (v + (m - mean) ** 2)).sum(0) / w.sum())


@settings(deadline=None)
@given(weighted_rows())
def test_moments_are_the_formula_in_float64(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mean, std = by_formula(*rows)
    vector = moments_of(*rows).vector(("mean", "std"))
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, np.concatenate([mean, std]), rtol=1e-6, atol=1e-5)


@settings(deadline=None)
@given(weighted_rows(), st.randoms(use_true_random=False))
def test_moments_do_not_depend_on_the_order_of_rows(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], random: object
) -> None:
    order = list(range(len(rows[0])))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = moments_of(*(array[order] for array in rows)).vector(("mean", "std"))
    np.testing.assert_allclose(
        shuffled, moments_of(*rows).vector(("mean", "std")), rtol=1e-6, atol=1e-5
    )


@settings(deadline=None)
@given(weighted_rows())
def test_rows_that_are_all_the_same_have_a_std_of_exactly_zero(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    means, variances, weights = rows
    same = np.repeat(means[:1], len(means), axis=0)
    vector = moments_of(same, np.zeros_like(variances), weights).vector(("mean", "std"))
    np.testing.assert_array_equal(vector, np.concatenate([means[0], np.zeros_like(means[0])]))


def test_moments_of_a_loud_and_nearly_constant_row_do_not_cancel() -> None:
    # The textbook sum of squares loses all digits here.
    means = (1e4 + np.array([[0.0], [1e-3], [2e-3]])).astype(np.float32)
    std = moments_of(means, np.zeros_like(means), np.ones(3)).vector(("std",))
    np.testing.assert_allclose(std, means.astype(np.float64).std(0), rtol=1e-6)


def test_spread_inside_rows_counts() -> None:
    vector = moments_of(np.zeros((2, 1)), np.array([[4.0], [16.0]]), np.array([1.0, 0.5])).vector(
        ("std", "mean")
    )
    np.testing.assert_allclose(vector, [np.sqrt(8.0), 0.0])


@pytest.mark.parametrize("wrong", [(), ("median",), ("mean", "mean"), "paper", ("mean", "x")])
def test_statistics_that_there_are_not_are_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="mean"):
        check_statistics(wrong)  # type: ignore[arg-type]


def test_one_statistic_may_be_a_bare_name() -> None:
    assert check_statistics("std") == ("std",)
    assert check_statistics(["std", "mean"]) == ("std", "mean")


@pytest.mark.parametrize("seconds", [0.5, 29.0, 50.0, 100.0])
@pytest.mark.parametrize("statistics", [("mean", "std"), ("std",), ("std", "mean")])
def test_the_summary_of_an_embedding_is_what_extract_returns(
    seconds: float, statistics: tuple[str, ...]
) -> None:
    extractor = mirfeat.load_extractor("mfcc", statistics=statistics, hop_seconds=7.5)
    sound = music(seconds, 12_000)
    embedding = extractor.embed(sound, 12_000)
    np.testing.assert_array_equal(
        embedding.summary(statistics), extractor.extract(sound, 12_000), strict=True
    )


@pytest.fixture
def embedding() -> Embedding:
    return Embedding(
        values=np.arange(6, dtype=np.float32).reshape(2, 3),
        within_variance=np.zeros((2, 3), np.float32),
        starts=np.array([0.0, 1.0]),
        ends=np.array([1.0, 1.75]),
        weights=np.array([1.0, 0.75]),
        blocks={"layer1": slice(0, 2), "layer2": slice(2, 3)},
        row_names=("x.layer1.00", "x.layer1.01", "x.layer2.00"),
        provenance=PROVENANCE,
    )


def test_an_embedding_is_an_array_with_a_length(embedding: Embedding) -> None:
    assert len(embedding) == 2
    assert np.asarray(embedding).dtype == np.float32
    assert np.shares_memory(np.asarray(embedding), embedding.values)
    assert np.asarray(embedding, dtype=np.float64).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not np.shares_memory(np.array(embedding), embedding.values)
    assert embedding.values[:, embedding.blocks["layer2"]].tolist() == [[2], [5]]
    assert repr(embedding) == "Embedding(2 rows x 3, 1.75 s, layer1, layer2)"


@pytest.fixture
def table() -> FeatureTable:
    return FeatureTable(
        values=np.arange(8, dtype=np.float32).reshape(2, 4) / 3,
        ids=("b/ü.wav", "a.wav"),
        feature_names=NAMES,
        provenance=PROVENANCE,
        failures=(Failure("c.wav", "DecodeError", "c.wav: damaged,\nreally"),),
    )


def test_a_table_is_an_array_with_a_length(table: FeatureTable) -> None:
    assert len(table) == 2
    assert np.shares_memory(np.asarray(table), table.values)
    assert np.asarray(table, np.float64).shape == (2, 4)
    assert repr(table) == "FeatureTable(2 clips x 4 of x, 1 failed)"


def test_select_takes_all_columns_of_the_blocks_named(table: FeatureTable) -> None:
    chosen = table.select("layer1")
    assert chosen.feature_names == (NAMES[0], NAMES[2])
    np.testing.assert_array_equal(chosen.values, table.values[:, [0, 2]])
    assert (chosen.ids, chosen.failures) == (table.ids, table.failures)
    assert table.select("delta", "layer1").feature_names == (NAMES[0], NAMES[2], NAMES[3])


def test_select_refuses_a_block_that_is_not_there(table: FeatureTable) -> None:
    with pytest.raises(OptionError, match=r"layer9.*layer1.*layer2.*delta"):
        table.select("layer1", "layer9")


def test_aligned_follows_the_ids_given_and_marks_failures(table: FeatureTable) -> None:
    values = table.aligned(["a.wav", "c.wav", "b/ü.wav", "a.wav"])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[[0, 2, 3]], table.values[[1, 0, 1]])
    assert np.isnan(values[1]).all()


def test_aligned_refuses_ids_that_were_never_seen(table: FeatureTable) -> None:
    with pytest.raises(OptionError, match=r"1 ids .* 'd\.wav'"):
        table.aligned(["a.wav", "d.wav"])


def test_a_frame_has_ids_as_index_and_features_as_columns(table: FeatureTable) -> None:
    frame = table.to_frame()
    assert list(frame.index) == list(table.ids)
    assert list(frame.columns) == list(NAMES)
    np.testing.assert_array_equal(frame.to_numpy(), table.values, strict=True)


def test_a_polars_frame_has_a_column_of_ids_and_one_a_feature(table: FeatureTable) -> None:
    pl = pytest.importorskip("polars")
    frame = table.to_polars()
    assert frame.columns == ["id", *NAMES]
    assert frame["id"].to_list() == list(table.ids)
    assert set(frame.dtypes[1:]) == {pl.Float32}
    np.testing.assert_array_equal(frame.drop("id").to_numpy(), table.values, strict=True)
    empty = FeatureTable(np.zeros((0, 4), np.float32), (), NAMES, PROVENANCE).to_polars()
    assert (empty.shape, empty.schema) == ((0, 5), frame.schema)


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames_say_which_package_they_need(
    table: FeatureTable, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    make = table.to_frame if package == "pandas" else table.to_polars
    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        make()


@pytest.mark.parametrize("name", ["table.npz", "table", "table.v1.2"])
def test_a_saved_table_is_loaded_as_it_was(tmp_path: Path, table: FeatureTable, name: str) -> None:
    table.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    loaded = FeatureTable.load(tmp_path / name)
    np.testing.assert_array_equal(loaded.values, table.values, strict=True)
    assert (loaded.ids, loaded.feature_names) == (table.ids, table.feature_names)
    assert loaded.failures == table.failures
    assert loaded.provenance.differences(table.provenance) == []
    assert loaded.provenance.to_dict() == table.provenance.to_dict()


def test_a_table_without_clips_can_be_saved(tmp_path: Path) -> None:
    empty = FeatureTable(np.zeros((0, 4), np.float32), (), NAMES, PROVENANCE)
    empty.save(tmp_path / "empty.npz")
    assert FeatureTable.load(tmp_path / "empty.npz").values.shape == (0, 4)


def write_other_npz(path: Path) -> None:
    np.savez(path, values=np.zeros(3))


def write_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_half(path: Path) -> None:
    FeatureTable(np.zeros((9, 4), np.float32), ("a",) * 9, NAMES, PROVENANCE).save(path)
    path.write_bytes(path.read_bytes()[:400])


def write_pickle(path: Path) -> None:
    np.savez(path, values=np.array([{}], dtype=object), header=np.array("{}"))


def write_text(path: Path) -> None:
    path.write_text("id,mean\n")


def write_nothing(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    "write",
    [write_other_npz, write_npy, write_half, write_pickle, write_text, write_nothing, Path.exists],
)
def test_what_is_no_saved_table_is_refused(tmp_path: Path, write: object) -> None:
    path = tmp_path / "table.npz"
    write(path)  # type: ignore[operator]
    with pytest.raises(StoreError, match=re.escape(str(path))):
        FeatureTable.load(path)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_ids_of_any_text_survive_saving(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.npz"
    FeatureTable(np.zeros((len(ids), 4), np.float32), tuple(ids), NAMES, PROVENANCE).save(path)
    assert FeatureTable.load(path).ids == tuple(ids)


def test_a_notebook_shows_the_first_clips_and_numbers_of_a_table() -> None:
    table = table_of(np.arange(60, dtype=np.float32).reshape(6, 10), ["<a>", *"bcdef"])
    page = table._repr_html_()
    assert page.count("<tr>") == 6
    assert page.count("<td>") == 25
    assert "<th>&lt;a&gt;</th><td>0</td><td>1</td>" in page
    assert "mfcc.block.4.mean" in page
    assert "mfcc.block.5.mean" not in page
    assert "FeatureTable(6 clips x 10 of mfcc)" in page
    assert 'src="data:image/png;base64,' in page
