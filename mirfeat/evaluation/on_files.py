"""Every protocol on files: features, labels and choices in, an evaluation out.

Protocols themselves take arrays and are modules of their own; here they get theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mirfeat.errors import OptionError
from mirfeat.evaluation import choi2017, hamel2013, kim2019
from mirfeat.evaluation.few_shot import few_shot as fit_few
from mirfeat.evaluation.folds import Folds
from mirfeat.evaluation.inputs import Rows
from mirfeat.evaluation.labels import Task
from mirfeat.evaluation.material import Material, Options
from mirfeat.evaluation.models.svm import GridSearch
from mirfeat.evaluation.records import Evaluation
from mirfeat.evaluation.source_tables import source_tables
from mirfeat.evaluation.tagging import (
    TAGS,
    read_predictions,
    score_predictions,
    tag_matrix,
    tags_table,
)
from mirfeat.evaluation.tagging import tagging as fit_tags

if TYPE_CHECKING:
    from mirfeat.evaluation.kim2018 import HeadTraining


def _classes(task: Task, protocol: str) -> np.ndarray:
    if task.regression:
        raise OptionError(
            f"{protocol} classifies, and {task.target!r} holds numbers. With --task classification "
            "each number is a class."
        )
    return task.labels


def svm_grid(material: Material) -> Evaluation:
    """Best of a grid of support vector machines."""
    features, options = material.features, material.options
    task = material.task(features)
    folds = material.folds(task, 10)
    search = GridSearch(task.regression, options.scaling, workers=options.workers)
    nested = options.nested is not False
    blocks = {name: block[task.rows] for name, block in features.blocks.items()}
    tick = material.progress(choi2017.steps_needed(folds, nested), "trainings")
    report = choi2017.svm_grid(
        blocks,
        task.labels,
        folds,
        search=search,
        nested=nested,
        name=features.name,
        progress=tick,
    )
    return material.marked([report], task, folds)


def layer_sweep(material: Material) -> Evaluation:
    """The grid on combinations of layers."""
    features, options = material.features, material.options
    task = material.task(features)
    layers = {name: block[task.rows] for name, block in features.layers.items()}
    if not layers:
        raise OptionError(
            f"{features.name} has no layers but {list(features.blocks)}. Extract with choi2017, or "
            "name arrays: --features layer1=a.npy layer2=b.npy."
        )
    used = {f"layer{digits}" for digits in layers}
    others = [block for name, block in features.blocks.items() if name not in used]
    mfcc = np.concatenate(others, axis=1)[task.rows] if others else None
    folds = material.folds(task, 10)
    nested = bool(options.nested)
    strategies = options.strategies.split(",")
    if strategies in (["paper"], ["all"]):
        strategies = choi2017.layer_strategies(sorted(layers), strategies[0])
    count = len(strategies) + (0 if mfcc is None else 2)
    reports = choi2017.layer_sweep(
        layers,
        task.labels,
        folds,
        mfcc=mfcc,
        strategies=strategies,
        search=GridSearch(task.regression, options.scaling, workers=options.workers),
        nested=nested,
        progress=material.progress(choi2017.steps_needed(folds, nested, count), "trainings"),
    )
    named = [replace(report, origin=features.name) for report in reports]
    return material.marked(named, task, folds)


def linear(material: Material) -> Evaluation:
    """Linear regression on windows."""
    rows, task, folds = _rows_task_folds(material, "linear")
    return material.marked([hamel2013.linear(rows, task.labels, folds)], task, folds)


def few_shot(material: Material) -> Evaluation:
    """Accuracy against training clips a class."""
    rows, task, folds = _rows_task_folds(material, "few-shot")
    options = material.options
    reports = fit_few(
        rows,
        task.labels,
        folds,
        examples=options.examples,
        draws=options.draws,
        solver=options.solver,
        seed=options.seed,
        progress=material.progress(len(options.examples) * options.draws, "fits"),
    )
    return material.marked(reports, task, folds)


def similarity(material: Material) -> Evaluation:
    """Precision at k of nearest neighbours."""
    features = material.features
    task = material.task(features)
    found = hamel2013.similarity(
        features.values[task.rows],
        _classes(task, "similarity"),
        k=material.options.k,
        groups=task.groups,
        name=features.name,
    )
    reports = [material.alike(replace(r, notes=task.notes), task) for r in found.reports]
    return replace(found, reports=tuple(reports))


def transfer_head(material: Material) -> Evaluation:
    """Network on segments, probabilities averaged."""
    from mirfeat.evaluation import kim2018  # torch: the other protocols do without

    rows, task, folds = _rows_task_folds(material, "transfer-head")
    training = _training(material.options)
    tick = material.progress(training.epochs * len(folds), "epochs")
    report = kim2018.transfer_head(rows, task.labels, folds, training=training, progress=tick)
    return material.marked([report], task, folds)


def source_grid(material: Material) -> Evaluation:
    """The same for every combination of learning sources."""
    from mirfeat.evaluation import kim2018

    rows, task, folds = _rows_task_folds(material, "source-grid")
    training, sources = _training(material.options), material.options.sources
    count = len(kim2018.source_combinations(list(sources or rows.blocks)))
    tick = material.progress(count * training.epochs * len(folds), "epochs")
    reports = kim2018.source_grid(
        rows, task.labels, folds, sources=sources, training=training, progress=tick
    )
    named = [replace(report, origin=rows.name) for report in reports]
    return replace(material.marked(named, task, folds), tables=source_tables(named))


def mlp(material: Material) -> Evaluation:
    """Multilayer perceptron on clip vectors."""
    features, options = material.features, material.options
    task = material.task(features)
    # The authors shuffle their five folds with this seed.
    folds = material.folds(task, 5, kim2019.SEED)
    report = kim2019.mlp(
        features.values[task.rows],
        task.labels,
        folds,
        regression=task.regression,
        repeats=options.repeats,
        standardise=options.standardise,
        seed=options.seed,
        workers=options.workers,
        name=features.name,
        progress=material.progress(len(folds) if len(folds) > 1 else options.repeats, "fits"),
    )
    return material.marked([report], task, folds)


def tagging(material: Material) -> Evaluation:
    """AUC-ROC and average precision of tags."""
    tagged = replace(
        material,
        labels=tags_table(material.labels, material.options.target),
        options=replace(material.options, target=TAGS, kind="classification"),
    )
    features, options = tagged.features, tagged.options
    task = tagged.task(features)
    folds = tagged.folds(task, 5, stratified=False)
    truth, names = tag_matrix(task.labels, len(folds))
    if options.predictions:
        shares = read_predictions(options.predictions, task.ids, names)
        return score_predictions(shares, truth, names, options.predictions.stem, task.notes)
    tick = tagged.progress(len(folds), "folds")
    found = fit_tags(
        features.values[task.rows],
        truth,
        names,
        folds,
        name=features.name,
        workers=options.workers,
        progress=tick,
    )
    return replace(tagged.marked(found.reports, task, folds), tables=found.tables)


def _rows_task_folds(material: Material, protocol: str) -> tuple[Rows, Task, Folds]:
    task = material.task(material.rows)
    _classes(task, protocol)
    rows = material.rows.of(task.rows)
    if protocol in ("linear", "few-shot"):
        return rows, task, material.folds(task, 10)
    folds = material.folds(task, 7)
    if task.predefined or material.options.folds not in (None, "none"):
        return rows, task, folds
    # The paper holds 15 % out, once.
    split = f"the first of {folds.description}"
    return rows, task, replace(folds, splits=folds.splits[:1], description=split)


def _training(options: Options) -> HeadTraining:
    from mirfeat.evaluation.kim2018 import HeadTraining

    training = HeadTraining(seed=options.seed, device=options.device)
    return training if options.epochs is None else replace(training, epochs=options.epochs)
