"""AudioFeatures inside scikit-learn."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks

import mirfeat
from mirfeat.errors import DecodeError, OptionError
from mirfeat.transformer import AudioFeatures

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
