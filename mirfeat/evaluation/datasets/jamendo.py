"""Jamendo's songs with singing marked, and the clips that Choi et al. cut from them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

from mirfeat.audio.clip import open_clip
from mirfeat.audio.collection import find_audio, only_local
from mirfeat.errors import LabelsError
from mirfeat.evaluation.datasets.places import clips_of_folders, relative
from mirfeat.evaluation.datasets.record import Columns, columns
from mirfeat.files import replacing

SPLITS = ("train", "valid", "test")
LABELS = ("sing", "nosing")


def cut_jamendo(songs: str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Cut the songs of the Jamendo corpus where singing begins and ends, as Choi et al. did.

    ``songs`` has the folders ``train``, ``valid``, ``test`` with audio and ``jamendo_lab`` with
    one ``.lab`` file a song, lines of "start end sing|nosing" in seconds. Clips become
    ``output/<split>/<label>/<song>_<k>.wav``, 16 bits, k from 0. Returns their number.

    Raises:
        OptionError: no audio in one of the folders.
        LabelsError: a song without its ``.lab`` file, or a line of it that is something else.
        DecodeError: a song that cannot be read.
    """
    count = 0
    for split in SPLITS:
        for song in only_local(find_audio([Path(songs) / split])):
            segments = _segments(Path(songs) / "jamendo_lab" / f"{song.stem}.lab")
            with open_clip(song, None) as reader:
                rate = round(reader.sample_rate)
                samples = np.concatenate(list(reader.blocks()), axis=1)
            for number, (start, end, label) in enumerate(segments):
                clip = samples[:, int(start * rate) : int(end * rate)]
                path = Path(output) / split / label / f"{song.stem}_{number}.wav"
                with replacing(path) as temporary:
                    soundfile.write(temporary, clip.T, rate, subtype="PCM_16")
            count += len(segments)
    return count


def read_jamendo(root: Path) -> Columns:
    """Clips as :func:`cut_jamendo` writes them: id, label, song, split."""
    rows = [
        (relative(path, root), label, path.stem.rpartition("_")[0], path.parent.parent.name)
        for path, label in clips_of_folders(root, {label: label for label in LABELS})
    ]
    return columns(("id", "label", "song", "split"), rows)


def _segments(path: Path) -> list[tuple[float, float, str]]:
    if not path.is_file():
        raise LabelsError(f"{path}: there is no such file; it says where the song is sung.")
    segments = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            start, end, label = line.split()
            segments.append((float(start), float(end), label))
        except ValueError as error:
            raise LabelsError(
                f"{path}, line {number}: {line!r} is no 'start end label'."
            ) from error
        if label not in LABELS:
            raise LabelsError(f"{path}, line {number}: {label!r} is none of {', '.join(LABELS)}.")
    return segments
