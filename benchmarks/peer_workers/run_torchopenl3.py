"""torchopenl3, mel256, 6144 numbers a window, with random weights; the hop as an option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve


def load(options: Sequence[str]) -> Vectors:
    """The model is loaded once and handed over; ``options[0]``: hop in seconds (its own: 0.1)."""
    import soundfile
    import torchopenl3  # type: ignore[import-not-found]
    from torchopenl3.models import PytorchOpenl3  # type: ignore[import-not-found]

    hop_seconds = float(options[0])
    model = PytorchOpenl3(input_repr="mel256", content_type="music", embedding_size=6144).eval()

    def vector(path: str) -> Any:
        audio, rate = soundfile.read(path)
        found, _times = torchopenl3.get_audio_embedding(
            audio, rate, model=model, hop_size=hop_seconds
        )
        return found[0].mean(dim=0).numpy()

    return lambda paths: [vector(path) for path in paths]


if __name__ == "__main__":
    serve(load, ("torchopenl3", "torch", "resampy", "numpy"))
