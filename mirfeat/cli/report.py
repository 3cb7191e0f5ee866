"""What ``mirfeat report`` does: extractors on a data set, compared on one HTML page.

The folder gets ``report.html``, ``report.json``, ``figures/`` and, where extractors were named,
their features in ``features/``, which the next run takes up again.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

import mirfeat
from mirfeat.cli.evaluate import options_of, progress_of, write_json
from mirfeat.cli.labels import clips_of_features, clips_of_folder, labels_of
from mirfeat.cli.output import shown_progress
from mirfeat.cli.report_findings import findings
from mirfeat.cli.report_listening import confused, map_of, root_of
from mirfeat.errors import OptionError
from mirfeat.evaluation import maps
from mirfeat.evaluation.label_sources import Clips
from mirfeat.evaluation.labels import ID_COLUMNS, LabelTable, Task
from mirfeat.evaluation.material import Material, Options
from mirfeat.evaluation.pages import clip_figures, gallery
from mirfeat.evaluation.pages.drawing import Drawing, need_matplotlib
from mirfeat.evaluation.pages.page import Section, write_page
from mirfeat.evaluation.protocols import PROTOCOLS, run
from mirfeat.evaluation.records import Evaluation, Table, join
from mirfeat.networks.options import COMMON
from mirfeat.store.record import StoreInfo, is_store

QUICK = ("svm-grid", "similarity", "map")
ALL = ("svm-grid", "layer-sweep", "mlp", "few-shot", "similarity", "map")
# Protocols that need classes.
CLASSES = frozenset({"linear", "few-shot", "similarity", "transfer-head", "source-grid"})


def report(arguments: argparse.Namespace) -> Path:
    """Extract what is to be extracted, run the protocols, write the page; its path.

    Raises:
        OptionError: neither extractors nor features, or extractors without music.
        MissingPackageError: matplotlib is not installed.
    """
    need_matplotlib()
    labels = labels_of(arguments, lambda: _clips(arguments))
    default = QUICK if arguments.quick else ALL
    wanted = arguments.protocols.split(",") if arguments.protocols else list(default)
    if unknown := [name for name in wanted if name not in (*PROTOCOLS, "map")]:
        raise OptionError(f"no protocols {unknown}; there are {', '.join((*PROTOCOLS, 'map'))}.")
    sets = [*_extracted(arguments, labels), *(tuple(specs) for specs in arguments.features)]
    if not sets:
        raise OptionError("report: name extractors (-m NAME --audio DIR) or --features.")
    options, bars = _options(arguments), progress_of(arguments, "report")
    materials = [Material(specs, labels, options, bars) for specs in sets]
    task = materials[0].task(materials[0].features)
    page, sections, found = arguments.output / "report.html", [], {}
    for name in wanted:
        evaluation, drawings = _run(name, materials, task)
        for figure, drawing in drawings.items():
            drawing.save(arguments.output / "figures", figure)
        if drawings or evaluation.reports:
            found[name] = evaluation
            section = Section(_HEADINGS[name], _TEXTS[name], evaluation, tuple(drawings.values()))
            sections.append(_with_sound(name, section, materials, task, page))
    sections.append(Section("Features", "", Evaluation(tables=(_about(materials),))))
    text, overview = findings(found, len(task.ids))
    if text:
        sections.insert(0, Section("In short", text, overview))
    # What is found in short stands in JSON where it was found.
    every = (section.evaluation for section in sections if section.heading != "In short")
    write_json(join(every), arguments.output / "report.json")
    title = arguments.title or f"Features compared: {task.target}"
    return write_page(page, title, _summary(task, materials), sections)


def _options(arguments: argparse.Namespace) -> Options:
    options = options_of(arguments)
    if not arguments.quick:
        return options
    # A fifth of the trainings: fewer folds, always scaled, nothing nested.
    folds = options.folds or "5"
    return replace(options, folds=folds, scaling="always", nested=False, draws=3)


def _with_sound(
    name: str, section: Section, materials: Sequence[Material], task: Task, page: Path
) -> Section:
    """A section with what is to be heard: what the best features confused, maps with players."""
    if name == "map":
        pages = [(material.features.name, map_of(material, page)) for material in materials]
        return replace(section, frames=tuple((title, html) for title, html in pages if html))
    root = root_of(materials)
    return replace(section, heard=confused(section.evaluation, task, root, page))


def _clips(arguments: argparse.Namespace) -> Clips:
    """Names of the clips that features are of or will be."""
    if arguments.features:
        return clips_of_features(arguments.features)
    folder = arguments.audio or arguments.root
    return clips_of_folder(folder) if folder else {}


def parse_extractor(text: str) -> tuple[str, dict[str, Any]]:
    """Name and loading options of ``"choi2017?checkpoint=msd&layers=123"``.

    Raises:
        OptionError: a part that is no OPTION=VALUE.
    """
    name, _, query = text.partition("?")
    try:
        options: dict[str, Any] = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError as error:
        raise OptionError(f"{text!r}: options are OPTION=VALUE, joined by '&'.") from error
    for option in COMMON:
        if option.name in options:
            options[option.name] = option.take(options[option.name])
    return name, options


def _extracted(arguments: argparse.Namespace, labels: LabelTable) -> Iterator[tuple[str, ...]]:
    """Features of the labelled files by each extractor that is named, in a store each."""
    audio = arguments.audio or arguments.root
    column = labels.first_of(ID_COLUMNS)
    if arguments.extractor and (audio is None or column is None):
        raise OptionError("report: say where the labelled music is with --audio DIR.")
    for text in arguments.extractor:
        name, options = parse_extractor(text)
        store = arguments.output / "features" / slug(text)
        with mirfeat.load_extractor(name, **options) as extractor:
            paths = [audio / id for id in labels.column(str(column))]
            extractor.extract_to(store, paths, root=audio, progress=shown_progress(arguments))
        yield (str(store),)


def _run(
    name: str, materials: Sequence[Material], task: Task
) -> tuple[Evaluation, Mapping[str, Drawing]]:
    """Results of a protocol and its figures; nothing where features or labels do not suit it."""
    if name == "map":
        return Evaluation(), _maps(materials)
    if name in CLASSES and task.regression:
        materials = []
    if name == "layer-sweep":
        materials = [material for material in materials if material.features.layers]
    if not materials:
        return Evaluation(), {}
    evaluation = run(name, materials)
    return evaluation, gallery.draw(evaluation)


def _maps(materials: Sequence[Material]) -> dict[str, Drawing]:
    drawings = {}
    for place, material in enumerate(materials, start=1):
        features, task = material.features, material.task(material.features)
        if len(task.rows) < maps.FEWEST_CLIPS:
            continue
        positions = maps.tsne_map(features.values[task.rows], seed=material.options.seed)
        drawing = clip_figures.embedding_map(positions, task.labels, label=task.target)
        titled = replace(drawing.data, title=f"Map of {features.name}")
        drawings[f"map-{place}"] = replace(drawing, data=titled)
    return drawings


def _summary(task: Task, materials: Sequence[Material]) -> str:
    names = ", ".join(material.features.name for material in materials)
    kind = "values" if task.regression else f"{len(np.unique(task.labels))} classes"
    groups = f" Folds share no {task.group_name}." if task.groups else ""
    return f"{len(task.ids)} clips, {task.target}: {kind}. Compared: {names}.{groups}"


def _about(materials: Sequence[Material]) -> Table:
    """What the features are, so that the page can be made again."""
    rows = []
    for material in materials:
        features, specs = material.features, material.specs
        size, failed = features.values.shape[1], len(features.failed)
        made: tuple[str, ...] = ("", "", "")
        if len(specs) == 1 and is_store(Path(specs[0])):
            made = _provenance(StoreInfo.read(Path(specs[0])))
        rows.append((features.name, size, len(features), failed, *made))
    columns = ("features", "numbers", "clips", "failed", "options", "weights", "mirfeat")
    return Table("What was compared", columns, tuple(rows), "Weights: start of their sha256.")


def _provenance(info: StoreInfo) -> tuple[str, ...]:
    record = info.provenance
    parts = record.parts or (record,)
    options = {key: value for part in parts for key, value in part.options.items() if value}
    said = ", ".join(f"{key}={_plain(value)}" for key, value in options.items())
    weights = ", ".join(part.checkpoint_sha256[:12] for part in parts if part.checkpoint_sha256)
    return said, weights, record.mirfeat_version


def _plain(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def slug(text: str) -> str:
    """A name for files and folders."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-").lower()[:80]


_HEADINGS = {
    "svm-grid": "Support vector machines",
    "layer-sweep": "Layers",
    "linear": "Linear regression",
    "few-shot": "Few examples",
    "similarity": "Similarity",
    "transfer-head": "Network on segments",
    "source-grid": "Learning sources",
    "mlp": "Multilayer perceptron",
    "tagging": "Tags",
    "map": "Maps",
}
_TEXTS = {
    "svm-grid": "The best of a grid of kernels, widths and penalties (Choi et al. 2017). The score "
    "is the best mean over the folds it is chosen on, as in the paper; where a nested score stands "
    "beside it, that is the honest one.",
    "layer-sweep": "The same grid on combinations of layers (Choi et al. 2017, Figures 3 to 9).",
    "linear": "Least squares on one-hot classes, averaged over a clip (Hamel et al. 2013).",
    "few-shot": "Logistic regression after a few training clips a class (after Hamel et al. 2013, "
    "Figure 3): its strength is chosen on folds of these clips, and they are drawn ten times.",
    "similarity": "The share of a clip's nearest neighbours that are of its class; nothing is "
    "trained (Hamel et al. 2013, Table 5). Clips of the same group do not count as neighbours.",
    "transfer-head": "A hidden layer of 1024 on segments, probabilities averaged over a clip (Kim "
    "et al. 2018).",
    "source-grid": "The same on combinations of learning sources (Kim et al. 2018, Table 4).",
    "mlp": "Two hidden layers of 256, with scikit-learn's defaults and features as they are (Kim "
    "et al. 2019).",
    "tagging": "Logistic regressions, one a tag: the area under the ROC curve (0.5 by chance) and "
    "average precision (by chance a tag's frequency), means over tags.",
    "map": "Clips laid out by t-SNE so that similar vectors are near each other (Kim et al. 2019, "
    "Fig. 16). Distances between far groups mean nothing.",
}
