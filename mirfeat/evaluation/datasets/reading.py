"""Labels of a data set from the folder it lies in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from mirfeat.csvfiles import write_csv
from mirfeat.errors import LabelsError, MirfeatWarning
from mirfeat.evaluation.datasets.catalogue import get_dataset
from mirfeat.evaluation.datasets.packages import read_with_package
from mirfeat.evaluation.datasets.record import AbsentError, Columns, Dataset
from mirfeat.evaluation.labels import LabelTable

PathLike = str | os.PathLike[str]


def load_labels(
    dataset: Dataset | str,
    root: PathLike,
    *,
    target: str | None = None,
    use_package: bool = False,
) -> LabelTable:
    """Labels of the data set in the folder ``root``.

    The column ``id`` has paths of audio files from ``root``, with slashes, as ``mirfeat extract
    --root`` calls them; then come the targets, and ``artist``, ``group``, ``fold`` or ``split``
    where the data set says them. Listening counts have the columns ``user``, ``item`` and
    ``count`` instead. ``target`` keeps one of several targets. ``use_package`` reads through the
    data set's loader in mirdata or soundata, which knows every file that belongs to it.

    Raises:
        ConfigError: no such data set.
        LabelsError: files are missing, or not as expected; says what, and where to get them.
        MissingPackageError: ``use_package`` without the package.
    """
    dataset = get_dataset(dataset) if isinstance(dataset, str) else dataset
    if target is not None and target not in dataset.targets:
        raise LabelsError(f"{dataset.name} has no target {target!r}, but {list(dataset.targets)}.")
    root = Path(root)
    try:
        if not root.is_dir():
            raise AbsentError("there is no such folder.")
        found = read_with_package(dataset, root) if use_package else dataset.read(root)
        _check_files(found.get("id", ()), root)
    except AbsentError as error:
        raise LabelsError(
            f"{root}: not {dataset.title} as it is expected: {error} Expected: {dataset.layout} "
            f"Get it from {' or '.join(dataset.where)}."
        ) from error
    _warn_of_count(dataset, found)
    left_out = set(dataset.targets) - {target} if target else set()
    kept = {name: values for name, values in found.items() if name not in left_out}
    return LabelTable(str(root), kept)


def write_labels(
    dataset: Dataset | str,
    root: PathLike,
    output: PathLike,
    *,
    target: str | None = None,
    use_package: bool = False,
) -> LabelTable:
    """Write what :func:`load_labels` returns as a CSV file, and return it.

    Raises:
        ConfigError, LabelsError, MissingPackageError: as :func:`load_labels`.
    """
    table = load_labels(dataset, root, target=target, use_package=use_package)
    write_csv(Path(output), list(table.columns), zip(*table.columns.values(), strict=True))
    return table


def _check_files(ids: Sequence[str], root: Path) -> None:
    missing = [id for id in ids if not (root / id).is_file()]
    if missing:
        few = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise AbsentError(f"{len(missing)} of {len(ids)} audio files are missing: {few}.")


def _warn_of_count(dataset: Dataset, found: Columns) -> None:
    """Scores on another number of clips are scores on another data set."""
    if "id" in found and len(found["id"]) not in dataset.clips.values():
        said = ", ".join(f"{count} ({source})" for source, count in dataset.clips.items())
        warnings.warn(
            f"{dataset.name}: {len(found['id'])} clips; known with {said}.",
            MirfeatWarning,
            stacklevel=3,
        )
