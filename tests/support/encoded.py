"""Audio files in memory, of every kind that soundfile and PyAV write."""

import io
from fractions import Fraction

import numpy as np
import soundfile

from mirfeat.audio.headers import read_header


def by_libsndfile(
    samples: np.ndarray, rate: int, format: str, subtype: str, **options: object
) -> bytes:
    """A file of (C, N) written by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format=format, subtype=subtype, **options)
    return file.getvalue()


def by_ffmpeg(samples: np.ndarray, rate: int, codec: str, container: str, **options: str) -> bytes:
    """A file of (C, N), mono or stereo, written by PyAV; ``options`` are the container's."""
    import av

    layout, file = "mono" if len(samples) == 1 else "stereo", io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        if not codec.startswith(("pcm", "flac", "alac", "wavpack", "tta", "libopencore")):
            stream.bit_rate = 96_000 * len(samples)
        stream.codec_context.open(strict=False)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        to_codec = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def without_length_frame(mp3: bytes) -> bytes:
    """An MP3 without its first frame, which announces its length."""
    frame = read_header(mp3)
    assert frame is not None
    return mp3[frame.size :]
