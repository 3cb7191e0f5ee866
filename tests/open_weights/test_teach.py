"""What makes the open weights' teachers heard: tables, windows, reliability of tags."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mirfeat.training.manifest import read_manifest
from mirfeat.training.targets.teachers import open_teacher
from open_weights import install_weights, tag_reliability, teach, teacher_tables
from open_weights.efficientat import RATE, EfficientAT
from tests.conftest import REPOSITORY
from tests.support.training_data import write_corpus

WEIGHTS = REPOSITORY.parent / "shared/data/teachers/efficientat_mn04_as.safetensors"
INSTRUMENTS = REPOSITORY.parent / "shared/data/instruments"


class Loudness:
    """In the place of a network: says the root mean square of each quarter of a window."""

    def embeddings(self, audio: Tensor) -> Tensor:
        quarters = audio.unflatten(1, (4, -1)).square().mean(2).sqrt()
        return quarters[:, :, None]

    def logits(self, embeddings: Tensor) -> Tensor:
        return embeddings * torch.arange(527)


def test_windows_cover_a_track_and_say_where_they_are() -> None:
    audio = np.concatenate([np.full(RATE * 10, v, np.float32) for v in (0.1, 0.2, 0.3)])
    heard = teach.hear_windows(Loudness(), audio[: RATE * 26])  # type: ignore[arg-type]
    np.testing.assert_allclose(heard["start"][[0, 3, 4, 8, 11]], [0.0, 7.5, 10.0, 16.0, 23.5])
    np.testing.assert_allclose(heard["end"] - heard["start"], 2.5)
    np.testing.assert_allclose(heard["embedding"][[0, 4, 11], 0], [0.1, 0.2, 0.3], rtol=1e-5)
    assert heard["classes"].shape == (12, len(teach.MUSIC_CLASSES))


def test_short_audio_is_repeated() -> None:
    heard = teach.hear_windows(Loudness(), np.full(RATE, 0.5, np.float32))  # type: ignore[arg-type]
    np.testing.assert_allclose(heard["embedding"][:, 0], 0.5, rtol=1e-5)


def test_what_was_heard_becomes_a_teacher_and_is_heard_once(tmp_path: Path) -> None:
    manifest = read_manifest(write_corpus(tmp_path))
    heard: list[str] = []

    def hear(file: Path, seconds: float) -> teach.Heard:
        heard.append(file.stem)
        times = np.arange(3.0)
        values = np.full((3, 2), len(heard), np.float32)
        return {"start": times, "end": times + 1.0, "tags": values}

    for _ in range(2):
        said = teach.all_heard(manifest, tmp_path / "kept", hear, "test")
        teach.write_tables(said, tmp_path / "teacher", {"tags": ["rock", "calm"]})
    assert heard == list(manifest.ids)
    table = open_teacher(tmp_path / "teacher", "tags")
    tracks = list(table.tracks)
    assert table.names == ("rock", "calm")
    assert [track.id for track in tracks] == sorted(manifest.ids)
    np.testing.assert_array_equal(tracks[4].values, np.full((3, 2), 5.0))


def teachers_of_one_track(folder: Path) -> Path:
    """musicnn says 0.9 of its first tag and its track; mn04 says 0 to 5 every 2.5 s."""
    names = teach.TAGS
    first = np.r_[0.9, np.full(len(names) - 1, 0.5)]
    times = np.array([0.0, 6.0])
    heard = {"start": times, "end": times + 3.0, "tags": np.tile(first, (2, 1))}
    said = {**heard, "penultimate": np.full((2, 3), 7.0)}
    tables = {"tags": names, "penultimate": None}
    teach.write_tables(iter([("a", said)]), folder / "musicnn", tables)
    steps = np.arange(4.0)
    classes = np.tile(np.arange(161.0), (4, 1))
    said = {"start": 2.5 * steps, "end": 2.5 * steps + 2.5, "classes": classes}
    said["embedding"] = steps[:, None]
    class_names = [f"class {n}" for n in range(161)]
    class_names[94], class_names[143] = teacher_tables.GENRE_CLASSES
    teach.write_tables(
        iter([("a", said)]), folder / "mn04", {"embedding": None, "classes": class_names}
    )
    return folder


def test_genres_are_a_part_of_what_was_said(tmp_path: Path) -> None:
    teachers = teachers_of_one_track(tmp_path)
    teacher_tables.write_genres(teachers)
    tags, classes = (open_teacher(teachers / name, "genres") for name in ("musicnn", "mn04"))
    assert tags.names == teacher_tables.GENRE_TAGS
    assert next(tags.tracks).values[0, 0] == pytest.approx(0.9)
    assert len(classes.names) == 50
    np.testing.assert_array_equal(next(classes.tracks).values[3], np.arange(94, 144))


def test_numbers_of_both_teachers_stand_side_by_side(tmp_path: Path) -> None:
    teachers = teachers_of_one_track(tmp_path)
    teacher_tables.write_both(teachers)
    table = open_teacher(teachers / "both", "numbers")
    said = next(table.tracks)
    np.testing.assert_array_equal(said.starts, [0.0, 6.0])
    assert said.values.shape == (2, len(teach.TAGS) + 3 + 1 + 161)
    assert said.values[0, 0] == pytest.approx(np.log(9.0), rel=1e-5)
    tags = len(teach.TAGS)
    np.testing.assert_allclose(said.values[:, tags : tags + 3], 7.0)
    # 2.5 s of the first stretch and 0.5 s of the second; 1.5 s of the third and of the last.
    np.testing.assert_allclose(said.values[:, tags + 3], [0.5 / 3.0, 2.5], rtol=1e-5)


@pytest.mark.shared
@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"{WEIGHTS} is not there")
def test_mn04_hears_instruments() -> None:
    names = [row["display_name"] for row in _classes()]
    network = EfficientAT(WEIGHTS)
    for file, expected in (("flute_d14f5df1", "Flute"), ("acoustic_guitar_0356dec7", "Guitar")):
        heard = teach.hear_mn04(WEIGHTS)(INSTRUMENTS / f"{file}.ogg", float("inf"))
        logits = network.logits(torch.from_numpy(heard["embedding"]).mean(0))
        best = [names[i] for i in logits.topk(4).indices.tolist()]
        assert expected in best


def _classes() -> list[dict[str, str]]:
    path = WEIGHTS.with_name("audioset_classes.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_tag_is_heard_if_the_student_ranks_as_the_teacher_does() -> None:
    draw = np.random.default_rng(0)
    teacher = draw.uniform(0.0, 0.2, (80, 3))
    teacher[:, 2] = 0.001
    student = np.stack([teacher[:, 0] * 0.5, draw.uniform(0, 1, 80), teacher[:, 2]], axis=1)
    windows = tag_reliability.Windows(teacher, student, np.arange(80) % 2 == 0)
    found = tag_reliability.areas(windows, ("good", "deaf", "rare"))
    assert found["good"] == 1.0
    assert found["deaf"] is not None
    assert found["deaf"] < 0.7
    assert found["rare"] is None
    scale, offset = tag_reliability.fit(windows)
    plain = tag_reliability.error(windows, torch.ones(3), torch.zeros(3))
    assert tag_reliability.error(windows, scale, offset) < plain


def test_runs_that_another_one_began_with_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("choi2017", "choi2017-1", "choi2017-2"):
        path = tmp_path / folder / "choi2017.safetensors"
        path.parent.mkdir()
        path.touch()
    (tmp_path / "results.json").write_text("{}")
    installed: list[str] = []
    monkeypatch.setattr(
        install_weights, "install", lambda path, results: installed.append(path.parent.name) or ""
    )
    monkeypatch.setattr("sys.argv", ["install", str(tmp_path), str(tmp_path / "results.json")])
    assert install_weights.main() == 0
    assert installed == ["choi2017"]
