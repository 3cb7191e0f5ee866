"""Which tags the open choi2017 hears, and what its probabilities are worth.

Usage::

    python open_weights/tag_reliability.py OPEN.csv TEACHERS/musicnn/tags.parquet \
        CHOI2017.safetensors

Windows of 30 s of the music whose split is ``valid`` or ``test``: the student's probability of each
tag against the teacher's. Of a tag it says the area under the ROC curve of windows in which the
teacher gives it ``HEARD`` or more. A tag with an area below ``FLOOR``, or with fewer than
``FEWEST`` such windows, by which it cannot be said, is written into the checkpoint as
``unheard_tags``: ``tags()`` leaves it out. The head is calibrated on the windows of ``valid``: a
scale and an offset of each logit, by cross-entropy with the teacher's probabilities; the error
before and after is that on ``test``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile as sf
import torch
from sklearn.metrics import roc_auc_score

import mirfeat
from mirfeat.networks import checkpoint
from mirfeat.training.manifest import read_manifest

WINDOW, APART, MOST = 30.0, 75.0, 2
HEARD, FEWEST, FLOOR = 0.05, 5, 0.7
# Corpora that were made, not recorded: what they say of real music is little.
MADE = ("synthetic", "grooves", "sung", "copies")
# Gentle, since few windows have some tags at all.
PENALTY, STEPS, RATE = 0.02, 300, 0.05
# Probabilities are kept off 0 and 1 by this much.
EDGE = 1e-4


class Windows(NamedTuple):
    """Probabilities of teacher and student [n, tags], and whether a window is of ``test`` [n]."""

    teacher: np.ndarray
    student: np.ndarray
    tested: np.ndarray


def hear(manifest_path: Path, table: Path, weights: Path) -> tuple[Windows, tuple[str, ...]]:
    """What both say of held-out windows; names of the tags."""
    manifest, said = read_manifest(manifest_path), pd.read_parquet(table)
    names = tuple(name for name in said.columns if name not in ("id", "start", "end"))
    by_track = dict(tuple(said.groupby("id")))
    extractor = mirfeat.load_extractor("choi2017", checkpoint=str(weights))
    teacher, student, tested = [], [], []
    corpora = manifest.texts("corpus")
    for row in np.flatnonzero([split in ("valid", "test") for split in manifest.split]):
        track = by_track.get(manifest.ids[row])
        if corpora[row] in MADE or track is None:
            continue
        seconds = float(track["end"].max())
        number = MOST if seconds > APART else 1
        for start in np.linspace(0.0, max(0.0, seconds - WINDOW), number):
            inside = track[(track["end"] > start) & (track["start"] < start + WINDOW)]
            with sf.SoundFile(manifest.files[row]) as sound:
                sound.seek(min(int(start * sound.samplerate), sound.frames - 1))
                audio = sound.read(int(WINDOW * sound.samplerate), dtype="float32", always_2d=True)
                rate = sound.samplerate
            tags = extractor.tags(audio.T, rate, top=len(names), unheard=True)
            found = {tag.name: tag.probability for tag in tags}
            teacher.append(inside[list(names)].to_numpy().mean(0))
            student.append([found[name] for name in names])
            tested.append(manifest.split[row] == "test")
    return Windows(np.array(teacher), np.array(student), np.array(tested)), names


def areas(windows: Windows, names: tuple[str, ...]) -> dict[str, float | None]:
    """Area under the ROC curve of each tag; None where too few windows have it."""
    found: dict[str, float | None] = {}
    for number, name in enumerate(names):
        truth = windows.teacher[:, number] >= HEARD
        enough = FEWEST <= truth.sum() <= len(truth) - FEWEST
        area = roc_auc_score(truth, windows.student[:, number]) if enough else None
        found[name] = None if area is None else round(float(area), 3)
    return found


def logits_of(probabilities: np.ndarray) -> torch.Tensor:
    """Logits, of probabilities off 0 and 1."""
    return torch.from_numpy(probabilities).float().clamp(EDGE, 1.0 - EDGE).logit()


def fit(windows: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and offset of each tag's logit, by cross-entropy on windows that are not tested."""
    learnt = ~windows.tested
    logits = logits_of(windows.student[learnt])
    truth = torch.from_numpy(windows.teacher[learnt]).float()
    scale = torch.ones(logits.shape[1], requires_grad=True)
    offset = torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([scale, offset], lr=RATE)
    for _ in range(STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits * scale + offset, truth)
        loss = loss + PENALTY * ((scale - 1.0).square().mean() + offset.square().mean())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return scale.detach(), offset.detach()


def error(windows: Windows, scale: torch.Tensor, offset: torch.Tensor) -> float:
    """Mean absolute difference of probabilities from the teacher's, on tested windows."""
    logits = logits_of(windows.student[windows.tested])
    probabilities = (logits * scale + offset).sigmoid().numpy()
    return float(np.abs(probabilities - windows.teacher[windows.tested]).mean())


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("weights", type=Path, help="is written anew")
    args = parser.parse_args()
    windows, names = hear(args.manifest, args.table, args.weights)
    found = areas(windows, names)
    unheard = {n: area for n, area in found.items() if area is None or area < FLOOR}
    scale, offset = fit(windows)
    plain = error(windows, torch.ones_like(scale), torch.zeros_like(offset))
    calibrated = error(windows, scale, offset)
    print(f"{len(windows.tested)} windows, {int(windows.tested.sum())} of them tested")
    print(f"mean difference from the teacher: {plain:.4f}, calibrated {calibrated:.4f}")
    for name, area in found.items():
        print(f"{name:20} {'too few' if area is None else f'{area:.3f}'}")
    weights = checkpoint.read(args.weights)
    tensors = dict(weights.tensors)
    if calibrated < plain:
        head, bias = tensors["network.head.weight"], tensors["network.head.bias"]
        tensors["network.head.weight"] = (head.float() * scale[:, None]).to(head.dtype)
        tensors["network.head.bias"] = (bias.float() * scale + offset).to(bias.dtype)
    reliability = {
        "windows": len(windows.tested),
        "floor": FLOOR,
        "area_under_the_curve": found,
        "mean_difference": round(min(plain, calibrated), 4),
    }
    metadata = {**weights.metadata, "unheard_tags": unheard, "tag_reliability": reliability}
    checkpoint.write(
        args.weights,
        replace(weights, tensors=tensors, metadata=metadata, sha256=checkpoint.digest(tensors)),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
