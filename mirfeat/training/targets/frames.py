"""Frame-level descriptions of tracks, counted by a dictionary (Kim 2018, section 2.1).

MFCCs are taken from the mel spectrograms in the cache, so nothing is decoded again: 25 of them, as
the paper says (the authors' script, as it stands, gives 13 of 40 bands).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.fft import dct

from mirfeat.training.mel_cache import MelCache
from mirfeat.training.targets.artist_groups import Dictionary, essentia_features, essentia_table

COEFFICIENTS = 25
WORDS = 2048
# The paper's clips have 30 s, at its 43 frames a second; more of a long track adds little.
_MOST_FRAMES = 1290


def word_counts(
    kind: str,
    ids: Sequence[str],
    files: Sequence[Path],
    train: np.ndarray,
    cache: MelCache,
    seed: int,
) -> np.ndarray:
    """How often each word of a dictionary occurs in each track, float32 [n, words].

    ``kind``: mfcc, dmfcc (differences from frame to frame) or essentia. The dictionary is found on
    the tracks that ``train`` [n] chooses. Rows of tracks without audio are zero, and so are all if
    none of ``train`` has audio.
    """
    if kind == "essentia":
        return _essentia(files, train, seed)
    present = [row for row, id in enumerate(ids) if id in cache]
    if not train[present].any():
        return np.zeros((len(ids), 1), np.float32)
    learnt = (row for row in present if train[row])
    dictionary = Dictionary.fit(_batches(kind, ids, learnt, cache), WORDS, seed)
    counts = np.zeros((len(ids), len(dictionary.centres)), np.float32)
    for row in present:
        counts[row] = dictionary.count(frames_of(kind, cache.levels(ids[row])))
    return counts


def frames_of(kind: str, levels: np.ndarray) -> np.ndarray:
    """Frames [t, 25] of a track, from its levels [T, C, F]; at most 1290, evenly spread."""
    mono = levels.mean(axis=1, dtype=np.float32)
    values = dct(mono, norm="ortho", axis=1)[:, :COEFFICIENTS]
    if kind == "dmfcc":
        values = np.diff(values, axis=0)
    step = max(1, -(-len(values) // _MOST_FRAMES))
    frames: np.ndarray = np.ascontiguousarray(values[::step], np.float32)
    return frames


def _batches(
    kind: str, ids: Sequence[str], rows: Iterator[int], cache: MelCache
) -> Iterator[np.ndarray]:
    """Frames of many tracks at a time: a dictionary learns badly from one after another."""
    waiting: list[np.ndarray] = []
    for row in rows:
        waiting.append(frames_of(kind, cache.levels(ids[row])))
        if len(waiting) == 256:  # the authors' number of files
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _essentia(files: Sequence[Path], train: np.ndarray, seed: int) -> np.ndarray:
    """Each track is one word, that of its Essentia descriptors."""
    table, _ = essentia_table([essentia_features(file) for file in files], train)
    dictionary = Dictionary.fit([table[train]], WORDS, seed)
    return np.stack([dictionary.count(row[None]) for row in table]).astype(np.float32)
