"""Protocols by name: what ``mirfeat evaluate`` runs on files of features and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from mirfeat.errors import OptionError
from mirfeat.evaluation import choi2017, hamel2013, kim2018, kim2019
from mirfeat.evaluation.folds import Folds, make_folds
from mirfeat.evaluation.inputs import Features, Rows, one_row_each, read_features, read_rows
from mirfeat.evaluation.labels import Kind, LabelTable, Task, make_task
from mirfeat.evaluation.records import Evaluation, ScoreReport, Table
from mirfeat.evaluation.svm import GridSearch, Scaling

Tick = Callable[[], object]
Progress = Callable[[int, str], Tick]
"""From a number of steps and what they are, to what is called after each."""


def silent(total: int, what: str) -> Tick:
    """Progress that nobody sees."""
    return lambda: None


@dataclass(frozen=True)
class Options:
    """What can be chosen; None is the protocol's own. See ``mirfeat evaluate --help``."""

    target: str | None = None
    kind: Kind | None = None
    groups: str | None = None
    folds: str | None = None
    shuffle: int | None = None
    seed: int = 0
    workers: int = 2
    nested: bool | None = None
    scaling: Scaling = "both"
    strategies: str = "paper"
    examples: Sequence[int] = hamel2013.EXAMPLES
    k: int = 10
    sources: Sequence[str] | None = None
    epochs: int | None = None
    device: str = "cpu"
    standardise: bool = False
    repeats: int = kim2019.REPEATS
    published: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """One set of features with its labels, and how to go about it.

    ``specs`` are files as :func:`~mirfeat.evaluation.inputs.read_features` takes them.
    """

    specs: tuple[str, ...]
    labels: LabelTable
    options: Options
    progress: Progress = silent

    @cached_property
    def features(self) -> Features:
        """Vectors of clips."""
        return read_features(self.specs)

    @cached_property
    def rows(self) -> Rows:
        """Rows of clips; vectors where the files have no more."""
        return read_rows(self.specs[0]) if len(self.specs) == 1 else one_row_each(self.features)

    def task(self, source: Features | Rows) -> Task:
        """Labels in the order of the features."""
        options = self.options
        count = len(source) if isinstance(source, Features) else int(source.clips.max()) + 1
        return make_task(
            self.labels,
            source.ids,
            target=options.target,
            kind=options.kind,
            groups=options.groups,
            folds=None if (options.folds or "").isdigit() else options.folds,
            count=count,
            failed=source.failed,
        )

    def folds(self, task: Task, count: int, shuffle: int | None = None) -> Folds:
        """Folds for a task: those of the labels, the number asked for, or ``count``."""
        asked = self.options.folds or ""
        folds = make_folds(
            task.labels,
            count=int(asked) if asked.isdigit() else count,
            regression=task.regression,
            groups=task.groups,
            group_name=task.group_name,
            predefined=None if asked.isdigit() else task.predefined,
            seed=shuffle if self.options.shuffle is None else self.options.shuffle,
        )
        return replace(folds, notes=(*task.notes, *folds.notes))


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
    return Evaluation((report,))


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
    others = [block for name, block in features.blocks.items() if name[5:] not in layers]
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
        published=options.published,
        progress=material.progress(choi2017.steps_needed(folds, nested, count), "trainings"),
    )
    return Evaluation(tuple(replace(report, origin=features.name) for report in reports))


def linear(material: Material) -> Evaluation:
    """Linear regression on windows."""
    rows, labels, folds = _rows_labels_folds(material, "linear")
    return Evaluation((hamel2013.linear(rows, labels, folds),))


def few_shot(material: Material) -> Evaluation:
    """Accuracy against training clips a class."""
    rows, labels, folds = _rows_labels_folds(material, "few-shot")
    options = material.options
    return Evaluation(
        hamel2013.few_shot(
            rows,
            labels,
            folds,
            examples=options.examples,
            seed=options.seed,
            progress=material.progress(len(options.examples) * len(folds), "fits"),
        )
    )


def similarity(material: Material) -> Evaluation:
    """Precision at k of nearest neighbours."""
    features = material.features
    task = material.task(features)
    return hamel2013.similarity(
        features.values[task.rows],
        _classes(task, "similarity"),
        k=material.options.k,
        groups=task.groups,
        name=features.name,
    )


def transfer_head(material: Material) -> Evaluation:
    """Network on segments, probabilities averaged."""
    rows, labels, folds = _rows_labels_folds(material, "transfer-head")
    training = _training(material.options)
    tick = material.progress(training.epochs * len(folds), "epochs")
    return Evaluation(
        (kim2018.transfer_head(rows, labels, folds, training=training, progress=tick),)
    )


def source_grid(material: Material) -> Evaluation:
    """The same for every combination of learning sources."""
    rows, labels, folds = _rows_labels_folds(material, "source-grid")
    training, sources = _training(material.options), material.options.sources
    count = len(kim2018.source_combinations(list(sources or rows.blocks)))
    tick = material.progress(count * training.epochs * len(folds), "epochs")
    reports = kim2018.source_grid(
        rows, labels, folds, sources=sources, training=training, progress=tick
    )
    known = material.options.published or {}
    return Evaluation(
        tuple(
            replace(report, published=known.get(report.features), origin=rows.name)
            for report in reports
        )
    )


def mlp(material: Material) -> Evaluation:
    """Multilayer perceptron on clip vectors."""
    features, options = material.features, material.options
    task = material.task(features)
    # The authors shuffle their five folds with this seed; folds that share no artist are in order.
    folds = material.folds(task, 5, None if task.groups else kim2019.SEED)
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
    return Evaluation((report,))


def _rows_labels_folds(material: Material, protocol: str) -> tuple[Rows, np.ndarray, Folds]:
    task = material.task(material.rows)
    labels = _classes(task, protocol)
    rows = material.rows.of(task.rows)
    if PROTOCOLS[protocol].paper == "hamel2013":
        return rows, labels, material.folds(task, 10)
    folds = material.folds(task, 7, None if task.groups else 0)
    if task.predefined or material.options.folds:
        return rows, labels, folds
    # The paper holds 15 % out, once.
    split = f"the first of {folds.description}"
    return rows, labels, replace(folds, splits=folds.splits[:1], description=split)


def _training(options: Options) -> kim2018.HeadTraining:
    training = kim2018.HeadTraining(seed=options.seed, device=options.device)
    return training if options.epochs is None else replace(training, epochs=options.epochs)


@dataclass(frozen=True)
class Protocol:
    """A protocol: the paper it is from, a line about it, and what runs it."""

    paper: str
    summary: str
    run: Callable[[Material], Evaluation]


PROTOCOLS: Mapping[str, Protocol] = {
    "svm-grid": Protocol("choi2017", "best SVM of a grid, with a nested score", svm_grid),
    "layer-sweep": Protocol("choi2017", "the same for combinations of layers", layer_sweep),
    "linear": Protocol("hamel2013", "linear regression on windows, averaged a song", linear),
    "few-shot": Protocol("hamel2013", "accuracy against training clips a class", few_shot),
    "similarity": Protocol("hamel2013", "precision at k of nearest neighbours", similarity),
    "transfer-head": Protocol("kim2018", "network on segments: macro-F1, log-loss", transfer_head),
    "source-grid": Protocol("kim2018", "the same for combinations of sources", source_grid),
    "mlp": Protocol("kim2019", "two layers of 256, five repeats", mlp),
}


def protocols_of(name: str, blocks: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of protocols: one itself, or what a paper did with features of these blocks.

    Raises:
        OptionError: neither a protocol nor a paper.
    """
    if name in PROTOCOLS:
        return (name,)
    papers = {
        "choi2017": ("layer-sweep",) if "layer1" in blocks else ("svm-grid",),
        "hamel2013": ("linear", "few-shot", "similarity"),
        "kim2018": ("source-grid",) if len(blocks) > 1 else ("transfer-head",),
        "kim2019": ("mlp",),
    }
    if name not in papers:
        raise OptionError(
            f"protocol {name!r}: it is one of {', '.join(PROTOCOLS)}, or a paper's own: "
            f"{', '.join(papers)}."
        )
    return papers[name]


def evaluate(
    name: str,
    sets: Sequence[Sequence[str]],
    labels: LabelTable,
    options: Options | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run a protocol, or all of a paper, on one or several sets of features.

    Args:
        name: one of :data:`PROTOCOLS`, or a paper.
        sets: for each set the files its features are in.
        labels: what to predict.
        options: choices; all as the papers by default.
        progress: makes what is called after each step.

    Returns:
        Reports and tables, those of one protocol together.
    """
    materials = [Material(tuple(specs), labels, options or Options(), progress) for specs in sets]
    if not materials:
        raise OptionError(
            "no features: give --features with a folder that 'mirfeat extract' wrote."
        )
    names = protocols_of(name, list(materials[0].rows.blocks)) if name not in PROTOCOLS else (name,)
    results = [PROTOCOLS[one].run(material) for one in names for material in materials]
    reports: list[ScoreReport] = list(chain.from_iterable(result.reports for result in results))
    tables: list[Table] = list(chain.from_iterable(result.tables for result in results))
    return Evaluation(tuple(reports), tuple(tables))
