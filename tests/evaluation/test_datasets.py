"""Data sets of the papers: complete records, and labels from folders as users have them.

Folders are made here with empty files in place of audio: labels come from names and tables.
"""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirfeat.errors import ConfigError, LabelsError, MirfeatWarning, MissingPackageError
from mirfeat.evaluation.datasets import (
    Dataset,
    cut_jamendo,
    get_dataset,
    list_datasets,
    load_labels,
    write_labels,
)
from mirfeat.evaluation.datasets import gtzan as gtzan_lists
from mirfeat.evaluation.labels import make_task, read_labels

# The folders here are smaller than the data sets.
pytestmark = pytest.mark.filterwarnings("ignore:.*known with:mirfeat.errors.MirfeatWarning")

PAPERS = {"choi2017", "hamel2013", "kim2018", "kim2019"}


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def write(root, path, *lines, delimiter=","):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with (root / path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)


def make_gtzan(root, names=None, ending=".au"):
    numbers = [(g, n) for g in gtzan_lists.GENRES for n in range(100)]
    names = names or [f"{genre}.{number:05d}" for genre, number in numbers]
    touch(root, *(f"genres/{name.split('.')[0]}/{name}{ending}" for name in names))


def make_class_folders(root, classes):
    touch(root, *(f"data/{name}/{number}.mp3" for name in classes for number in range(2)))


def make_ballroom(root):
    make_class_folders(root, get_dataset("extended-ballroom").classes)
    (root / "extendedballroom_v1.1.xml").write_text(
        "<ExtendedBallroom><Chacha><song id='1' artist='A. B.'/></Chacha></ExtendedBallroom>",
        encoding="utf-8",
    )


def make_irmas(root):
    names = ("[{0}][cla]0001__1", "[{0}][cla]0001__2", "008__[{0}][nod][cla]0058__1", "other")
    touch(
        root,
        *(
            f"IRMAS-TrainingData/{code}/{name.format(code)}.wav"
            for code in get_dataset("irmas").classes
            for name in names
        ),
        "IRMAS-TestingData-Part1/Part1/song.wav",
    )


def make_urbansound8k(root):
    header = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    write(
        root,
        "UrbanSound8K/metadata/UrbanSound8K.csv",
        header,
        ("100032-3-0-0.wav", "100032", "0.0", "0.317551", "1", "5", "3", "dog_bark"),
        ("100263-2-0-117.wav", "100263", "58.5", "62.5", "1", "10", "2", "children_playing"),
    )
    touch(root, "UrbanSound8K/audio/fold5/100032-3-0-0.wav")
    touch(root, "UrbanSound8K/audio/fold10/100263-2-0-117.wav")


def make_emomusic(root):
    write(
        root,
        "annotations/static_annotations.csv",
        ("song_id", "mean_arousal", "std_arousal", "mean_valence", "std_valence"),
        ("2", "3.1", "0.99443", "3", "0.66667"),
        ("3", "3.5", "1.8409", "3.3", "1.7029"),
    )
    # Its cells end in tabs.
    write(
        root,
        "annotations/songs_info.csv",
        ("song_id", "file_name", "Artist", "Song title", "Genre", "Mediaeval 2013 set"),
        ("2", "2.mp3", "The New Mystikal Troubadours\t", "Tonight A Lonely", "Blues", "evaluation"),
        ("3", "3.mp3", "Charles Tyler Ensemble", "Saga", "Jazz", "development"),
    )
    touch(root, "clips_45seconds/2.mp3", "clips_45seconds/3.mp3")


def make_jamendo_clips(root):
    for split in ("train", "valid", "test"):
        touch(root, f"{split}/sing/03 - say_me_1.wav", f"{split}/nosing/03 - say_me_0.wav")


def make_fma(root, folder):
    write(
        root,
        "fma_metadata/tracks.csv",
        ("", "album", "artist", "set", "set", "track"),
        ("", "id", "id", "split", "subset", "genre_top"),
        ("track_id", "", "", "", "", ""),
        ("2", "1", "7", "training", "small", "Hip-Hop"),
        ("20", "4", "8", "test", "large", ""),
        ("140", "61", "54", "validation", "medium", "Old-Time / Historic"),
        ("123456", "9", "9", "test", "small", "Rock"),
    )
    touch(root, *(f"{folder}/{p}.mp3" for p in ("000/000002", "000/000140", "123/123456")))


def make_magnatagatune(root):
    write(
        root,
        "annotations_final.csv",
        ("clip_id", "no voice", "rock", "mp3_path"),
        ("1", "1", "1", "f/a-0-29.mp3"),
        ("2", "0", "0", "0/b-30-59.mp3"),
        delimiter="\t",
    )
    write(
        root,
        "clip_info_final.csv",
        ("clip_id", "track_number", "title", "artist", "album", "mp3_path"),
        ("1", "1", "T", "American Bach Soloists", "Cantatas", "f/a-0-29.mp3"),
        delimiter="\t",
    )
    touch(root, "audio/f/a-0-29.mp3", "audio/0/b-30-59.mp3")


def make_lastfm(root):
    line = "{}\t2009-05-04T23:08:57Z\ta\tDeep \"Dish\t{}\tFuck Me I'm Famous"
    plays = [("user_2", "x"), ("user_1", "x"), ("user_1", "x"), ("user_1", ""), ("user_1", "y")]
    (root / "userid-timestamp-artid-artname-traid-traname.tsv").write_text(
        "".join(line.format(*play) + "\n" for play in plays), encoding="utf-8"
    )


MAKERS = {
    "gtzan-genre": make_gtzan,
    "gtzan-genre-fault-filtered": make_gtzan,
    "extended-ballroom": make_ballroom,
    "fma-medium": lambda root: make_fma(root, "fma_medium"),
    "fma-small": lambda root: make_fma(root, "fma_small"),
    "homburg": lambda root: make_class_folders(root, get_dataset("homburg").classes),
    "unique": lambda root: make_class_folders(root, ("schlager", "wort")),
    "1517-artists": lambda root: make_class_folders(root, ("Rock & Pop", "World")),
    "gtzan-music-speech": lambda root: make_class_folders(root, ("music_wav", "speech_wav")),
    "emomusic": make_emomusic,
    "jamendo-vocal": make_jamendo_clips,
    "urbansound8k": make_urbansound8k,
    "irmas": make_irmas,
    "lastfm-1k": make_lastfm,
    "magnatagatune": make_magnatagatune,
}


def rows(table):
    return list(zip(*table.columns.values(), strict=True))


@pytest.mark.parametrize("name", list_datasets())
class TestEveryDataset:
    def test_its_record_is_complete(self, name):
        dataset = get_dataset(name)
        assert isinstance(dataset, Dataset)
        assert dataset.name == name
        assert set(dataset.papers) <= PAPERS
        assert dataset.papers or name == "fma-small"
        assert all(page.startswith("http") for page in dataset.where)
        assert dataset.where
        assert dataset.clips
        assert all(count > 0 for count in dataset.clips.values())
        for text in (dataset.terms, dataset.citation, dataset.layout, *dataset.notes):
            assert text.endswith(".")
        assert dataset.title
        assert dataset.clip_length
        assert dataset.targets
        assert len(set(dataset.classes)) == len(dataset.classes)
        assert dataset.package is None or dataset.package.startswith(("mirdata:", "soundata:"))

    def test_its_labels_are_read_from_a_folder(self, name, tmp_path):
        MAKERS[name](tmp_path)
        table = load_labels(name, tmp_path)
        dataset = get_dataset(name)
        assert set(dataset.targets) <= set(table.columns)
        assert len(table) > 1
        if "id" in table.columns:
            ids = table.column("id")
            assert len(set(ids)) == len(ids)
            assert all((tmp_path / id).is_file() and "\\" not in id for id in ids)
        if dataset.classes and dataset.kind == "classification":
            assert set(table.column("label")) <= set(dataset.classes)

    def test_the_folder_above_works_too(self, name, tmp_path):
        (tmp_path / "outer").mkdir()
        MAKERS[name](tmp_path / "outer")
        table = load_labels(name, tmp_path)
        if "id" in table.columns:
            assert all(id.startswith("outer/") for id in table.column("id"))

    def test_an_empty_folder_is_answered_with_where_and_what(self, name, tmp_path):
        with pytest.raises(LabelsError) as caught:
            load_labels(name, tmp_path)
        dataset = get_dataset(name)
        assert all(page in str(caught.value) for page in dataset.where)
        assert dataset.layout in str(caught.value)

    def test_a_folder_that_is_not_there_is_an_error(self, name, tmp_path):
        with pytest.raises(LabelsError, match=r"no such folder.*Get it from http"):
            load_labels(name, tmp_path / "nowhere")

    def test_its_written_labels_are_read_back(self, name, tmp_path):
        (tmp_path / "data").mkdir()
        MAKERS[name](tmp_path / "data")
        written = write_labels(name, tmp_path / "data", tmp_path / "labels.csv")
        assert read_labels(tmp_path / "labels.csv").columns == dict(written.columns)


@pytest.mark.parametrize(
    "name", ["gtzan-genre", "urbansound8k", "emomusic", "fma-medium", "magnatagatune"]
)
def test_a_missing_file_is_counted_and_named(name, tmp_path):
    MAKERS[name](tmp_path)
    ids = load_labels(name, tmp_path).column("id")
    (tmp_path / ids[1]).unlink()
    with pytest.raises(LabelsError, match=f"1 of {len(ids)} audio files are missing") as caught:
        load_labels(name, tmp_path)
    assert ids[1] in str(caught.value)


def test_data_sets_of_a_paper():
    assert list_datasets("hamel2013") == (
        "gtzan-genre",
        "homburg",
        "unique",
        "1517-artists",
        "magnatagatune",
    )
    assert len(list_datasets("choi2017")) == 6
    assert {paper for name in list_datasets() for paper in get_dataset(name).papers} == PAPERS


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(ConfigError, match="Did you mean 'gtzan-genre'"):
        get_dataset("gtzan-genres")


def test_another_number_of_clips_is_a_warning(tmp_path):
    make_emomusic(tmp_path)
    with pytest.warns(MirfeatWarning, match=r"emomusic: 2 clips; known with 744 \(choi2017, kim"):
        load_labels("emomusic", tmp_path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", [".au", ".wav"])
def test_all_of_gtzan_is_no_warning(tmp_path, ending):
    make_gtzan(tmp_path, ending=ending)
    table = load_labels("gtzan-genre", tmp_path)
    assert len(table) == 1000
    assert rows(table)[0] == (f"genres/blues/blues.00000{ending}", "blues", "blues-1")
    assert set(Counter(table.column("label")).values()) == {100}


class TestGtzanLists:
    def test_the_fault_filtered_split_has_its_known_sizes(self):
        split = gtzan_lists.fault_filtered()
        assert Counter(split.values()) == {"train": 443, "valid": 197, "test": 290}

    def test_first_and_last_files_are_those_of_the_published_lists(self):
        # 1 to 12 of valid_filtered.txt, 13 of test_filtered.txt, 30 and 1000 of train_filtered.txt.
        split = gtzan_lists.fault_filtered()
        assert [split[f"blues.{n:05d}"] for n in (0, 11, 12, 29)] == [
            "valid",
            "valid",
            "test",
            "train",
        ]
        assert split["rock.00099"] == "train"
        # 143 and 399 are in none of them.
        assert "classical.00042" not in split
        assert "disco.00098" not in split

    def test_two_lists_made_apart_agree_on_artists_but_for_one(self):
        sides: dict[str, set[str]] = {}
        for name, split in gtzan_lists.fault_filtered().items():
            if artist := gtzan_lists.artist_of(name):
                sides.setdefault(artist, set()).add(split)
        crossing = {artist for artist, splits in sides.items() if len(splits) > 1}
        assert crossing == {gtzan_lists.artist_of("disco.00069")}

    def test_files_without_an_artist_are_the_52_that_sturm_would_remove(self):
        names = [f"{genre}.{n:05d}" for genre in gtzan_lists.GENRES for n in range(100)]
        assert sum(gtzan_lists.artist_of(name) == "" for name in names) == 52

    def test_only_the_filtered_files_need_to_be_there(self, tmp_path):
        make_gtzan(tmp_path, names=list(gtzan_lists.fault_filtered()))
        table = load_labels("gtzan-genre-fault-filtered", tmp_path)
        assert len(table) == 930
        task = make_task(table, table.column("id"))
        assert task.group_name == "artist"
        assert set(task.predefined) == {"train", "valid", "test"}


def test_emomusic_has_two_targets_and_the_split_of_its_makers(tmp_path):
    make_emomusic(tmp_path)
    assert rows(load_labels("emomusic", tmp_path)) == [
        ("clips_45seconds/2.mp3", "0.344444", "0.333333", "The New Mystikal Troubadours", "test"),
        ("clips_45seconds/3.mp3", "0.388889", "0.366667", "Charles Tyler Ensemble", "train"),
    ]
    arousal = load_labels("emomusic", tmp_path, target="arousal")
    assert list(arousal.columns) == ["id", "arousal", "artist", "split"]
    assert arousal.target_column() == "arousal"
    with pytest.raises(LabelsError, match=r"no target 'dominance', but \['arousal', 'valence'\]"):
        load_labels("emomusic", tmp_path, target="dominance")


def test_fma_medium_holds_the_small_set_too(tmp_path):
    make_fma(tmp_path, "fma_medium")
    assert rows(load_labels("fma-medium", tmp_path)) == [
        ("fma_medium/000/000002.mp3", "Hip-Hop", "7", "training"),
        ("fma_medium/000/000140.mp3", "Old-Time / Historic", "54", "validation"),
        ("fma_medium/123/123456.mp3", "Rock", "9", "test"),
    ]


def test_fma_small_leaves_the_rest_out(tmp_path):
    make_fma(tmp_path, "fma_small")
    table = load_labels("fma-small", tmp_path)
    assert table.column("id") == ("fma_small/000/000002.mp3", "fma_small/123/123456.mp3")


def test_urbansound8k_keeps_its_folds_and_recordings(tmp_path):
    make_urbansound8k(tmp_path)
    assert rows(load_labels("urbansound8k", tmp_path))[1] == (
        "UrbanSound8K/audio/fold10/100263-2-0-117.wav",
        "children_playing",
        "10",
        "100263",
    )


def test_irmas_groups_clips_by_song_and_leaves_the_test_set_out(tmp_path):
    make_irmas(tmp_path)
    table = load_labels("irmas", tmp_path)
    assert len(table) == 44
    songs = {
        Path(id).stem: song for id, song in zip(*map(table.column, ("id", "song")), strict=True)
    }
    assert songs["[gac][cla]0001__1"] == songs["[gac][cla]0001__2"] == "0001"
    assert songs["008__[gac][nod][cla]0058__1"] == "0058"
    assert songs["other"] == ""


def test_ballroom_has_artists_only_with_its_metadata(tmp_path):
    make_ballroom(tmp_path)
    table = load_labels("extended-ballroom", tmp_path)
    assert dict(zip(table.column("id"), table.column("artist"), strict=True))[
        "data/Chacha/1.mp3"
    ] == ("A. B.")
    (tmp_path / "extendedballroom_v1.1.xml").write_text("<Extended", encoding="utf-8")
    with pytest.raises(LabelsError, match="is damaged"):
        load_labels("extended-ballroom", tmp_path)
    (tmp_path / "extendedballroom_v1.1.xml").unlink()
    assert list(load_labels("extended-ballroom", tmp_path).columns) == ["id", "label"]


def test_a_class_without_a_clip_is_an_error(tmp_path):
    make_class_folders(tmp_path, get_dataset("homburg").classes[1:])
    with pytest.raises(LabelsError, match=r"1 classes: \['alternative'\]"):
        load_labels("homburg", tmp_path)


def test_magnatagatune_joins_tags_and_knows_artists(tmp_path):
    make_magnatagatune(tmp_path)
    assert rows(load_labels("magnatagatune", tmp_path)) == [
        ("audio/f/a-0-29.mp3", "no voice|rock", "American Bach Soloists", "Cantatas"),
        ("audio/0/b-30-59.mp3", "", "", ""),
    ]


def test_lastfm_counts_plays_of_tracks_that_have_a_number(tmp_path):
    make_lastfm(tmp_path)
    assert rows(load_labels("lastfm-1k", tmp_path)) == [
        ("user_1", "x", "2"),
        ("user_1", "y", "1"),
        ("user_2", "x", "1"),
    ]


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [
        ("urbansound8k", "UrbanSound8K/metadata/UrbanSound8K.csv", "fsID"),
        ("emomusic", "annotations/songs_info.csv", "Artist"),
        ("fma-medium", "fma_metadata/tracks.csv", "subset"),
        ("magnatagatune", "clip_info_final.csv", "album"),
    ],
)
def test_a_table_without_a_column_is_an_error(name, table, column, tmp_path):
    MAKERS[name](tmp_path)
    text = (tmp_path / table).read_text(encoding="utf-8")
    (tmp_path / table).write_text(text.replace(column, "other", 1), encoding="utf-8")
    with pytest.raises(LabelsError, match=f"has no columns .*{column}"):
        load_labels(name, tmp_path)


def test_a_damaged_table_is_an_error(tmp_path):
    make_urbansound8k(tmp_path)
    path = tmp_path / "UrbanSound8K/metadata/UrbanSound8K.csv"
    path.write_text(path.read_text() + "one,two\n")
    with pytest.raises(LabelsError, match=r"UrbanSound8K\.csv is damaged"):
        load_labels("urbansound8k", tmp_path)


class TestJamendo:
    def make_songs(self, root, lab="0 0.5 nosing\n0.5 1.25 sing\n"):
        for split in ("train", "valid", "test"):
            (root / split).mkdir(parents=True)
            ramp = np.linspace(0, 0.9, 10000, dtype=np.float32)
            soundfile.write(root / split / f"{split} song.wav", ramp, 8000)
            (root / "jamendo_lab").mkdir(exist_ok=True)
            (root / "jamendo_lab" / f"{split} song.lab").write_text(lab)

    def test_songs_are_cut_where_singing_changes(self, tmp_path):
        self.make_songs(tmp_path / "songs")
        assert cut_jamendo(tmp_path / "songs", tmp_path / "clips") == 6
        samples, rate = soundfile.read(tmp_path / "clips/valid/sing/valid song_1.wav")
        assert (rate, len(samples)) == (8000, 6000)
        assert samples[0] == pytest.approx(0.36, abs=1e-3)
        table = load_labels("jamendo-vocal", tmp_path / "clips")
        assert ("train/sing/train song_1.wav", "sing", "train song", "train") in rows(table)
        assert len(table) == 6

    @pytest.mark.parametrize("lab", ["0 half sing\n", "0 1\n", "0 1 humming\n"])
    def test_lines_that_are_something_else_are_an_error(self, tmp_path, lab):
        self.make_songs(tmp_path, lab)
        with pytest.raises(LabelsError, match="line 1"):
            cut_jamendo(tmp_path, tmp_path / "clips")

    def test_a_song_without_labels_is_an_error(self, tmp_path):
        self.make_songs(tmp_path)
        (tmp_path / "jamendo_lab/test song.lab").unlink()
        with pytest.raises(LabelsError, match="no such file"):
            cut_jamendo(tmp_path, tmp_path / "clips")


class TestPackages:
    """The real mirdata and soundata, with an index of few files in place of a downloaded one."""

    @pytest.fixture
    def index(self, tmp_path, monkeypatch):
        def install(package, key, entries):
            core = pytest.importorskip(f"{package}.core", exc_type=ImportError)
            path = tmp_path / "index.json"
            path.write_text(json.dumps({"version": "1.0", key: entries}))
            monkeypatch.setattr(core.Index, "get_path", lambda self: str(path))
            (tmp_path / "data").mkdir()
            return tmp_path / "data"

        return install

    def test_gtzan_through_mirdata(self, index):
        entries = {
            name: {
                "audio": [f"gtzan_genre/genres/{name.split('.')[0]}/{name}.wav", None],
                "beats": [None, None],
                "tempo": [None, None],
            }
            for name in ("blues.00000", "hiphop.00010")
        }
        root = index("mirdata", "tracks", entries)
        touch(root, *(entry["audio"][0] for entry in entries.values()))
        assert rows(load_labels("gtzan-genre", root, use_package=True)) == [
            ("gtzan_genre/genres/blues/blues.00000.wav", "blues", "blues-1"),
            ("gtzan_genre/genres/hiphop/hiphop.00010.wav", "hiphop", "hiphop-2"),
        ]

    def test_irmas_through_mirdata_is_its_training_set(self, index):
        paths = {
            "0189__2": "IRMAS-TrainingData/cla/[cla][cla]0189__2.wav",
            "0058__1": "IRMAS-TrainingData/cel/008__[cel][nod][cla]0058__1.wav",
            "1": "IRMAS-TestingData-Part1/Part1/02 - And The Body Will Die-8.wav",
        }
        entries = {
            id: {"audio": [path, None], "annotation": [path, None]} for id, path in paths.items()
        }
        root = index("mirdata", "tracks", entries)
        touch(root, *paths.values())
        assert rows(load_labels("irmas", root, use_package=True)) == [
            (paths["0189__2"], "cla", "0189"),
            (paths["0058__1"], "cel", "0058"),
        ]

    def make_urbansound8k(self, index):
        names = {"100032-3-0-0": "fold5", "100263-2-0-117": "fold10"}
        entries = {n: {"audio": [f"audio/{fold}/{n}.wav", None]} for n, fold in names.items()}
        root = index("soundata", "clips", entries)
        make_urbansound8k(root)
        for part in ("metadata", "audio"):
            (root / "UrbanSound8K" / part).rename(root / part)
        return root

    def test_urbansound8k_through_soundata_is_what_its_folder_says(self, index):
        root = self.make_urbansound8k(index)
        through = load_labels("urbansound8k", root, use_package=True)
        assert rows(through) == rows(load_labels("urbansound8k", root))
        assert list(through.columns) == ["id", "label", "fold", "recording"]

    def test_a_file_of_the_index_that_is_not_there_is_an_error(self, index):
        root = self.make_urbansound8k(index)
        (root / "audio/fold5/100032-3-0-0.wav").unlink()
        with pytest.raises(LabelsError, match=r"1 of 2 audio files are missing: audio/fold5"):
            load_labels("urbansound8k", root, use_package=True)

    def test_annotations_that_are_not_there_are_an_error(self, index):
        root = self.make_urbansound8k(index)
        (root / "metadata/UrbanSound8K.csv").unlink()
        with pytest.raises(LabelsError, match="Get it from"):
            load_labels("urbansound8k", root, use_package=True)

    def test_an_index_that_was_not_downloaded_is_an_error_that_says_how(
        self, tmp_path, monkeypatch
    ):
        core = pytest.importorskip("mirdata.core", exc_type=ImportError)
        monkeypatch.setattr(core.Index, "get_path", lambda self: str(tmp_path / "none.json"))
        with pytest.raises(LabelsError, match=r"mirdata\.initialize\('gtzan_genre', .*download"):
            load_labels("gtzan-genre", tmp_path, use_package=True)

    def test_without_the_package_the_error_says_how_to_install_it(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "mirdata", None)
        with pytest.raises(MissingPackageError, match=r"pip install 'mirfeat\[datasets\]'"):
            load_labels("irmas", tmp_path, use_package=True)

    def test_a_data_set_without_a_loader_is_an_error(self, tmp_path):
        with pytest.raises(LabelsError, match="homburg has no loader"):
            load_labels("homburg", tmp_path, use_package=True)
