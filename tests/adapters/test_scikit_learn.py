"""AudioFeatures inside scikit-learn."""

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks

import mirfeat
from mirfeat.adapters.scikit_learn import AudioFeatures
from mirfeat.errors import AudioError, DecodeError, OptionError

# scikit-learn's checks that feed no numbers to the estimator; all others make a matrix of floats.
CHECKS = [
    checks.check_estimator_cloneable,
    checks.check_estimator_repr,
    checks.check_estimator_tags_renamed,
    checks.check_valid_tag_types,
    checks.check_no_attributes_set_in_init,
    checks.check_do_not_raise_errors_in_init_or_set_params,
    checks.check_get_params_invariance,
    checks.check_set_params,
    checks.check_mixin_order,
    checks.check_parameters_default_constructible,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_scikit_learns_own_checks(check: Any) -> None:
    check("AudioFeatures", AudioFeatures("mfcc"))


@pytest.fixture(scope="module")
def paths(music: Path) -> list[Path]:
    return sorted(music.glob("electronic_*"))[:3] + sorted(music.glob("metal_*"))[:3]


LABELS = ["electronic"] * 3 + ["metal"] * 3


def test_paths_arrays_series_and_frames_give_the_same_rows(paths: list[Path]) -> None:
    names = [str(path) for path in paths]
    expected = mirfeat.load_extractor("mfcc").extract_files(paths).values
    frame = pd.DataFrame({"path": names})
    transformer = AudioFeatures("mfcc")
    inputs = [paths, names, np.array(names), np.array(names)[:, None], frame, frame["path"]]
    for given in inputs:
        values = transformer.transform(given)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, expected)


def test_audio_items_work_too() -> None:
    noise = np.random.default_rng(0).standard_normal((2, 30_000)).astype(np.float32) * 0.1
    values = AudioFeatures("mfcc").fit_transform([(noise[0], 22_050), mirfeat.Audio(noise, 44_100)])
    np.testing.assert_array_equal(values[1], mirfeat.load_extractor("mfcc").extract(noise, 44_100))


def test_pipelines_cross_validate_and_grid_search_over_layers(paths: list[Path]) -> None:
    features = AudioFeatures("choi2017", checkpoint="random", max_seconds=5.0)
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression())
    assert cross_val_score(pipeline, paths, LABELS, cv=3).shape == (3,)
    grid = GridSearchCV(pipeline, {"audiofeatures__layers": ["1", "12"]}, cv=3)
    grid.fit(paths, LABELS)
    assert grid.best_params_["audiofeatures__layers"] in ("1", "12")
    best = grid.best_estimator_.named_steps["audiofeatures"]
    assert len(best.get_feature_names_out()) == 64 * len(best.layers)
    assert list(grid.predict(paths[:1])) == LABELS[:1]


def test_pandas_output_has_the_feature_names(paths: list[Path]) -> None:
    union = make_union(AudioFeatures("mfcc").set_output(transform="pandas")).set_output(
        transform="pandas"
    )
    frame = union.fit_transform(paths[:2])
    assert frame.columns[0] == "audiofeatures__mfcc.coefficient.00.mean"
    frame = AudioFeatures("mfcc").set_output(transform="pandas").fit_transform(paths[:2])
    assert list(frame.columns) == list(mirfeat.load_extractor("mfcc").feature_names)


def test_clones_and_pickles_carry_parameters_and_no_network(paths: list[Path]) -> None:
    fitted = AudioFeatures("choi2017", checkpoint="random", layers="1").fit(paths)
    assert len(pickle.dumps(fitted)) < 2000
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.get_params() == fitted.get_params() == clone(fitted).get_params()
    np.testing.assert_array_equal(copy.transform(paths[:1]), fitted.transform(paths[:1]))


def test_changed_parameters_take_effect() -> None:
    transformer = AudioFeatures("choi2017", checkpoint="random", layers="1").fit()
    assert len(transformer.get_feature_names_out()) == 64
    transformer.set_params(layers="123", statistics=("mean",))
    assert len(transformer.get_feature_names_out()) == 96


def test_a_bad_file_raises_or_becomes_a_row_of_nan(paths: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    with pytest.raises(DecodeError, match=r"bad\.wav"):
        AudioFeatures("mfcc").transform([paths[0], bad])
    values = AudioFeatures("mfcc", on_error="nan").transform([paths[0], bad, paths[1]])
    assert np.isnan(values).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(AudioFeatures("mfcc", on_error="nan").transform([bad])).all()


@pytest.mark.parametrize("given", ["song.wav", 3, np.zeros((2, 100)), np.zeros(5)])
def test_what_is_not_a_list_of_items_is_explained(given: object) -> None:
    with pytest.raises(OptionError, match="X"):
        AudioFeatures("mfcc").transform(given)
    with pytest.raises(OptionError, match="'raise' or 'nan'"):
        AudioFeatures("mfcc", on_error="skip").transform(["a.wav"])


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Items that went through ``extract_many``."""
    asked: list[str] = []
    original = mirfeat.Extractor.extract_many

    def counted(self: Any, items: Any, **options: Any) -> Any:
        asked.extend(map(str, items))
        return original(self, items, **options)

    monkeypatch.setattr(mirfeat.Extractor, "extract_many", counted)
    return asked


def test_a_grid_search_with_a_cache_extracts_every_file_once(
    paths: list[Path], tmp_path: Path, extracted: list[str]
) -> None:
    features = AudioFeatures("mfcc", max_seconds=3.0, cache=tmp_path / "kept")
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression())
    grid = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0, 10.0]}, cv=3)
    grid.fit(paths, LABELS)
    assert sorted(extracted) == sorted(map(str, paths))
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == len(paths)
    expected = mirfeat.load_extractor("mfcc", max_seconds=3.0).extract_files(paths).values
    np.testing.assert_array_equal(features.transform(paths), expected)


def test_a_replaced_file_and_another_setting_are_extracted_anew(
    paths: list[Path], tmp_path: Path, extracted: list[str]
) -> None:
    song, cache = tmp_path / "song.ogg", tmp_path / "kept"
    song.write_bytes(paths[0].read_bytes())
    first = AudioFeatures("mfcc", cache=cache).transform([song])
    song.write_bytes(paths[3].read_bytes())
    second = AudioFeatures("mfcc", cache=cache).transform([song, song])
    assert not np.array_equal(first[0], second[0])
    np.testing.assert_array_equal(second[0], second[1])
    AudioFeatures("mfcc", statistics=("mean",), cache=cache).transform([song])
    assert len(extracted) == 3
    for kept in cache.rglob("*.npy"):
        kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(AudioFeatures("mfcc", cache=cache).transform([song]), second[:1])


def test_what_failed_and_what_is_no_file_is_not_kept(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    features = AudioFeatures("mfcc", on_error="nan", cache=tmp_path / "kept")
    noise = np.random.default_rng(0).normal(0, 0.1, 12_000).astype(np.float32)
    values = features.transform([bad, (noise, 12_000), tmp_path / "none.wav"])
    assert np.isnan(values).all(axis=1).tolist() == [True, False, True]
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
def test_jobs_share_a_cache(paths: list[Path], tmp_path: Path) -> None:
    features = AudioFeatures("mfcc", max_seconds=2.0, cache=tmp_path)
    halves = joblib.Parallel(n_jobs=2)(
        joblib.delayed(features.transform)(paths[:2]) for _ in range(2)
    )
    np.testing.assert_array_equal(*halves)
    assert len(list(tmp_path.rglob("*.npy"))) == 2


@pytest.mark.parametrize("nothing", [None, float("nan"), np.nan, pd.NA, pd.NaT], ids=repr)
def test_an_empty_cell_is_a_row_of_nan_or_said(paths: list[Path], nothing: object) -> None:
    cells = pd.Series([str(paths[0]), nothing], dtype=object)
    values = AudioFeatures("mfcc", on_error="nan", max_seconds=1.0).transform(cells)
    assert np.isnan(values).all(axis=1).tolist() == [False, True]
    with pytest.raises(AudioError, match=r"X\[1\]"):
        AudioFeatures("mfcc").transform(cells)


def test_a_fitted_pipeline_is_dumped_and_loaded_by_joblib(
    paths: list[Path], tmp_path: Path
) -> None:
    features = AudioFeatures("mfcc", max_seconds=2.0, cache=tmp_path / "kept")
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression()).fit(paths, LABELS)
    joblib.dump(pipeline, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(paths), pipeline.predict_proba(paths))


def test_groups_keep_songs_of_one_artist_together(paths: list[Path], tmp_path: Path) -> None:
    features = AudioFeatures("mfcc", max_seconds=2.0, cache=tmp_path)
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression())
    scores = cross_val_score(pipeline, paths, LABELS, groups=[0, 1, 2] * 2, cv=GroupKFold(3))
    assert scores.shape == (3,)
