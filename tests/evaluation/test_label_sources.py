"""Labels from folders and manifests find their clips, whatever names start from."""

from pathlib import Path

import pytest

from mirfeat.errors import LabelsError
from mirfeat.evaluation.label_sources import folder_labels, manifest_labels, with_groups
from mirfeat.evaluation.labels import LabelTable, read_labels


def clips(*ids: str, root: Path | None = None) -> dict[str, Path | None]:
    return {id: None if root is None else root / id for id in ids}


def test_a_clip_is_of_the_class_of_its_folder() -> None:
    table = folder_labels(clips("set/rock/a.wav", "jazz/ü b.wav", "jazz/c.wav"))
    assert table.columns == {
        "id": ("set/rock/a.wav", "jazz/ü b.wav", "jazz/c.wav"),
        "label": ("rock", "jazz", "jazz"),
    }


def test_outer_folders_called_train_and_test_are_the_split() -> None:
    ids = ("Train/rock/a.wav", "Train/jazz/b.wav", "test/rock/c.wav")
    assert folder_labels(clips(*ids)).columns["split"] == ("train", "train", "test")
    assert "split" not in folder_labels(clips(*ids, "other/rock/d.wav")).columns


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("rock/a.wav", "b.wav"), "1 of 2 clips lie in none, first 'b.wav'"),
        ((), "0 of 0 clips"),
        (("rock/a.wav", "rock/b.wav"), "all 2 clips lie in 'rock'"),
    ],
)
def test_folders_that_are_no_classes_are_refused(ids: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        folder_labels(clips(*ids))


def manifest(folder: Path, text: str) -> LabelTable:
    path = folder / "tracks.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(path)


LINES = """id,path,artist,genre,split
t1,music/a.ogg,Ann,rock,train
t2,music/sub/b.ogg,,jazz,
t3,music/c.ogg,Ann,,test
"""


@pytest.mark.parametrize(
    ("names", "from_root"),
    [
        (("t1", "t2", "t3"), False),
        (("music/a.ogg", "music/sub/b.ogg", "music/c.ogg"), False),
        (("a.ogg", "sub/b.ogg", "c.ogg"), True),  # by the file: extracted with another root
    ],
)
def test_a_column_of_a_manifest_by_id_path_or_file(
    tmp_path: Path, names: tuple[str, ...], from_root: bool
) -> None:
    known = clips(*names, root=tmp_path / "music" if from_root else None)
    table = manifest_labels(manifest(tmp_path, LINES), "genre", known)
    assert table.columns == {
        "id": names,
        "genre": ("rock", "jazz", ""),
        "artist": ("Ann", "", "Ann"),  # a split that only some tracks have is none
    }


def test_a_whole_split_of_a_manifest_is_kept(tmp_path: Path) -> None:
    whole = LINES.replace("jazz,\n", "jazz,valid\n")
    table = manifest_labels(manifest(tmp_path, whole), "genre", clips("t1"))
    assert table.columns["split"] == ("train", "valid", "test")
    assert table.columns["id"] == ("t1", "t2", "t3")


def test_a_manifest_of_other_tracks_or_without_the_column_is_refused(tmp_path: Path) -> None:
    table = manifest(tmp_path, LINES)
    with pytest.raises(LabelsError, match=r"none of its 3 tracks.*like 'x\.wav'"):
        manifest_labels(table, "genre", clips("x.wav"))
    with pytest.raises(LabelsError, match="no column 'mood'"):
        manifest_labels(table, "mood", clips("t1"))


def test_artists_of_a_manifest_stand_beside_other_labels(tmp_path: Path) -> None:
    table = folder_labels(clips("music/a.ogg", "other/x.ogg"))
    both = with_groups(table, manifest(tmp_path, LINES), clips("music/a.ogg", "other/x.ogg"))
    assert both.columns["artist"] == ("Ann", "")
    assert both.columns["label"] == ("music", "other")
    assert "genre" not in both.columns


def test_labels_that_do_not_name_their_clips_get_no_artists(tmp_path: Path) -> None:
    table = LabelTable("l.csv", {"label": ("rock",)})
    with pytest.raises(LabelsError, match="no column says which clip"):
        with_groups(table, manifest(tmp_path, LINES), clips("t1"))
