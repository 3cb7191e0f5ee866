"""panns_inference, Cnn14, as its README calls it, with random weights.

``--prepare`` writes those weights and its table of labels to where it looks for them, below
``HOME``; otherwise it would download both, the table already when it is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer_workers.protocol import Vectors, serve

LABELS = 527


def load(options: Sequence[str]) -> Vectors:
    """A clip a call: its README stacks only clips of equal length, and shows one."""
    import librosa
    from panns_inference import AudioTagging  # type: ignore[import-not-found]

    tagging = AudioTagging(checkpoint_path=None, device="cpu")

    def vector(path: str) -> Any:
        audio, _ = librosa.core.load(path, sr=32_000, mono=True)
        _clipwise, embedding = tagging.inference(audio[None, :])
        return embedding[0]

    return lambda paths: [vector(path) for path in paths]


def prepare(folder: Path) -> None:
    """Write the random checkpoint and the table of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = (f"{number},/m/{number},label {number}" for number in range(LABELS))
    table = "\n".join(("index,mid,display_name", *rows)) + "\n"
    (folder / "class_labels_indices.csv").write_text(table, encoding="utf-8")
    import torch
    from panns_inference.models import Cnn14  # type: ignore[import-not-found]

    torch.manual_seed(0)
    model = Cnn14(
        sample_rate=32_000,
        window_size=1024,
        hop_size=320,
        mel_bins=64,
        fmin=50,
        fmax=14_000,
        classes_num=LABELS,
    )
    torch.save({"model": model.state_dict()}, folder / "Cnn14_mAP=0.431.pth")


if __name__ == "__main__":
    if sys.argv[1:] == ["--prepare"]:
        prepare(Path.home() / "panns_data")
    else:
        serve(load, ("panns-inference", "torch", "librosa", "numpy"))
