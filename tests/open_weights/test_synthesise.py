"""Synthetic music: what its labels say is what its notes play."""

import csv
import os
import re
import shutil
import stat
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile as sf

from mirfeat.errors import ConfigError
from open_weights import synthesise
from open_weights.synthesise import RATE, RenderError, Track, draw_tracks, finish, render
from open_weights.synthetic_bands import GROOVES, STYLES, swing
from open_weights.synthetic_patterns import Key, Voice, scale
from open_weights.synthetic_pieces import (
    TAIL,
    compose_ensemble,
    compose_kit,
    compose_percussion,
    compose_solo,
    plan,
)
from open_weights.synthetic_score import Note, Part, Score, midi_bytes, read_instruments

mido = pytest.importorskip("mido")

COLUMNS = "id,path,title,artist,album,year,bpm,genre,tags,dataset,licence,corpus,split,seconds"
FONTS = [Path("FluidR3_GM.sf2"), Path("TimGM6mb.sf2")]
DRUMS = {  # the General MIDI standard's names of the drum notes
    "bass drum": {35, 36},
    "side stick": {37},
    "snare drum": {38, 40},
    "claps": {39},
    "low tom": {41, 43},
    "closed hi-hat": {42},
    "middle tom": {45, 47},
    "open hi-hat": {46},
    "high tom": {48, 50},
    "crash cymbal": {49, 57},
    "ride cymbal": {51, 59},
    "tambourine": {54},
    "cowbell": {56},
    "bongo": {60, 61},
    "conga": {62, 63, 64},
    "timbales": {65, 66},
    "agogo": {67, 68},
    "shaker": {69, 70},
    "guiro": {73, 74},
    "claves": {75},
    "wood block": {76, 77},
    "triangle": {80, 81},
}
GENERAL_MIDI = {0: "piano", 13: "xylophone", 24: "nylon-string guitar", 40: "violin", 42: "cello"}
GENERAL_MIDI |= {56: "trumpet", 66: "tenor saxophone", 71: "clarinet", 73: "flute", 46: "harp"}


@pytest.fixture(scope="module")
def tracks() -> list[Track]:
    return draw_tracks(1.2, 3, FONTS)


def read_midi(score: Score) -> "mido.MidiFile":
    return mido.MidiFile(file=BytesIO(midi_bytes(score)))


def played(score: Score) -> list[tuple[float, "mido.Message"]]:
    """Each message with its time in seconds, by the MIDI library's own clock."""
    now, messages = 0.0, []
    for message in read_midi(score):
        now += message.time
        messages.append((now, message))
    return messages


def sounding(score: Score) -> tuple[set[int], set[int]]:
    """Programs, and notes of the drum channel, that a MIDI file plays."""
    programs: dict[int, int] = {}
    heard, drums = set(), set()
    for _, message in played(score):
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.channel == 9:
            drums.add(message.note)
        elif message.type == "note_on":
            heard.add(programs[message.channel])
    return heard, drums


def test_equal_seeds_give_equal_music_and_other_seeds_other_music(tracks: list[Track]) -> None:
    again = draw_tracks(1.2, 3, FONTS)
    assert again == tracks
    assert [t.path for t in again] == [t.path for t in tracks]
    assert midi_bytes(again[5].score) == midi_bytes(tracks[5].score)
    other = draw_tracks(1.2, 4, FONTS)
    assert all(a.score != b.score for a, b in zip(tracks, other, strict=True))
    assert not {t.path for t in tracks} & {t.path for t in other}


def test_midi_files_are_whole_and_of_the_stated_length_and_tempo(tracks: list[Track]) -> None:
    for track in tracks[::7]:
        score = track.score
        tempi = [m.tempo for _, m in played(score) if m.type == "set_tempo"]
        assert tempi == [pytest.approx(60e6 / score.bpm, abs=0.5)]
        assert 50 <= score.bpm <= 200
        assert 15 <= score.seconds <= 30
        assert read_midi(score).length == pytest.approx(score.seconds, abs=0.005)
        on: Counter[tuple[int, int]] = Counter()
        for at, message in played(score):
            if message.type == "note_on":
                assert message.velocity > 0
                assert at <= score.seconds - TAIL + 0.01
            if message.type in ("note_on", "note_off"):
                on[message.channel, message.note] += 1 if message.type == "note_on" else -1
                assert on[message.channel, message.note] in (0, 1)
        assert not any(on.values())


def test_every_track_plays_and_names_exactly_its_instruments(tracks: list[Track]) -> None:
    named = {instrument.program: instrument.names for instrument in read_instruments()}
    for program, name in GENERAL_MIDI.items():
        assert name in named[program]
    every = {name for names in named.values() for name in names}
    seen = Counter()
    for track in tracks:
        programs, drums = sounding(track.score)
        assert programs or drums
        tags = set(track.score.tags)
        pieces = {name for name, notes in DRUMS.items() if notes & drums}
        assert tags & set(DRUMS) - {"wood block"} == pieces - {"wood block"}
        if programs <= set(named):  # else a drum that is a program
            assert tags & every == {name for p in programs for name in named[p]}
        assert len(track.score.tags) == len(tags)
        assert ("percussion" in tags) >= bool(drums)
        assert ("ensemble" in tags) == (len(track.score.parts) > 1) != ("solo" in tags)
        seen.update(["drums"] if drums else [], ensemble="ensemble" in tags)
    assert seen["drums"] > 20
    assert seen["ensemble"] > 40


def test_instruments_stay_in_their_range() -> None:
    for instrument in read_instruments():
        for turn in range(8):
            score = compose_solo(Random(f"{instrument.program}/{turn}"), instrument, turn)
            notes = score.parts[0].notes
            assert len(notes) >= 3
            assert all(instrument.low <= note.pitch <= instrument.high for note in notes)
            assert abs(score.parts[0].cents) <= 30


def test_the_mode_is_named_only_where_its_third_is_played_and_is_right() -> None:
    violin = next(i for i in read_instruments() if i.names == ("violin",))
    named = Counter()
    for seed in range(60):
        score = compose_solo(Random(seed), violin, seed)
        modes = {"major", "minor"} & set(score.tags)
        pitches = {note.pitch % 12 for note in score.parts[0].notes}
        # Only a key of that mode holds all the pitches: natural or harmonic minor, or major.
        steps = {"major": [{0, 2, 4, 5, 7, 9, 11}],
                 "minor": [{0, 2, 3, 5, 7, 8, 10}, {0, 2, 3, 5, 7, 8, 11}]}  # fmt: skip
        for mode in modes:
            third = 4 if mode == "major" else 3
            assert any(
                pitches <= {(tonic + s) % 12 for s in scale_steps}
                and {tonic, (tonic + third) % 12, (tonic + 7) % 12} <= pitches
                for tonic in range(12)
                for scale_steps in steps[mode]
            )
        if "sparse" in score.title or "repeated" in score.title:
            assert not modes
        named.update(modes)
    assert min(named["major"], named["minor"]) >= 5


def test_scales_start_and_end_on_the_tonic_and_rise_by_its_steps() -> None:
    key = Key(2, "major", (0, 2, 4, 5, 7, 9, 11))
    voice = Voice(Random(1), key, 50, 64, 60, 8.0)
    assert voice.ladder == [50, 52, 54, 55, 57, 59, 61, 62, 64]
    pitches = [note.pitch for note in scale(voice)]
    assert pitches[0] == 50
    if pitches[1] == 52:  # else in thirds
        assert pitches[:15] == [50, 52, 54, 55, 57, 59, 61, 62, 61, 59, 57, 55, 54, 52, 50]


@pytest.mark.parametrize("seed", range(6))
def test_beats_fall_where_the_tempo_says(seed: int) -> None:
    score = compose_percussion(Random(seed), ("snare drum",), "steady")
    onsets = np.array([at for at, message in played(score) if message.type == "note_on"])
    grid = 60 / score.bpm / 4
    late = onsets / grid - np.round(onsets / grid)
    assert np.abs(late * grid).mean() < 0.009  # as uneven as a player, on the grid of 16ths
    assert np.abs(np.mean(late * grid)) < 0.004
    assert np.median(np.diff(onsets)) == pytest.approx(
        round(float(np.median(np.diff(onsets))) / grid) * grid, abs=0.01
    )


def test_hits_are_sparse_and_rolls_dense() -> None:
    for seed in range(10):
        hits = compose_percussion(Random(seed), ("bass drum",), "hits")
        roll = compose_percussion(Random(seed), ("snare drum",), "roll")
        gaps = np.diff([note.start for note in hits.parts[0].notes]) * 60 / hits.bpm
        assert gaps.min() > 0.3
        assert np.median(np.diff([n.start for n in roll.parts[0].notes])) * 60 / roll.bpm < 0.16
        assert "bass drum" in hits.tags
        assert "snare drum" not in hits.tags


def test_swing_moves_the_off_beat_to_the_third_of_three() -> None:
    notes = [Note(at, 0.25, 60, 80) for at in (0.0, 0.5, 1.0, 1.5)]
    assert [note.start for note in swing(notes)] == pytest.approx([0, 2 / 3, 1, 5 / 3])


def test_bars_have_sixteen_steps_of_known_marks() -> None:
    known = {instrument.program for instrument in read_instruments()}
    for groove in (groove for grooves in GROOVES.values() for groove in grooves):
        assert set(groove) <= set(DRUMS)
        assert all(re.fullmatch(r"[x.]{16}", steps) for steps in groove.values())
    for style in STYLES.values():
        assert all(re.fullmatch(r"[rtfo.]{16}", steps) for steps in style.bass)
        assert all(re.fullmatch(r"[cp1234.]{16}", steps) for steps in style.chords)
        assert {*style.basses, *style.backing, *style.leads, *style.also} <= known
        assert style.grooves in ("", *GROOVES)


@pytest.mark.parametrize("name", STYLES)
def test_ensembles_keep_to_their_style(name: str) -> None:
    sizes = set()
    for seed in range(12):
        score = compose_ensemble(Random(seed), name)
        low, high = STYLES[name].bpm
        assert low <= score.bpm <= high
        assert score.genre == name
        assert name in score.tags
        assert ("fast" in score.tags) == (score.bpm >= 130)
        assert ("slow" in score.tags) == (score.bpm <= 80)
        assert len({part.channel for part in score.parts}) == len(score.parts)
        sizes.add(len(score.parts))
    assert min(sizes) >= 2
    assert len(sizes) > 1


def test_a_kit_solo_has_only_drums() -> None:
    for name in GROOVES:
        score = compose_kit(Random(2), name)
        assert sounding(score)[0] == set()
        assert {"percussion", "solo"} <= set(score.tags)
        assert score.genre == ""


def test_instruments_get_equal_shares_and_the_hours_are_met(tracks: list[Track]) -> None:
    groups = Counter(job.group for job in plan(5))
    names = Counter(s.program for s in read_instruments())
    solos = Counter(
        track.score.parts[0].program for track in tracks if len(track.score.parts) == 1
        and track.score.parts[0].channel != 9 and "drums" not in track.score.tags
        and track.score.parts[0].program in names
    )  # fmt: skip
    assert max(solos.values()) - min(solos.values()) <= 1
    assert set(solos) == set(names)
    assert groups["percussion"] / (groups["percussion"] + groups["solo"]) == pytest.approx(
        0.15, abs=0.01
    )
    seconds = {"solo": 0.0, "ensemble": 0.0}
    for track in tracks:
        seconds["ensemble" if "ensemble" in track.score.tags else "solo"] += track.score.seconds
    assert sum(seconds.values()) / 3600 == pytest.approx(1.2, rel=0.05)
    assert seconds["ensemble"] / sum(seconds.values()) == pytest.approx(0.3, abs=0.03)
    fonts = Counter(track.soundfont.stem for track in tracks)
    assert abs(fonts["FluidR3_GM"] - fonts["TimGM6mb"]) < 0.1 * len(tracks)


def noise(track: Track) -> np.ndarray:
    rng = np.random.default_rng(track.number)
    return rng.uniform(-0.5, 0.5, (2000, 2)).astype(np.float32)


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two soundfonts and a fluidsynth that are there, but not called."""
    files = [tmp_path / font for font in FONTS]
    for file in files:
        file.touch()
    monkeypatch.setattr(shutil, "which", lambda _: "/fluidsynth")
    return files


def test_the_manifest_has_a_line_for_every_file(
    tmp_path: Path, fonts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(synthesise, "render", lambda track: calls.append(track) or noise(track))
    folder = tmp_path / "out"
    made = synthesise.synthesise(folder, fonts, hours=0.6, seed=0, workers=2)
    text = (folder / "tracks.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(made) == len(calls) > 80
    assert len({row["id"] for row in rows}) == len({row["path"] for row in rows}) == len(rows)
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.ogg")) == sorted(
        str(Path(row["path"])) for row in rows
    )
    for row, track in zip(rows, made, strict=True):
        assert row["tags"].split(";") == list(track.score.tags)
        assert int(row["bpm"]) == track.score.bpm
        assert row["licence"] == {"FluidR3_GM": "MIT", "TimGM6mb": "GPL-2"}[row["album"]]
        assert (row["genre"] != "") == ("ensemble" in row["tags"].split(";"))
        assert row["split"] in ("train", "valid")
        assert (row["dataset"], row["corpus"], row["artist"]) == ("synthetic", "synthetic", "")
    info = sf.info(folder / rows[0]["path"])
    assert (info.samplerate, info.channels, info.format) == (RATE, 2, "OGG")
    calls.clear()
    synthesise.synthesise(folder, fonts, hours=0.6, seed=0, workers=1)
    assert calls == []  # kept
    synthesise.synthesise(folder, fonts, hours=0.05, seed=1, workers=1)
    assert len(calls) > 4  # other music never takes an old file for its own


def test_about_eight_in_a_hundred_tracks_are_for_validation() -> None:
    splits = Counter(track.split for track in draw_tracks(3, 0, FONTS))
    assert 0.05 < splits["valid"] / splits.total() < 0.11


def test_sound_is_cut_to_its_length_and_brought_to_its_peak(tracks: list[Track]) -> None:
    track = replace(tracks[0], peak=0.4)
    frames = round(track.score.seconds * RATE)
    for length in (frames // 2, frames + 5000):
        sound = finish(np.full((length, 2), 3.0, np.float32), track)
        assert sound.shape == (frames, 2)
        assert sound.dtype == np.float32
        assert np.abs(sound).max() == pytest.approx(0.4)
        assert np.all(sound[-1] == 0)


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_a_silent_or_broken_render_is_refused(tracks: list[Track], bad: float) -> None:
    with pytest.raises(RenderError, match=r"track 7 .*silent with .*\.sf2"):
        finish(np.full((1000, 2), bad, np.float32), tracks[7])


@pytest.mark.parametrize(
    ("hours", "workers", "spoil", "message"),
    [
        (0.0, 1, None, "hours 0.0"),
        (float("nan"), 1, None, "hours nan"),
        (1.0, 0, None, "workers 0"),
        (1.0, 1, "missing", "no such soundfont"),
        (1.0, 1, "twice", "same file name"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, fonts: list[Path], hours: float, workers: int, spoil: str | None, message: str
) -> None:
    given = {None: fonts, "missing": [tmp_path / "no.sf2"], "twice": [fonts[0], fonts[0]]}[spoil]
    with pytest.raises(ConfigError, match=message):
        synthesise.synthesise(tmp_path / "out", given, hours, 0, workers)
    assert not (tmp_path / "out").exists()


def test_an_absent_or_failing_fluidsynth_is_reported(
    tmp_path: Path, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    font = tmp_path / "a.sf2"
    font.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="fluidsynth is not here"):
        synthesise.synthesise(tmp_path / "out", [font], 1, 0, 1)
    if os.name == "nt":
        return
    program = tmp_path / "fluidsynth"
    program.write_text("#!/bin/sh\necho no such preset >&2\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(RenderError, match="no such preset"):
        render(tracks[0])


def soundfont() -> Path:
    """A General MIDI soundfont of this machine: $SOUNDFONT, or one where Debian puts them."""
    found = [Path(os.environ.get("SOUNDFONT", "")), *Path("/usr/share/sounds/sf2").glob("*GM*.sf2")]
    files = [file for file in found if file.is_file()]
    if not files or shutil.which("fluidsynth") is None:
        pytest.skip("needs fluidsynth and a soundfont")
    return files[0]


def test_a_rendered_flute_has_its_pitch(tracks: list[Track]) -> None:
    part = Part(0, 73, ("flute",), (Note(1.0, 14.0, 69, 90),), cents=20)
    score = Score("a", 60, 15.0, (part,), ("flute",))
    track = replace(tracks[0], score=score, soundfont=soundfont(), peak=0.5, wet=0.0)
    sound = render(track)
    assert np.abs(sound[: RATE // 2]).max() < 1e-3
    middle = sound[4 * RATE : 8 * RATE].mean(axis=1) * np.hanning(4 * RATE)
    spectrum = np.abs(np.fft.rfft(middle))
    low, high = 300 * 4, 600 * 4  # bins are a quarter of a hertz wide
    loudest = (low + int(spectrum[low:high].argmax())) / 4
    assert abs(1200 * np.log2(loudest / 440) - 20) < 15
