"""musicnn beside the original: every layer on real music, and the time a clip takes.

    python -m benchmarks.musicnn --environments FOLDER [--reference tests/data/musicnn.json]

runs the original in an environment of its own (as ``benchmarks.peers`` builds it) on the
repository's excerpts, with the published weights and with mirfeat's random ones. ``--reference``
rewrites the numbers that tests compare with. Times of both: ``benchmarks.peers --tools musicnn``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mirfeat
from benchmarks.peer_tools import ROOT, WORKERS, build, interpreter
from benchmarks.tables import print_machine, print_table
from mirfeat.audio.clip import open_clip
from mirfeat.audio.convert import Converter
from mirfeat.networks.musicnn_network import LAYERS
from mirfeat.networks.registry import get_spec
from tests.support.tensor_bundles import bundle, kernels

MUSIC = ROOT / "examples" / "music"
MODELS = {"msd": "MSD_musicnn", "mtt": "MTT_musicnn", "random": "MSD_musicnn"}
# Excerpts and numbers of a row that go into the reference of the tests.
REFERENCE_FILES = (
    "electronic_terminal.opus",
    "folk_tavern.opus",
    "metal_chaos_god.opus",
    "orchestral_honor_bound.opus",
)
NUMBERS = 25


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of differences; write the reference where one is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--environments", type=Path, required=True, metavar="DIR")
    parser.add_argument("--reference", type=Path, help="JSON file for the tests")
    parser.add_argument("--python", default="python3", help="3.9 to 3.11, for TensorFlow 2.15")
    parser.add_argument("--few", action="store_true", help="the excerpts of the reference alone")
    options = parser.parse_args(arguments)
    if failures := build(options.environments, ["tensorflow"], "", options.python):
        raise SystemExit(str(failures))
    files = sorted(path for path in MUSIC.iterdir() if path.suffix in (".opus", ".ogg", ".flac"))
    if options.few:
        files = [MUSIC / name for name in REFERENCE_FILES]
    with tempfile.TemporaryDirectory() as folder:
        theirs = originals(Path(folder), options.environments / "tensorflow", files)
    print_machine()
    title = f"{len(files)} excerpts of 10 s: largest difference to the original (largest value)"
    print_table(title, ("checkpoint", *LAYERS), list(differences(theirs, files)))
    if options.reference:
        text = json.dumps(reference(theirs))
        options.reference.write_text(text + "\n")


def originals(folder: Path, environment: Path, files: Sequence[Path]) -> dict[str, np.ndarray]:
    """Rows of the original by ``checkpoint|excerpt|layer``."""
    waves = [write_wave(path, folder) for path in files]
    write_checkpoint(folder / "random" / MODELS["random"])
    jobs = [
        {
            "name": name,
            "model": model,
            "files": [str(wave) for wave in waves],
            "folder": str(folder / name) if name == "random" else "",
        }
        for name, model in MODELS.items()
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = [str(interpreter(environment).absolute()), "-m", f"{WORKERS}.run_musicnn_layers"]
    command += [str(folder / "jobs.json"), str(folder / "rows.npz")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with np.load(folder / "rows.npz") as arrays:
        return dict(arrays)


def write_wave(path: Path, folder: Path) -> Path:
    """The samples that mirfeat gives its network, as a file that the original reads unchanged."""
    with open_clip(path, None) as reader:
        converter, blocks = Converter(reader, 16_000, 1), []
        for block in reader.blocks():
            blocks.append(converter.convert(block))
        blocks.append(converter.flush(block))
    wave = folder / f"{path.stem}.wav"
    soundfile.write(wave, np.concatenate(blocks, axis=1).T, 16_000, subtype="FLOAT")
    return wave


def write_checkpoint(folder: Path) -> None:
    """Mirfeat's random weights as TensorFlow writes its checkpoints."""
    spec = get_spec("musicnn")
    assert spec.initialise is not None
    tensors = {name: value.numpy() for name, value in spec.initialise(0).tensors.items()}
    index, data = bundle(dict(kernels(tensors)))
    folder.mkdir(parents=True)
    (folder / ".index").write_bytes(index)
    (folder / ".data-00000-of-00001").write_bytes(data)


def differences(theirs: dict[str, np.ndarray], files: Sequence[Path]) -> Iterator[list[str]]:
    """A line a checkpoint: of each layer the largest difference and the largest value."""
    for name in MODELS:
        extractor = mirfeat.load_extractor("musicnn", checkpoint=name, layers=",".join(LAYERS))
        most = {layer: (0.0, 0.0) for layer in LAYERS}
        for path in files:
            embedding = extractor.embed(path)
            for layer, columns in embedding.blocks.items():
                expected = theirs[f"{name}|{path.stem}|{layer}"]
                # The original leaves a rest of less than a patch out.
                found = embedding.values[: len(expected), columns]
                difference = float(np.abs(found - expected).max())
                pair = (difference, float(np.abs(expected).max()))
                most[layer] = tuple(map(max, most[layer], pair))  # type: ignore[assignment]
        yield [name, *(f"{difference:.1e} ({top:.3g})" for difference, top in most.values())]


def reference(theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Tags of some excerpts, and some numbers of the layers before them."""

    def numbers(name: str, stem: str, layer: str) -> list[list[float]]:
        rows = theirs[f"{name}|{stem}|{layer}"]
        step = 1 if layer == "taggram" else rows.shape[1] // NUMBERS
        return [[float(f"{value:.8g}") for value in row] for row in rows[:, ::step]]

    layers = ("taggram", "max_pool", "mean_pool", "penultimate")
    return {
        name: {
            file: {layer: numbers(name, Path(file).stem, layer) for layer in layers}
            for file in REFERENCE_FILES
        }
        for name in MODELS
    }


if __name__ == "__main__":
    main()
