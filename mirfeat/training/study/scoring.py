"""Scores of one checkpoint on a data set: extract, run the paper's protocol, keep what it says."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirfeat.audio.collection import find_audio, only_local
from mirfeat.errors import ConfigError
from mirfeat.evaluation.datasets import load_labels
from mirfeat.evaluation.inputs import read_features
from mirfeat.evaluation.label_sources import folder_labels
from mirfeat.evaluation.labels import LabelTable, read_labels
from mirfeat.evaluation.material import Options
from mirfeat.evaluation.protocols import evaluate
from mirfeat.evaluation.recommendation import filter_interactions, read_interactions, recommend
from mirfeat.evaluation.records import Evaluation, Pairing, ScoreReport, Scores
from mirfeat.files import sha256_of
from mirfeat.loading import load_extractor
from mirfeat.training.study.plan import STN, Study, StudyRun, TargetSet

_NO_TABLE = Path()


def score(
    study: Study,
    training: StudyRun,
    checkpoint: Path | None,
    name: str,
    *,
    device: str,
    workers: int,
) -> list[dict[str, Any]]:
    """Scores on the data set ``name``, JSON-ready: :func:`report_of` turns each back.

    ``checkpoint``: None of an extractor that has no weights. Features are left behind where the
    study keeps them.

    Raises:
        LabelsError: labels or listening counts that cannot be read or do not fit.
        ConfigError: no audio.
    """
    target = study.file.targets[name]
    labels, paths = labels_and_files(target)
    store = study.folder(training) / "features" / name
    paper = study.file.paper
    more: dict[str, Any] = {} if paper == "kim2019" else {"embed": True}
    # Hamel 2013, section 5: the first 30 s of full songs.
    seconds = 30.0 if paper == "hamel2013" else None
    with load_extractor(
        training.extractor, checkpoint=checkpoint, device=device, max_seconds=seconds
    ) as extractor:
        extractor.extract_to(
            store, paths, root=target.audio, format="npz", progress=False, workers=workers, **more
        )
    found = _evaluated(study, training, target, store, labels, workers)
    if not study.file.keep_features:
        shutil.rmtree(store)
    return [_record(report) for report in found.reports]


def key_of(study: Study, name: str) -> str:
    """Hash of what decides scores on a data set beside the checkpoint; audio is not read."""
    target = study.file.targets[name]
    said = {key: str(value) for key, value in asdict(target).items() if key != "audio"}
    tables = [Path(target.labels), target.interactions]
    hashes = [sha256_of(table) for table in tables if table.is_file()]
    text = json.dumps([said, hashes, study.file.paper], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels_and_files(target: TargetSet) -> tuple[LabelTable | None, list[Path]]:
    """Labels, None for recommendation; and the files to hear.

    Raises: as :func:`score`.
    """
    if target.dataset:
        table = load_labels(target.dataset, target.audio, target=target.target or None)
        return table, [target.audio / id for id in table.column("id")]
    paths = only_local(find_audio([target.audio]))
    if not paths:
        raise ConfigError(f"{target.audio}: there is no audio in this folder.")
    if target.interactions != _NO_TABLE:
        read_interactions(target.interactions)
        return None, paths
    if target.labels == "folders":
        return folder_labels({p.relative_to(target.audio).as_posix(): p for p in paths}), paths
    return read_labels(target.labels), paths


def _evaluated(
    study: Study,
    training: StudyRun,
    target: TargetSet,
    store: Path,
    labels: LabelTable | None,
    workers: int,
) -> Evaluation:
    if labels is None:
        return _recommendation(target, store, study.file.seed)
    options = Options(
        target=target.target or None,
        kind=target.task or None,
        groups=target.groups or None,
        folds=target.folds or None,
        seed=study.file.seed,
        workers=max(1, workers),
        epochs=target.epochs or None,
        repeats=target.repeats,
        draws=target.draws,
    )
    if study.file.paper != "kim2018":
        protocol = "mlp" if study.file.paper == "kim2019" else "hamel2013"
        return evaluate(protocol, [[str(store)]], labels, options)
    protocol = "source-grid" if training.strategy == STN else "transfer-head"
    return evaluate(protocol, [[str(store)]], labels, options)


def _recommendation(target: TargetSet, store: Path, seed: int) -> Evaluation:
    interactions = filter_interactions(read_interactions(target.interactions))
    features = read_features([str(store)])
    values = features.in_order_of(interactions.items)
    report = recommend(interactions, values, name=features.name, repeats=target.repeats, seed=seed)
    return Evaluation((report,))


def _record(report: ScoreReport) -> dict[str, Any]:
    return {
        "protocol": report.protocol,
        "features": report.features,
        "scores": [asdict(scores) for scores in report.scores],
        "settings": dict(report.settings),
        "notes": list(report.notes),
        "pairing": None if report.pairing is None else asdict(report.pairing),
    }


def report_of(record: Mapping[str, Any], features: str = "", origin: str = "") -> ScoreReport:
    """A report from what :func:`score` kept, under other names where they are given."""
    scores = tuple(
        Scores(
            one["metric"],
            tuple(one["values"]),
            None if one["weights"] is None else tuple(one["weights"]),
            one["higher_is_better"],
        )
        for one in record["scores"]
    )
    return ScoreReport(
        record["protocol"],
        features or record["features"],
        scores,
        record["settings"],
        tuple(record["notes"]),
        origin=origin,
        pairing=Pairing(**record["pairing"]) if record.get("pairing") else None,
    )
