"""The scaler that the authors of Kim 2019 published beside their checkpoints, read safely.

A scikit-learn ``StandardScaler`` over 128 mel bands, saved by joblib and compressed by gzip
(eldrin/MTLMusicRepresentation-PyTorch, models/sclr_dbmel.dat.gz). A pickle may run anything; this
one is read by an unpickler that knows plain values and arrays of numbers, and nothing else.
"""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mirfeat.errors import CheckpointMismatchError, CheckpointUnavailableError, ChecksumError

BANDS = 128
# The one that the published checkpoints name in ``scaler_fn``. A later one in the same folder,
# sclr_dbmel3, was fitted in 2022 and belongs to no published checkpoint.
PUBLISHED = "sclr_dbmel.dat.gz"
# No hash of that file is published; this is what is known of its content.
_PUBLISHED_FRAMES = 356_427_874
_PUBLISHED_RANGES = {"mean": (-42.848, 7.958), "scale": (9.759, 13.985)}
_TOLERANCE = 1e-3
# Three arrays of 128 numbers take four thousand.
_MAX_BYTES = 1 << 20


def scaler_name(named: str) -> str:
    """File name of the scaler that a checkpoint names by a path of its authors' machine."""
    return Path(named.replace("\\", "/")).name or PUBLISHED


def find_scaler(folder: Path, named: str) -> Path:
    """The scaler that a checkpoint names, beside it: the authors' file, or an npz of its numbers.

    Raises:
        CheckpointUnavailableError: it is not there.
    """
    name = scaler_name(named)
    for candidate in (folder / name, folder / f"{name.split('.')[0]}.npz"):
        if candidate.is_file():
            return candidate
    raise CheckpointUnavailableError(
        f"the checkpoint was trained with the scaler {name!r}; put that file into {folder}. It is "
        "in the authors' repository eldrin/MTLMusicRepresentation-PyTorch, folder models."
    )


def read_scaler(path: Path) -> dict[str, np.ndarray]:
    """Mean and scale of 128 mel bands, float64, from their pickle or from an npz.

    Raises:
        CheckpointMismatchError: not a scaler of 128 bands, or a pickle of anything else.
    """
    values = _values(path)
    mean: Any = values.get("mean_", values.get("mean"))
    scale: Any = values.get("scale_", values.get("scale", values.get("sd")))
    for array in (mean, scale):
        whole = isinstance(array, np.ndarray) and array.shape == (BANDS,)
        if not (whole and array.dtype.kind == "f" and np.isfinite(array).all()):
            raise CheckpointMismatchError(f"{path}: no mean and scale of {BANDS} mel bands in it.")
    # The authors' floor on the scale (musmtl/model.py, SpecStandardScaler).
    return {"mean": mean, "scale": np.maximum(scale, 1e-10)}


def check_published(path: Path) -> None:
    """Check that a file is the scaler of the published checkpoints, by what is known of it.

    Raises:
        ChecksumError: it is another one.
        CheckpointMismatchError: it is none.
    """
    arrays = read_scaler(path)
    frames: Any = _values(path).get("n_samples_seen_")
    found = [(arrays[key].min(), arrays[key].max()) for key in _PUBLISHED_RANGES]
    same = np.allclose(found, list(_PUBLISHED_RANGES.values()), rtol=0.0, atol=_TOLERANCE)
    if not same or np.ndim(frames) or frames != _PUBLISHED_FRAMES:
        raise ChecksumError(
            f"{path}: not the scaler of the published checkpoints: fitted on {frames} frames "
            f"(expected {_PUBLISHED_FRAMES}), mean from {found[0][0]:.3f} to {found[0][1]:.3f}, "
            f"scale from {found[1][0]:.3f} to {found[1][1]:.3f} (expected {_PUBLISHED_RANGES})."
        )


def _values(path: Path) -> dict[str, Any]:
    """Attributes of the pickled scaler, or arrays of the npz."""
    try:
        if path.suffix == ".npz":
            return _of_npz(path)
        with gzip.open(path) as file:
            scaler = _ScalerUnpickler(io.BytesIO(file.read(_MAX_BYTES))).load()
        return {
            key: value.array if isinstance(value, _JoblibArray) else value
            for key, value in vars(scaler).items()
        }
    except Exception as error:  # A pickle is a program: a damaged one fails in any way.
        raise CheckpointMismatchError(f"{path}: not a scaler of the authors: {error}") from error


def _of_npz(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_BYTES:
        raise ValueError(f"{size} bytes inside, where {_MAX_BYTES} are more than enough")
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


class _Plain:
    """Stands for the scikit-learn scaler: attributes, no behaviour."""


class _Kind:
    """Stands for ``numpy.dtype``, whose own state a pickle could change for the whole program."""

    def __init__(self, code: str, *options: Any) -> None:
        self.kind = np.dtype(code)
        if self.kind.kind not in "biuf":
            raise pickle.UnpicklingError("a type of objects, where numbers belong")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.kind = self.kind.newbyteorder(state[1])


class _JoblibArray:
    """Stands for joblib's ``NumpyArrayWrapper``: its bytes follow it in the stream.

    joblib's own class reads arrays of objects with a pickle inside the pickle, and its unpickler
    takes other arguments in other versions.
    """

    stream: io.BytesIO
    array: np.ndarray

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not isinstance(state["dtype"], _Kind):
            raise pickle.UnpicklingError("an array of objects, where numbers belong")
        kind, shape = state["dtype"].kind, tuple(state["shape"])
        if shape not in ((BANDS,), ()):
            raise pickle.UnpicklingError(f"an array of shape {shape}")
        # joblib writes the length of a padding, and the padding, since version 1.2.
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.read(self.stream.read(1)[0])
        count = int(np.prod(shape))
        data = self.stream.read(count * kind.itemsize)
        self.array = np.frombuffer(data, kind, count).reshape(shape).astype(kind.newbyteorder("="))


# The pure-Python unpickler takes no byte more than it needs, so that a class can read on from where
# the pickle is; joblib's relies on the same.
class _ScalerUnpickler(pickle._Unpickler):
    """Knows the scaler, arrays of numbers, and nothing else."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        here = type("JoblibArray", (_JoblibArray,), {"stream": stream})
        self._known: dict[tuple[str, str], Any] = {
            ("numpy", "ndarray"): _Plain,
            ("numpy", "dtype"): _Kind,
            ("_codecs", "encode"): _latin1,
            # Inside scikit-learn up to version 0.20 as "externals".
            ("joblib.numpy_pickle", "NumpyArrayWrapper"): here,
            ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"): here,
        }
        for module in ("data", "_data"):
            self._known[f"sklearn.preprocessing.{module}", "StandardScaler"] = _Plain
        for package in ("core", "_core"):
            self._known[f"numpy.{package}.multiarray", "scalar"] = _scalar

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a scaler")
        return self._known[module, name]

    def load_build(self) -> None:
        """Give an object its state: of a class or a function it would change the program."""
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if not isinstance(stack[-2], _Plain | _Kind | _JoblibArray):
            raise pickle.UnpicklingError("a state for something that has none")
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
    }


def _latin1(text: str, encoding: str) -> bytes:
    """``codecs.encode`` as protocol 2 uses it for bytes."""
    return text.encode("latin1")


def _scalar(kind: _Kind, data: bytes) -> Any:
    """A NumPy number."""
    return np.frombuffer(data, kind.kind, 1)[0]
