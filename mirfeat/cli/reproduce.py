"""What ``mirfeat reproduce`` does: a paper's evaluation on the data sets that are there.

Nothing is fetched. Data sets are looked for below one folder, by their names in ``mirfeat
datasets`` or in mirdata; what is missing, data or weights, is said on the page.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mirfeat
from mirfeat.cli.evaluate import progress_of, write_json
from mirfeat.cli.output import shown_progress
from mirfeat.cli.report import parse_extractor, slug
from mirfeat.cli.reproduce_training import own_trainings
from mirfeat.errors import CheckpointError, LabelsError, OptionError
from mirfeat.evaluation import summaries
from mirfeat.evaluation.datasets import Dataset, get_dataset, list_datasets, load_labels
from mirfeat.evaluation.labels import LabelTable
from mirfeat.evaluation.material import Material, Options
from mirfeat.evaluation.pages.drawing import need_matplotlib
from mirfeat.evaluation.pages.gallery import draw
from mirfeat.evaluation.pages.page import Section, write_page
from mirfeat.evaluation.protocols import run
from mirfeat.evaluation.published import published_tasks
from mirfeat.evaluation.records import Evaluation, Table, join


@dataclass(frozen=True)
class PaperPlan:
    """What of a paper can be run: features, and the protocols on each of its data sets.

    ``sets``: sets of features, each one or several extractors that stand side by side, with their
    options; ``instead``: what to take for weights that are not on this machine. ``rows``: whether
    features are rows of clips. ``published``: the task of published numbers, by default that of the
    data set. ``folds``: how many, but of the data sets in ``own_folds``, which bring theirs.
    ``missing``: tables and figures that this command does not make, and what does.
    """

    title: str
    sets: tuple[tuple[str, ...], ...]
    protocols: tuple[str, ...]
    rows: bool = False
    instead: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""
    folds: str | None = None
    own_folds: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()


# Other folders that a data set may be in: the same files chosen in another way; FMA's archives.
_ALSO: Mapping[str, tuple[str, ...]] = {
    "gtzan-genre-fault-filtered": ("gtzan-genre", "gtzan_genre"),
    "fma-medium": ("fma", "."),
    "fma-small": ("fma", "."),
}
_KIM2019 = tuple(
    (f"kim2019-{name}",) for name in ("ss-r", "ms-sr-fc", "ms-cr-6", "ms-cr-4", "ms-cr-2", "mss-cr")
)
PLANS: Mapping[str, PaperPlan] = {
    "choi2017": PaperPlan(
        "Choi et al. 2017: transfer learning for music classification and regression tasks",
        (
            ("choi2017?checkpoint=msd&statistics=paper", "mfcc"),
            ("choi2017?checkpoint=random&statistics=paper",),
        ),
        ("layer-sweep",),
        instead={"choi2017?checkpoint=msd&statistics=paper": "choi2017?statistics=paper"},
        # The paper's folds know no artists and are in order.
        options={"groups": "none", "shuffle": "none"},
        folds="10",
        own_folds=("jamendo-vocal", "urbansound8k"),
        missing=(("AUC-ROC of the source task", "mirfeat evaluate tagging, on tags of your own"),),
    ),
    "hamel2013": PaperPlan(
        "Hamel et al. 2013: transfer learning in MIR",
        tuple((f"hamel2013-{name}?max_seconds=30",) for name in ("base", "genre", "tag")),
        ("linear", "few-shot", "similarity"),
        rows=True,
        options={"groups": "none", "shuffle": "none", "solver": "paper"},
        folds="10",
        missing=(
            ("Table 3", "mirfeat evaluate nearest-labels -m hamel2013-genre"),
            (
                "embeddings without the data set they are scored on",
                "mirfeat study, of hamel2013",
            ),
        ),
    ),
    "kim2018": PaperPlan(
        "Kim et al. 2018: transfer learning of artist group factors",
        (("kim2018-stn",), ("kim2018-mtn",)),
        ("source-grid",),
        rows=True,
        published="combinations",
        missing=(("other data than fma-medium", "mirfeat study, with targets of your own"),),
    ),
    "kim2019": PaperPlan(
        "Kim et al. 2019: one deep music representation to rule them all?",
        _KIM2019,
        ("mlp",),
        missing=(
            ("Figs. 7 to 14, Table 6", "mirfeat study, of kim2019"),
            ("Fig. 15", "mirfeat evaluate compactness"),
            ("recommendation", "mirfeat evaluate recommendation --interactions"),
            ("Fig. 16", "mirfeat evaluate map --extractor"),
        ),
    ),
}


def reproduce(arguments: argparse.Namespace) -> Path:
    """Run what can be run, write the page; its path.

    Raises:
        OptionError: no such paper, or no folder of data.
        MissingPackageError: matplotlib is not installed.
    """
    if arguments.paper not in PLANS:
        raise OptionError(f"reproduce {arguments.paper!r}: it is one of {', '.join(PLANS)}.")
    if not arguments.data.is_dir():
        raise OptionError(f"--data {arguments.data}: there is no such folder.")
    need_matplotlib()
    plan, missing = PLANS[arguments.paper], list[tuple[str, str]]()
    sections, tasks = [], dict[str, Evaluation]()
    with _offline():
        for dataset in map(get_dataset, list_datasets(arguments.paper)):
            root = _root(dataset, arguments.data, missing)
            if root is None:
                continue
            for task, evaluation in _scores(plan, dataset, root, arguments, missing):
                tasks[task] = evaluation
                figures = draw(evaluation)
                for name, drawing in figures.items():
                    drawing.save(arguments.output / "figures" / task, name)
                sections.append(Section(task, dataset.title, evaluation, tuple(figures.values())))
            sections += own_trainings(arguments, dataset.name, root, missing)
    missing += plan.missing
    tables = _overall(arguments.paper, tasks)
    rest = Table("Not here", ("what", "where from"), tuple(missing))
    closing = Section("What is missing", "Nothing was fetched.", Evaluation(tables=(rest,)))
    opening = [Section("Summary", "", Evaluation(tables=tables))] if tables else []
    every = [*opening, *sections, closing]
    write_json(join(section.evaluation for section in every), arguments.output / "reproduce.json")
    said = f"{len(tasks)} tasks could be run with what is in {arguments.data}."
    return write_page(arguments.output / "reproduce.html", plan.title, said, every)


def _root(dataset: Dataset, data: Path, missing: list[tuple[str, str]]) -> Path | None:
    """Folder of a data set, or None with the reason among what is missing."""
    if dataset.kind not in ("classification", "regression"):
        missing.append((dataset.title, f"{dataset.kind}: not part of this command"))
        return None
    try:
        root = find_folder(dataset, data)
    except LabelsError as error:
        missing.append((dataset.title, str(error)))
        return None
    if root is None:
        missing.append((dataset.title, " or ".join(dataset.where)))
    return root


def _scores(
    plan: PaperPlan,
    dataset: Dataset,
    root: Path,
    arguments: argparse.Namespace,
    missing: list[tuple[str, str]],
) -> Iterator[tuple[str, Evaluation]]:
    """Results of a data set for each of its targets, by the paper's name of the task."""
    for target in dataset.targets:
        task = dataset.name if len(dataset.targets) == 1 else f"{dataset.name}-{target}"
        labels = load_labels(dataset, root, target=target)
        stores = list(_features(plan, dataset, root, labels, arguments, missing))
        options = Options(
            target=target,
            seed=0,
            workers=arguments.workers,
            published=_published(plan, arguments.paper, task),
            strategies=arguments.strategies,
            folds=arguments.folds or (None if dataset.name in plan.own_folds else plan.folds),
            **plan.options,
        )
        bars = progress_of(arguments, task)
        materials = [Material(specs, labels, options, bars) for specs in stores]
        if materials:
            found = join(run(name, materials) for name in plan.protocols)
            yield task, _with_classes(found, arguments.paper, dataset)


def find_folder(dataset: Dataset, data: Path) -> Path | None:
    """Where a data set lies below ``data``: a folder of its own name, or of its loader in mirdata.

    FMA may lie in ``data`` itself, as its archives unpack.

    Raises:
        LabelsError: there are such folders, but the labels in none of them can be read.
    """
    loader = (dataset.package or "").rpartition(":")[2]
    names = [dataset.name, dataset.name.replace("-", "_"), loader, *_ALSO.get(dataset.name, ())]
    folders = [data / name for name in dict.fromkeys(filter(None, names))]
    problem = None
    for folder in folders:
        if folder.is_dir():
            try:
                load_labels(dataset, folder, target=dataset.targets[0])
            except LabelsError as error:
                problem = problem or (None if folder == data else error)
            else:
                return folder
    if problem:
        raise problem
    return None


def _features(
    plan: PaperPlan,
    dataset: Dataset,
    root: Path,
    labels: LabelTable,
    arguments: argparse.Namespace,
    missing: list[tuple[str, str]],
) -> Iterator[tuple[str, ...]]:
    """Stores of each set of features whose weights are here."""
    for names in plan.sets:
        stores = []
        for text in names:
            store = _extracted(text, dataset, root, labels, plan, arguments)
            if store is None and text in plan.instead:
                missing.append((f"weights of {text}", "mirfeat download; the open ones were taken"))
                store = _extracted(plan.instead[text], dataset, root, labels, plan, arguments)
            if store is None:
                missing.append((f"weights of {text}", "mirfeat download, or mirfeat train"))
            else:
                stores.append(str(store))
        if len(stores) == len(names):
            yield tuple(stores)


def _extracted(
    text: str,
    dataset: Dataset,
    root: Path,
    labels: LabelTable,
    plan: PaperPlan,
    arguments: argparse.Namespace,
) -> Path | None:
    name, options = parse_extractor(text)
    store: Path = arguments.output / "features" / dataset.name / slug(text)
    paths = [root / id for id in labels.column("id")]
    try:
        extractor = mirfeat.load_extractor(name, **options)
    except CheckpointError:
        return None
    more: dict[str, Any] = {"embed": True, "format": "npz"} if plan.rows else {}
    with extractor:
        shown = shown_progress(arguments)
        extractor.extract_to(store, paths, root=root, progress=shown, **more)
    return store


def _published(plan: PaperPlan, paper: str, task: str) -> str | None:
    known = plan.published or task
    return known if known in published_tasks(paper) else None


def _with_classes(found: Evaluation, paper: str, dataset: Dataset) -> Evaluation:
    """Figure 5 of Choi et al. beside the sweep of its data set."""
    pair = [summaries.pick(found.reports, name) for name in ("12345", "5")]
    if paper != "choi2017" or dataset.kind != "classification" or None in pair:
        return found
    table = summaries.per_class(*(report for report in pair if report is not None))
    return Evaluation(found.reports, (*found.tables, table))


def _overall(paper: str, tasks: Mapping[str, Evaluation]) -> tuple[Table, ...]:
    return (summaries.task_summary(tasks),) if paper == "choi2017" and tasks else ()


@contextmanager
def _offline() -> Iterator[None]:
    """No network, by the switch that downloads obey."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
