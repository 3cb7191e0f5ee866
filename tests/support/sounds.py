"""Synthetic clips, and files of them: whole, cut short or damaged."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mirfeat.audio.decode import open_file
from mirfeat.audio.headers import read_header


def music(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Three gliding tones and some noise, different in each channel; float32 (C, N), peak < 0.9."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    clip = 0.02 * generator.standard_normal((channels, len(time)))
    for pitch in generator.uniform(100.0, 1500.0, (3, channels, 1)):
        clip += 0.2 * np.sin(2.0 * np.pi * pitch * (1.0 + 0.1 * np.sin(time)) * time)
    return clip.astype(np.float32)


def write(
    path: Path,
    samples: np.ndarray,
    rate: int,
    format: str,
    subtype: str | None = None,
    **options: Any,
) -> Path:
    """Write (C, N) with libsndfile, in this format whatever the name says; return the path."""
    soundfile.write(path, samples.T, rate, format=format, subtype=subtype, **options)
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    """Write (C, N) as 16-bit wav; return the path."""
    return write(path, samples, rate, "WAV", "PCM_16")


def decode(path: Path, max_seconds: float | None = None) -> np.ndarray:
    """All samples of a file, float32 (C, N)."""
    reader = open_file(path, max_seconds)
    try:
        return np.concatenate(list(reader.blocks()), axis=1)
    finally:
        reader.close()


def cut(path: Path, share: float) -> Path:
    """Keep only the first share of a file's bytes; return the path."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def overwrite_middle(path: Path, count: int) -> Path:
    """Replace ``count`` bytes in the middle of a file by others; return the path."""
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + count] = bytes(b ^ 0x5A for b in whole[middle : middle + count])
    path.write_bytes(whole)
    return path


def drop_length_frame(path: Path) -> Path:
    """Remove the first frame of an MP3, which announces its length; return the path."""
    whole = path.read_bytes()
    assert b"Xing" in whole[:200] or b"Info" in whole[:200]
    frame = read_header(whole)
    assert frame is not None
    path.write_bytes(whole[frame.size :])
    return path


def encode(
    path: Path, samples: np.ndarray, rate: int, codec: str, container: str, **options: str
) -> Path:
    """Write (C, N), mono or stereo, with PyAV; ``options`` are the container's; return the path."""
    import av

    layout = "mono" if len(samples) == 1 else "stereo"
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        stream.codec_context.open(strict=False)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        to_codec = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        for converted in to_codec.resample(frame):
            fifo.write(converted)
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size, partial=True)) is not None:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path
