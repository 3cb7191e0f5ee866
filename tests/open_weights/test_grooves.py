"""Grooves: chords, scores, other instruments, a lead, splits; the voice that sings over them."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile as sf

from mirfeat.training.manifest import read_manifest
from open_weights import groove_midi, grooves, singer, sung_grooves
from open_weights.synthetic_score import Note

mido = pytest.importorskip("mido")


@pytest.mark.parametrize(
    ("degree", "key", "minor", "expected"),
    [
        ("I", 0, False, "C"),
        ("V7", 0, False, "G7"),
        ("vi", 2, False, "Bm"),
        ("Imaj7", 5, False, "FM7"),
        ("VII", 9, True, "G"),
        ("VII", 0, False, "Bb"),
        ("i", 9, True, "Am"),
        ("i5", 9, True, "A5"),
        ("ii7", 0, False, "Dm7"),
        ("IV5", 11, False, "E5"),
    ],
)
def test_chords(degree: str, key: int, minor: bool, expected: str) -> None:
    assert grooves.chord(degree, key, minor) == expected


def test_a_piece_is_drawn_from_its_seed(tmp_path: Path) -> None:
    folder = tmp_path / "stdlib"
    folder.mkdir()
    (folder / "rock.mma").write_text(
        "Tempo 120\nDefGroove Rock\nDefGroove RockFill\nDefGroove Rock2\n", encoding="utf-8"
    )
    (folder / "metronome.mma").write_text("DefGroove Click\n", encoding="utf-8")
    (style,) = grooves.styles(tmp_path)
    assert (style.name, style.grooves, style.tempo) == ("stdlib-rock", ("Rock", "Rock2"), 120)
    piece = grooves.draw_piece(style, Random("0"))
    assert piece == grooves.draw_piece(style, Random("0")) != grooves.draw_piece(style, Random("1"))
    bars = [line for line in piece.text.splitlines() if line[0].isdecimal()]
    assert 40 <= len(bars) * 4 * 60 / piece.tempo <= 50
    assert {line for line in piece.text.splitlines() if line.startswith("Groove")} <= {
        "Groove stdlib:Rock",
        "Groove stdlib:Rock2",
    }


@pytest.mark.parametrize("chords", grooves.PROGRESSIONS)
def test_every_progression_has_chords_in_every_key(chords: str) -> None:
    for key in range(12):
        for minor in (False, True):
            names = [grooves.chord(degree, key, minor) for degree in chords.split()]
            assert all(name.startswith(grooves.KEYS) for name in names)


def test_all_pieces_of_a_style_are_in_one_split(tmp_path: Path) -> None:
    for style in ("stdlib-rock", "stdlib-folk", "casio-funk1", "kara-twi"):
        for number in range(3):
            sf.write(tmp_path / f"{style}-{number}.ogg", np.zeros((800, 2)), 8000)
    assert grooves.write_manifest(tmp_path) == 12
    manifest = read_manifest(tmp_path / "tracks.csv")
    splits = set(zip(manifest.texts("title"), manifest.split, strict=True))
    assert len(splits) == 4
    words = Counter(grooves.split_of(f"stdlib-{number}") for number in range(600))
    assert 25 <= words["valid"] <= 80


def accompaniment(path: Path) -> None:
    """A guitar on channel 0 and drums, four quarter notes each."""
    file = mido.MidiFile(ticks_per_beat=192)
    for channel, program, pitch in ((0, 27, 60), (9, 0, 38)):
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for _ in range(4):
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=90, time=0))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=192 * 4))
        file.tracks.append(track)
    file.save(path)


def test_instruments_stay_in_their_family_and_a_lead_in_the_key(tmp_path: Path) -> None:
    path = tmp_path / "score.mid"
    programs: dict[int, set[int]] = {0: set(), 9: set(), 1: set()}
    pitches = set()
    for seed in range(12):
        accompaniment(path)
        groove_midi.arrange(
            path, groove_midi.Arrangement(1.0, 66, key=2, minor=True, volume=99, seed=str(seed))
        )
        file = mido.MidiFile(path)
        assert file.length == pytest.approx(8.0)
        for message in (message for track in file.tracks for message in track):
            if message.type == "program_change":
                programs[message.channel].add(message.program)
            elif message.type == "note_on" and message.channel == 1:
                pitches.add(message.note)
    assert programs[1] == {66}
    assert len(programs[0]) > 2
    assert programs[0] <= set(range(24, 32))
    assert len(programs[9]) > 2
    assert programs[9] <= set(groove_midi.KITS)
    assert {(pitch - 2) % 12 for pitch in pitches} == set(groove_midi.PENTATONIC[True])


def test_without_a_free_channel_there_is_no_lead(tmp_path: Path) -> None:
    path = tmp_path / "score.mid"
    file = mido.MidiFile()
    file.tracks.append(
        mido.MidiTrack([mido.Message("note_on", channel=c, note=60, time=1) for c in range(16)])
    )
    file.save(path)
    arrangement = groove_midi.Arrangement(0.0, 66, key=0, minor=False, volume=99, seed="0")
    groove_midi.arrange(path, arrangement)
    assert len(mido.MidiFile(path).tracks) == 1


def test_a_word_keeps_its_consonants_and_its_vowel_gets_the_rest() -> None:
    taken = singer.stretched(60, 200)
    np.testing.assert_array_equal(taken[:14], np.arange(14))
    np.testing.assert_array_equal(taken[-14:], np.arange(46, 60))
    assert (np.diff(taken) >= 0).all()
    for frames, length in ((60, 10), (3, 100), (1, 1), (40, 40)):
        taken = singer.stretched(frames, length)
        assert len(taken) == length
        assert taken.min() >= 0
        assert taken.max() < frames


def test_formants_move_and_pitch_glides_to_its_note() -> None:
    spectrum = np.zeros((2, 101))
    spectrum[:, 40] = 1.0
    assert singer.with_formants(spectrum, 1.25).argmax(1).tolist() == [50, 50]
    who = singer.Singer("slt", 1.0, vibrato=50.0, vibrato_hz=5.0, octave=-1)
    pitch = singer.pitch_of(57.0, 69.0, 300, who)
    assert pitch[0] == pytest.approx(110.0)
    assert pitch[singer.GLIDE : singer.VIBRATO_AFTER] == pytest.approx(220.0)
    swing = 1200.0 * np.log2(pitch[150:] / 220.0)
    assert swing.max() == pytest.approx(50.0, abs=3.0)
    assert swing.min() == pytest.approx(-50.0, abs=3.0)


def test_a_voice_lies_so_many_decibels_over_what_accompanies_it() -> None:
    draw = np.random.default_rng(0)
    band = draw.normal(0, 0.2, (1000, 2)).astype(np.float32)
    voice = np.r_[np.zeros(300), draw.normal(0, 1.5, 500)].astype(np.float32)
    mixed = sung_grooves.over(band, voice, 6.0) - band
    assert not mixed[:300].any()
    assert not mixed[800:].any()
    ratio = np.square(mixed[300:800]).mean() / np.square(band).mean()
    assert 10 * np.log10(ratio) == pytest.approx(6.0, abs=0.1)


@pytest.mark.slow
def test_a_melody_is_sung_at_its_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    pyworld = pytest.importorskip("pyworld")
    times = np.arange(0, 0.4, 1 / singer.RATE)
    vowel = sum(np.sin(2 * np.pi * 120 * k * times) / k for k in range(1, 30))
    pitch, frames = pyworld.dio(vowel, singer.RATE)
    word = singer.Word(
        pyworld.cheaptrick(vowel, pitch, frames, singer.RATE),
        pyworld.d4c(vowel, pitch, frames, singer.RATE),
        pitch > 0,
    )
    monkeypatch.setattr(singer, "say", lambda voice, text: word)
    who = singer.Singer("rms", 1.0, vibrato=0.0, vibrato_hz=5.0, octave=-1)
    audio = singer.sing([Note(1.0, 2.0, 69, 90)], 60.0, who, Random(0))
    assert len(audio) == pytest.approx(3 * singer.RATE, abs=200)
    assert np.abs(audio[: singer.RATE // 2]).max() < 1e-3
    heard, _ = pyworld.harvest(audio[int(1.5 * singer.RATE) :].astype(float), singer.RATE)
    assert np.median(heard[heard > 0]) == pytest.approx(220.0, rel=0.01)
