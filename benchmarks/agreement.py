"""How far choi2017 is from a float64 computation of front end and network, on real music."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

import mirfeat
from benchmarks.tables import MUSIC, print_machine, print_table
from mirfeat.checkpoints.sources import load_weights
from mirfeat.networks import choi2017
from tests.support import slow_twins

EXCERPTS = ("electronic_terminal.opus", "folk_tavern.opus", "metal_chaos_god.opus")


def main(checkpoint: str) -> None:
    """Print the table for one checkpoint."""
    weights = load_weights(choi2017.SPECS[0], checkpoint)
    assert weights is not None
    tensors = {key: tensor.double().numpy() for key, tensor in weights.tensors.items()}
    reference = float(tensors["frontend.scaling.reference"])
    extractor = mirfeat.load_extractor("choi2017", checkpoint=checkpoint, statistics="paper")
    rows = []
    for name in EXCERPTS:
        samples, rate = soundfile.read(MUSIC / name, dtype="float32")
        clip = soxr.resample(samples, rate, 12_000)
        whole = np.tile(clip, 3)[: choi2017.SEGMENT.samples]
        mel = slow_twins.mel_spectrogram(whole[None], choi2017.MEL)[0]
        image = slow_twins.scaled(mel, choi2017.MEL, reference)
        twin = slow_twins.choi2017_layers(image, tensors, clip_norm=False)
        ours = extractor.extract(clip, 12_000).reshape(5, 32)
        errors = np.abs(ours - twin).max(axis=1)
        rows.append((name, *(f"{error:.1e}" for error in errors)))
    header = ("excerpt", *(f"layer {k}" for k in range(1, 6)))
    print_table(f"Largest absolute difference, checkpoint {Path(checkpoint).name}", header, rows)


if __name__ == "__main__":
    print_machine()
    main(sys.argv[1] if len(sys.argv) > 1 else "random")
