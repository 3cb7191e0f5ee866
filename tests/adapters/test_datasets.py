"""Columns of audio in Hugging Face datasets, and data sets that mirdata or soundata loaded."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import mirfeat
from mirfeat.errors import LabelsError, OptionError
from tests.test_contract import sound

RATE = 22_050


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("audio")
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", sound(1.0, RATE, 1, number)[0], RATE, "FLOAT")
    return sorted(folder.glob("*.wav"))


@pytest.fixture(scope="module")
def expected(files: list[Path]) -> np.ndarray:
    return mirfeat.load_extractor("mfcc").extract_files(files).values


class Decoder:
    """What datasets has for decoded audio since version 4."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_all_samples(self) -> Any:
        samples, rate = soundfile.read(self._path, dtype="float32", always_2d=True)
        return SimpleNamespace(data=torch.from_numpy(samples.T), sample_rate=rate)


def test_every_kind_of_cell_gives_the_vector_of_its_file(
    files: list[Path], expected: np.ndarray
) -> None:
    column = mirfeat.AudioColumn("mfcc")
    samples = soundfile.read(files[0])[0]  # float64, as a table has it
    cells = [
        Decoder(files[0]),
        {"array": samples.tolist(), "sampling_rate": RATE},
        {"bytes": files[0].read_bytes(), "path": None},
        {"bytes": None, "path": str(files[0])},
        str(files[0]),
        None,
    ]
    vectors = column({"audio": cells})["vector"]
    for vector in vectors[:5]:
        np.testing.assert_array_equal(vector, expected[0])
    assert np.isnan(vectors[5]).all()
    with pytest.raises(OptionError, match="no audio"):
        column({"audio": [3]})
    with pytest.raises(OptionError, match="empty cells"):
        mirfeat.AudioColumn("mfcc", on_error="raise")({"audio": [None]})
    with pytest.raises(OptionError, match="sound"):
        column({"sound": []})


@pytest.mark.slow  # importing datasets takes seconds
def test_datasets_maps_a_column_and_knows_what_it_has(
    files: list[Path], expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"audio": [str(path) for path in files]})
    table = table.cast_column("audio", datasets.Audio(decode=False))
    column = mirfeat.AudioColumn("mfcc")
    mapped = table.map(column, batched=True, batch_size=2)
    np.testing.assert_array_equal(np.array(mapped["vector"], np.float32), expected)
    again = datasets.fingerprint.Hasher.hash(mirfeat.AudioColumn("mfcc"))
    assert datasets.fingerprint.Hasher.hash(column) == again
    other = mirfeat.AudioColumn("mfcc", statistics=("mean",))
    assert datasets.fingerprint.Hasher.hash(other) != again


class LoadedSet:
    """A data set as mirdata initialises it."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def load_tracks(self) -> dict[str, Any]:
        genres = ["rock", "jazz", "rock", None]
        bad = self._files[0].with_name("missing.wav")
        paths = [*self._files[:2], bad, self._files[2]]
        return {
            f"track {number}": SimpleNamespace(audio_path=str(path), genre=genre, artist=number % 2)
            for number, (path, genre) in enumerate(zip(paths, genres, strict=True))
        }


def test_a_loaded_set_becomes_features_labels_and_groups(
    files: list[Path], expected: np.ndarray
) -> None:
    extractor = mirfeat.load_extractor("mfcc")
    loaded = mirfeat.extract_loaded(LoadedSet(files), extractor, label="genre", group="artist")
    np.testing.assert_array_equal(loaded.values, expected[:2])
    assert loaded.labels.tolist() == ["rock", "jazz"]
    assert loaded.groups is not None
    assert loaded.groups.tolist() == [0, 1]
    assert loaded.ids == ("track 0", "track 1")
    assert [failure.id for failure in loaded.failures] == ["track 2"]
    with pytest.raises(LabelsError, match="artist, audio_path, genre"):
        mirfeat.extract_loaded(LoadedSet(files), extractor, label="mood")
    with pytest.raises(LabelsError, match="load_tracks"):
        mirfeat.extract_loaded(files, extractor, label="genre")
