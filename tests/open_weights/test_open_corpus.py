"""The open corpus' manifest: labels from tags, notes and the table; no recording twice."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from mirfeat.errors import LabelsError, ManifestError
from open_weights import corpus_duplicates, open_corpus
from open_weights.corpus_duplicates import (
    FRAMES_PER_SECOND,
    find_matches,
    fingerprint,
    period_seconds,
)
from open_weights.corpus_labels import (
    GENRES,
    Notes,
    Rule,
    choose_artist,
    look_up,
    read_notes,
    read_rules,
    title_tags,
)
from open_weights.corpus_tidy import check_artists, tidy
from open_weights.debian_packages import PACKAGES

RATE = 11025


def music(seconds: float, seed: int) -> np.ndarray:
    """Chords of random notes, different for each seed, half a second each, in noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    notes = 110 * 2 ** (rng.integers(0, 48, (-(-int(seconds * RATE) // (RATE // 2)), 3)) / 12)
    sound = np.sin(2 * np.pi * notes[:, :, None] * time).sum(axis=1).ravel()[: int(seconds * RATE)]
    return (0.1 * sound + 0.001 * rng.standard_normal(len(sound))).astype(np.float32)


def written(file: Path, samples: np.ndarray, **tags: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with sf.SoundFile(file, "w", RATE, 1) as sound:
        for name, value in tags.items():
            setattr(sound, name, value)
        sound.write(samples)
    return file


def rule(package: str = "p", pattern: str = "*", **cells: str) -> Rule:
    empty = dict.fromkeys(("dataset", "split", "artist", "genre", "tags", "licence", "source"), "")
    return Rule(package=package, pattern=pattern, **{**empty, **cells})


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [
        rule("game-a", dataset="a", split="train", artist="Fallback", genre="rock", licence="MIT"),
        rule("game-a", "battle/*", genre="metal", tags="loud"),
        rule("game-b", dataset="b", split="test", genre="folk", licence="CC0-1.0"),
    ]
    monkeypatch.setattr(open_corpus, "read_rules", lambda: rules)


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


class TestTable:
    def test_every_package_that_is_fetched_has_all_labels(self):
        rules = read_rules()
        for package in PACKAGES:
            labels = look_up(rules, package.name, "any/file.ogg")
            assert labels.dataset, package.name
            assert labels.licence, package.name
            assert labels.genre in GENRES, package.name

    def test_no_row_is_for_a_package_that_is_not_fetched(self):
        assert {rule.package for rule in read_rules()} == {package.name for package in PACKAGES}

    def test_later_rows_replace_earlier_ones_and_tags_add_up(self):
        rules = [
            rule(genre="rock", tags="a;b", split="train", licence="MIT"),
            rule(pattern="x/*", genre="folk", tags="c"),
            rule(package="q", genre="jazz", tags="never"),
        ]
        labels = look_up(rules, "p", "x/file.ogg")
        assert (labels.genre, labels.licence, labels.tags) == ("folk", "MIT", ["a", "b", "c"])
        assert look_up(rules, "p", "y.ogg").genre == "rock"

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("p,*,d,train,A,polka,,MIT,hand", r"line 2: 'polka' must be one of orchestral"),
            ("p,*,d,tests,A,rock,,MIT,hand", r"line 2: 'tests' must be one of train, valid, test"),
            ("p,*,d,train,A,rock,,MIT,by, hand", r"line 2: must have 9 cells"),
            ("p,*,d", r"line 2: must have 9 cells"),
        ],
    )
    def test_bad_rows_are_refused(self, tmp_path, line, message):
        head = "package,pattern,dataset,split,artist,genre,tags,licence,source"
        table = tmp_path / "table.csv"
        table.write_text(f"{head}\n{line}\n", encoding="utf-8")
        with pytest.raises(LabelsError, match=message):
            read_rules(table)

    def test_bad_columns_are_refused(self, tmp_path):
        table = tmp_path / "table.csv"
        table.write_text("package,genre\np,rock\n", encoding="utf-8")
        with pytest.raises(LabelsError, match="columns are"):
            read_rules(table)


class TestNotes:
    @pytest.mark.parametrize(
        ("rules", "tagged", "expected"),
        [
            ([rule(artist="Package")], "", "Package"),
            ([rule(artist="Package")], "Tagged", "Tagged"),
            ([rule(artist="Package"), rule(pattern="x*", artist="Row")], "Tagged", "Row"),
            ([rule(artist="Package"), rule(pattern="x*", artist="-")], "Tagged", ""),
            ([rule()], "  ELYSIS ", "Gerd Raudenbusch"),
            ([rule()], "<Unknown>", ""),
        ],
    )
    def test_who_the_artist_is(self, rules, tagged, expected):
        assert choose_artist(look_up(rules, "p", "x.ogg"), Notes(artist=tagged)) == expected

    def test_album_notes_outrank_tags(self, tmp_path):
        track = {"filename": "one.opus", "title": "One", "author": "Ann", "bpm": 80}
        album = {"title": "Album", "date": "1999", "tracks": [track]}
        (tmp_path / "album.json").write_text(json.dumps(album), encoding="utf-8")
        notes = read_notes(tmp_path / "one.opus", {"title": "x", "genre": "Game"})
        assert notes == Notes("One", "Ann", "Album", "1999", "80", "Game")
        assert read_notes(tmp_path / "two.opus", {"title": "x"}) == Notes("x")

    def test_kart_notes_name_the_composer(self, tmp_path):
        text = '<?xml version="1.0"?>\n<music title="T" composer="A &amp; B" file="t.ogg"/>'
        (tmp_path / "any.music").write_text(text, encoding="utf-8")
        notes = read_notes(tmp_path / "t.ogg", {"artist": "x", "date": "2014-05-01"})
        assert (notes.title, notes.artist, notes.year) == ("T", "A & B", "2014")

    def test_supertux_notes_name_nobody(self, tmp_path):
        (tmp_path / "t.music").write_text('(supertux-music (file "t.ogg"))', encoding="utf-8")
        assert read_notes(tmp_path / "t.ogg", {}) == Notes()

    def test_only_whole_words_of_titles_are_tags(self):
        assert title_tags("Boss_Attack", "forest/warm.ogg") == ["battle", "forest"]


class TestFingerprint:
    def test_rows_have_length_one_and_come_four_a_second(self, tmp_path):
        rows = fingerprint(written(tmp_path / "a.wav", music(30, 1)))
        assert rows.dtype == np.float32
        assert abs(len(rows) - 30 * FRAMES_PER_SECOND) <= 2
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)

    def test_similarity_is_that_of_a_direct_comparison(self, tmp_path):
        """The FFT against mean cosines counted one shift at a time."""
        rng = np.random.default_rng(0)
        a, b = (corpus_duplicates.normalise(np.exp(rng.normal(size=(n, 36)))) for n in (130, 99))
        (match,) = find_matches([a, b], threshold=-1)
        best = -1.0, 0
        for shift in range(-len(b) + 1, len(a)):
            first, last = max(0, shift), min(len(a), shift + len(b))
            if last - first >= 80:
                mean = float((a[first:last] * b[first - shift : last - shift]).sum(1).mean())
                best = max(best, (mean, shift))
        assert match.similarity == pytest.approx(best[0], abs=1e-5)
        assert match.shift_seconds * FRAMES_PER_SECOND == best[1]

    def test_finds_a_louder_noisier_later_copy_and_nothing_else(self, tmp_path):
        song, noise = music(60, 1), np.random.default_rng(9).standard_normal(50 * RATE)
        copy = 0.3 * song[int(10.1 * RATE) :][: 45 * RATE]
        copy = copy + 0.0005 * noise[: len(copy)].astype(np.float32)
        files = [
            written(tmp_path / "song.wav", song),
            written(tmp_path / "other.wav", music(60, 2)),
            written(tmp_path / "copy.ogg", copy),
        ]
        (match,) = find_matches([fingerprint(file) for file in files])
        assert (match.first, match.second) == (0, 2)
        assert match.shift_seconds == pytest.approx(10.1, abs=0.3)
        assert match.overlap_seconds == pytest.approx(45, abs=1)

    def test_finds_the_period_of_a_loop(self, tmp_path):
        part = music(40, 3)
        loop = written(tmp_path / "loop.wav", np.concatenate([part, part, part[: 10 * RATE]]))
        assert period_seconds(fingerprint(loop)) == pytest.approx(40, abs=0.3)

    def test_finds_nothing_in_common_in_silence(self, tmp_path):
        """Long silences are alike: they must not make two tracks alike."""
        silence = np.zeros(60 * RATE, np.float32)
        prints = []
        for seed in (1, 2):
            file = tmp_path / f"{seed}.wav"
            prints.append(fingerprint(written(file, np.concatenate([music(40, seed), silence]))))
        (match,) = find_matches(prints, threshold=-1)
        assert match.similarity < 0.3
        assert corpus_duplicates.sounding_seconds(prints[0]) == pytest.approx(40, abs=0.6)

    @pytest.mark.parametrize("seconds", [0.2, 3, 90])
    def test_music_that_does_not_repeat_has_no_period(self, tmp_path, seconds):
        file = written(tmp_path / "a.wav", music(seconds, 4))
        assert period_seconds(fingerprint(file)) is None

    def test_is_read_again_when_the_file_has_changed(self, tmp_path):
        file, cache = tmp_path / "a.wav", tmp_path / "cache"
        first = fingerprint(written(file, music(30, 1)), cache)
        np.testing.assert_array_equal(fingerprint(file, cache), first)
        assert len(list(cache.iterdir())) == 1
        assert len(fingerprint(written(file, music(40, 2)), cache)) > len(first)


class TestTidy:
    @staticmethod
    def rows(*splits_and_seconds: tuple[str, str]) -> list[dict[str, str]]:
        return [
            {"id": f"t{k}", "path": f"{k}.ogg", "split": split, "seconds": seconds, "artist": ""}
            for k, (split, seconds) in enumerate(splits_and_seconds)
        ]

    @pytest.mark.parametrize(
        ("first", "second", "stays"),
        [
            (("train", "60"), ("train", "50"), "t0"),
            (("train", "50"), ("train", "60"), "t1"),
            (("train", "60"), ("train", "60"), "t0"),
            (("train", "60"), ("test", "50"), "t1"),
            (("valid", "50"), ("train", "60"), "t0"),
        ],
    )
    def test_which_of_two_copies_stays(self, first, second, stays):
        rng = np.random.default_rng(1)
        same = corpus_duplicates.normalise(np.exp(rng.normal(size=(240, 36))))
        kept, dropped = tidy(self.rows(first, second), [same, same])
        assert [row["id"] for row in kept] == [stays]
        assert dropped[0]["same_as"] == stays
        assert dropped[0]["id"] != stays

    def test_of_two_copies_the_one_with_an_artist_stays(self):
        rng = np.random.default_rng(1)
        same = corpus_duplicates.normalise(np.exp(rng.normal(size=(240, 36))))
        rows = self.rows(("train", "60"), ("train", "50"))
        kept, _ = tidy([rows[0], {**rows[1], "artist": "Ann"}], [same, same])
        assert [row["id"] for row in kept] == ["t1"]

    def test_silence_at_the_end_is_cut_and_what_is_left_must_be_long_enough(self):
        rng = np.random.default_rng(1)
        prints = [corpus_duplicates.normalise(np.exp(rng.normal(size=(240, 36)))) for _ in "ab"]
        prints[0][160:] = 0
        prints[1][80:] = 0
        kept, dropped = tidy(self.rows(("train", "60"), ("train", "60")), prints)
        assert [(row["id"], row["seconds"]) for row in kept] == [("t0", "40.0")]
        reasons = [(row["id"], row["reason"], row["seconds_dropped"]) for row in dropped]
        assert reasons == [
            ("t1", "too short", "20.0"),
            ("t0", "silence from 40 s to the end", "20.0"),
        ]

    def test_artists_in_two_splits_are_refused(self):
        rows = self.rows(("train", "60"), ("test", "60"))
        check_artists(rows)  # nobody is named: nobody is in both
        with pytest.raises(ManifestError, match="more than one split: Ann; give"):
            check_artists([{**row, "artist": "Ann"} for row in rows])


@pytest.mark.usefixtures("small_table")
class TestManifest:
    def test_from_folder_to_manifest(self, tmp_path):
        part = music(40, 5)
        written(tmp_path / "game-a/battle/Ice Cave.ogg", part, title="Ice Cave", artist="Ann")
        written(tmp_path / "game-a/calm.flac", np.concatenate([music(30, 6)] * 2))
        written(tmp_path / "game-b/Dance.ogg", music(35, 7))
        written(tmp_path / "game-b/again.wav", part)
        (tmp_path / "game-b/notes.txt").write_text("no audio", encoding="utf-8")
        assert open_corpus.write_corpus(tmp_path, quick=False, workers=1) == (3, 2)
        rows = {row["id"]: row for row in read(tmp_path / "tracks.csv")}
        assert list(rows) == ["game-a/calm", "game-b/dance", "game-b/again"]
        assert float(rows["game-a/calm"]["seconds"]) == pytest.approx(30, abs=0.3)
        assert rows["game-a/calm"]["artist"] == "Fallback"
        assert rows["game-a/calm"]["tags"] == "rock:3;calm"
        assert rows["game-b/dance"]["licence"] == "CC0-1.0"
        for row in rows.values():
            assert (tmp_path / row["path"]).is_file()
        dropped = {row["id"]: row for row in read(tmp_path / "dropped.csv")}
        assert dropped["game-a/battle/ice-cave"]["same_as"] == "game-b/again"
        assert dropped["game-a/calm"]["reason"] == "the file repeats itself after 30 s"

    def test_tags_artist_and_genre_of_one_track(self, tmp_path):
        samples = music(30, 5)
        written(tmp_path / "game-a/battle/Ice Cave.ogg", samples, title="Ice Cave", artist="Ann")
        open_corpus.write_corpus(tmp_path, quick=True, workers=1)
        (row,) = read(tmp_path / "tracks.csv")
        assert (row["artist"], row["genre"]) == ("Ann", "metal")
        assert row["tags"] == "metal:3;loud;ice;cave;battle"
        assert not (tmp_path / "dropped.csv").exists()

    def test_an_empty_folder_says_what_to_do(self, tmp_path):
        with pytest.raises(ManifestError, match=r"debian_music\.py fetch"):
            open_corpus.write_corpus(tmp_path, quick=True, workers=1)

    def test_report_adds_up(self, tmp_path):
        for name, seconds in (("a", 36.0), ("b", 72.0)):
            written(tmp_path / f"game-a/{name}.wav", music(seconds, 8))
        open_corpus.write_corpus(tmp_path, quick=True, workers=1)
        text = open_corpus.report(open_corpus.read_manifest_rows(tmp_path / "tracks.csv"))
        assert "| MIT | 0.03 | 2 |" in text
        assert text.count("| all | 0.03 | 2 |") == 5

    def test_report_without_a_manifest_says_what_to_do(self, tmp_path):
        with pytest.raises(ManifestError, match="without --report first"):
            open_corpus.read_manifest_rows(tmp_path / "tracks.csv")
